"""How large an image may be, and how much work it may take."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

from PIL.Image import DecompressionBombError

from collab_sdk.errors import InvalidImage, InvalidRequest
from collab_sdk.pillow import DAMAGE

# The pixels that are decoded. A JPEG may have more, since its decoder makes it smaller.
MAX_PIXELS = 50_000_000
# The bound of JPEG and GIF. Pillow keeps a pointer a row, which for a million rows of one pixel outweighs the pixels.
MAX_SIDE = 65_535

# Pillow reads headers, and all of rare formats, in Python, at some microseconds a read. A PNG of 64 MB in chunks of
# 8 kB, as libpng writes them, takes 33,000 reads.
_MAX_READS = 200_000


def check_size(size: tuple[int, int], error: type[InvalidRequest], most: int = MAX_PIXELS) -> None:
    """Raises `error` where an image of this width and height has more than `most` pixels, or too long a side."""
    width, height = size
    if width * height > most or max(width, height) > MAX_SIDE:
        raise error(
            f"the image has {width}x{height} pixels: scale it to at most {most:,} pixels and {MAX_SIDE:,} a side; "
            "the network needs far fewer"
        )


class Metered(io.BytesIO):
    """A file with a bound on the number of reads, since a million empty chunks are few bytes and much work."""

    _reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Raises InvalidImage if there were too many reads."""
        self._reads += 1
        if self._reads > _MAX_READS:
            raise InvalidImage("the image file has too many pieces: save it again, as PNG or JPEG")
        return super().read(size)


@contextmanager
def damage_is_the_senders(what: str) -> Iterator[None]:
    """Raises InvalidImage in place of whatever Pillow's decoders raise for bytes that they cannot read."""
    try:
        yield
    except DecompressionBombError:
        raise InvalidImage(f"the image has far more than {MAX_PIXELS:,} pixels: scale it down") from None
    except DAMAGE as error:
        # From Python 3.13 on the frames in its traceback lead back to it, and would keep the image until a collection.
        error.__traceback__ = None
        raise InvalidImage(f"the {what} image is damaged, incomplete or empty ({error}): send it again") from None
