from __future__ import annotations

from pathlib import Path

import pytest

from collabd.engine.processor import adds_exactly


@pytest.mark.parametrize(
    ("machine", "flags", "exact"),
    [
        ("x86_64", "fpu avx2 avx512f", False),
        ("x86_64", "fpu avx2 avx512f avx512_vnni", True),
        ("x86_64", "fpu avx2 avx_vnni", True),
        ("aarch64", "fp asimd", True),
    ],
)
def test_only_x86_without_vnni_overflows(machine: str, flags: str, exact: bool, tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\n")
    assert adds_exactly(machine, cpuinfo) is exact


def test_what_cannot_be_read_is_taken_for_the_worst(tmp_path: Path) -> None:
    assert not adds_exactly("x86_64", tmp_path / "none")
