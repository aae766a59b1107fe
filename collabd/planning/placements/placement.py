"""A placement: where each segment runs, how its tensors cross, and what all of it is predicted to take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress, pairwise
from math import prod

from collab_sdk.vocabulary import Cap
from collabd.planning.candidates import Candidate, Candidates
from collabd.planning.placements.chain import Chain, CrossingOption
from collabd.planning.placements.cheapest_path import PathStep
from collabd.planning.placements.trellis import CLOUD, DEVICE, TrellisLayer, with_requests
from collabd.planning.predict import Prediction, predict
from collabd.planning.state import CallFacts, CloudState, DeviceState


@dataclass(frozen=True, kw_only=True)
class CloudRun:
    """One request: segments `first` up to but not including `last`, and how tensors cross to them and back."""

    first: int
    last: int
    up: CrossingOption
    down: CrossingOption


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where each segment runs, and what all of it is predicted to take."""

    # One a segment: D for the device, C for the companion.
    letters: str
    # Index of the companion; None: all on the device.
    cloud: int | None
    runs: tuple[CloudRun, ...]
    fidelity: float
    # For one plan, each of whose phases is the sum of all such phases of the placement.
    prediction: Prediction
    # The caps that it is predicted to break; empty: it fits.
    unmet: tuple[Cap, ...]


def letters_of(path: Sequence[PathStep]) -> str:
    """The sides of the segments; the last step only brings the answer home."""
    return "".join("DC"[step.side] for step in path[:-1])


def runs_of(layers: Sequence[TrellisLayer], path: Sequence[PathStep]) -> tuple[CloudRun, ...]:
    """The requests of a path, in order."""
    crossings = list(_crossings(layers, path))
    pairs = zip(crossings[::2], crossings[1::2], strict=True)
    return tuple(CloudRun(first=first, last=last, up=up, down=down) for (first, up), (last, down) in pairs)


def _crossings(layers: Sequence[TrellisLayer], path: Sequence[PathStep]) -> Iterator[tuple[int, CrossingOption]]:
    sides = (DEVICE, *(step.side for step in path))
    for k, (layer, (before, side), step) in enumerate(zip(layers, pairwise(sides), path, strict=True)):
        if before != side:
            yield k, (layer.up if side == CLOUD else layer.down)[step.row]


def evaluate(
    chain: Chain,
    *,
    letters: str,
    runs: Sequence[CloudRun],
    device: DeviceState,
    cloud: CloudState,
    call: CallFacts,
    quantile: float,
) -> Prediction:
    """The prediction of a placement."""
    plan = plan_of(
        runs,
        cut="",
        codec=runs[0].up.codec if runs else "",
        cloud=0 if runs else None,
        head_s=sum(compress(chain.device_s, (letter == "D" for letter in letters))),
        tail_s=sum(compress(chain.cloud_s, (letter == "C" for letter in letters))),
        local_tail_s=0.0,
    )
    call = replace(call, cloud_prep_s=(call.cloud_prep_s[chain.cloud],))
    clouds = [with_requests(cloud, len(runs))]
    return predict(Candidates([plan]), device=device, clouds=clouds, call=call, quantile=quantile)


def plan_of(
    runs: Sequence[CloudRun],
    *,
    cut: str,
    codec: str,
    cloud: int | None,
    head_s: float,
    tail_s: float,
    local_tail_s: float,
) -> Candidate:
    """A placement as a plan with one crossing that has the sums of all.

    `cloud` is the index of a companion `with_requests` for as many runs. `head_s` is of all layers that run on the
    device, `tail_s` of all that run on the companion; `codec` names the codecs in which tensors go up.
    """
    crossings = [option for run in runs for option in (run.up, run.down)]
    return Candidate(
        cut=cut,
        codec=codec,
        cloud=cloud,
        head_s=head_s,
        encode_s=sum(option.device_s for option in crossings),
        up_bytes=sum(run.up.sent_bytes for run in runs),
        down_bytes=sum(run.down.sent_bytes for run in runs),
        decode_s=sum(option.cloud_s for option in crossings),
        tail_s=tail_s,
        local_tail_s=local_tail_s,
        fidelity=fidelity_of(runs),
    )


def fidelity_of(runs: Sequence[CloudRun]) -> float:
    """The fidelities of all crossings multiply."""
    return prod(option.fidelity for run in runs for option in (run.up, run.down))
