"""A release, made of a tagged commit of a repository of its own, and made again elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from release import debian, version
from release.sums import NAME, sums

pytestmark = pytest.mark.packaging
CHECKOUT = Path(__file__).parents[2]
NEXT = "97.0.1"
_MADE = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
_OUTPUT = ("build/", "dist/", "*.egg-info/", "__pycache__/")


def git(*arguments: str | Path) -> None:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@collabd.example")
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)  # noqa: S607


def release(checkout: Path, umask: int = 0o022) -> subprocess.CompletedProcess[str]:
    """What `make release` runs, by this environment."""
    command = [sys.executable, "-m", "release"]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=checkout, env=environment, umask=umask, capture_output=True, text=True, check=False, timeout=3000
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One commit, of this checkout after `make version TO=97.0.1`, with its tag."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    here = tmp_path_factory.mktemp("release") / "repository"
    shutil.copytree(CHECKOUT, here, ignore=_MADE)
    version.write(here, NEXT, datetime.now(UTC))
    (here / ".gitignore").write_text("\n".join(_OUTPUT))
    git("init", "--quiet", here)
    git("-C", here, "add", "--all")
    git("-C", here, "commit", "--quiet", "--message=all")
    git("-C", here, "tag", f"v{NEXT}")
    return here


@pytest.fixture(scope="module")
def made(repository: Path) -> Path:
    """The release, in its folder."""
    done = release(repository)
    assert done.returncode == 0, done.stdout + done.stderr
    return repository / "dist" / NEXT


def test_it_holds_all_that_is_published(made: Path) -> None:
    names = {path.name for path in made.iterdir() if path.is_file()}
    assert names == {
        f"collab_sdk-{NEXT}-py3-none-any.whl",
        f"collab_sdk-{NEXT}.tar.gz",
        f"collabd-{NEXT}-py3-none-any.whl",
        f"collabd-{NEXT}.tar.gz",
        f"collabd-{NEXT}.cdx.json",
        "RELEASE_NOTES.md",
        NAME,
    }
    packages = {path.name.split("_")[0] for path in made.glob("debian-*/*.deb")}
    expected = {"collabd", "collab-cloudd", "collabd-common", "collabd-models", "python3-collab-sdk"}
    assert packages == (set() if debian.missing() else expected)


def test_its_sums_and_its_notes_are_right(made: Path) -> None:
    assert (made / NAME).read_text() == sums(made)
    notes = (made / "RELEASE_NOTES.md").read_text()
    assert notes.startswith(f"# collabd {NEXT}\n\n### ")
    assert "## [" not in notes


def test_the_bill_of_materials_names_what_comes_along_and_nothing_of_the_tools(made: Path) -> None:
    bill = json.loads((made / f"collabd-{NEXT}.cdx.json").read_text())
    named = {each["name"]: each["version"] for each in bill["components"]}
    about = bill["metadata"]["component"]
    assert (bill["bomFormat"], about["name"], about["version"]) == ("CycloneDX", "collabd", NEXT)
    assert {"aiohttp", "onnxruntime", "numpy", "zeroconf", "pyzmq"} <= named.keys()
    assert named["collab-sdk"] == NEXT
    assert not named.keys() & {"pip", "twine", "torch", "pytest"}


def test_made_again_elsewhere_it_is_the_same_to_the_bit(repository: Path, made: Path, tmp_path: Path) -> None:
    again = tmp_path / "a folder of another name"
    git("clone", "--quiet", repository, again)
    done = release(again, umask=0o077)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (again / "dist" / NEXT / NAME).read_text() == (made / NAME).read_text()


@pytest.mark.parametrize(
    ("spoil", "said"), [("tag", f"the commit has no tag v{NEXT}"), ("file", "commit or remove new")]
)
def test_what_is_no_release_is_refused(repository: Path, tmp_path: Path, spoil: str, said: str) -> None:
    here = tmp_path / "here"
    git("clone", "--quiet", "--depth=1", *(["--no-tags"] if spoil == "tag" else []), f"file://{repository}", here)
    if spoil == "file":
        (here / "new").touch()
    done = release(here)
    assert done.returncode == 1
    assert said in done.stderr
    assert not (here / "dist").exists()
