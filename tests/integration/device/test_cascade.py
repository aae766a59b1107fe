"""A little network answers where it is sure: first, beside an exchange, without a companion, and when one dies."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from collab_sdk import AsyncClient, Result
from collab_sdk.vocabulary import Precision
from collabd.catalog.package.package import Package, rewritten
from collabd.cloud.server import running as running_cloud
from collabd.config import CloudConfig, CloudModelSettings, CloudServerSettings, DeviceConfig, Loaded, load
from collabd.device.companions.companion import Companion
from collabd.device.server import DeviceDaemon
from collabd.device.server import running as running_device
from collabd.engine import Engine
from collabd.profiling import stored
from collabd.sensing.sensed_machine import SHOWS_NOTHING
from collabd.simulation.relay import Relay
from tests.cpu_times import cpu_times
from tests.pair_networks import big_package, little_package, paired_in_both_precisions, paired_packages, pictures
from tests.patience import PATIENCE_S, PROGRAM_S, comes_true
from tests.slowed import slowed

# The big network takes some 800 ms then, the little one 50 with its picture: longer and shorter than a round trip.
_SLOWED = slowed(300)
_RTT_S = 0.2
_IMAGES = pictures(40, seed=77)


@dataclass
class Pair:
    client: AsyncClient
    daemon: DeviceDaemon
    stop_cloud: Callable[[], Awaitable[None]]
    # One for each link to the companion.
    relays: list[Relay]
    reference: Callable[[str, Precision, np.ndarray], np.ndarray]

    async def calls(self, count: int, **options: Any) -> list[tuple[np.ndarray, Result]]:
        images = [_IMAGES[index % len(_IMAGES)] for index in range(count)]
        return [(image, await self.client.infer(image, model="big", **options)) for image in images]

    def is_right(self, image: np.ndarray, result: Result) -> bool:
        """Whether it is the answer of the network that it claims."""
        network, precision = result.answered_by or "big", Precision.FP32
        if result.answered_by is not None:
            precision = Precision(result.plan.little_precision or "")
        return bool(np.allclose(result.scores, self.reference(network, precision, image), atol=2e-3))


Factory = Callable[..., AbstractAsyncContextManager[Pair]]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Package, Package]:
    return paired_packages(tmp_path_factory.mktemp("pair"))


@pytest.fixture
def pair(tmp_path: Path, packages: tuple[Package, Package]) -> Factory:
    """`async with pair(cloud=..., rtt_s=..., second_rtt_s=..., networks=...) as it`, on a slowed device.

    `second_rtt_s`: there is a second link to the companion, which to the device is another companion.
    """

    @asynccontextmanager
    async def make(
        *,
        cloud: bool = True,
        rtt_s: float = _RTT_S,
        second_rtt_s: float | None = None,
        networks: tuple[Package, ...] = packages,
    ) -> AsyncIterator[Pair]:
        root = tmp_path / "packages"
        for package in networks:
            shutil.copytree(package.path, root / package.manifest.name)
            # In processor time: the work of others would be slowed too.
            stored.save(cpu_times(package), tmp_path / "device/profiles", threads=1)
        async with AsyncExitStack() as stack:
            cloud_stack = await stack.enter_async_context(AsyncExitStack())
            relays: list[Relay] = []
            if cloud:
                models = CloudModelSettings(roots=(str(tmp_path / "cloud/models"), str(root)))
                config = CloudConfig(
                    server=CloudServerSettings(port=0), models=models, state_dir=str(tmp_path / "cloud")
                )
                there = await cloud_stack.enter_async_context(
                    running_cloud(Loaded(config, None), machine=SHOWS_NOTHING)
                )
                host, _, port = there.address.removeprefix("http://").rpartition(":")
                for each in (rtt_s, *([] if second_rtt_s is None else [second_rtt_s])):
                    relay = Relay(("127.0.0.1", 0), (host, int(port)), rtt_s=each)
                    relays.append(await stack.enter_async_context(relay))
            loaded = _loaded(tmp_path, root, [relay.address for relay in relays])
            daemon = await stack.enter_async_context(running_device(loaded, SHOWS_NOTHING, **_SLOWED))
            client = await stack.enter_async_context(AsyncClient(tmp_path / "collabd.sock", timeout_s=PATIENCE_S))
            await client.wait(PROGRAM_S, profiled=True)
            if cloud:
                await _until_up(client, networks[0].digest)
            yield Pair(client, daemon, cloud_stack.aclose, relays, _reference(networks))

    return make


async def test_both_networks_answer_beside_the_exchange_and_each_answer_is_that_of_its_network(pair: Factory) -> None:
    async with pair() as it:
        calls = await it.calls(24)
        answered_by = [result.answered_by for _, result in calls if result.plan.cascade == "raced"]
        assert answered_by.count("little") >= 2
        assert answered_by.count(None) >= 2
        assert all(it.is_right(image, result) for image, result in calls)
        assert all(result.model == "big" and result.plan.little == "little" for _, result in calls)
        assert all(result.budget_met and not result.degraded for _, result in calls)
        by_little = [result for _, result in calls if result.answered_by]
        assert all(result.why.startswith("little in fp32 was sure: ") and not result.ran for result in by_little)
        assert all(result.bytes_up > 0 for result in by_little if result.plan.cascade == "raced")
        assert "C" in {letter for _, result in calls for letter in result.ran}
        # Whatever was called off or left to end, the companion is not to blame.
        cloud = (await it.client.status())["clouds"][0]
        assert (cloud["state"], cloud["breaker"], cloud["problem"]) == ("up", "closed", None)


async def test_first_and_then_on_the_device_alone(pair: Factory) -> None:
    async with pair(cloud=False) as it:
        calls = await it.calls(16)
        assert {(result.plan.cascade, result.plan.cut) for _, result in calls} == {("serial", "output")}
        assert {result.answered_by for _, result in calls} == {"little", None}
        assert all(it.is_right(image, result) for image, result in calls)
        assert all(result.measured.little_ms for _, result in calls)


async def test_first_where_energy_counts(pair: Factory) -> None:
    async with pair() as it:
        calls = await it.calls(16, budget="min-energy")
        assert {result.plan.cascade for _, result in calls} == {"serial"}
        # What is answered here is not sent.
        assert all(result.bytes_up == 0 for _, result in calls if result.answered_by)
        assert any(result.answered_by for _, result in calls)
        assert all(it.is_right(image, result) for image, result in calls)


async def test_a_companion_that_dies_during_the_race_loses_no_call(pair: Factory) -> None:
    async with pair(rtt_s=0.3) as it:
        before = await it.calls(4)
        assert "raced" in {result.plan.cascade for _, result in before}
        under_way = [asyncio.create_task(it.client.infer(image, model="big")) for image in _IMAGES[:4]]
        await asyncio.sleep(0.02)
        await it.stop_cloud()
        answers = [*zip(_IMAGES[:4], await asyncio.gather(*under_way), strict=True), *(await it.calls(8))]
        assert all(it.is_right(image, result) for image, result in answers)
        # What the companion owed and the little network was not sure of, the device finished.
        assert any(result.ran and set(result.ran) == {"D"} for _, result in answers)


async def test_another_companion_takes_over_where_the_little_network_was_not_sure(pair: Factory) -> None:
    async with pair(rtt_s=0.3, second_rtt_s=0.35) as it:
        raced = [(image, result) for image, result in await it.calls(12) if result.plan.cascade == "raced"]
        image = next(image for image, result in raced if result.answered_by is None)
        first = it.daemon._plane.generation.companions[0]
        # On a busy machine the device answers some calls alone.
        for _ in range(20):
            under_way = await _begun(it, image, first)
            if not under_way.done():
                break
        await it.relays[0].close()
        result = await under_way
        assert it.is_right(image, result)
        assert (result.plan.cascade, result.answered_by) == ("raced", None)
        assert (result.failed_over, result.ran_on) == (True, "pc2")


async def test_a_call_that_states_its_cut_or_wants_all_fidelity_asks_no_little_network(pair: Factory) -> None:
    async with pair() as it:
        for options in ({"cut": "image"}, {"budget": "100%"}, {"raw": True}):
            results = [result for _, result in await it.calls(4, **options)]
            assert {(result.plan.little, result.plan.cascade, result.answered_by) for result in results} == {
                (None, None, None)
            }


async def test_explain_and_show_say_what_the_little_network_does(pair: Factory) -> None:
    async with pair() as it:
        await it.calls(2)
        decision = (await it.client.explain(1))["decisions"][0]
        assert (decision["little"], decision["cascade"]) == ("little", "raced")
        kinds = {candidate["cascade"] for candidate in decision["candidates"]}
        assert kinds == {None, "serial", "raced"}
        shares = {candidate["little_share"] for candidate in decision["candidates"] if candidate["cascade"]}
        assert all(share is not None and 0.4 < share < 0.8 for share in shares)
        little = (await it.client.layers("big"))["little"]
        assert little is not None
        assert (little["model"], little["off"]) == ("little", "")
        (ladder,) = little["ladders"]
        assert shares <= {each["share"] for each in ladder["thresholds"]}


async def test_in_int8_it_answers_as_it_does_in_int8_and_everybody_says_so(pair: Factory, tmp_path: Path) -> None:
    big, little = paired_in_both_precisions(tmp_path / "both")
    stated = big.manifest.little
    ladder = stated and stated.ladder(Precision.INT8)
    assert stated is not None
    assert ladder is not None
    # Whichever is faster here: what is measured in int8 alone can be asked in int8 alone.
    only = msgspec.structs.replace(stated, ladders=(ladder,))
    big = rewritten(big, msgspec.structs.replace(big.manifest, little=only), tmp_path / "big")
    async with pair(cloud=False, networks=(big, little)) as it:
        calls = await it.calls(16)
        by_little = [result for _, result in calls if result.answered_by == "little"]
        assert by_little
        assert all(it.is_right(image, result) for image, result in calls)
        assert {result.plan.little_precision for _, result in calls} == {"int8"}
        assert all(result.why.startswith("little in int8 was sure: ") for result in by_little)
        (decision,) = (await it.client.explain(1))["decisions"]
        assert decision["little_precision"] == "int8"
        asked = {(each["cascade"], each["little_precision"]) for each in decision["candidates"]}
        assert asked == {(None, None), ("serial", "int8")}
        assert {row["little_precision"] for row in (await it.client.profile("big"))["rows"]} == {None, "int8"}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (None, "there is no model little"),
        (lambda path: little_package(path, labels=("red", "green", "violet")), "is not the package that it was paired"),
    ],
    ids=["missing", "another digest"],
)
async def test_a_pair_that_does_not_fit_is_off(
    pair: Factory,
    packages: tuple[Package, Package],
    tmp_path: Path,
    other: Callable[[Path], Package] | None,
    why: str,
) -> None:
    networks = (packages[0],) if other is None else (packages[0], other(tmp_path / "other"))
    async with pair(cloud=False, networks=networks) as it:
        ((_, result),) = await it.calls(1)
        assert (result.plan.little, result.answered_by) == (None, None)
        little = (await it.client.layers("big"))["little"]
        assert little is not None
        assert why in little["off"]


async def test_without_a_pair_nothing_changes(pair: Factory, tmp_path: Path) -> None:
    alone = replace(big_package(tmp_path / "alone"))
    async with pair(cloud=False, networks=(alone,)) as it:
        ((_, result),) = await it.calls(1)
        assert (result.plan.cut, result.plan.little) == ("output", None)
        assert (await it.client.layers("big"))["little"] is None


async def _begun(it: Pair, image: np.ndarray, companion: Companion) -> asyncio.Task[Result]:
    """A call that the companion has been asked for, or that is over."""
    await comes_true(lambda: not companion.is_asked)
    call = asyncio.create_task(it.client.infer(image, model="big"))
    await comes_true(lambda: companion.is_asked or call.done())
    return call


async def _until_up(client: AsyncClient, digest: str) -> None:
    for _ in range(int(PATIENCE_S / 0.05)):
        clouds = (await client.status())["clouds"]
        if all(each["state"] == "up" and digest in each["packages"] and each["age_s"] is not None for each in clouds):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("not all companions came up")


def _loaded(directory: Path, root: Path, addresses: list[tuple[str, int]]) -> Loaded[DeviceConfig]:
    path = directory / "collabd.toml"
    named = zip(("pc", "pc2"), addresses, strict=False)
    cloud = "".join(f'[[clouds]]\nname = "{name}"\nurl = "http://{host}:{port}"\n' for name, (host, port) in named)
    path.write_text(
        f'state_dir = "{directory}/device"\n[engine]\nthreads = 1\n'
        f'[server]\nsocket = "{directory}/collabd.sock"\n'
        f'[models]\nroots = ["{directory}/device/models", "{root}"]\n{cloud}'
    )
    return load(DeviceConfig, path)


def _reference(networks: tuple[Package, ...]) -> Callable[[str, Precision, np.ndarray], np.ndarray]:
    """The probabilities that an unsplit network gives for a picture."""
    engine, named = Engine(threads=1, cache_bytes=2**28), {each.manifest.name: each for each in networks}
    for name, package in named.items():
        for precision, network in package.networks().items():
            engine.add(f"{name} {precision}", network)

    def answer(name: str, precision: Precision, image: np.ndarray) -> np.ndarray:
        manifest = named[name].manifest
        (source,), (output,) = manifest.input_names, manifest.output_names
        logits = engine.run(f"{name} {precision}", {source: image[np.newaxis]}, [output])[output][0]
        exponents = np.exp(logits - logits.max())
        return np.asarray(exponents / exponents.sum())

    return answer
