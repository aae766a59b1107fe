"""OpenVINO, where onnxruntime-openvino is installed."""

from __future__ import annotations

import numpy as np
import pytest

from collab_sdk.vocabulary import Precision, Provider
from collabd.catalog.graph.probe_feeds import probe_feeds
from collabd.catalog.package.package import Package
from collabd.engine import Engine, Stop, Stopped, why_missing
from collabd.engine.processor import multiplies_bf16
from collabd.providers.apart import count_apart
from collabd.providers.choice import Providers

pytestmark = [
    pytest.mark.openvino,
    pytest.mark.skipif(bool(why_missing(Provider.OPENVINO)), reason=why_missing(Provider.OPENVINO)),
]


def test_it_computes_what_the_cpus_provider_does(tiny_package: Package) -> None:
    providers = Providers((Provider.OPENVINO,)).of(tiny_package)
    assert providers == (Provider.OPENVINO, Provider.CPU)
    engine, network = Engine(threads=1, cache_bytes=1 << 26), tiny_package.network()
    engine.add("cpu", network)
    engine.add("openvino", network, providers=providers)
    for feeds in probe_feeds(network.inputs):
        right, found = (engine.run(key, feeds, ["logits"])["logits"] for key in ("cpu", "openvino"))
        # bf16, which it would choose itself where the processor has it, is off by 1e-3 and more.
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-4 * np.ptp(right))
    assert engine.providers("openvino") == providers


def test_a_stop_before_the_run_ends_it(tiny_package: Package) -> None:
    engine, network = Engine(threads=1, cache_bytes=1 << 26), tiny_package.network()
    engine.add("openvino", network, providers=(Provider.OPENVINO,))
    stop = Stop()
    stop.request()
    with pytest.raises(Stopped):
        engine.run("openvino", probe_feeds(network.inputs)[0], ["logits"], stop=stop)
    assert engine.providers("openvino")[0] == Provider.OPENVINO


def test_bf16_is_offered_where_the_processor_has_it_and_nowhere_else(tiny_package: Package) -> None:
    if multiplies_bf16():
        _really_computes_in_bf16_and_most_answers_stay(tiny_package)
    else:
        _offers_no_bf16(tiny_package)


def _really_computes_in_bf16_and_most_answers_stay(tiny_package: Package) -> None:
    reduced = Providers((Provider.OPENVINO,)).reduced(tiny_package)
    assert reduced is not None
    assert (reduced.provider, reduced.precision) == (Provider.OPENVINO, Precision.BF16)
    print(f"bf16: {reduced.agreement}")
    assert reduced.agreement.agreed >= 0.9 * reduced.agreement.images
    engine, network = Engine(threads=1, cache_bytes=1 << 26), tiny_package.network()
    engine.add("cpu", network)
    engine.add_reduced("bf16", network, provider=Provider.OPENVINO, precision=Precision.BF16)
    off = []
    for feeds in probe_feeds(network.inputs):
        right, found = (engine.run(key, feeds, ["logits"])["logits"] for key in ("cpu", "bf16"))
        off.append(np.abs(found - right).max() / np.ptp(right))
    assert 1e-4 < max(off) < 0.2


def _offers_no_bf16(tiny_package: Package) -> None:
    assert Providers((Provider.OPENVINO,)).reduced(tiny_package) is None
    # And if it were asked, the trial would tell.
    found = count_apart(Provider.OPENVINO, tiny_package.path, 1, precision=Precision.BF16)
    assert isinstance(found, str)
