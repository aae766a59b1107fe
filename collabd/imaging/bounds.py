"""How large an image may be, and how much work."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

from PIL.Image import DecompressionBombError

from collab_sdk.errors import InvalidImage, InvalidRequest
from collab_sdk.pillow import DAMAGE

# Of what is decoded: a JPEG, which its decoder makes smaller, may be larger.
MAX_PIXELS = 50_000_000
# JPEG's and GIF's own. Pillow keeps a pointer a row, which for a million rows of one pixel outweighs the pixels.
MAX_SIDE = 65_535

# Pillow reads headers, and rare formats whole, in Python: some microseconds a read. 64 MB of PNG in chunks of 8 kB, as
# libpng writes them, take 33,000.
_MAX_READS = 200_000


def check_size(width: int, height: int, error: type[InvalidRequest], most: int = MAX_PIXELS) -> None:
    """`error`: an image of these sides has more than `most` pixels, or is too long."""
    if width * height > most or max(width, height) > MAX_SIDE:
        raise error(
            f"the image has {width}x{height} pixels: scale it to at most {most:,} pixels and {MAX_SIDE:,} a side; "
            "the network needs far fewer"
        )


class Metered(io.BytesIO):
    """A file that can be read so often and no more: a million empty chunks are few bytes and much work."""

    _reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """InvalidImage: too many reads."""
        self._reads += 1
        if self._reads > _MAX_READS:
            raise InvalidImage("the image file has too many pieces: save it again, as PNG or JPEG")
        return super().read(size)


@contextmanager
def damage_is_the_senders(what: str) -> Iterator[None]:
    """InvalidImage for all that Pillow's decoders raise for bytes that they cannot read."""
    try:
        yield
    except DecompressionBombError:
        raise InvalidImage(f"the image has far more than {MAX_PIXELS:,} pixels: scale it down") from None
    except DAMAGE as error:
        raise InvalidImage(f"the {what} image is damaged, incomplete or empty ({error}): send it again") from None
