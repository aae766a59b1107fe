"""Placements with several crossings, planned and run by both daemons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import msgspec
import numpy as np
import pytest

from collab_sdk import InvalidPlacement, InvalidRequest
from collabd.cloud.server import running
from collabd.config import CloudConfig, CloudModelSettings, CloudServerSettings, Loaded
from collabd.device.decide import planner
from collabd.profiling.profile import CutTimes, Profile
from collabd.sensing.sensed_machine import SHOWS_NOTHING
from tests.integration.device.conftest import Factory, stored_profile, until_up
from tests.patience import PATIENCE_S
from tests.peers import carry, listening


def believe(path: Path, segments_ms: dict[str, float]) -> None:
    """Change a stored profile so that the segments behind these cuts take this long."""
    profile = msgspec.json.decode(path.read_bytes(), type=Profile)
    times = list(segments_ms.values())
    cuts = [
        CutTimes(cut.cut, sum(times[:k]), sum(times[k:]), cut.codecs)
        for k, cut in enumerate(each for name in segments_ms for each in profile.cuts if each.cut == name)
    ]
    profile = msgspec.structs.replace(profile, whole_ms=sum(times), cuts=tuple(cuts))
    path.write_bytes(msgspec.json.encode(profile))


@pytest.fixture
async def heavy(bench: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    """The bench, where both daemons believe the middle to be heavy, until calls have shown them otherwise.

    The first call of a kind waits for its placement, also on a busy machine, where the search takes longer than usual.
    """
    monkeypatch.setattr(planner, "_PATIENT_S", PATIENCE_S)
    async with bench() as it:
        stored = await asyncio.to_thread(stored_profile, it.profiles)
    believe(stored, {"image": 50.0, "relu1": 1000.0, "pool1": 2000.0, "pool2": 20.0})
    there = await asyncio.to_thread(stored_profile, tmp_path / "cloud/profiles")
    believe(there, {"image": 30.0, "relu1": 100.0, "pool1": 200.0, "pool2": 10.0})
    return bench


async def test_a_pinned_last_layer_has_the_features_brought_back(heavy: Factory) -> None:
    async with heavy() as it:
        result = await it.client.infer(it.images[0], "100%", pin_first=1, pin_last=1, fallback="fail")
        np.testing.assert_array_equal(result.scores, it.reference(it.images[0]))
        assert result.ran == result.plan.placement == result.plan.cut == "DDCCCCD"
        assert (result.plan.cloud, result.plan.codec, result.fidelity) == ("pc", "f32", 1.0)
        assert result.plan.reason == "chosen"
        assert result.cost == pytest.approx(0.01)
        assert result.predicted.cost == pytest.approx(0.01)
        assert result.bytes_down > 16 * 4 * 4  # the tensor behind pool2, not three scores
        explained = (await it.client.explain())["decisions"][0]
        assert (explained["placement"], explained["cut"]) == ("DDCCCCD", "DDCCCCD")
        taken = explained["candidates"][-1]
        assert (taken["cut"], taken["cloud"], taken["verdict"]) == ("DDCCCCD", "pc", "chosen")
        others = [each for each in explained["candidates"][:-1] if each["cloud"]]
        assert {each["verdict"] for each in others} <= {"not-allowed", "impossible"}


async def test_pins_of_the_configuration_hold_for_every_call(heavy: Factory) -> None:
    async with heavy('[[policies]]\nmodel = "tiny"\npin_last = 1\n[planning]\npin_first = 1\n') as it:
        result = await it.client.infer(it.images[0], "100%", fallback="fail")
        assert result.ran == "DDCCCCD"
        with pytest.raises(InvalidPlacement, match="first 1 layers are pinned"):
            await it.client.infer(it.images[0], cut="image")
        with pytest.raises(InvalidPlacement, match="last 1 layers are pinned"):
            await it.client.infer(it.images[0], cut="pool1")
        with pytest.raises(InvalidRequest, match="pin_last must be a number of layers"):
            await it.client.infer(it.images[0], pin_last=-1)


async def test_lossy_crossings_come_close(heavy: Factory) -> None:
    async with heavy() as it:
        result = await it.client.infer(it.images[0], "90%", codec="q8", pin_first=1, pin_last=1, fallback="fail")
        np.testing.assert_allclose(result.scores, it.reference(it.images[0]), atol=0.05)
        assert (result.ran, result.plan.codec) == ("DDCCCCD", "q8")
        assert 0.9 < (result.fidelity or 0) < 1


@pytest.mark.parametrize("cost", [0.32, 0.25, 0.15])
async def test_a_cap_on_cost_lets_some_segments_leave(heavy: Factory, cost: float) -> None:
    """Less than all of the network, which costs 0.34: the heavy parts 0.1 and 0.2."""
    async with heavy(prices="price_per_second = 1") as it:
        result = await it.client.infer(it.images[0], f"100%,cost {cost}", fallback="fail")
        np.testing.assert_array_equal(result.scores, it.reference(it.images[0]))
        assert result.ran == result.plan.placement == result.plan.cut
        assert "CD" in result.ran  # something came back
        assert result.plan.reason == "chosen"
        assert (result.predicted.cost or 1) <= cost
        verdicts = {each["verdict"] for each in (await it.client.explain())["decisions"][0]["candidates"]}
        assert "over-cost" in verdicts


async def test_it_is_finished_here_if_the_companion_is_gone(heavy: Factory) -> None:
    # The link is not looked at meanwhile: the call itself is the first to find that nobody is there.
    async with heavy("[link]\nstale_s = 3600\n") as it:
        await it.stop_cloud()
        result = await it.client.infer(it.images[0], "100%", pin_first=1, pin_last=1)
        np.testing.assert_allclose(result.scores, it.reference(it.images[0]), atol=1e-5)
        assert (result.plan.placement, result.ran, result.degraded) == ("DDCCCCD", "DDDDDDD", True)
        assert result.measured.local_tail_ms is not None


async def test_every_exchange_of_a_call_is_in_the_sums(bench: Factory) -> None:
    async with bench() as it:
        result = await it.client.infer(it.images[0], placement="DDCDDDC", fallback="fail")
        np.testing.assert_allclose(result.scores, it.reference(it.images[0]), atol=1e-5)
        assert result.cost == pytest.approx(0.02)
        assert result.ran == "DDCDDDC"


@asynccontextmanager
async def dying(port: int, die: Callable[[], Awaitable[None]]) -> AsyncIterator[str]:
    """The address of a proxy to the companion at `port`; the proxy breaks at the request for the second tail."""
    asked = 0

    async def there(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        with closing(writer):
            while chunk := await reader.read(65536):
                asked += chunk.count(b"POST /v2/")
                if asked > 1:
                    await die()
                    break
                writer.write(chunk)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        companion, to_companion = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(there(reader, to_companion), carry(companion, writer))

    async with listening(connected) as here:
        yield f"http://127.0.0.1:{here}"


async def test_a_companion_that_dies_between_the_crossings(bench: Factory, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        companion = await stack.enter_async_context(AsyncExitStack())
        models = CloudModelSettings(roots=(str(tmp_path / "cloud/models"),))
        config = CloudConfig(server=CloudServerSettings(port=0), models=models, state_dir=str(tmp_path / "cloud"))
        daemon = await companion.enter_async_context(running(Loaded(config, None), machine=SHOWS_NOTHING))
        port = int(daemon.address.rpartition(":")[2])
        address = await stack.enter_async_context(dying(port, companion.aclose))
        it = await stack.enter_async_context(bench(cloud=address))
        await until_up(it)
        result = await it.client.infer(it.images[0], placement="DDCDDDC")
        np.testing.assert_allclose(result.scores, it.reference(it.images[0]), atol=1e-5)
        assert (result.plan.placement, result.ran) == ("DDCDDDC", "DDCDDDD")
        assert result.degraded
        assert result.cost == pytest.approx(0.02)  # the second was sent as well, and may have been worked on
        assert result.measured.tail_ms is not None
        assert result.measured.local_tail_ms is not None
