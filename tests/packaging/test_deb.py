"""The Debian packages in a booted machine: installed, upgraded, removed and purged. The tests run in this order."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from collabd import __version__
from tests.system.box import CHECKOUT, Box, CannotBoot, booted

pytestmark = [pytest.mark.packaging, pytest.mark.system]
BUILT = CHECKOUT / "build/deb"
INSIDE = Path("/run/checkout/build/deb")
TOOLS = ("dpkg-buildpackage", "dh", "dh_python3", "lintian")
PACKAGES = {"collabd", "collab-cloudd", "collabd-common", "collabd-models", "python3-collab-sdk"}
NEXT = "9.0"
CALL = "from collab_sdk import infer; print(infer({image!r}, model='efficientnet_lite0').label)"


def run(*command: str | Path) -> str:
    """A command here; returns what it prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    subprocess.run(["make", "--silent", "deb"], cwd=CHECKOUT, check=True, stdout=subprocess.DEVNULL)  # noqa: S607
    for package in BUILT.glob("*.deb"):
        _make_next(package)


def _make_next(package: Path) -> None:
    """The same package as a later version, of which the configuration has a line more."""
    tree = BUILT / "next" / package.name.split("_")[0]
    tree.parent.mkdir(exist_ok=True)
    run("dpkg-deb", "--raw-extract", package, tree)
    control = tree / "DEBIAN/control"
    version = re.search(r"^Version: (.+)$", control.read_text(), re.MULTILINE)
    assert version is not None
    control.write_text(control.read_text().replace(version[1], NEXT))
    for configuration in tree.glob("etc/collabd/*"):
        configuration.write_text(configuration.read_text() + "# of the next version\n")
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, BUILT / "next")
    shutil.rmtree(tree)


@pytest.fixture(scope="module")
def box(built: None) -> Iterator[Box]:
    try:
        with booted() as it:
            it.path("/usr/sbin/policy-rc.d").unlink(missing_ok=True)  # containers forbid to start services by it
            yield it
    except CannotBoot as reason:
        pytest.skip(str(reason))


def dpkg(box: Box, *arguments: str) -> None:
    box.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-confold", *arguments)


def install(box: Box, folder: Path) -> None:
    here = BUILT / folder.relative_to(INSIDE)
    dpkg(box, "--install", *(str(folder / package.name) for package in here.glob("*.deb")))


def installed(box: Box) -> dict[str, str]:
    """The version of each of our packages that is installed."""
    listed = box.run("dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Package} ${Version}\n").stdout
    lines = [line.split() for line in listed.splitlines() if line.startswith("ii ")]
    return {package: version for _, package, version in lines if package in PACKAGES}


def call(box: Box) -> str:
    """The label that an application is told, on the system's Python as a user in group collab."""
    image = "/run/checkout/models/samples/photos/chelsea.jpg"
    return box.run("python3", "-c", CALL.format(image=image), user="ada").stdout.strip()


def test_lintian_finds_no_error() -> None:
    found = subprocess.run(
        ["lintian", "--allow-root", "--fail-on=error", *BUILT.glob("*.changes")],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


def test_the_version_is_that_of_the_program(box: Box) -> None:
    install(box, INSIDE)
    assert installed(box) == dict.fromkeys(PACKAGES, __version__)


def test_an_installed_service_runs_and_answers(box: Box) -> None:
    box.run("useradd", "--groups=collab", "ada")
    assert box.show("collabd.socket", "ActiveState") == box.show("collab-cloudd.service", "ActiveState") == "active"
    assert "cat" in call(box)
    assert box.show("collabd.service", "ActiveState") == "active"
    assert box.run("systemctl", "is-enabled", "collabd.socket", "collab-cloudd").stdout.split() == ["enabled"] * 2


def test_an_upgrade_restarts_the_services_and_keeps_the_socket_and_what_was_configured(box: Box) -> None:
    box.write("/etc/collabd/collabd.toml", "[engine]\nthreads = 1\n")
    before = {unit: box.show(unit, "InvocationID") for unit in ("collabd.service", "collab-cloudd.service")}
    socket = box.show("collabd.socket", "InvocationID")
    install(box, INSIDE / "next")
    assert installed(box) == dict.fromkeys(PACKAGES, NEXT)
    after = {unit: box.show(unit, "InvocationID") for unit in before}
    assert all(after[unit] and after[unit] != invocation for unit, invocation in before.items())
    assert box.show("collabd.socket", "InvocationID") == socket
    assert box.path("/etc/collabd/collabd.toml").read_text() == "[engine]\nthreads = 1\n"
    assert "# of the next version" in box.path("/etc/collabd/collab-cloudd.toml").read_text()
    assert "cat" in call(box)


def test_what_was_removed_has_stopped_and_left_what_is_its_owners(box: Box) -> None:
    box.write("/var/lib/collabd/its-owners", "measured or added here\n")
    dpkg(box, "--remove", *PACKAGES)
    assert installed(box) == {}
    assert box.show("collabd.service", "ActiveState") == box.show("collab-cloudd.service", "ActiveState") == "inactive"
    assert not box.path("/usr/lib/collabd").exists()
    assert box.path("/etc/collabd/collabd.toml").exists()
    assert box.path("/var/lib/collabd/its-owners").exists()


def test_what_was_purged_has_left_nothing(box: Box) -> None:
    for daemon in ("collabd", "collab-cloudd"):
        box.write(f"/etc/collabd/keys/{daemon}/a-key", "of collabctl pair\n")
    dpkg(box, "--purge", *PACKAGES)
    ours = r".*collab\(d\|ctl\|-cloudd\|_sdk\).*"
    assert box.run("find", "/etc", "/usr", "/var", "-xdev", "-not", "-path", "*/journal/*", "-regex", ours).stdout == ""
