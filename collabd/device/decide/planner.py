"""From a call to the plan that will serve it. The planner gathers what is known now and lets `planning` choose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np

from collab_sdk.vocabulary import EnergySource, Fallback, Reason
from collabd.clock import Clock
from collabd.config import DeviceConfig
from collabd.cores import usable_cores
from collabd.device.companions.companion import Companion
from collabd.device.decide.call_plan import CallPlan
from collabd.device.decide.candidates import candidates
from collabd.device.decide.chooser import Chooser, PastPlans, Weighed
from collabd.device.decide.evaluation import Evaluation, allowed_plans, predicted
from collabd.device.decide.placement_search import FindPlacement, FoundPlacement, PlacementSearch, Situation, placed
from collabd.device.decide.policy import Policies
from collabd.device.decide.prepared_placements import PreparedPlacements
from collabd.device.decide.segments import ModelSegments, segments
from collabd.device.decide.standing import Asked, StandingChoice, StandingChoices
from collabd.device.job.image import CallImage
from collabd.device.job.job import Job, JobStep
from collabd.device.job.options import CallOptions
from collabd.device.models.model import DeviceModel
from collabd.device.senses import Senses, slowdown
from collabd.planning import CallFacts, Candidate, Candidates, Circumstances, DeviceState, predict
from collabd.planning.candidates import SOURCE
from collabd.planning.choose import Decision, SwitchGain, choose
from collabd.profiling.profile import Profile
from collabd.sensing.estimates.overhead import Overheads
from collabd.sensing.estimates.speed import SpeedFactor

# The first call of a kind waits for a placement at most this share of its deadline. A call without a deadline waits at
# most `_PATIENT_S` seconds.
_PATIENT_SHARE = 0.1
_PATIENT_S = 0.5


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What the planner derives from the profiles of a model. It holds until a profile comes or goes.

    `profiles`: first the profile of the device, then the profile of each companion.
    """

    profiles: tuple[Profile | None, ...]
    plans: Candidates
    segments: tuple[ModelSegments, ...]
    prepared: PreparedPlacements


