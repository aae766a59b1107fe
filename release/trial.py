"""What was built, installed as a user would, and the list of what comes with it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from release.tools import python

# What installations as a service have beside the dependencies.
_EXTRAS = "find,frigate"
_MODULES = ("collab_sdk", "collabd.__main__", "collabd.cloud.__main__", "collabd.ctl.__main__")


class Trial:
    """An environment that knows only what pip installs there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        python("venv", "--without-pip", folder)
        self._python = folder / "bin/python"

    def install(self, distributions: Sequence[Path], version: str) -> None:
        """Install these and what they need. Raises `CalledProcessError`, or `RuntimeError`: something else came."""
        wanted = [f"{each}[{_EXTRAS}]" if each.name.startswith("collabd-") else str(each) for each in distributions]
        python("pip", "--python", self._python, "--quiet", "--disable-pip-version-check", "install", *wanted)
        self._imports(version)

    def _imports(self, version: str) -> None:
        """Both daemons and their command line can be imported, from there, and say this version."""
        code = f"import {', '.join(_MODULES)}; print(collabd.__version__, collab_sdk.__file__, collabd.__file__)"
        done = subprocess.run([self._python, "-I", "-c", code], check=True, cwd="/", stdout=subprocess.PIPE, text=True)
        said, *paths = done.stdout.split()
        if said != version or not all(path.startswith(f"{self._folder}/") for path in paths):
            raise RuntimeError(f"what was installed is not what was built: {done.stdout}")

    def write_sbom(self, pyproject: Path, into: Path, *, version: str, epoch_s: int) -> None:
        """List what is installed, in CycloneDX's form, as parts of what `pyproject` describes."""
        about = ("--pyproject", pyproject, "--output-file", into, self._python)
        python("cyclonedx_py", "environment", "--output-reproducible", *about, epoch_s=epoch_s)
        bill = json.loads(into.read_text())
        bill["metadata"]["component"]["version"] = version  # pyproject.toml does not say it
        for component in bill["components"]:
            # Where pip found what had just been built is nobody's business, and each time another place.
            references = component.get("externalReferences", [])
            references[:] = [each for each in references if not each["url"].startswith("file:")]
        into.write_text(json.dumps(bill, indent=2) + "\n")
