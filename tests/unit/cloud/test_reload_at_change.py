"""A configuration is read again when a file changes, and what is bad changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collabd.cloud.reload_at_change import reload_at_change
from collabd.config import CloudConfig, Loaded, load
from collabd.file_changes import FileChanges
from tests.patience import PATIENCE_S

Applied = asyncio.Queue[Loaded[CloudConfig]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "cloud.toml"
    path.write_text("[packages]\nmax_mb = 1\n")
    return path


def put(path: Path, text: str) -> None:
    """As a whole, or the file would be read half written."""
    new = path.with_name("new")
    new.write_text(text)
    new.replace(path)


@asynccontextmanager
async def watched(*files: Path) -> AsyncIterator[Applied]:
    applied = Applied()
    changes = FileChanges(files, every_s=0.01)
    task = asyncio.create_task(reload_at_change(changes, lambda: load(CloudConfig, files[0]), applied.put))
    try:
        yield applied
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def next_of(applied: Applied) -> CloudConfig:
    async with asyncio.timeout(PATIENCE_S):
        return (await applied.get()).config


async def test_a_file_that_is_replaced_or_made_is_read(config: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    async with watched(config, tokens) as applied:
        put(config, "[packages]\nmax_mb = 22\n")
        assert (await next_of(applied)).packages.max_mb == 22
        put(tokens, "made")
        assert (await next_of(applied)).packages.max_mb == 22
        put(tokens, "replaced")
        assert (await next_of(applied)).packages.max_mb == 22
        assert applied.empty()


async def test_what_cannot_be_used_is_said_once_and_changes_nothing(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with watched(config) as applied:
        put(config, "[packages]\nmax_mbs = 1\n")
        for _ in range(int(PATIENCE_S / 0.01)):
            if "max_mbs" in caplog.text:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert caplog.text.count("the old configuration stays in force") == 1
        assert applied.empty()
        put(config, "[packages]\nmax_mb = 2\n")
        assert (await next_of(applied)).packages.max_mb == 2
