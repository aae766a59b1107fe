"""In which precision the device runs a tail itself, should the companion fail: the quickest that is faithful enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import is_
from typing import NamedTuple, TypeAlias

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import Cut
from collabd.codec import LOSSLESS
from collabd.device.fidelity.figures import FidelityOf, as_packed
from collabd.device.models.model import DeviceModel
from collabd.planning import Candidate, Candidates
from collabd.profiling.profile import CutTimes, Profile


class _LocalTail(NamedTuple):
    precision: Precision
    run_s: float
    fidelity: float


# By cut and precision of the head.
_LocalTails: TypeAlias = Mapping[tuple[str, Precision], Sequence[_LocalTail]]


def plans_finished_here(
    model: DeviceModel, *, fidelity_of: FidelityOf = as_packed
) -> Callable[[Candidates, float], Candidates]:
    """Takes plans, and the least fidelity that calls want; returns them, with tails that run here the quickest way.

    A companion is asked for a tail in one precision. If it fails, the device need not follow it: another may be
    faithful enough, and quicker. Plans that ask a little network stay as they are: how sure that must be was chosen for
    the precision of the plan.
    """
    if model.profile is None:
        return lambda plans, _: plans
    tails = dict(_local_tails(model.manifest.cuts, model.profile, fidelity_of))

    def finished(plans: Candidates, least: float) -> Candidates:
        rows = [_finished(plan, tails, least) for plan in plans.rows]
        return plans if all(map(is_, rows, plans.rows)) else Candidates(rows)

    return finished


def _local_tails(
    cuts: Sequence[Cut], here: Profile, fidelity_of: FidelityOf
) -> Iterator[tuple[tuple[str, Precision], Sequence[_LocalTail]]]:
    times = {each.cut: each for each in here.cuts}
    for cut in cuts:
        for head in Precision:
            # Without a head a plan has the precision of its tail, and nothing has been lost.
            ran = head if cut.head_layers else Precision.FP32
            yield (
                (cut.name, head),
                tuple(_behind(cut, ran, times=times[cut.name], known=here.precisions, fidelity_of=fidelity_of)),
            )


def _behind(
    cut: Cut, head: Precision, *, times: CutTimes, known: Sequence[Precision], fidelity_of: FidelityOf
) -> Iterator[_LocalTail]:
    """What the device runs behind a cut is as faithful as what a companion makes of the tensors without loss."""
    for figures in cut.codecs:
        if figures.codec in LOSSLESS and figures.head == head and figures.tail in known:
            tail_s = times.parts(figures.tail).tail_ms / 1e3
            yield _LocalTail(figures.tail, tail_s, fidelity_of(cut, figures))


def _finished(plan: Candidate, tails: _LocalTails, least: float) -> Candidate:
    if plan.cloud is None or plan.little is not None:
        return plan
    quicker = [tail for tail in tails[plan.cut, plan.head] if tail.fidelity >= least and tail.run_s < plan.local_tail_s]
    if not quicker:
        return plan
    best = min(quicker, key=lambda tail: tail.run_s)
    return replace(plan, local_tail_s=best.run_s, local_tail=best.precision, local_fidelity=best.fidelity)
