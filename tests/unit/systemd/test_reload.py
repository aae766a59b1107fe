"""SIGHUP: what is read anew, refused, or held back until a restart."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collabd.config import DeviceConfig, Loaded, Source
from collabd.systemd.reload import merge, reload_at_hangup

Write = Callable[[str], Loaded[DeviceConfig]]


@pytest.fixture
def source(tmp_path: Path) -> Source[DeviceConfig]:
    (tmp_path / "collabd.toml").write_text("")
    return Source(DeviceConfig, tmp_path / "collabd.toml", tmp_path / "other.toml")


@pytest.fixture
def written(source: Source[DeviceConfig]) -> Write:
    """Writes the file and loads it."""

    def write(text: str) -> Loaded[DeviceConfig]:
        assert source.path is not None
        source.path.write_text(text)
        return source.load()

    return write


async def hang_up(manager: Any) -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    assert (await asyncio.to_thread(manager.next)).startswith(b"RELOADING=1\n")
    assert await asyncio.to_thread(manager.next) == b"READY=1"


async def test_a_change_is_applied_and_a_mistake_is_not(
    source: Source[DeviceConfig], written: Write, manager: Any, caplog: pytest.LogCaptureFixture
) -> None:
    applied: list[float] = []

    async def apply(loaded: Loaded[DeviceConfig]) -> None:
        applied.append(loaded.config.planning.min_fidelity)
        if loaded.config.planning.min_fidelity == 0.5:
            raise RuntimeError("cannot be")

    task = asyncio.create_task(reload_at_hangup(source.load, apply))
    await asyncio.sleep(0)
    try:
        written("[planning]\nmin_fidelity = 0.8\n")
        await hang_up(manager)
        assert applied == [0.8]
        assert source.path is not None
        source.path.write_text("[planning]\nmin_fidelity = 8\nmax = 1\n")
        await hang_up(manager)
        assert applied == [0.8]
        (error,) = (record.getMessage() for record in caplog.records if record.levelno == logging.ERROR)
        assert error.startswith("the old configuration stays in force: ")
        assert "min_fidelity: Expected" in error
        assert "planning.max: unknown key" in error
        assert "\n" not in error
        for share in (0.5, 0.6):
            written(f"[planning]\nmin_fidelity = {share}\n")
            await hang_up(manager)
        assert applied == [0.8, 0.5, 0.6]
    finally:
        task.cancel()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)


def test_what_is_fixed_stays_with_its_origin(written: Write, caplog: pytest.LogCaptureFixture) -> None:
    running = written("[engine]\ncache_mb = 64\n[models]\nroots = ['/a']\n[planning]\nmin_fidelity = 0.5\n")
    new = written("[engine]\nthreads = 3\n[models]\nroots = ['/b']\ndefault = 'net'\n")
    merged = merge(running, new, ("engine", "models.roots"))
    assert merged.config.engine == running.config.engine
    assert (merged.config.models.roots, merged.config.models.default) == (("/a",), "net")
    assert merged.config.planning.min_fidelity == 0.99
    assert merged.given == {"engine.cache_mb", "models.roots", "models.default"}
    assert merged.path == new.path
    assert "only after a restart: engine, models.roots" in caplog.text


def test_nothing_is_said_of_what_is_fixed_and_the_same(written: Write, caplog: pytest.LogCaptureFixture) -> None:
    text = "[engine]\ncache_mb = 64\n"
    merged = merge(written(text), written(text + "[[clouds]]\nname = 'pc'\nurl = 'http://pc:1'\n"), ("engine",))
    assert [cloud.name for cloud in merged.config.clouds] == ["pc"]
    assert caplog.text == ""
