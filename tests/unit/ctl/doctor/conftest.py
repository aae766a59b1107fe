"""A machine of files, whose programs say what they are told to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from collabd.ctl.doctor.machine import Answer, ExaminedMachine, Memory, User

Make = Callable[..., ExaminedMachine]


@pytest.fixture
def machine(tmp_path: Path) -> Make:
    """A machine with these files, whose programs, by the beginning of their command line, answer this."""

    def made(
        files: Mapping[str, str] | None = None,
        answers: Mapping[str, Answer] | None = None,
        free_bytes: Callable[[Path], int] = lambda _: 10**9,
        memory: Memory | None = None,
    ) -> ExaminedMachine:
        for name, text in (files or {}).items():
            path = tmp_path / "root" / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

        def run(command: Sequence[str]) -> Answer | None:
            line = " ".join(command)
            return next((answer for start, answer in (answers or {}).items() if line.startswith(start)), None)

        user = User(1000, "ada", frozenset({1000}))
        return ExaminedMachine(root=tmp_path / "root", run=run, user=user, free_bytes=free_bytes, memory=lambda: memory)

    return made
