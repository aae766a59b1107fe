"""From a call to the plan that will serve it. The planner gathers what is known now and lets `planning` choose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np

from collab_sdk.errors import InvalidPlacement
from collab_sdk.vocabulary import EnergySource, Fallback, Precision, Reason, TaskKind
from collabd.catalog.package.manifest import Manifest
from collabd.clock import Clock
from collabd.config import DeviceConfig
from collabd.device.companions.companion import Companion
from collabd.device.decide.call_plan import CallPlan
from collabd.device.decide.candidates import candidates
from collabd.device.decide.chooser import Chooser, PastPlans, Weighed
from collabd.device.decide.evaluation import Evaluation, allowed_plans, predicted
from collabd.device.decide.littles import little_step
from collabd.device.decide.placement_search import FindPlacement, FoundPlacement, PlacementSearch, Situation, placed
from collabd.device.decide.plans_for_calls import PlansFor, plans_for_calls
from collabd.device.decide.policy import Policies
from collabd.device.decide.prepared_placements import PreparedPlacements
from collabd.device.decide.recent_decisions import RecentDecisions
from collabd.device.decide.seen import NOTHING_SEEN, SeenPicture
from collabd.device.decide.segments import ModelSegments, segments
from collabd.device.decide.standing import Asked, StandingChoice, StandingChoices
from collabd.device.decide.steps import finished_as
from collabd.device.fidelity.figures import Fidelities
from collabd.device.job.job import Job, JobStep, Standby
from collabd.device.job.options import CallOptions
from collabd.device.job.tensors import CallInput
from collabd.device.models.model import DeviceModel
from collabd.device.senses import Senses, slowdown
from collabd.limits.cores import usable_cores
from collabd.planning import CallFacts, Candidate, Candidates, Caps, Circumstances, CloudState, DeviceState, predict
from collabd.planning.candidates import SOURCE
from collabd.planning.choose import Decision, SwitchGain, choose
from collabd.planning.precisions import IN_FP32
from collabd.profiling.profile import Profile
from collabd.sensing.estimates.overhead import Overheads, Way
from collabd.sensing.estimates.speed import SpeedFactor

# The first call of a kind waits for a placement at most this share of its deadline. A call without a deadline waits at
# most `_PATIENT_S` seconds.
_PATIENT_SHARE = 0.1
_PATIENT_S = 0.5


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What the planner derives from the profiles of a model and from what is believed of its lossy plans.

    It holds until a profile comes or goes, or something was learned.

    `profiles`: first the profile of the device, then the profile of each companion, and that of the little network.
    """

    profiles: tuple[Profile | None, ...]
    fidelities: Fidelities
    # None: no little network may answer in the place of the model.
    little: DeviceModel | None
    plans: Candidates
    plans_for: PlansFor
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
        fidelities_of: Callable[[str, Manifest, Iterable[Profile | None]], Fidelities],
        little_of: Callable[[DeviceModel], DeviceModel | None],
        clock: Clock,
        find_placement: FindPlacement = placed,
    ) -> None:
        """`lane_wait_s`: how many seconds a call waits for the lane.

        Its argument is the number of seconds until the deadline of the call (None: the call has none). `catch_up` is
        called before a choice is made anew: it takes in what ended calls have taught. `fidelities_of`: what is believed
        of the lossy plans of a package with these profiles on companions, the same object until something is learned.
        `little_of`: the little network
        that may answer in the place of a model now.
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
        self._fidelities_of = fidelities_of
        self._little_of = little_of
        self._threads = config.engine.threads or usable_cores()
        self._standing = StandingChoices()
        self.recent = RecentDecisions()
        self._known: WeakKeyDictionary[DeviceModel, _Known] = WeakKeyDictionary()

    def candidates(self, model: DeviceModel) -> Candidates:
        """The plans of a model with one crossing or none."""
        return self._of(model).plans

    def evaluate(
        self,
        model: DeviceModel,
        image: CallInput | None,
        options: CallOptions,
        *,
        lane_wait_s: float = 0.0,
        seen: SeenPicture | None = None,
    ) -> Evaluation:
        """Predict every candidate for a call.

        `image` None: predict for an image that has the input size of the network and comes as pixels, not as a file.
        `seen`: what the picture has shown already; None: nobody has looked.
        """
        known, quantile = self._of(model), self._settings.cap_quantile
        least = self._caps(model, options).fidelity
        plans = known.plans_for(least, raw=options.raw, any_precision=options.precision is None)
        if seen is not None and seen.offer is not None:
            plans = plans.with_another(seen.offer)
        device, clouds, call = self._circumstances(model, image, options, lane_wait_s=lane_wait_s, seen=seen)
        policy = self._policies.of(model.manifest, options)
        caps = self._caps(model, options)
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
            fidelities=known.fidelities,
        )

    def least_fidelity(self, model: DeviceModel, options: CallOptions) -> float:
        """How often the answer of such a call must be the unsplit network's, 0..1."""
        return self._caps(model, options).fidelity

    def _evaluated(
        self,
        model: DeviceModel,
        image: CallInput,
        options: CallOptions,
        *,
        lane_wait_s: float,
        seen: SeenPicture | None,
    ) -> Evaluation:
        """`evaluate` for a call that is to be run.

        If an exact answer is wanted, and an exact plan keeps the caps, no other is faithful enough.
        """
        if seen is not None and seen.exact:
            exact = self.evaluate(model, image, options.exactly(), lane_wait_s=lane_wait_s, seen=seen)
            if not self.decide(exact).unmet:
                return exact
        return self.evaluate(model, image, options, lane_wait_s=lane_wait_s, seen=seen)

    def _caps(self, model: DeviceModel, options: CallOptions) -> Caps:
        """The budget in SI units. Nobody knows what becomes of tensors: they stay exact unless the budget says else."""
        return options.caps(1.0 if model.kind == TaskKind.TENSORS else self._settings.min_fidelity)

    def decide(self, evaluation: Evaluation) -> Decision:
        """Choose among the evaluated candidates as for somebody who only asks. No last plan counts or is remembered."""
        return choose(evaluation.plans, evaluation.prediction, evaluation.caps, allowed=evaluation.allowed)

    async def plan(
        self,
        model: DeviceModel,
        image: CallInput,
        options: CallOptions,
        *,
        waited_s: float = 0.0,
        seen: SeenPicture | None = None,
    ) -> CallPlan:
        """The plan of a call that has waited `waited_s` seconds to be planned. Raises `InvalidPlacement`.

        `seen`: what its picture has shown already; None: nobody has looked.

        What was chosen for the last call stands for this one, if nothing that it depends on has changed.
        """
        now = self._clock()
        self._senses.attention.pay()
        for each in self._companions:
            each.attention.pay()
        events = tuple(each.events for each in self._companions)
        known = self._of(model)
        asked = Asked.of(
            model,
            image,
            options,
            waited_s=waited_s,
            lane_wait_s=self._lane_wait_s,
            known=known,
            events=events,
            seen=seen,
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

    def _may_stand_on(self, standing: StandingChoice, image: CallInput, now: float) -> bool:
        if not standing.may_stand_on(now):
            return False
        asked = standing.asked
        found = self._circumstances(asked.model, image, asked.options, lane_wait_s=asked.lane_wait_s, seen=asked.seen)
        known = standing.circumstances
        return (found if known.clouds else found._replace(clouds=())).are_like(known)

    def _circumstances(
        self,
        model: DeviceModel,
        image: CallInput | None,
        options: CallOptions,
        *,
        lane_wait_s: float,
        seen: SeenPicture | None = None,
    ) -> Circumstances:
        """What is known now, for a call with this image that waits `lane_wait_s` seconds for others."""
        facts = self._call_facts(model, image, options, is_prepared=seen is not None)
        return Circumstances(
            replace(self.device_state(image), queue_s=lane_wait_s),
            tuple(companion.state_for(model.digest) for companion in self._companions),
            facts,
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

    def least_fidelities(self, model: DeviceModel) -> set[float]:
        """What calls of this model ask for that state no fidelity, and what its last calls asked for."""
        return {self._settings.min_fidelity, *self.recent.least_fidelities(model)}

    def reconsider(self) -> None:
        """Let no choice stand: something has turned out otherwise than predicted."""
        self._standing.clear()

    async def _considered(self, asked: Asked, image: CallInput, known: _Known) -> StandingChoice:
        """Choose anew. Profiles may come and go during the search: what is evaluated now is also what is run."""
        model, options = asked.model, asked.options
        caps = self._caps(model, options)
        seen, took_s = asked.seen, 0.0 if asked.seen is None else asked.seen.took_s
        spent_j = took_s * self._senses.snapshot.power.board.busy_w
        left = options.after(asked.waited_s, spent_j)
        evaluation = self._evaluated(model, image, left, lane_wait_s=asked.lane_wait_s, seen=seen)
        # A plan refers to a companion by its index in these names.
        names = tuple(companion.name for companion in self._companions)
        kind: Hashable = (
            *(names, model.digest, caps.kind, options.codec),
            *(options.precision, evaluation.policy, image.file_bytes is None),
        )
        if seen is not None:
            kind = kind, seen.kind
        # Placements with several crossings run in fp32.
        placed, searches = None, options.precision in {None, IN_FP32} and evaluation.wants_more and bool(known.segments)
        if searches:
            placed = await self._placed(known.segments, image, evaluation, codec=options.codec, kind=kind)
        if placed is not None:
            evaluation = evaluation.beside(placed)
        weighed = self._chooser.weigh(
            evaluation.plans, evaluation.prediction, evaluation.caps, kind=kind, allowed=evaluation.allowed
        )
        if seen is None or seen.kind == NOTHING_SEEN:
            self.recent.note(model, kind, evaluation, weighed.decision)
        energy_source = self._energy_source()

        # The planner keeps this function, which therefore knows nothing of the planner: in a circle, a planner that a
        # new configuration replaced would stay in memory for long.
        def planned(decision: Decision) -> CallPlan:
            chosen = evaluation.plans.rows[decision.row]
            if placed is not None and chosen is placed.plans.rows[-1]:
                letters, made, elsewhere = placed.letters, placed.steps, placed.elsewhere
            elif chosen is (seen and seen.offer):
                letters, made, elsewhere = "", (), {}
            else:
                prepared = known.prepared.of(
                    cut=chosen.cut,
                    placement=None,
                    codec=chosen.codec,
                    cloud=chosen.cloud,
                    has_file=True,
                    precisions=chosen.precisions,
                )
                letters, made = prepared.letters, finished_as(chosen, prepared.steps)
                there = known.prepared.elsewhere(prepared)
                elsewhere = {cloud: finished_as(chosen, steps) for cloud, steps in there}
            job = _job(
                model,
                options,
                evaluation=evaluation,
                plan=chosen,
                made=made,
                elsewhere=elsewhere,
                caps=caps.without(decision.unmet),
                sparing=options.is_sparing,
                profiled=True,
                little=known.little,
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
                looked_s=took_s,
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

    def device_state(self, image: CallInput | None = None) -> DeviceState:
        """The device as planning sees it, for a call with this image."""
        now, power = self._clock(), self._senses.snapshot.power.board
        speed = self._speed.read(now, self.slowdown())
        of_file, nbytes = image is not None and image.file_bytes is not None, 0 if image is None else image.nbytes
        asking_s, asking_s_per_byte = self._overheads.of_asking(now)
        alone_s, asks_s, sends_file_s, inherits_s = (
            self._overheads.of_call_s(now, nbytes, of_file=of_file, way=way) for way in Way
        )
        return DeviceState(
            speed=speed.value,
            spread=speed.spread,
            busy_w=power.busy_w,
            idle_w=power.idle_w,
            tx_w_per_mbps=power.tx_w_per_mbps,
            tx_base_w=power.tx_base_w,
            overhead_s=alone_s,
            asks_more_s=asks_s - alone_s,
            sends_file_more_s=sends_file_s - alone_s,
            # It does nothing that a call alone does not do. So one that was held up does not keep others away.
            inherits_more_s=min(inherits_s - alone_s, 0.0),
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
        little = None if model.manifest.little is None else self._little_of(model)
        little_profile = None if little is None else little.profile
        # A little network without a profile runs for as long as it took to warm up.
        own = (model.profile, *(companion.profiles.get(model.digest) for companion in self._companions))
        profiles = (*own, little_profile)
        known = self._known.get(model)
        if known is not None and (
            known.little is not little or any(a is not b for a, b in zip(known.profiles, profiles, strict=True))
        ):
            known = None
        believed = self._fidelities_of(model.digest, model.manifest, own[1:])
        if known is None or known.fidelities is not believed:
            chained = tuple(
                segments(model, model.profile, there, cloud=cloud, fidelity_of=believed.of)
                for cloud, there in enumerate(own[1:])
                if model.profile is not None and there is not None
            )
            plans = candidates(model, own[1:], fidelity_of=believed.of, reduced_fidelity_of=believed.of_reduced)
            there_s = [0.0 if there is None else there.whole_s() for there in own[1:]]
            prepared = PreparedPlacements(model.manifest, plans, whole_s=model.whole_s, whole_there_s=there_s)
            known = self._known[model] = _Known(
                profiles=profiles,
                fidelities=believed,
                little=little,
                plans=plans,
                plans_for=plans_for_calls(model, little, plans, believed=believed),
                segments=chained,
                prepared=prepared,
            )
        return known

    async def _placed(
        self,
        chained: tuple[ModelSegments, ...],
        image: CallInput,
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

    async def _fixed(self, asked: Asked, image: CallInput, known: _Known) -> StandingChoice:
        """The plan of a call that itself states where its layers run. No plans are compared."""
        model, options = asked.model, asked.options
        caps = self._caps(model, options)
        circumstances = self._circumstances(model, image, options, lane_wait_s=asked.lane_wait_s)
        device, clouds, call = circumstances
        prepared = known.prepared.of(
            cut=options.cut,
            placement=options.placement,
            codec=options.codec,
            cloud=self._first_up(model, clouds, (options.precision or IN_FP32).tail),
            has_file=image.file_bytes is not None,
            precisions=options.precision or IN_FP32,
        )
        _check_here(model, prepared.plan)
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
            fidelities=known.fidelities,
        )
        planned = CallPlan(
            # The caller states where the layers run, so the device does not run them as well to be faster.
            job=_job(
                model,
                options,
                evaluation=evaluation,
                plan=prepared.plan,
                made=prepared.steps,
                elsewhere=dict(known.prepared.elsewhere(prepared)),
                caps=caps,
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

    def _first_up(self, model: DeviceModel, clouds: Sequence[CloudState], tail: Precision) -> int | None:
        """The first companion that is up, or rather the first that computes in this precision. None: none is up."""
        up = [index for index, state in enumerate(clouds) if state.up]
        there = {index: self._companions[index].profiles.get(model.digest) for index in up}
        able = (index for index, profile in there.items() if profile is not None and tail in profile.precisions)
        return next(able, next(iter(up), None))

    def _call_facts(
        self, model: DeviceModel, image: CallInput | None, options: CallOptions, *, is_prepared: bool
    ) -> CallFacts:
        """`is_prepared`: the image is prepared for the model already."""
        spec, now = model.manifest.picture, self._clock()
        usual = 0 if spec is None else spec.height * spec.width
        pixels = usual if image is None else image.pixels
        answer_s = 0.0 if options.raw else model.answering.at(pixels / 1e6, now)
        if spec is None:
            return CallFacts(0.0, (0.0,) * len(self._companions), None, answer_s=answer_s)
        prep_s = model.prep.at(pixels / 1e6, now)
        # On the companion, a larger image takes longer by the same factor as on the device.
        larger = prep_s / model.prep.at(usual / 1e6, now)
        there = (companion.profiles.get(model.digest) for companion in self._companions)
        cloud_prep_s = tuple(0.0 if profile is None else larger * profile.prep_ms / 1e3 for profile in there)
        source_bytes = None if image is None else image.file_bytes
        little = self._of(model).little
        own = None if little is None or little.manifest.picture == spec else little
        left_s = 0.0 if is_prepared else prep_s
        little_prep_s = left_s if own is None else own.prep.at(pixels / 1e6, now)
        return CallFacts(left_s, cloud_prep_s, source_bytes, answer_s=answer_s, little_prep_s=little_prep_s)


def _check_here(model: DeviceModel, plan: Candidate) -> None:
    """Raises `InvalidPlacement` if this device does not run the plan's precisions, as it must if a companion fails."""
    if missing := {plan.head.graph, plan.tail.graph}.difference(model.networks):
        raise InvalidPlacement(f"{model.manifest.name} does not run in {', '.join(sorted(missing))} on this device")


def _job(
    model: DeviceModel,
    options: CallOptions,
    *,
    evaluation: Evaluation,
    plan: Candidate,
    made: tuple[JobStep, ...],
    elsewhere: Mapping[int, tuple[JobStep, ...]],
    caps: Caps,
    sparing: bool,
    profiled: bool,
    little: DeviceModel | None = None,
) -> Job:
    latency_ms, device, call = options.budget.latency_ms, evaluation.device, evaluation.call
    first = made[0].crossing if made else None
    prep_s = 0.0 if first is not None and first.codec == SOURCE else call.prep_s
    companion = None if plan.cloud is None else evaluation.companions[plan.cloud]
    asked = None if little is None else little_step(model, little, plan.little)
    layers, is_asked = len(model.manifest.layers), companion is not None or not options.is_fixed
    here_s = prep_s + device.speed * sum(step.run_s for step in made if step.crossing is None)
    if asked is not None:
        here_s += asked.run_s * device.speed + (call.little_prep_s if plan.little and plan.little.prepares else 0.0)
    return Job(
        model=model,
        steps=made,
        codec=plan.codec,
        precisions=plan.precisions,
        companion=companion,
        standbys=tuple(Standby(evaluation.companions[cloud], steps) for cloud, steps in elsewhere.items()),
        caps=caps,
        device=device,
        alone="" if companion is not None else _why_alone(model, evaluation.companions),
        fallback=evaluation.policy.fallback,
        sparing=sparing,
        # After the job, the device makes the caller's answer, and needs the overhead to wrap it up and send it.
        deadline_s=None if latency_ms is None else latency_ms / 1e3 - device.overhead_s - call.answer_s,
        slow=evaluation.prediction.basis.slow,
        here_s=here_s,
        prep_s=call.prep_s,
        profiled=profiled,
        little=asked,
        # Who says that all is to run here may mean that nothing is to leave.
        picture_may_leave=is_asked and evaluation.policy.allows(0, layers, layers),
    )


def _why_alone(model: DeviceModel, companions: Sequence[Companion]) -> str:
    return "; ".join(each.why_not(model.digest) for each in companions) or "no companion is configured"
