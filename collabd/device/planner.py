"""From a call to the plan that will serve it: gathers what is known now and lets `planning` choose."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from collab_sdk.errors import InvalidPlacement
from collab_sdk.result import EnergySource
from collabd.codec import IMAGE_CODECS
from collabd.config import DeviceConfig
from collabd.device.companion import Companion
from collabd.device.job import Job
from collabd.device.model import Model
from collabd.device.options import Options
from collabd.device.photo import Photo
from collabd.device.placement import head_layers_of, parse_placement, single_cut, stages
from collabd.device.plans import LOCAL_CUT, NO_CODEC, candidates
from collabd.device.senses import Senses
from collabd.planning import Candidate, Candidates, Caps, CloudState, DeviceState, Prediction, Request, predict
from collabd.planning.candidates import SOURCE
from collabd.planning.choose import Decision, Stickiness, choose
from collabd.planning.chooser import Chooser
from collabd.profiling.profile import Profile
from collabd.sensing.speed import SpeedFactor

FIXED = "fixed"


@dataclass(frozen=True)
class Evaluation:
    """Every candidate of a call and what each is predicted to take."""

    plans: Candidates
    prediction: Prediction
    caps: Caps
    allowed: npt.NDArray[np.bool_] | None


@dataclass(frozen=True)
class Planned:
    """A plan ready to run. `row` is its row in `evaluation`; None: a fixed placement that is no candidate."""

    job: Job
    cut: str
    placement: str
    reason: str
    evaluation: Evaluation
    row: int | None
    unmet: tuple[str, ...] = ()


class Planner:
    """Knows the device's speed and power, and the companions."""

    def __init__(self, config: DeviceConfig, companions: Sequence[Companion], senses: Senses) -> None:
        self.speed = SpeedFactor(config.emulation.device_slowdown)
        self._settings = config.planning
        self._chooser = Chooser(Stickiness(config.planning.switch_gain_ms / 1e3, config.planning.switch_gain_ratio))
        self._companions = companions
        self._senses = senses
        self._candidates: dict[str, tuple[tuple[Profile | None, ...], Candidates]] = {}

    def candidates(self, model: Model) -> Candidates:
        """The plans of a model; made anew only when a profile came or went."""
        profiles = (model.profile, *(companion.profiles.get(model.digest) for companion in self._companions))
        known = self._candidates.get(model.digest)
        if known is None or any(a is not b for a, b in zip(known[0], profiles, strict=True)):
            known = self._candidates[model.digest] = profiles, candidates(model, profiles[1:])
        return known[1]

    def evaluate(self, model: Model, photo: Photo | None, options: Options) -> Evaluation:
        """Predict every candidate for a call; no photo: for a picture of the network's own size, given as pixels."""
        plans = self.candidates(model)
        states = [companion.state_for(model.digest) for companion in self._companions]
        request = self._request(model, photo)
        prediction = predict(plans, self.device_state(), states, request, self._settings.deadline_quantile)
        allowed = _allowed(plans, prediction, options)
        return Evaluation(plans, prediction, options.caps(self._settings.min_fidelity), allowed)

    def decide(self, evaluation: Evaluation, kind: Hashable | None = None) -> Decision:
        """Choose among the candidates evaluated, beside the plan that calls of the kind had last.

        None: it is no call but a look at what a call would get, which neither sees nor leaves a last plan.
        """
        if kind is None:
            return choose(evaluation.plans, evaluation.prediction, evaluation.caps, allowed=evaluation.allowed)
        return self._chooser.choose(kind, evaluation.plans, evaluation.prediction, evaluation.caps, evaluation.allowed)

    def plan(self, model: Model, photo: Photo, options: Options) -> Planned:
        """The plan of a call. Raises `InvalidPlacement`."""
        evaluation = self.evaluate(model, photo, options)
        if options.is_fixed:
            return self._fixed(model, photo, options, evaluation)
        kind = (model.digest, evaluation.caps, options.codec, options.fallback, photo.file_bytes is None)
        decision = self.decide(evaluation, kind)
        chosen = evaluation.plans.rows[decision.row]
        placement = single_cut(head_layers_of(chosen.cut, model.manifest), len(model.manifest.layers))
        companion = None if chosen.cloud is None else self._companions[chosen.cloud]
        return Planned(
            job=self._job(model, photo, options, placement, chosen, companion),
            cut=chosen.cut,
            placement=placement,
            reason=decision.reason,
            evaluation=evaluation,
            row=decision.row,
            unmet=decision.unmet,
        )

    def device_state(self) -> DeviceState:
        """The device as planning sees it."""
        power = self._senses.snapshot.power.board
        return DeviceState(
            self.speed.value, self.speed.spread, power.busy_w, power.idle_w, power.tx_w_per_mbps, power.tx_base_w
        )

    @property
    def energy_source(self) -> EnergySource:
        """Whether an instrument says what busy and idle draw. Sending is modelled in any case."""
        return "measured" if self._senses.snapshot.power.measured else "modelled"

    def _fixed(self, model: Model, photo: Photo, options: Options, evaluation: Evaluation) -> Planned:
        manifest = model.manifest
        if options.placement is not None:
            placement = parse_placement(options.placement, manifest)
        else:
            placement = single_cut(head_layers_of(options.cut or LOCAL_CUT, manifest), len(manifest.layers))
        cut = _cut_name(model, placement)
        codec = _fixed_codec(options, placement, photo)
        cloud = self._first_up(model) if "C" in placement else None
        row = evaluation.plans.index.get((cut, codec, cloud))
        if row is not None:
            plan = evaluation.plans.rows[row]
        else:
            plan = Candidate(cut, codec, cloud, 0, 0, 0, 0, 0, self._whole_there_s(model, cloud), model.whole_s, 0.0)
        companion = None if cloud is None else self._companions[cloud]
        job = self._job(model, photo, options, placement, plan, companion)
        return Planned(job, cut, placement, FIXED, evaluation, row)

    def _job(
        self,
        model: Model,
        photo: Photo,
        options: Options,
        placement: str,
        plan: Candidate,
        companion: Companion | None,
    ) -> Job:
        slow = self.speed.value * (1 + NormalDist().inv_cdf(self._settings.deadline_quantile) * self.speed.spread)
        prep_s = model.prep.at(photo.pixels / 1e6) if plan.codec == SOURCE else 0.0
        latency_ms = options.budget.latency_ms
        return Job(
            model=model,
            photo=photo,
            stages=stages(placement),
            codec=plan.codec,
            channel_axis=_channel_axis(model, plan),
            companion=companion,
            fallback=options.fallback,
            sparing=options.budget.energy_mj is not None or options.budget.objective in {"energy", "cost"},
            deadline_s=None if latency_ms is None else latency_ms / 1e3,
            local_tail_s=plan.local_tail_s * slow + prep_s,
            tail_s=plan.tail_s + plan.decode_s,
        )

    def _request(self, model: Model, photo: Photo | None) -> Request:
        spec = model.manifest.preprocessing
        pixels = spec.height * spec.width if photo is None else photo.pixels
        prep_s = model.prep.at(pixels / 1e6)
        here = model.profile
        there = [companion.profiles.get(model.digest) for companion in self._companions]
        idle_s = prep_s / self.speed.value
        cloud_prep_s = tuple(
            0.0 if profile is None or here is None else idle_s * profile.prep_ms / here.prep_ms for profile in there
        )
        return Request(prep_s, cloud_prep_s, None if photo is None else photo.file_bytes)

    def _first_up(self, model: Model) -> int | None:
        states: list[CloudState] = [companion.state_for(model.digest) for companion in self._companions]
        return next((index for index, state in enumerate(states) if state.up), None)

    def _whole_there_s(self, model: Model, cloud: int | None) -> float:
        profile = None if cloud is None else self._companions[cloud].profiles.get(model.digest)
        return 0.0 if profile is None else profile.whole_ms / 1e3


