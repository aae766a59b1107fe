"""HAProxy before several companions: with the configuration that we ship, nobody notices which of them answers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from collab_sdk import AsyncClient
from collabd.catalog.package.package import Package
from collabd.ctl.pair import certificates
from tests.balanced.bed import COMPANIONS, CONFIGURATION, BalancedBed, haproxy, located
from tests.balanced.calls import play

pytestmark = pytest.mark.skipif(haproxy() is None, reason="HAProxy is not installed (apt install haproxy)")
_CALLS = 400


def test_haproxy_has_nothing_to_say_of_its_configuration(tmp_path: Path) -> None:
    authority = certificates.authority("companions")
    server = certificates.server(authority, "companions", ["127.0.0.1"])
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    (tmp_path / "collabd.pem").write_bytes(server.certificate + server.key)
    path = tmp_path / "haproxy.cfg"
    path.write_text(located(CONFIGURATION.read_text(), 8470, [8471, 8472, 8473], tmp_path))
    checked = subprocess.run([haproxy() or "", "-c", "-f", path], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.slow
async def test_a_device_notices_nothing_of_what_happens_behind_it(
    tmp_path: Path, tiny_package: Package, tiny_images: list[np.ndarray]
) -> None:
    packages = tmp_path / "packages"
    shutil.copytree(tiny_package.path, packages / "tiny")
    async with BalancedBed(packages, tmp_path, drain_s=1.5, check_s=0.2) as bed:
        well, drained, _, slowed = tallies = await play(bed, tiny_package, tiny_images, _CALLS)
        print("", *tallies, sep="\n")
        assert [(each.lost, each.wrong) for each in tallies] == [([], 0)] * 4
        # A busy machine may answer late; but only the companion that was killed may fail.
        assert (well.failed, drained.failed, slowed.failed) == ([], [], [])
        assert all(each.by_companions for each in tallies)
        # HAProxy was told before the companion was gone, so it had nothing to send again.
        assert "Server companions/one is DOWN, reason: Layer7 wrong status, code: 503" in bed.log("haproxy")
        # It pushed once, and all have what it pushed.
        assert bed.log("device").count("sent tiny to companions") == 1
        assert len(list(bed.store.iterdir())) == 1
        for name in COMPANIONS:
            assert f"loaded tiny, {tiny_package.digest}" in bed.log(name)
        await bed.shut_out()
        async with AsyncClient(bed.socket, timeout_s=60) as client:
            for _ in range(2 * len(COMPANIONS)):
                # The device answers by itself.
                result = await client.infer(tiny_images[0], cut=tiny_package.manifest.cuts[1].name)
                assert set(result.ran) == {"D"}
            await bed.until_problem(client, "refused the key of this device")
            for name in COMPANIONS:
                bed.kill(name)
            # So says HAProxy, and not that anything was damaged.
            await bed.until_problem(client, "a server on the way to companions answered with status 503")
