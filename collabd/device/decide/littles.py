"""Plans that ask the little network of a model, from what its package says of their thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from collabd.catalog.package.little import Ladder, Threshold
from collabd.device.fidelity.figures import Fidelities
from collabd.device.fidelity.row import Row
from collabd.device.job.job import LittleStep
from collabd.device.models.model import DeviceModel
from collabd.planning import Candidates
from collabd.planning.candidates import AsksLittle
from collabd.planning.cascades import LittleAnswers, LittleNetwork, with_little


def plans_with_little(
    model: DeviceModel, little: DeviceModel | None, *, believed: Fidelities
) -> Callable[[Candidates, float], Candidates]:
    """Takes plans, and the least fidelity that calls want; returns them, with those that ask the little network.

    `little` None: there is none, or it may not answer.
    """
    stated = model.manifest.little
    if little is None or stated is None:
        return lambda plans, _: plans
    same_picture = little.manifest.picture == model.manifest.picture
    networks = [
        LittleNetwork(
            run_s=little.whole_in_s(ladder.precision),
            precision=ladder.precision,
            same_picture=same_picture,
            widest=partial(_widest, _exact(ladder, believed)),
        )
        for ladder in stated.ladders
        if little.has_timed(ladder.precision)
    ]
    return lambda plans, least: with_little(plans, networks, least)


def _exact(ladder: Ladder, believed: Fidelities) -> dict[Threshold, float]:
    return {each: believed.promised(Row.of_threshold(ladder.precision, each.least)) for each in ladder.thresholds}


def _widest(exact: Mapping[Threshold, float], rest: float, least_fidelity: float) -> LittleAnswers | None:
    """Of the thresholds that keep the fidelity, the one at which the little network answers most.

    `exact`: what each promises of both networks, if the big one's plan changes nothing. `rest`: the fidelity of that
    plan.
    """
    totals = {each: each.total(rest, promised) for each, promised in exact.items()}
    kept = [each for each, total in totals.items() if total >= least_fidelity]
    if not kept:
        return None
    widest = max(kept, key=lambda each: each.share)
    return LittleAnswers(least=widest.least, share=widest.share, fidelity=totals[widest])


def little_step(model: DeviceModel, little: DeviceModel, asks: AsksLittle | None) -> LittleStep | None:
    """What the executor does for a plan that asks the little network; None: it does not."""
    stated = model.manifest.little
    ladder = None if asks is None or stated is None else stated.ladder(asks.precision)
    if asks is None or ladder is None:
        return None
    return LittleStep(
        model=little,
        kind=asks.kind,
        precision=asks.precision,
        score=ladder.score,
        least=asks.least,
        run_s=asks.run_s,
        same_picture=not asks.again,
    )
