"""What arithmetic this processor has."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_VNNI = frozenset({"avx512_vnni", "avx_vnni"})
_BF16 = frozenset({"avx512_bf16", "amx_bf16"})


@cache
def adds_exactly(machine: str = platform.machine(), cpuinfo: Path = _CPUINFO) -> bool:
    """Whether sums of products of uint8 and int8 are exact: everywhere, but on x86-64 without VNNI.

    There two products are added in 16 bits, which 255 x 127 twice exceeds.
    """
    return machine != "x86_64" or not _VNNI.isdisjoint(_flags(cpuinfo))


def multiplies_bf16(machine: str = platform.machine(), cpuinfo: Path = _CPUINFO) -> bool:
    """Whether it multiplies numbers of 16 bits (bfloat16) faster than of 32. Only of x86-64 that is known here."""
    return machine == "x86_64" and not _BF16.isdisjoint(_flags(cpuinfo))


def _flags(cpuinfo: Path) -> frozenset[str]:
    try:
        line = next(line for line in cpuinfo.read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return frozenset()
    return frozenset(line.split())
