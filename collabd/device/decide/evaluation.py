"""Every plan that could serve a call, what each plan is predicted to take, and which plans are allowed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from collab_sdk.errors import InvalidPlacement
from collab_sdk.vocabulary import Fallback, Objective, Precision
from collabd.catalog.package.manifest import Manifest
from collabd.device.companions.companion import Companion
from collabd.device.decide.placement_search import FoundPlacement
from collabd.device.decide.policy import CallPolicy
from collabd.device.fidelity.figures import Fidelities
from collabd.device.job.options import CallOptions
from collabd.planning import CallFacts, Candidates, Caps, CloudState, DeviceState, Prediction, choose, hedged, predict
from collabd.planning.choose import against
from collabd.planning.placements.trellis import with_requests
from collabd.planning.precisions import Precisions

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Every candidate of a call, the prediction, and all that the prediction was made from.

    `allowed`: the plans that the policy and the call allow; None: all. The `cloud` of a candidate is an index into
    `clouds` and into `companions`. `hedge_price`: the price of running the tail on the device while the device waits
    for the companion; None: the device does not do that. `fidelities`: what was believed of lossy plans.
    """

    plans: Candidates
    prediction: Prediction
    allowed: Mask | None
    caps: Caps
    policy: CallPolicy
    device: DeviceState
    clouds: tuple[CloudState, ...]
    call: CallFacts
    quantile: float
    hedge_price: float | None
    companions: tuple[Companion, ...]
    fidelities: Fidelities

    @property
    def wants_more(self) -> bool:
        """Whether more than one crossing may help: the last layers are pinned, or the best single cut breaks a cap."""
        if self.policy.fallback == Fallback.NEVER_LEAVE:
            return False
        if self.policy.pin_last:
            return True
        # The slowest stage sets the pace of a stream, and the search can only add up stages along a chain.
        limits = against(self.prediction, self.caps)
        if self.caps.objective == Objective.THROUGHPUT or not limits:
            return False
        uncapped = Caps(fidelity=self.caps.fidelity, objective=self.caps.objective)
        best = choose(self.plans, self.prediction, uncapped, allowed=self.allowed).row
        return any(figure[best] > cap for _, figure, cap in limits)

    @property
    def open_caps(self) -> Caps:
        """The caps that a placement might break.

        The deadline is left out when the device alone can keep it: then the device finishes any late placement itself.
        """
        caps, prediction = self.caps, self.prediction
        if caps.latency_s is None or not prediction.races:
            return caps
        # A placement runs in fp32, on the device too.
        kept = prediction.deadline_s[self.plans.home[Precision.FP32]] <= caps.latency_s
        return replace(caps, latency_s=None) if kept else caps

    def beside(self, placed: FoundPlacement) -> Evaluation:
        """This evaluation with the placement as one more plan.

        The plan gets its own copy of its companion, which counts the fixed costs once for each request.
        """
        there, prep_s = placed.cloud, self.call.cloud_prep_s
        clouds = (*self.clouds, with_requests(self.clouds[there], placed.requests))
        call = replace(self.call, cloud_prep_s=(*prep_s, prep_s[there]))
        return replace(
            self,
            plans=placed.plans,
            prediction=predicted(
                placed.plans,
                self.device,
                clouds,
                call=call,
                quantile=self.quantile,
                hedge_price=self.hedge_price,
            ),
            allowed=None if self.allowed is None else np.append(self.allowed, True),
            clouds=clouds,
            call=call,
            companions=(*self.companions, self.companions[there]),
        )


def predicted(
    plans: Candidates,
    device: DeviceState,
    clouds: tuple[CloudState, ...],
    *,
    call: CallFacts,
    quantile: float,
    hedge_price: float | None,
) -> Prediction:
    """What each plan would take. With a `hedge_price` it includes the average when the device runs tails as well."""
    prediction = predict(plans, device=device, clouds=clouds, call=call, quantile=quantile)
    return prediction if hedge_price is None else hedged(plans, prediction, clouds=clouds, price=hedge_price)


def allowed_plans(
    plans: Candidates, prediction: Prediction, *, options: CallOptions, policy: CallPolicy, manifest: Manifest
) -> Mask | None:
    """The plans that policy, codec and precision of the call allow, among those with one crossing or none. None: all.

    Raises `InvalidPlacement` if there is none in the precision.
    """
    wanted = None if options.precision is None else _in_precision(plans, options.precision, manifest)
    allowed = _allowed(plans, prediction, wanted, options=options, policy=policy, manifest=manifest)
    if allowed is not None and not (allowed & prediction.possible).any():
        raise InvalidPlacement(
            f"{manifest.name} has no plan in precision {options.precision} that can run now "
            f"(`collabctl profile {manifest.name}` lists its plans)"
        )
    return allowed


def _allowed(
    plans: Candidates,
    prediction: Prediction,
    allowed: Mask | None,
    *,
    options: CallOptions,
    policy: CallPolicy,
    manifest: Manifest,
) -> Mask | None:
    """Which of the plans that are `allowed` so far (None: all) the policy and the codec of the call allow."""
    at_home = plans.local if allowed is None else plans.local & allowed
    if policy.fallback == Fallback.NEVER_LEAVE:
        return at_home
    if policy.pin_first or policy.pin_last:
        layers = len(manifest.layers)
        leaves = {cut.name: policy.allows(cut.head_layers, layers, layers) for cut in manifest.cuts}
        leaving = plans.local | np.array([leaves.get(row.cut, False) for row in plans.rows])
        allowed = leaving if allowed is None else leaving & allowed
    if options.codec is None or options.is_fixed:
        return allowed
    wanted: Mask = np.array([row.codec == options.codec for row in plans.rows])
    if allowed is not None:
        wanted &= allowed
    return wanted if bool((wanted & prediction.possible).any()) else at_home


def _in_precision(plans: Candidates, wanted: Precisions, manifest: Manifest) -> Mask:
    """Which plans compute each part that they have in the precision wanted of it."""
    whole_there = manifest.cuts[0].name
    return np.array(
        [
            (row.head == wanted.head or row.cut == whole_there) and (row.tail == wanted.tail or row.cloud is None)
            for row in plans.rows
        ]
    )
