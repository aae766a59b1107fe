"""The companion's own load, of a machine made of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from collabd.cloud.load_meter import LoadMeter


def sample(root: Path, *, busy: int, idle: int, own: int) -> None:
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/stat").write_text(f"cpu0 {busy} 0 0 {idle} 0\n")
    (root / "proc/self/stat").write_text(f"1 (cloud) S 1 1 1 0 -1 0 1 2 3 4 {own} 0 0 0 20 0 4 0 100 1 1")


@pytest.mark.parametrize(("own", "slowdown"), [(0, 1.8), (80, 1.0)])
async def test_what_others_take_slows_and_what_it_takes_itself_does_not(
    tmp_path: Path, own: int, slowdown: float
) -> None:
    sample(tmp_path, busy=0, idle=0, own=0)
    meter = LoadMeter(1, tmp_path)
    await meter.warm_up()
    sample(tmp_path, busy=80, idle=20, own=own)
    await meter.warm_up()
    assert (meter.value, meter.slowdown) == (0.8, slowdown)


async def test_a_machine_that_shows_nothing(tmp_path: Path) -> None:
    meter = LoadMeter(1, tmp_path)
    await meter.warm_up()
    assert (meter.value, meter.slowdown) == (None, 1.0)
