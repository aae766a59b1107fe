"""Plans that ask a little network, which answers in the place of the big one where it is sure enough.

They are made of the plans for the calls that it leaves. `serial` asks it first. `raced` sends the picture at once, and
asks it while the companion works; whoever is sure first answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from collab_sdk.vocabulary import Cascade, Precision
from collabd.planning.candidates import SOURCE, AsksLittle, Candidate, Candidates, Column


@dataclass(frozen=True)
class LittleAnswers:
    """What a little network answers at a threshold: where its sureness is `least` or more, a `share` of all pictures.

    `fidelity`: of both networks together, with the plan for the other pictures.
    """

    least: float
    share: float
    fidelity: float


@dataclass(frozen=True, kw_only=True)
class LittleNetwork:
    """A little network on an idle device, in one precision. `run_s`: its run.

    `same_picture`: it takes the picture as the big network does. `widest`: how much it may answer, with a plan of this
    fidelity for the other pictures, so that both together keep the second; None: nothing.
    """

    run_s: float
    precision: Precision = Precision.FP32
    same_picture: bool
    widest: Callable[[float, float], LittleAnswers | None]


class _Asks(NamedTuple):
    """The plan at this place, which asks the little network first."""

    place: int
    little: LittleNetwork
    answered: LittleAnswers


def with_little(plans: Candidates, littles: Sequence[LittleNetwork], least_fidelity: float) -> Candidates:
    """The plans, and behind them those that also ask the little network, for calls that want this fidelity.

    `littles`: the little network in each precision. Of thresholds only the one is worth a row that leaves the fewest
    calls. Of plans for these calls, and of precisions, those are that no other one with the same companion beats in
    every figure.
    """
    asking = [
        _Asks(place, little, answered)
        for place, plan in enumerate(plans.rows)
        for little in littles
        if (answered := _answered(plan, little, least_fidelity))
    ]
    rows = [row for each in _front(plans, asking) for row in _rows(plans.rows[each.place], each.little, each.answered)]
    return Candidates([*plans.rows, *rows]) if rows else plans


def _answered(plan: Candidate, little: LittleNetwork, least_fidelity: float) -> LittleAnswers | None:
    # The little network makes no plan more faithful than it is.
    return little.widest(plan.fidelity, least_fidelity) if plan.fidelity >= least_fidelity else None


def _front(plans: Candidates, asking: Sequence[_Asks]) -> list[_Asks]:
    places = np.array([each.place for each in asking], np.intp)
    figures = _figures(plans, places, asking)
    kind = 2 * plans.cloud[places] + plans.source[places]
    no_worse = (figures[:, None] <= figures[None]).all(axis=2) & (kind[:, None] == kind[None])
    better = no_worse & (figures[:, None] < figures[None]).any(axis=2)
    # Of equals the first stays.
    equal = np.triu(no_worse & no_worse.T, 1)
    return [each for each, beaten in zip(asking, (better | equal).any(axis=0), strict=True) if not beaten]


def _figures(plans: Candidates, places: np.ndarray, asking: Sequence[_Asks]) -> Column:
    """Float64 [plans, figures]: the less, the better, at any speed of the machines and the link."""
    columns = (
        plans.head_s + plans.encode_s,
        plans.home_s,
        plans.up_bytes,
        plans.down_bytes,
        plans.decode_s + plans.tail_s,
        plans.tail_s,
    )
    of_little = np.array([(each.little.run_s, -each.answered.share) for each in asking]).reshape(-1, 2)
    return np.column_stack([*(column[places] for column in columns), of_little])


def _rows(plan: Candidate, little: LittleNetwork, answered: LittleAnswers) -> Iterator[Candidate]:
    sends_file = plan.codec == SOURCE
    for kind in Cascade if plan.cloud is not None else (Cascade.SERIAL,):
        yield replace(
            plan,
            fidelity=answered.fidelity,
            little=AsksLittle(
                kind=kind,
                precision=little.precision,
                least=answered.least,
                share=answered.share,
                run_s=little.run_s,
                prepares=sends_file or not little.same_picture,
                again=not little.same_picture,
            ),
        )
