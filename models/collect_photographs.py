"""Collect the photographs that calibrate EfficientNet-Lite0: `python -m models.collect_photographs ROOT --into FOLDER`.

ROOT holds the contents of the Debian packages that models/README.md names, unpacked with `dpkg-deb --extract`.
"""

from __future__ import annotations

import argparse
import io
import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

__all__ = ["PATTERNS", "collect", "embedded"]

_ACTIVITIES = (
    "clickgame",
    "erase",
    "explore_farm_animals",
    "explore_monuments",
    "explore_world_animals",
    "explore_world_music",
)
_LXQT = ("Butterfly-*", "Valendas.*", "after-*", "appleflower.*", "butterfly.*", "cloud.*", "drop.*", "f*")
# Where the photographs lie. The other pictures there are drawings and paintings, or copies in another size.
PATTERNS = (
    *(f"gcompris-qt/rcc/{activity}.rcc" for activity in _ACTIVITIES),
    "gnome-taquin/themes/cats/*.jpg",
    "backgrounds/*_by_*.jpg",
    *(f"lxqt/wallpapers/{name}" for name in _LXQT),
    "backgrounds/mate/nature/*.jpg",
    "palapeli/collection/*.jpg",
    "wallpapers/*/contents/images/2560x1600.jpg",
)
_SHARE = "usr/share"
# A smaller picture would be enlarged for a network, and an enlarged picture is smoother than a photograph.
_LEAST_SIDE = 400
# Qt's resource files hold each file as it is, behind its length in four bytes, most significant first.
_START = re.compile(rb"RIFF....WEBP|\xff\xd8\xff[\xdb\xe0\xe1]", re.DOTALL)
_LENGTH_BYTES = 4


def collect(root: Path, into: Path) -> list[Path]:
    """Write the photographs to `into`. Raises `FileNotFoundError` if there is nothing of a pattern."""
    into.mkdir(parents=True, exist_ok=True)
    share, written = root / _SHARE, []
    for pattern in PATTERNS:
        found = sorted(share.glob(pattern))
        if not found:
            raise FileNotFoundError(f"{share} has no {pattern}: unpack the packages that models/README.md names")
        for name, data in (each for path in found for each in _files(path, share)):
            if _least_side(data) >= _LEAST_SIDE:
                written.append(into / name)
                written[-1].write_bytes(data)
    return written


def embedded(resources: bytes) -> Iterator[bytes]:
    """The JPEG and WebP files in a Qt resource file, and some bytes that only begin like one."""
    for match in _START.finditer(resources):
        start = match.start()
        length = int.from_bytes(resources[max(start - _LENGTH_BYTES, 0) : start])
        if start >= _LENGTH_BYTES and start + length <= len(resources):
            yield resources[start : start + length]


def _files(path: Path, share: Path) -> Iterator[tuple[str, bytes]]:
    name = "-".join(path.relative_to(share).parts)
    if path.suffix != ".rcc":
        yield name, path.read_bytes()
        return
    for index, data in enumerate(embedded(path.read_bytes())):
        yield f"{name}-{index:03}{'.webp' if data.startswith(b'RIFF') else '.jpg'}", data


def _least_side(data: bytes) -> int:
    """The shorter side in pixels; 0 if this is no picture."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            return min(picture.size)
    except OSError:
        return 0


def main() -> None:
    """Collect, and say how many there are."""
    parser = argparse.ArgumentParser(prog="python -m models.collect_photographs", description=__doc__)
    parser.add_argument("root", type=Path, help="folder of the unpacked Debian packages")
    parser.add_argument("--into", type=Path, required=True, help="folder for the photographs")
    given = parser.parse_args()
    print(f"{len(collect(given.root, given.into))} photographs in {given.into}")


if __name__ == "__main__":
    main()
