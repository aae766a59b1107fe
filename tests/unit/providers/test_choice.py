"""Which of the wanted providers run a package, and what is told of the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from collab_sdk.vocabulary import Precision, Provider
from collabd.catalog.graph.probe_feeds import probe_feeds
from collabd.catalog.package.manifest import Agreement
from collabd.catalog.package.package import Package
from collabd.engine import CPU_ALONE, Engine, Part, ProviderFailed, Session
from collabd.engine.processor import multiplies_bf16
from collabd.health.conditions import Code
from collabd.providers.choice import Providers
from collabd.providers.sense import Served, providers_seen
from tests.bf16_stand_in import COUNTED

ALL = (Provider.CUDA, Provider.OPENVINO, Provider.CPU)


class Trials:
    """Finds these reasons against providers, and remembers what was tried."""

    def __init__(self, **reasons: str) -> None:
        self.reasons = reasons
        self.tried: list[str] = []

    def __call__(self, provider: Provider, path: Path, threads: int) -> str:
        self.tried.append(f"{provider} {path.name} {threads}")
        return self.reasons.get(provider, "")


@pytest.fixture
def runtime_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is installed here."""
    names = ["CUDAExecutionProvider", "OpenVINOExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)


def seen(providers: Providers, package: Package, engine: Engine | None = None) -> list[tuple[str, str]]:
    served = Served(package.manifest.name, package.digest, "key")
    found = list(providers_seen(providers, engine or Engine(threads=1, cache_bytes=0), [served]))
    assert {sighting.code for sighting in found} <= {Code.PROVIDER_FAILED}
    return [(sighting.about, sighting.what) for sighting in found]


def test_nobody_who_asks_for_nothing_has_anything_tried(tiny_package: Package) -> None:
    trials = Trials()
    providers = Providers(try_out=trials)
    assert providers.of(tiny_package) == CPU_ALONE
    assert (trials.tried, seen(providers, tiny_package)) == ([], [])


@pytest.mark.usefixtures("runtime_with_all")
def test_those_that_pass_come_in_the_order_wanted_and_the_cpu_last(tiny_package: Package) -> None:
    trials = Trials()
    providers = Providers((Provider.OPENVINO, Provider.CUDA), threads=3, try_out=trials)
    assert providers.of(tiny_package) == (Provider.OPENVINO, Provider.CUDA, Provider.CPU)
    assert providers.of(tiny_package) == (Provider.OPENVINO, Provider.CUDA, Provider.CPU)
    assert trials.tried == ["openvino tiny 3", "cuda tiny 3"]


@pytest.mark.usefixtures("runtime_with_all")
def test_int8_stays_with_the_provider_that_its_fidelity_was_measured_with(tiny_package: Package) -> None:
    trials = Trials()
    assert Providers(ALL, try_out=trials).of(tiny_package, Precision.INT8) == CPU_ALONE
    assert trials.tried == []


@pytest.mark.usefixtures("runtime_with_all")
def test_one_that_fails_its_trial_gives_way_and_is_told_of(tiny_package: Package) -> None:
    providers = Providers(ALL, try_out=Trials(cuda="no device"))
    assert providers.of(tiny_package) == (Provider.OPENVINO, Provider.CPU)
    assert seen(providers, tiny_package) == [("tiny on cuda", "tiny does not run on cuda: no device")]


@pytest.mark.usefixtures("runtime_with_all")
def test_one_that_was_given_up_is_told_of_in_a_line(tiny_package: Package) -> None:
    places = "at some place,\n" * 100

    class Failing(Session):
        def run(self, *_: object) -> dict[str, np.ndarray]:
            raise ProviderFailed(f"running it failed: {places} out of memory")

    def built(part: Part, threads: int, provider: Provider, *, precision: Precision) -> Session:
        return (Session if provider == Provider.CPU else Failing)(part, threads)

    providers, network = Providers(ALL, try_out=Trials()), tiny_package.network()
    engine = Engine(threads=1, cache_bytes=1 << 26, new_session=built)
    engine.add("key", network, providers=[Provider.CUDA])
    engine.run("key", probe_feeds(network.inputs)[0], ["logits"])
    ((about, what),) = seen(providers, tiny_package, engine)
    assert about == "tiny on cuda"
    assert what.startswith("tiny no longer runs on cuda: running it failed: at some place,")
    assert what.endswith("out of memory")
    assert len(what) < 400
    assert what.isprintable()


def test_one_that_the_runtime_lacks_is_told_of_once(tiny_package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    trials = Trials()
    providers = Providers((Provider.TENSORRT, Provider.CPU), try_out=trials)
    assert (providers.of(tiny_package), trials.tried) == (CPU_ALONE, [])
    ((about, what),) = seen(providers, tiny_package)
    assert about == "tensorrt"
    assert what.startswith("tensorrt cannot be used: the installed ONNX Runtime ")
    assert what.endswith("is built without it; onnxruntime-gpu has it")


def reducing(*able: Provider) -> Callable[[Provider], Precision | None]:
    return lambda provider: Precision.BF16 if provider in able else None


@pytest.mark.usefixtures("runtime_with_all")
def test_a_reduced_precision_is_offered_by_the_best_provider_that_passed(
    tiny_package: Package, caplog: pytest.LogCaptureFixture
) -> None:
    counted: dict[Provider, Agreement | str] = {Provider.CUDA: "in bf16 it is wrong", Provider.OPENVINO: COUNTED}
    asked = []

    def count(provider: Provider, directory: Path, threads: int, *, precision: Precision) -> Agreement | str:
        asked.append(f"{provider} {directory.name} {threads} {precision}")
        return counted[provider]

    providers = Providers(ALL, try_out=Trials(), count_in=count, reduced_by=reducing(*counted))
    for _ in range(2):
        assert providers.reduced(tiny_package) == (Provider.OPENVINO, Precision.BF16, COUNTED)
    assert asked == ["cuda tiny 1 bf16", "openvino tiny 1 bf16"]
    assert "tiny is not offered in bf16 on cuda: in bf16 it is wrong" in caplog.text
    # It is nothing that anybody asked for.
    assert seen(providers, tiny_package) == []


@pytest.mark.usefixtures("runtime_with_all")
def test_no_provider_is_tried_in_what_it_does_not_have_or_where_fp32_fails(tiny_package: Package) -> None:
    def count(provider: Provider, directory: Path, threads: int, *, precision: Precision) -> Agreement | str:
        raise AssertionError(provider)

    for trials, able in ((Trials(), ()), (Trials(openvino="wrong"), (Provider.OPENVINO,))):
        providers = Providers(ALL, try_out=trials, count_in=count, reduced_by=reducing(*able))
        assert providers.reduced(tiny_package) is None


@pytest.mark.parametrize(
    ("flags", "able"), [("avx2 avx512f", False), ("avx2 avx512_bf16", True), ("amx_bf16", True), (None, False)]
)
def test_the_processor_says_whether_it_multiplies_bf16(tmp_path: Path, flags: str | None, able: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    if flags is not None:
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: fpu {flags} sse\n")
    assert multiplies_bf16("x86_64", cpuinfo) is able
    assert not multiplies_bf16("aarch64", cpuinfo)
