"""bf16 through both daemons, by a provider that stands in for one: each answer is in the precision that it claims."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collab_sdk import InvalidPlacement, Result
from collab_sdk.vocabulary import Precision, Provider
from collabd.catalog.package.package import Package
from collabd.cloud.server import CloudDaemon
from collabd.cloud.server import running as running_cloud
from collabd.config import CloudConfig, CloudEngineSettings, CloudModelSettings, CloudServerSettings, Loaded
from collabd.device.core.reduced_answers import reduced_answer
from collabd.device.fidelity.row import Row
from collabd.engine import Engine
from collabd.sensing.sensed_machine import SHOWS_NOTHING
from tests.bf16_stand_in import COUNTED, StandIn, companions_compute_bf16
from tests.integration.device.conftest import Bench, Factory, until_up

# So far is bf16 off at least; each precision is computed to within a hundredth of that.
FAR, CLOSE = 1e-4, 1e-6
Both = Callable[..., AbstractAsyncContextManager[tuple[Bench, CloudDaemon]]]


@pytest.fixture
def companion_config(tiny_package: Package, tmp_path: Path) -> CloudConfig:
    """Of a companion that has the tiny package, and OpenVINO."""
    return CloudConfig(
        server=CloudServerSettings(port=0),
        engine=CloudEngineSettings(threads=1, providers=(Provider.OPENVINO,)),
        models=CloudModelSettings(roots=(str(tmp_path / "there"), str(tiny_package.path.parent))),
        state_dir=str(tmp_path / "companion"),
    )


@pytest.fixture
def both(bench: Factory, companion_config: CloudConfig) -> Both:
    """A device, and a companion that has the tiny package and computes it in bf16 too."""

    @asynccontextmanager
    async def make(settings: str = "", prices: str = "") -> AsyncIterator[tuple[Bench, CloudDaemon]]:
        with companions_compute_bf16():
            async with (
                running_cloud(Loaded(companion_config, None), machine=SHOWS_NOTHING) as cloud,
                bench(settings, cloud=cloud.address, prices=prices) as it,
            ):
                await until_up(it)
                yield it, cloud

    return make


class Expected:
    """The probabilities with fp32 up to a cut, and bf16 behind it if that is wanted."""

    def __init__(self, package: Package) -> None:
        self._manifest, self._network = package.manifest, package.network()
        self._engine = Engine(threads=1, cache_bytes=2**26, new_session=StandIn)
        self._engine.add("fp32", self._network)
        self._engine.add_reduced("bf16", self._network, provider=Provider.OPENVINO, precision=Precision.BF16)

    def __call__(self, image: np.ndarray, cut: str, tail: str) -> np.ndarray:
        crossing = next(each.tensors for each in self._manifest.cuts if each.name == cut)
        known = {"image": image[np.newaxis]}
        if "image" not in crossing:
            known = self._engine.run("fp32", known, crossing)
        logits = self._engine.run(tail, known, ["logits"])["logits"][0]
        exponents = np.exp(logits - logits.max())
        return np.asarray(exponents / exponents.sum())


@pytest.fixture(scope="module")
def expected(tiny_package: Package) -> Expected:
    return Expected(tiny_package)


def check(result: Result, right: np.ndarray, computed_in: str) -> None:
    np.testing.assert_allclose(result.scores, right, rtol=0, atol=CLOSE)
    assert result.computed_in == computed_in


async def test_each_tail_is_computed_as_it_claims_also_among_others(both: Both, expected: Expected) -> None:
    async with both() as (it, _):
        calls = [
            (image, cut, tail)
            for image in it.images[:8]
            for cut in ("image", "pool1")
            for tail in (Precision.BF16, Precision.FP32)
        ]
        results = await asyncio.gather(
            *(
                it.client.infer(
                    image,
                    cut=cut,
                    precision=f"fp32/{tail}",
                    codec="u8" if cut == "image" else "f32",
                    fallback="fail",
                )
                for image, cut, tail in calls
            )
        )
        far = 0
        for (image, cut, tail), result in zip(calls, results, strict=True):
            right, other = (expected(image, cut, each) for each in (tail, "bf16" if tail == "fp32" else "fp32"))
            check(result, right, tail if cut == "image" or tail == "fp32" else "fp32/bf16")
            assert result.plan.precision == result.computed_in
            # Only what was counted is promised.
            assert result.fidelity == (1.0 if tail == "fp32" else pytest.approx(COUNTED.fidelity))
            far += np.abs(right - other).max() > FAR
        assert far > len(calls) / 2


async def test_only_a_budget_below_what_was_counted_allows_it(both: Both) -> None:
    async with both() as (it, _):
        for budget in (None, "100%", "99%"):
            for image in it.images[:5]:
                result = await it.client.infer(image, budget)
                assert "bf16" not in (result.plan.precision, result.computed_in)
        rows = (await it.client.profile(it.package.manifest.name, budget="99%"))["rows"]
        verdicts = {codec["verdict"] for row in rows if "bf16" in row["precision"] for codec in row["codecs"].values()}
        assert verdicts == {"below-fidelity"}


async def test_one_that_fails_is_answered_in_fp32_and_no_longer_offered(both: Both, expected: Expected) -> None:
    async with both() as (it, cloud):
        StandIn.failing = True
        result = await it.client.infer(it.images[0], cut="pool1", precision="fp32/bf16", codec="f32", fallback="fail")
        check(result, expected(it.images[0], "pool1", "fp32"), "fp32")
        assert result.plan.precision == "fp32/bf16"
        assert result.why.endswith("computed in fp32, not in bf16")
        assert (result.degraded, result.fidelity) == (False, 1.0)
        (model,) = cloud.models.loaded
        assert set(model.networks) == {Precision.FP32}
        with pytest.raises(InvalidPlacement, match="does not compute tiny faster in bf16"):
            await it.client.infer(it.images[0], cut="pool1", precision="fp32/bf16")
        plain = await it.client.infer(it.images[0], cut="pool1", codec="f32", fallback="fail")
        check(plain, expected(it.images[0], "pool1", "fp32"), "fp32")


async def test_a_companion_without_it_takes_over_in_fp32(
    bench: Factory, companion_config: CloudConfig, expected: Expected
) -> None:
    with companions_compute_bf16():
        async with running_cloud(Loaded(companion_config, None), machine=SHOWS_NOTHING) as first:
            before = f'[[clouds]]\nname = "first"\nurl = "{first.address}"\n'
            async with bench(before=before, prices="") as it:
                for _ in range(1200):
                    clouds = (await it.client.status())["clouds"]
                    if all(it.package.digest in cloud["packages"] for cloud in clouds):
                        break
                    await asyncio.sleep(0.05)
                asked: dict[str, Any] = {"cut": "pool1", "precision": "fp32/bf16", "codec": "f32", "fallback": "fail"}
                planned = await it.client.infer(it.images[0], **asked)
                check(planned, expected(it.images[0], "pool1", "bf16"), "fp32/bf16")
                first.dispatcher.open = False
                result = await it.client.infer(it.images[0], **asked)
    check(result, expected(it.images[0], "pool1", "fp32"), "fp32")
    assert (planned.ran_on, result.plan.precision, result.plan.cloud) == ("first", "fp32/bf16", "first")
    assert (result.ran_on, result.fidelity, result.degraded) == ("pc", 1.0, True)


async def test_the_device_finishes_in_fp32(both: Both, expected: Expected) -> None:
    async with both() as (it, cloud):
        cloud.dispatcher.open = False
        result = await it.client.infer(it.images[0], cut="pool1", precision="fp32/bf16", codec="f32")
        check(result, expected(it.images[0], "pool1", "fp32"), "fp32")
        assert (result.degraded, result.fidelity, result.plan.precision) == (True, 1.0, "fp32/bf16")


async def test_no_layer_on_the_device_is_in_bf16(both: Both) -> None:
    async with both() as (it, _):
        for cut in ("pool1", "output"):
            with pytest.raises(InvalidPlacement, match="only companions compute in bf16"):
                await it.client.infer(it.images[0], cut=cut, precision="bf16")


@pytest.mark.parametrize("prices", ["", "price_per_request = 0.01"])
async def test_the_audit_asks_it_unless_that_costs_money(both: Both, expected: Expected, prices: str) -> None:
    async with both(prices=prices) as (it, _):
        generation = it.daemon._plane.generation
        companion, model = generation.companions[0], it.daemon.machinery.models.at_hand("tiny")
        assert model is not None
        row = Row.of_reduced(Precision.BF16, companion.profiles[model.digest].computed_by)
        found = await reduced_answer(generation.companions, model, row, it.images[0][np.newaxis])
        if prices:
            assert found is None
            return
        assert found is not None
        exponents = np.exp(found["logits"][0] - found["logits"][0].max())
        right = expected(it.images[0], "image", "bf16")
        np.testing.assert_allclose(exponents / exponents.sum(), right, rtol=0, atol=CLOSE)
        other = Row.of_reduced(Precision.BF16, "cuda on another machine")
        assert await reduced_answer(generation.companions, model, other, it.images[0][np.newaxis]) is None