def _allowed(plans: Candidates, prediction: Prediction, options: Options) -> npt.NDArray[np.bool_] | None:
    if options.fallback == "never-leave":
        return plans.local
    if options.codec is None or options.is_fixed:
        return None
    wanted: npt.NDArray[np.bool_] = np.array([row.codec == options.codec for row in plans.rows])
    return wanted if bool((wanted & prediction.possible).any()) else plans.local


def _cut_name(model: Model, placement: str) -> str:
    """The cut that a placement with one crossing is; otherwise the placement itself."""
    head = placement.count("D")
    layers = model.manifest.layers
    if placement != single_cut(head, len(layers)):
        return placement
    if head == len(layers):
        return LOCAL_CUT
    return model.manifest.cuts[0].name if head == 0 else layers[head - 1].name


def _fixed_codec(options: Options, placement: str, photo: Photo) -> str:
    if "C" not in placement:
        return NO_CODEC
    image_cut = placement.startswith("C")
    codec = options.codec or ("u8" if image_cut else "f32")
    if codec in (*IMAGE_CODECS, SOURCE) and not image_cut:
        raise InvalidPlacement(f"codec {codec} is for the image, but the first layer runs on the device")
    if codec == SOURCE and ("D" in placement or photo.file_bytes is None):
        raise InvalidPlacement("codec source sends an image file as it came: give a file, and all layers to the cloud")
    return codec


def _channel_axis(model: Model, plan: Candidate) -> int | None:
    for cut in model.manifest.cuts:
        if cut.name == plan.cut:
            return next((figures.channel_axis for figures in cut.codecs if figures.codec == plan.codec), None)
    return None
