"""`python -m release`: make the release of the tag that is checked out, into dist/VERSION."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from release import changelog, debian, distributions, sums, version
from release.commit import Commit, head
from release.objections import objections
from release.trial import Trial


def main() -> None:
    """Make it, or say why not."""
    checkout = Path.cwd()
    commit, number = head(checkout), version.of(checkout)
    changes = (checkout / "CHANGELOG.md").read_text()
    if against := list(objections(commit, number, changes)):
        sys.exit("\n".join(("This is no release:", *(f"  {each}" for each in against))))
    made = checkout / "dist" / number
    with tempfile.TemporaryDirectory(prefix="collabd-release-") as scratch:
        try:
            _make(commit, number, Path(scratch))
        except (subprocess.CalledProcessError, RuntimeError) as error:
            sys.exit(f"The release was not made: {error}")
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(Path(scratch, "made"), made)
    print((made / sums.NAME).read_text(), end="")
    print(f"in dist/{number}")


def _make(commit: Commit, number: str, scratch: Path) -> None:
    source, made = commit.export(scratch / "source"), scratch / "made"
    made.mkdir()
    _say("wheels and source archives")
    built = distributions.build(source, made, commit.epoch_s)
    distributions.check(built)
    for suffix in (".tar.gz", ".whl"):
        _say(f"an environment from the {suffix} files")
        trial = Trial(scratch / f"from{suffix}")
        trial.install([each for each in built if each.name.endswith(suffix)], number)
    bill = made / f"collabd-{number}.cdx.json"
    trial.write_sbom(source / "pyproject.toml", bill, version=number, epoch_s=commit.epoch_s)
    if absent := debian.missing():
        _say(f"no Debian packages, for want of {', '.join(absent)}")
    else:
        _say("Debian packages")
        debian.build(source, made, commit.epoch_s)
    changes = (source / "CHANGELOG.md").read_text()
    (made / "RELEASE_NOTES.md").write_text(changelog.notes(changes, number))
    (made / sums.NAME).write_text(sums.sums(made))


def _say(what: str) -> None:
    print(f"{what} ...", flush=True)


if __name__ == "__main__":
    main()
