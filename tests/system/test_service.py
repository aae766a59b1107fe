"""collabd as a service: started, called, restarted, killed, hung, misconfigured and stopped under a real systemd."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from collabd.catalog.package.package import load
from collabd.engine import Engine
from tests.patience import until
from tests.system.box import CHECKOUT, Box
from tests.system.conftest import Callers, Service, calling, ended, infer, one_call

UNITS = ("collabd.service", "collabd.socket", "collab-cloudd.service")


def whole(model: str, side: int) -> np.ndarray:
    """The probabilities of the unsplit network for the image of `one_call.py`, of which it looks at the middle."""
    package = load(CHECKOUT / "models" / model / "package")
    engine = Engine(threads=1, cache_bytes=2**28)
    engine.add("whole", package.network())
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    manifest = package.manifest
    edge = (side - manifest.require_picture().height) // 2
    seen = image[np.newaxis, edge : side - edge, edge : side - edge]
    (source,), (scores,) = manifest.input_names, manifest.output_names
    output = engine.run("whole", {source: seen}, [scores])[scores][0]
    if manifest.output_kind == "probabilities":
        return np.asarray(output)
    exponents = np.exp(output - output.max())
    return np.asarray(exponents / exponents.sum())


def metrics(box: Box) -> str:
    return box.run("curl", "--silent", "--unix-socket", "/run/collabd/collabd.sock", "http://collabd/metrics").stdout


def assert_nobody_noticed(seen: Callers) -> None:
    assert seen.failed == []
    assert seen.different == 0
    assert min(seen.answered) >= 2


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_wrong_with_the_units(box: Box, unit: str) -> None:
    found = box.run("systemd-analyze", "verify", f"/usr/local/lib/systemd/system/{unit}")
    assert (found.stdout, found.stderr) == ("", "")


@pytest.mark.parametrize(("unit", "tenths"), [("collabd.service", 15), ("collab-cloudd.service", 20)])
def test_little_is_exposed(box: Box, unit: str, tenths: int) -> None:
    box.run(
        "systemd-analyze",
        "security",
        "--offline=true",
        f"--threshold={tenths}",
        f"/usr/local/lib/systemd/system/{unit}",
    )


@pytest.mark.parametrize(
    ("model", "side"), [("alexnet_cifar10", 32), ("vgg16_cifar10", 32), ("efficientnet_lite0", 256)]
)
def test_a_member_of_the_group_is_answered(device: Service, model: str, side: int) -> None:
    device.systemctl("start")
    answer = infer(device.box, model, side)
    assert set(answer["ran"]) == {"D"}
    np.testing.assert_allclose(answer["scores"], whole(model, side), atol=1e-5)


def test_a_large_frame_comes_through_the_callers_shared_memory(device: Service) -> None:
    """The caller is another user than the daemon, whose sandbox lets it read what the caller lets it read."""
    device.systemctl("start")
    frame, small = (infer(device.box, "efficientnet_lite0", side) for side in (256, 64))
    assert (frame["regions"], small["regions"]) == (1, 0)
    left = device.box.run("find", "/dev/shm", "-name", "collab-*").stdout  # noqa: S108  only looked at
    assert left == ""


def test_others_are_refused(device: Service) -> None:
    device.systemctl("start")
    assert infer(device.box, "alexnet_cifar10", 32, user="bob")["error"] == "permission_refused"


def test_its_state_is_seen(device: Service) -> None:
    device.systemctl("start")
    assert "models, no call yet" in device.show("StatusText")
    infer(device.box, "alexnet_cifar10", 32)
    device.until("StatusText", "alexnet_cifar10: all on the device, ")
    status = json.loads(device.box.run("collabctl", "status", "--json", user="ada").stdout)
    assert status["last"]["model"] == "alexnet_cifar10"
    assert status["device"]["cpu_load"] is not None  # /proc/stat is not hidden


def test_the_first_call_starts_it(device: Service) -> None:
    device.box.run("systemctl", "start", "collabd.socket")
    assert device.show("ActiveState") == "inactive"
    assert "scores" in infer(device.box, "alexnet_cifar10", 32)
    assert device.show("ActiveState") == "active"


def test_nobody_notices_a_restart(device: Service) -> None:
    device.systemctl("start")
    with calling(device.box) as seen:
        device.systemctl("restart")
        time.sleep(1)
    assert_nobody_noticed(seen)


def test_nobody_notices_a_kill(device: Service) -> None:
    device.systemctl("start")
    with calling(device.box) as seen:
        pid, killed = device.pid(), time.monotonic()
        device.signal("KILL")
        ready = device.until_restarted(pid)
        time.sleep(1)
    assert_nobody_noticed(seen)
    print(f"\nfrom kill -9 to ready again {ready - killed:.2f} s; the longest of {sum(seen.answered)} calls", end=" ")
    print(f"{seen.longest_s:.2f} s")


def test_a_hung_process_is_replaced(device: Service) -> None:
    device.drop_in("[Service]\nWatchdogSec=2\n")
    device.systemctl("start")
    with calling(device.box) as seen:
        pid = device.pid()
        device.signal("STOP")
        device.until_restarted(pid)
        time.sleep(1)
    assert device.show("NRestarts") == "1"
    assert_nobody_noticed(seen)
    assert any("Watchdog timeout" in entry["MESSAGE"] for entry in device.box.journal("UNIT=collabd.service"))


def test_a_lane_that_is_stuck_is_found(device: Service) -> None:
    """The event loop is alive, but a run does not come to an end: a device made a thousand times slower."""
    device.slow_down(1000, "WatchdogSec=1\n")
    device.systemctl("start")
    pid = device.pid()
    since = time.time()
    with one_call(device.box, "efficientnet_lite0", 256):
        for _ in range(20):
            device.box.run("collabctl", "status", user="ada")  # the loop still answers
        device.until_restarted(pid)
    stacks = "".join(entry["MESSAGE"] for entry in device.box.journal("_SYSTEMD_UNIT=collabd.service", since=since))
    assert "device/lane/lane.py" in stacks


def test_a_bad_configuration_is_told_once(device: Service) -> None:
    device.configure("[server]\nmax_request_mbb = 1\n")
    since = time.time()
    assert device.systemctl("start", check=False) != 0
    assert (device.show("ActiveState"), device.show("ExecMainStatus")) == ("failed", "78")
    time.sleep(1)
    assert device.show("NRestarts") == "0"
    said = [entry["MESSAGE"] for entry in device.box.journal("_SYSTEMD_UNIT=collabd.service", since=since)]
    assert said == ["/etc/collabd/collabd.toml: server.max_request_mbb: unknown key, did you mean 'max_request_mb'?"]


def test_a_call_in_progress_is_answered_before_the_end(device: Service) -> None:
    device.slow_down(50)
    device.systemctl("start")
    pid = device.pid()
    with one_call(device.box, "efficientnet_lite0", 256) as call:
        until(lambda: "collabd_in_flight 1.0" in metrics(device.box))
        device.systemctl("stop")
        assert device.show("Result") == "success"
        assert device.pid() != pid  # the client's next question, for the labels, may have started another
        assert "scores" in ended(call)
