"""The comparison itself, with a tiny network: all that it starts, and that the alternatives answer alike."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from collabd.catalog.package.package import Package
from collabd.simulation.slow_cpu import NoSlowCpu
from collabd.simulation.testbed import free_port
from tests.bench.alternatives.caller import ANY, BARE, DEFAULT, FIXED_JPEG, JPEG, LOCAL, MINIMAL, RAW
from tests.bench.alternatives.device import field, until_listening
from tests.bench.alternatives.minimal import MinimalClient
from tests.bench.alternatives.networks import files, frames
from tests.bench.alternatives.orders import Compare, Comparison, Cost, Costs
from tests.bench.alternatives.plain import Bare, Network, Sender, as_raw
from tests.bench.programs import program


async def test_every_alternative_is_called(tmp_path: Path, tiny_package: Package) -> None:
    try:
        async with field({"tiny": tiny_package.path}, share=0.9, profiles=tmp_path) as it:
            it.link(mbit=20, rtt_ms=5)
            compare = Compare(network="tiny", form="frame", rounds=2, most_s=60)
            found = (await it.caller.ask(compare, Comparison)).measured
            cost = Cost(network="tiny", form="file", batches=2, calls=3)
            spent = (await it.caller.ask(cost, Costs)).spent
    except NoSlowCpu as error:
        pytest.skip(str(error))
    assert {BARE, JPEG, RAW, DEFAULT, ANY, FIXED_JPEG, LOCAL} <= {each.name for each in found}
    assert all(len(each.latencies_ms) == 2 and min(each.latencies_ms) > 0 for each in found)
    plans = {each.name: each.plan for each in found}
    assert (plans[LOCAL], plans[FIXED_JPEG], plans[BARE]) == ("output/none", "image/jpeg90", "")
    assert [each.name for each in spent] == [BARE, MINIMAL, LOCAL]
    assert all(each.cpu_ms > 0 for each in spent)
    assert [each.daemon_read_kb > 0 for each in spent] == [False, True, True]


async def test_the_plain_servers_answer_as_the_network_does(tmp_path: Path, tiny_package: Package) -> None:
    port, path = free_port(), tmp_path / "minimal.sock"
    network = Network(tiny_package.path)
    bare = Bare(network)
    async with (
        program("tests.bench.alternatives.plain", str(port), str(tiny_package.path)),
        program("tests.bench.alternatives.minimal", str(path), str(tiny_package.path)),
    ):
        await until_listening(port, path)
        server = "127.0.0.1", port
        with closing(MinimalClient(path, "tiny")) as minimal, closing(Sender(server, network, as_raw)) as raw:
            for picture in (frames()[0], files("tiny")[0]):
                for answer in (minimal(picture), raw(picture)):
                    np.testing.assert_allclose(answer, bare(picture)[0], rtol=1e-5)
