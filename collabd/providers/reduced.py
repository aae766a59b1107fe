"""What a provider's reduced precision changes of a package's answers: counted before any request is computed in it."""

from __future__ import annotations

import numpy as np

from collab_sdk.vocabulary import Precision, Provider
from collabd.catalog.graph.probe_feeds import Feeds, probe_feeds
from collabd.catalog.graph.probe_images import photograph_like
from collabd.catalog.package.manifest import Agreement
from collabd.catalog.package.package import Package
from collabd.engine import Engine
from collabd.partition import Network
from collabd.profiling.calibrate import one_by_one
from collabd.profiling.likeness.likeness import likeness_of
from collabd.profiling.likeness.values import ValueLikeness

# What changes no value by more, as a part of the range of its tensor, computes in fp32 as before. Measured of OpenVINO:
# up to 1e-5 in fp32, 1e-2 and more in bf16.
_REALLY = 1e-4
# A precision that changes more answers is not offered.
_LEAST_AGREED = 0.9
_CACHE_BYTES = 1 << 30


class NotReduced(Exception):
    """Why the precision is not offered, in words that follow the name of the package."""


def agreement_in(package: Package, provider: Provider, precision: Precision, *, threads: int) -> Agreement:
    """How many answers to pictures made by rule stay, if the provider computes the whole network in `precision`.

    A tail, of which fewer layers are computed so, counts as the whole. Raises `NotReduced`, and
    `EngineError` if the provider cannot run the network.
    """
    network, manifest = package.network(), package.manifest
    picture, names = manifest.require_picture(), manifest.output_names
    deepest = manifest.cuts[-1].tensors if manifest.cuts else ()
    wanted = (*names, *(name for name in deepest if name not in {*manifest.input_names, *names}))
    engine = Engine(threads=threads, cache_bytes=_CACHE_BYTES)
    engine.add(Precision.FP32, network)
    engine.add_reduced(precision, network, provider=provider, precision=precision)
    pictures = _pictures(network, picture.height, picture.width)

    def answers(key: str) -> Feeds:
        runs = [engine.run(key, feeds, wanted) for feeds in pictures]
        return {name: np.concatenate([one_by_one(run[name], 1) for run in runs]) for name in wanted}

    right, found = answers(Precision.FP32), answers(precision)
    if not all(np.isfinite(array).all() for array in found.values() if array.dtype.kind == "f"):
        raise NotReduced(f"in {precision} some of its values are not finite")
    if ValueLikeness(right).shares(found, 0).min() > 1 - _REALLY:
        raise NotReduced(f"{provider} computes it in fp32 when told to compute in {precision}")
    # Boxes overlap as much in the network's input as in the picture that it was made of.
    sizes = [(picture.width, picture.height)] * len(pictures)
    likeness = likeness_of(manifest, {name: right[name] for name in names}, sizes)
    agreement = likeness.verdict(likeness.shares(found, 0)).agreement
    if agreement is None:
        raise NotReduced("nothing tells which of its answers agree")
    if agreement.sure_agreed < _LEAST_AGREED * agreement.sure_images:
        told = f"only {agreement.sure_agreed} of {agreement.sure_images} answers"
        raise NotReduced(f"in {precision} {told} of which it is sure stay")
    return agreement


def _pictures(network: Network, height: int, width: int) -> list[Feeds]:
    (name,) = network.graph.inputs
    return [*probe_feeds(network.inputs), *({name: each[np.newaxis]} for each in photograph_like(height, width))]
