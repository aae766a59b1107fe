"""`make install` and `make uninstall` on a running machine."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.system.box import CHECKOUT, Box, CannotBoot, booted

pytestmark = [pytest.mark.packaging, pytest.mark.system]
# The users of the daemons stay, and so does what systemd wrote meanwhile.
STAYING = re.compile(r"/etc/(\.pwd\.lock|g?shadow-?|group-?|passwd-?)|/var/(log|tmp|lib/systemd)/.*")


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    subprocess.run(["make", "--silent", "wheels"], cwd=CHECKOUT, check=True)  # noqa: S607
    try:
        with booted() as it:
            yield it
    except CannotBoot as reason:
        pytest.skip(str(reason))


def make(box: Box, target: str) -> str:
    return box.run("make", "--silent", "--directory=/run/checkout", target, "ROLE=both").stdout


def files(box: Box) -> set[str]:
    found = box.run("find", "/etc", "/opt", "/usr", "/var", "-xdev").stdout.splitlines()
    return {path for path in found if not STAYING.fullmatch(path)}


def test_uninstall_is_the_inverse_of_install(box: Box) -> None:
    before = files(box)
    assert "sudo systemctl enable --now collabd\n" in make(box, "install")
    box.run("systemctl", "enable", "--now", "collabd", "collab-cloudd")
    assert "sudo systemctl restart collab-cloudd " in make(box, "install")
    make(box, "uninstall")
    for unit in ("collabd.socket", "collabd.service", "collab-cloudd.service"):
        assert box.show(unit, "LoadState") == "not-found"
        assert box.show(unit, "ActiveState") == "inactive"
    assert box.path("/var/lib/collabd").exists()
    make(box, "purge")
    assert files(box) == before
