"""`make install` into a folder, offline from the wheels, and its way back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging
CHECKOUT = Path(__file__).parents[2]
# Whoever asks an index for anything fails.
OFFLINE = {**os.environ, "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}


def make(target: str, root: Path, **variables: str) -> str:
    """`make TARGET DESTDIR=root`; returns what it says."""
    given = [f"{name}={value}" for name, value in {"DESTDIR": root, **variables}.items()]
    command = ["make", "--silent", f"--directory={CHECKOUT}", target, *given]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=OFFLINE).stdout


def files(root: Path) -> Iterator[Path]:
    """What lies in it, with the parts of the virtual environment left out."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and "site-packages" not in path.parts:
            yield path.relative_to(root)


@pytest.fixture(scope="module", autouse=True)
def wheels() -> None:
    subprocess.run(["make", "--silent", "wheels"], cwd=CHECKOUT, check=True)  # noqa: S607


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both roles, below a path that a script may stumble over."""
    root = tmp_path_factory.mktemp("a root")
    make("install", root, ROLE="both", SYSTEMD_VERSION="252")
    return root


def test_nothing_names_where_it_was_staged(both: Path) -> None:
    named = subprocess.run(["grep", "-rlF", both, both], capture_output=True, text=True, check=False)  # noqa: S607
    assert (named.returncode, named.stdout) == (1, "")


def test_the_services_find_what_was_installed(both: Path) -> None:
    units = both / "usr/local/lib/systemd/system"
    assert {unit.name for unit in units.iterdir()} == {"collabd.service", "collabd.socket", "collab-cloudd.service"}
    for unit in units.iterdir():
        assert "@" not in unit.read_text().replace("@system-service", "").replace("@privileged @resources", "")
    for unit in units.glob("*.service"):
        settings = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
        assert (both / settings["ExecStart"].split()[0].lstrip("/")).is_symlink()
        models = both / settings["Environment"].split("=")[1].lstrip("/")
        assert {"alexnet_cifar10", "vgg16_cifar10"} <= {package.name for package in models.iterdir()}


@pytest.mark.parametrize("module", ["collabd", "collabd.cloud", "collabd.ctl"])
def test_it_runs_on_its_own_packages(both: Path, module: str) -> None:
    python = both / "usr/local/lib/collabd/venv/bin/python"
    code = f"import {module}.__main__, onnxruntime; print({module}.__file__, onnxruntime.__file__, sep='\\n')"
    found = subprocess.run([python, "-I", "-c", code], check=True, capture_output=True, text=True, cwd="/")
    assert all(line.startswith(f"{both}/") for line in found.stdout.splitlines())


def test_who_runs_it_has_nothing_left_to_compile(both: Path) -> None:
    packages = both / "usr/local/lib/collabd/venv/lib"
    sources = {path for path in packages.rglob("*.py") if "collabd" in path.parts}
    compiled = {path.parent.parent / f"{path.name.split('.')[0]}.py" for path in packages.rglob("*.pyc")}
    assert sources <= compiled


def test_all_can_be_read_by_all(both: Path) -> None:
    assert [path for path in both.rglob("*") if path.stat().st_mode & 0o444 != 0o444] == []


def test_a_role_brings_only_its_own(tmp_path: Path) -> None:
    make("install", tmp_path, ROLE="companion", prefix="/usr")
    installed = {path.name for path in files(tmp_path)}
    assert {"collab-cloudd.service", "collab-cloudd.toml", "collab-cloudd.8", "collabctl"} <= installed
    assert not installed & {"collabd.service", "collabd.socket", "collabd.toml", "collabd.8"}


@pytest.mark.parametrize("variables", [{"ROLE": "pi"}, {"sysconfdir": "/usr/local/etc"}, {"localstatedir": "/srv"}])
def test_what_would_not_work_is_refused(tmp_path: Path, variables: dict[str, str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        make("install", tmp_path, **variables)
    assert list(tmp_path.iterdir()) == []


def test_uninstall_leaves_an_empty_tree(tmp_path: Path) -> None:
    make("install", tmp_path, ROLE="both", SYSTEMD_VERSION="254")
    back_off = {path.parent.name for path in files(tmp_path) if path.name == "back-off.conf"}
    assert back_off == {"collabd.service.d", "collab-cloudd.service.d"}, "what older ones do not know is for newer ones"
    make("uninstall", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_uninstall_leaves_what_its_owner_made_and_purge_does_not(tmp_path: Path) -> None:
    make("install", tmp_path)
    configuration, state = tmp_path / "etc/collabd/collabd.toml", tmp_path / "var/lib/collabd/profile.json"
    configuration.write_text("[engine]\nthreads = 1\n")
    state.parent.mkdir(parents=True)
    state.write_text("{}")
    assert "so it stays" in make("uninstall", tmp_path)
    assert list(files(tmp_path)) == [configuration.relative_to(tmp_path), state.relative_to(tmp_path)]
    make("purge", tmp_path)
    assert list(tmp_path.iterdir()) == []
