"""Somebody who follows the documentation: an environment in which its commands run as they stand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.patience import PROGRAM_S
from tests.said import Said

_READY = "every command of the block was run"


@dataclass(frozen=True)
class Newcomer:
    """Somebody in a checkout who has just run a block of a page, whose daemons run on. `said`: what it printed."""

    tree: Path
    environment: Mapping[str, str]
    said: str

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command there, to its end."""
        return subprocess.run(
            command, cwd=self.tree, env=self.environment, capture_output=True, text=True, timeout=PROGRAM_S, check=False
        )


@contextmanager
def following(
    script: str,
    tree: Path,
    home: Path,
    *,
    within: Sequence[str] = (),
    more: Mapping[str, str] | None = None,
    within_s: float = PROGRAM_S,
) -> Iterator[Newcomer]:
    """Run the lines of a block in `tree`; what they start in the background ends with the context.

    `within`: a command that runs the command behind it elsewhere. `more`: of the environment.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COLLABD_", "XDG_"))}
    environment |= {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "80",
        **(more or {}),
    }
    shell = [*within, "sh", "-ec", f"{script}\necho {_READY}; cat"]
    log = home / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            shell,
            cwd=tree,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            said = Said(process.stdout)
            try:
                said.until(_READY, within_s)
            except AssertionError as error:
                error.add_note(log.read_text())
                raise
            yield Newcomer(tree, environment, said.text)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