class Planner:
    """Knows the device's speed and power, the companions, and what may leave the device."""

    def __init__(
        self,
        config: DeviceConfig,
        companions: Sequence[Companion],
        senses: Senses,
        *,
        speed: SpeedFactor,
        overheads: Overheads,
        past_plans: PastPlans,
        lane_wait_s: Callable[[float | None], float],
        catch_up: Callable[[], None],
        clock: Clock,
        find_placement: FindPlacement = placed,
    ) -> None:
        """`lane_wait_s`: how many seconds a call waits for the lane.

        Its argument is the number of seconds until the deadline of the call (None: the call has none). `catch_up` is
        called before a choice is made anew: it takes in what ended calls have taught.
        """
        self._speed = speed
        self._overheads = overheads
        self._clock = clock
        self._settings = config.planning
        self._policies = Policies(config)
        switch_gain = SwitchGain(config.planning.switch_gain_ms / 1e3, config.planning.switch_gain_ratio)
        self._chooser = Chooser(switch_gain, config.planning.explore_share, past_plans)
        self._hedge_price = config.failover.hedge_price
        self._placer = PlacementSearch(clock, find_placement)
        self._companions = tuple(companions)
        self._senses = senses
        self._lane_wait_s = lane_wait_s
        self._catch_up = catch_up
        self._threads = config.engine.threads or usable_cores()
        self._standing = StandingChoices()
        self._known: WeakKeyDictionary[DeviceModel, _Known] = WeakKeyDictionary()

    def candidates(self, model: DeviceModel) -> Candidates:
        """The plans of a model with one crossing or none."""
        return self._of(model).plans

    def evaluate(
        self, model: DeviceModel, image: CallImage | None, options: CallOptions, *, lane_wait_s: float = 0.0
    ) -> Evaluation:
        """Predict every candidate for a call.

        `image` None: predict for an image that has the input size of the network and comes as pixels, not as a file.
        """
        plans, quantile = self.candidates(model), self._settings.cap_quantile
        device, clouds, call = self._circumstances(model, image, lane_wait_s=lane_wait_s)
        policy = self._policies.of(model.manifest, options)
        caps = options.caps(self._settings.min_fidelity)
        price = None if options.is_sparing or policy.fallback != Fallback.LOCAL else self._hedge_price
        prediction = predicted(plans, device, clouds, call=call, quantile=quantile, hedge_price=price)
        return Evaluation(
            plans=plans,
            prediction=prediction,
            allowed=allowed_plans(plans, prediction, options=options, policy=policy, manifest=model.manifest),
            caps=caps,
            policy=policy,
            device=device,
            clouds=clouds,
            call=call,
            quantile=quantile,
            hedge_price=price,
            companions=self._companions,
        )

    def decide(self, evaluation: Evaluation) -> Decision:
        """Choose among the evaluated candidates as for somebody who only asks. No last plan counts or is remembered."""
        return choose(evaluation.plans, evaluation.prediction, evaluation.caps, allowed=evaluation.allowed)

    async def plan(
        self, model: DeviceModel, image: CallImage, options: CallOptions, *, waited_s: float = 0.0
    ) -> CallPlan:
        """The plan of a call that has waited `waited_s` seconds to be planned. Raises `InvalidPlacement`.

        What was chosen for the last call stands for this one, if nothing that it depends on has changed.
        """
        now, known = self._clock(), self._of(model)
        self._senses.attention.pay()
        for each in self._companions:
            each.attention.pay()
        events = tuple(each.events for each in self._companions)
        asked = Asked.of(
            model,
            image,
            options,
            waited_s=waited_s,
            lane_wait_s=self._lane_wait_s,
            known=known,
            events=events,
        )
        standing = self._standing.of(asked)
        if standing is None or not standing.stands(now, events):
            self._catch_up()
            if standing is not None and self._may_stand_on(standing, image, now):
                standing.stand_on(now, events)
            else:
                consider = self._fixed if options.is_fixed else self._considered
                standing = await consider(asked, image, known)
                self._standing.keep(standing, now=self._clock())
        return standing.planned(self._chooser.turn(standing.weighed, standing.kind))

    def _may_stand_on(self, standing: StandingChoice, image: CallImage, now: float) -> bool:
        if not standing.may_stand_on(now):
            return False
        found = self._circumstances(standing.asked.model, image, lane_wait_s=standing.asked.lane_wait_s)
        known = standing.circumstances
        return (found if known.clouds else found._replace(clouds=())).are_like(known)

    def _circumstances(self, model: DeviceModel, image: CallImage | None, *, lane_wait_s: float) -> Circumstances:
        """What is known now, for a call with this image that waits `lane_wait_s` seconds for others."""
        return Circumstances(
            replace(self.device_state(image), queue_s=lane_wait_s),
            tuple(companion.state_for(model.digest) for companion in self._companions),
            self._call_facts(model, image),
        )

    @property
    def chose_anew(self) -> asyncio.Event:
        """Set when a choice was made anew. Who looks at `likely_jobs` clears it."""
        return self._standing.new

    def likely_jobs(self) -> Iterator[Job]:
        """The jobs of the choices that stand now, and for each the job of the best plan that cuts elsewhere."""
        for standing in self._standing:
            planned = standing.planned(standing.weighed.decision)
            yield planned.job
            evaluation = planned.evaluation
            elsewhere = np.array([row.cut != planned.cut for row in evaluation.plans.rows])
            if evaluation.allowed is not None:
                elsewhere &= evaluation.allowed
            if (elsewhere & evaluation.prediction.possible).any():
                yield standing.make(
                    choose(evaluation.plans, evaluation.prediction, evaluation.caps, allowed=elsewhere)
                ).job

    def reconsider(self) -> None:
        """Let no choice stand: something has turned out otherwise than predicted."""
        self._standing.clear()

    async def _considered(self, asked: Asked, image: CallImage, known: _Known) -> StandingChoice:
        """Choose anew. Profiles may come and go during the search: what is evaluated now is also what is run."""
        model, options = asked.model, asked.options
        caps = options.caps(self._settings.min_fidelity)
        evaluation = self.evaluate(model, image, options.after(asked.waited_s), lane_wait_s=asked.lane_wait_s)
        # A plan refers to a companion by its index in these names.
        names = tuple(companion.name for companion in self._companions)
        kind = (names, model.digest, caps.kind, options.codec, evaluation.policy, image.file_bytes is None)
        placed, searches = None, evaluation.wants_more and bool(known.segments)
        if searches:
            placed = await self._placed(known.segments, image, evaluation, codec=options.codec, kind=kind)
        if placed is not None:
            evaluation = evaluation.beside(placed)
        weighed = self._chooser.weigh(
            evaluation.plans, evaluation.prediction, evaluation.caps, kind=kind, allowed=evaluation.allowed
        )
        energy_source = self._energy_source()

        # The planner keeps this function, which therefore knows nothing of the planner: in a circle, a planner that a
        # new configuration replaced would stay in memory for long.
        def planned(decision: Decision) -> CallPlan:
            chosen = evaluation.plans.rows[decision.row]
            if placed is not None and chosen is placed.plans.rows[-1]:
                letters, made = placed.letters, placed.steps
            else:
                prepared = known.prepared.of(
                    cut=chosen.cut, placement=None, codec=chosen.codec, cloud=chosen.cloud, has_file=True
                )
                letters, made = prepared.letters, prepared.steps
            job = _job(
                model, options, evaluation=evaluation, plan=chosen, made=made, sparing=options.is_sparing, profiled=True
            )
            return CallPlan(
                job=job,
                cut=chosen.cut,
                placement=letters,
                reason=decision.reason,
                evaluation=evaluation,
                caps=caps,
                row=decision.row,
                energy_source=energy_source,
                waited_s=asked.waited_s,
                unmet=decision.unmet,
            )

        return StandingChoice(
            asked=asked,
            kind=kind,
            weighed=weighed,
            circumstances=Circumstances(
                evaluation.device,
                () if evaluation.policy.fallback == Fallback.NEVER_LEAVE else evaluation.clouds,
                evaluation.call,
            ),
            make=planned,
            is_final=not searches,
        )

    def device_state(self, image: CallImage | None = None) -> DeviceState:
        """The device as planning sees it, for a call with this image."""
        now, power = self._clock(), self._senses.snapshot.power.board
        speed = self._speed.read(now, self.slowdown())
        of_file, nbytes = image is not None and image.file_bytes is not None, 0 if image is None else image.nbytes
        asking_s, asking_s_per_byte = self._overheads.of_asking(now)
        return DeviceState(
            speed=speed.value,
            spread=speed.spread,
            busy_w=power.busy_w,
            idle_w=power.idle_w,
            tx_w_per_mbps=power.tx_w_per_mbps,
            tx_base_w=power.tx_base_w,
            overhead_s=self._overheads.of_call_s(now, nbytes, of_file=of_file),
            asking_s=asking_s,
            asking_s_per_byte=asking_s_per_byte,
        )

    def slowdown(self) -> float:
        """How many times as long as a run alone on the device a run should take now, from what is sensed."""
        return self.slowdown_now()()

    def slowdown_now(self) -> Callable[[], float]:
        """What works out `slowdown` as of now, whenever it is called."""
        return partial(slowdown, self._senses.snapshot, self._threads)

    def _energy_source(self) -> EnergySource:
        return EnergySource.MEASURED if self._senses.snapshot.power.measured else EnergySource.MODELLED

    def _of(self, model: DeviceModel) -> _Known:
        profiles = (model.profile, *(companion.profiles.get(model.digest) for companion in self._companions))
        known = self._known.get(model)
        if known is None or any(a is not b for a, b in zip(known.profiles, profiles, strict=True)):
            chained = tuple(
                segments(model, model.profile, there, cloud=cloud)
                for cloud, there in enumerate(profiles[1:])
                if model.profile is not None and there is not None
            )
            plans = candidates(model, profiles[1:])
            there_s = [0.0 if there is None else there.whole_ms / 1e3 for there in profiles[1:]]
            prepared = PreparedPlacements(model.manifest, plans, whole_s=model.whole_s, whole_there_s=there_s)
            known = self._known[model] = _Known(profiles=profiles, plans=plans, segments=chained, prepared=prepared)
        return known

    async def _placed(
        self,
        chained: tuple[ModelSegments, ...],
        image: CallImage,
        evaluation: Evaluation,
        *,
        codec: str | None,
        kind: Hashable,
    ) -> FoundPlacement | None:
        """The best placement with several crossings. None: there is none, or it is not known yet."""
        situation = Situation(
            plans=evaluation.plans,
            segments=chained,
            device=evaluation.device,
            clouds=evaluation.clouds,
            call=evaluation.call,
            caps=evaluation.open_caps,
            policy=evaluation.policy,
            codec=codec,
            quantile=evaluation.quantile,
        )
        sizes = image.pixels.bit_length(), (image.file_bytes or 0).bit_length()
        latency_s = evaluation.caps.latency_s
        patience_s = _PATIENT_S if latency_s is None else _PATIENT_SHARE * latency_s
        return await self._placer.place((kind, sizes), situation, patience_s)

    async def _fixed(self, asked: Asked, image: CallImage, known: _Known) -> StandingChoice:
        """The plan of a call that itself states where its layers run. No plans are compared."""
        model, options = asked.model, asked.options
        caps = options.caps(self._settings.min_fidelity)
        circumstances = self._circumstances(model, image, lane_wait_s=asked.lane_wait_s)
        device, clouds, call = circumstances
        prepared = known.prepared.of(
            cut=options.cut,
            placement=options.placement,
            codec=options.codec,
            cloud=next((index for index, state in enumerate(clouds) if state.up), None),
            has_file=image.file_bytes is not None,
        )
        policy = self._policies.of(model.manifest, options)
        policy.check(prepared.letters)
        quantile = self._settings.cap_quantile
        prediction = predict(prepared.plans, device=device, clouds=clouds, call=call, quantile=quantile)
        evaluation = Evaluation(
            plans=prepared.plans,
            prediction=prediction,
            allowed=None,
            caps=caps,
            policy=policy,
            device=device,
            clouds=clouds,
            call=call,
            quantile=quantile,
            hedge_price=None,
            companions=self._companions,
        )
        planned = CallPlan(
            # The caller states where the layers run, so the device does not run them as well to be faster.
            job=_job(
                model,
                options,
                evaluation=evaluation,
                plan=prepared.plan,
                made=prepared.steps,
                sparing=True,
                profiled=prepared.is_candidate,
            ),
            cut=prepared.plan.cut,
            placement=prepared.letters,
            reason=Reason.FIXED,
            evaluation=evaluation,
            caps=caps,
            row=0 if prepared.is_candidate else None,
            energy_source=self._energy_source(),
            waited_s=asked.waited_s,
        )
        weighed = Weighed(Decision(0, Reason.FIXED, ()))
        return StandingChoice(
            asked=asked, kind=None, weighed=weighed, circumstances=circumstances, make=lambda _: planned
        )

    def _call_facts(self, model: DeviceModel, image: CallImage | None) -> CallFacts:
        spec, now = model.manifest.preprocessing, self._clock()
        usual = spec.height * spec.width
        prep_s = model.prep.at((usual if image is None else image.pixels) / 1e6, now)
        # On the companion, a larger image takes longer by the same factor as on the device.
        larger = prep_s / model.prep.at(usual / 1e6, now)
        there = (companion.profiles.get(model.digest) for companion in self._companions)
        cloud_prep_s = tuple(0.0 if profile is None else larger * profile.prep_ms / 1e3 for profile in there)
        return CallFacts(prep_s, cloud_prep_s, None if image is None else image.file_bytes)


