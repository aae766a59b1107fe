"""What a root's binaries are built for, read from the ELF files themselves."""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from tests.arm64.daemons import Root

# The page of a Raspberry Pi 5's usual kernel.
_PI5_PAGE = 16 * 2**10
_IMPORT = (
    "import platform, collabd, onnxruntime; "
    "print(platform.machine(), platform.python_version(), onnxruntime.__version__)"
)
_NAMES = {62: "x86-64", 183: "aarch64"}
_LOAD = 1


def compared(root: Root) -> str:
    """The root's machine beside this one. Raises `AssertionError` unless all that was installed fits a Raspberry Pi."""
    venv = Path(root.python()).parents[1]
    machines, pages = zip(*_binaries(root.path / venv.relative_to("/")), strict=True)
    assert set(machines) == {"aarch64"}, f"the installed environment holds binaries for {set(machines)}"
    assert min(pages) >= _PI5_PAGE, f"a binary of the installed environment loads with pages of {min(pages)} bytes"
    machine, python, runtime = root.output(root.python(), "-I", "-c", _IMPORT).split()
    assert machine == "aarch64", machine
    return (
        f"{machine}, Python {python}, ONNX Runtime {runtime}; all {len(machines)} shared objects are for "
        f"aarch64, and for pages up to {min(pages) >> 10} KiB; this one: {platform.machine()}, "
        f"Python {platform.python_version()}, ONNX Runtime {version('onnxruntime')}"
    )


def _binaries(folder: Path) -> Iterator[tuple[str, int]]:
    """Of each ELF file in `folder`: the machine that it is for, and the largest page, in bytes, that it loads with."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if content.startswith(b"\x7fELF\x02\x01"):
                number = int.from_bytes(content[18:20], "little")
                yield _NAMES.get(number, f"machine {number}"), min(_alignments(content))


def _alignments(elf: bytes) -> Iterator[int]:
    """p_align of the segments that are loaded, by the headers of a little-endian 64-bit file."""
    (offset,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for start in range(offset, offset + size * count, size):
        kind, *_, align = struct.unpack_from("<IIQQQQQQ", elf, start)
        if kind == _LOAD:
            yield align
