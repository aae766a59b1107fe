"""A path through the trellis as what is to be done, and what that is predicted to take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress, pairwise
from math import prod

from collab_sdk.vocabulary import Cap
from collabd.planning.candidates import SOURCE, Candidate, Candidates
from collabd.planning.placements.chain import Chain, CrossingOption
from collabd.planning.placements.cheapest import Way
from collabd.planning.placements.trellis import CLOUD, DEVICE, TrellisLayer, with_requests
from collabd.planning.predict import Prediction, Request, predict
from collabd.planning.state import CloudState, DeviceState


@dataclass(frozen=True)
class CloudRun:
    """One request: segments `first` up to but not including `last`, and the ways there and back."""

    first: int
    last: int
    up: CrossingOption
    down: CrossingOption


@dataclass(frozen=True)
class Placement:
    """Where each segment runs, and what all of it is predicted to take."""

    # One a segment: D for the device, C for the companion.
    letters: str
    # Index of the companion; None: all on the device.
    cloud: int | None
    runs: tuple[CloudRun, ...]
    fidelity: float
    # One row; phases that occur several times are added up.
    prediction: Prediction
    # The caps that it is predicted to break; none: it fits.
    unmet: tuple[Cap, ...]


def letters_of(path: Sequence[Way]) -> str:
    """The sides of the segments; the last step only brings the answer home."""
    return "".join("DC"[way.side] for way in path[:-1])


def runs_of(layers: Sequence[TrellisLayer], path: Sequence[Way]) -> tuple[CloudRun, ...]:
    """The requests of a path, in order."""
    crossings = list(_crossings(layers, path))
    pairs = zip(crossings[::2], crossings[1::2], strict=True)
    return tuple(CloudRun(first, last, up, down) for (first, up), (last, down) in pairs)


def _crossings(layers: Sequence[TrellisLayer], path: Sequence[Way]) -> Iterator[tuple[int, CrossingOption]]:
    sides = (DEVICE, *(way.side for way in path))
    for k, (layer, (before, side), way) in enumerate(zip(layers, pairwise(sides), path, strict=True)):
        if before != side:
            yield k, (layer.up if side == CLOUD else layer.down)[way.row]


def evaluate(
    chain: Chain,
    letters: str,
    runs: Sequence[CloudRun],
    device: DeviceState,
    cloud: CloudState,
    request: Request,
    quantile: float,
) -> Prediction:
    """The prediction of a placement as a plan with one crossing that has the sums of all."""
    sends_file = bool(runs) and runs[0].up.codec == SOURCE
    ways = [way for run in runs for way in (run.up, run.down)]
    plan = Candidate(
        cut="",
        codec="",
        cloud=0 if runs else None,
        head_s=sum(compress(chain.device_s, (letter == "D" for letter in letters))),
        encode_s=sum(way.device_s for way in ways),
        up_bytes=sum(run.up.sent_bytes for run in runs) + sends_file * (request.source_bytes or 0),
        down_bytes=sum(run.down.sent_bytes for run in runs),
        decode_s=sum(way.cloud_s for way in ways) + sends_file * request.cloud_prep_s[chain.cloud],
        tail_s=sum(compress(chain.cloud_s, (letter == "C" for letter in letters))),
        local_tail_s=0.0,
        fidelity=fidelity_of(runs),
    )
    # What sends the file needs no lane.
    prepared = Request(0.0 if sends_file else request.prep_s, (0.0,), None)
    device = replace(device, queue_s=0.0) if sends_file else device
    return predict(Candidates([plan]), device, [with_requests(cloud, len(runs))], prepared, quantile)


def fidelity_of(runs: Sequence[CloudRun]) -> float:
    """Lossy crossings multiply."""
    return prod(way.fidelity for run in runs for way in (run.up, run.down))