def _job(
    model: DeviceModel,
    options: CallOptions,
    *,
    evaluation: Evaluation,
    plan: Candidate,
    made: tuple[JobStep, ...],
    sparing: bool,
    profiled: bool,
) -> Job:
    latency_ms, device, call = options.budget.latency_ms, evaluation.device, evaluation.call
    first = made[0].crossing
    prep_s = 0.0 if first is not None and first.codec == SOURCE else call.prep_s
    companion = None if plan.cloud is None else evaluation.companions[plan.cloud]
    return Job(
        model=model,
        steps=made,
        codec=plan.codec,
        companion=companion,
        alone="" if companion is not None else _why_alone(model, evaluation.companions),
        fallback=evaluation.policy.fallback,
        sparing=sparing,
        # The device needs the overhead to wrap up and send the answer after the job.
        deadline_s=None if latency_ms is None else latency_ms / 1e3 - device.overhead_s,
        slow=evaluation.prediction.basis.slow,
        here_s=prep_s + device.speed * sum(step.run_s for step in made if step.crossing is None),
        prep_s=call.prep_s,
        profiled=profiled,
    )


def _why_alone(model: DeviceModel, companions: Sequence[Companion]) -> str:
    return "; ".join(each.why_not(model.digest) for each in companions) or "no companion is configured"
