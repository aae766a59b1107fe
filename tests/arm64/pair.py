"""Device and companion on either side of the emulation: configured, started, and waited for."""

from __future__ import annotations

import time
from pathlib import Path

from collab_sdk import Client
from tests.arm64.calls import WHOLE
from tests.arm64.daemons import Daemons, Root, native

SOCKET = "run/collabd/collabd.sock"
MODELS = tuple(case.model for case in WHOLE)
# The first that is up, and has profiled the model, runs the tails of calls with a fixed cut.
CLOUDS = {"arm64": 8470, "x86-64": 8471}
# The one that is measured within minutes under emulation, so the only one that the companion there is given.
PROFILED = "alexnet_cifar10"

_WAIT_S = 600.0
_POLL_S = 0.5
_MODELS = "usr/local/share/collabd/models"


def start_native(root: Root, scratch: Path, daemons: Daemons) -> Path:
    """This checkout's daemons, with the packages in the root; returns collabd's socket."""
    cloud, device, socket = scratch / "collab-cloudd.toml", scratch / "collabd.toml", scratch / "collabd.sock"
    common = f'[models]\nroots = ["{scratch}", "{root.path.resolve() / _MODELS}"]\n[server]\n'
    cloud.write_text(f'state_dir = "{scratch}/cloud"\n{common}port = {CLOUDS["x86-64"]}\n')
    device.write_text(f'state_dir = "{scratch}/device"\n{common}socket = "{socket}"\n{_clouds("x86-64")}')
    daemons.start("collab-cloudd-native", native("collabd.cloud", cloud))
    daemons.start("collabd-native", native("collabd", device))
    _until_up(socket, "x86-64", *MODELS)
    return socket


def start_device(root: Root, daemons: Daemons) -> str:
    """The root's collabd, configured as its owner would: what was installed, with the companions behind it."""
    shipped = (root.path / "usr/local/share/collabd/collabd.toml").read_text()
    (root.path / "etc/collabd/collabd.toml").write_text(shipped + _clouds(*CLOUDS))
    daemons.start("collabd-arm64", root.service("collabd"))
    root.output("collabctl", "wait", f"--timeout={_WAIT_S:g}")
    _until_up(root.path / SOCKET, "x86-64", *MODELS)
    return "ready, and knows the companion on x86-64"


def start_cloud(root: Root, daemons: Daemons) -> str:
    """The root's companion."""
    models = root.path / "run/companion"
    models.mkdir()
    (models / PROFILED).symlink_to(f"/{_MODELS}/{PROFILED}")
    roots = ["/var/lib/collab-cloudd/models", "/run/companion"]
    (root.path / "etc/collabd/collab-cloudd.toml").write_text(f"[models]\nroots = {roots}\n")
    daemons.start("collab-cloudd-arm64", root.service("collab-cloudd"))
    _until_up(root.path / SOCKET, "arm64", PROFILED)
    return f"up, and has profiled {PROFILED}"


def until_profiled(root: Root) -> None:
    """Until the root's collabd has measured the model that the companion there has measured too."""
    deadline = time.monotonic() + _WAIT_S
    with Client(root.path / SOCKET) as client:
        while not all(model["profiled"] for model in client.models() if model["name"] == PROFILED):
            assert time.monotonic() < deadline, f"{PROFILED} is not profiled after {_WAIT_S:g} s"
            time.sleep(_POLL_S)


def _clouds(*names: str) -> str:
    return "".join(
        f'[[clouds]]\nname = "{name}"\nurl = "http://127.0.0.1:{CLOUDS[name]}"\npush_packages = false\n'
        for name in names
    )


def _until_up(socket: Path, cloud: str, *models: str) -> None:
    """Until collabd has loaded its models, and knows that the companion has profiled those named."""
    deadline = time.monotonic() + _WAIT_S
    with Client(socket) as client:
        client.wait(_WAIT_S)
        while time.monotonic() < deadline:
            status = client.status()
            ours = {model["digest"] for model in status["models"] if model["name"] in models}
            there = next(report for report in status["clouds"] if report["name"] == cloud)
            if there["state"] == "up" and ours <= set(there["packages"]):
                return
            time.sleep(_POLL_S)
    raise RuntimeError(f"the companion {cloud} is not up after {_WAIT_S:g} s")
