"""The README as the tests read it: its blocks of code, and an environment in which they run as they stand."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
TEXT = (CHECKOUT / "README.md").read_text()
BLOCKS = [found[1] for found in re.finditer(r"^```\w*\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)]
_READY = "every command of the block was run"


def block(start: str) -> str:
    """The only block that starts so."""
    (found,) = (each for each in BLOCKS if each.startswith(start))
    return found


@dataclass(frozen=True)
class Newcomer:
    """Somebody in a checkout who has just run a block of the README, whose daemons run on. `said`: what it printed."""

    tree: Path
    environment: Mapping[str, str]
    said: str

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command there, to its end."""
        return subprocess.run(
            command, cwd=self.tree, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )


@contextmanager
def following(script: str, tree: Path, home: Path) -> Iterator[Newcomer]:
    """Run the lines of a block in `tree`; what they start in the background ends with the context."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COLLABD_", "XDG_"))}
    environment |= {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "80",
    }
    shell = ["sh", "-ec", f"{script}\necho {_READY}; cat"]
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
            assert process.stdout is not None
            said = ""
            while _READY not in said:
                line = process.stdout.readline()
                assert line, f"{said}{log.read_text()}"
                said += line
            yield Newcomer(tree, environment, said)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
