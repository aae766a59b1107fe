"""The reports of the daemon's own calls, as JSON objects. None: not measured, which is neither zero nor false.

==========================  ======  ===================================
path under /collab/v1/      method  answer
==========================  ======  ===================================
``status``                  GET     `StatusReport`
``profile/MODEL``           GET     `ProfileReport`
``models``                  GET     `ModelsReport`
``models``                  POST    ``{"path": ...}`` → `ModelReport`
``models/MODEL``            GET     `LayersReport`
``models/MODEL``            DELETE  ``{"removed": MODEL}``
``explain?last=N``          GET     `ExplainReport`
``config``                  GET     `ConfigReport`
``doors``                   GET     `DoorsReport`
==========================  ======  ===================================

A door of kind dashboard answers ``status``, ``models/MODEL``, ``explain``, and ``pictures`` with a `PicturesReport`.

A companion answers ``status`` with a `CloudStatusReport`, and ``packages`` with a list of `PackageReport`.

Times are milliseconds, energies millijoules, sizes bytes unless the name says otherwise. A field of type
``Reason | str`` holds text, which equals a word of `collab_sdk.vocabulary`: compare with ``==``. A newer daemon may use
words that this SDK does not know.
"""

from __future__ import annotations

from typing import Any, TypedDict

from collab_sdk.vocabulary import (
    BreakerState,
    Cascade,
    CompanionState,
    DoorKind,
    PlanKind,
    Provider,
    Reason,
    Severity,
    Sureness,
)

__all__ = [
    "AnswersReport",
    "AuditsReport",
    "BoxReport",
    "CalibrationReport",
    "CandidateReport",
    "CloudReport",
    "CloudStatusReport",
    "CodecReport",
    "ConditionReport",
    "ConfigReport",
    "CutReport",
    "DecisionReport",
    "DeviceReport",
    "DoorReport",
    "DoorsReport",
    "EngineReport",
    "EvidenceReport",
    "ExplainReport",
    "LanesReport",
    "LastReport",
    "LayerReport",
    "LayersReport",
    "LinkReport",
    "LittleReport",
    "ModelReport",
    "ModelsReport",
    "PackageReport",
    "PictureReport",
    "PicturesReport",
    "ProfileReport",
    "RequestsReport",
    "SettingReport",
    "StatusReport",
    "StreamReport",
    "ThresholdReport",
]


class ModelReport(TypedDict):
    """A model that the daemon serves."""

    name: str
    # classify, detect, segment or tensors.
    task: str
    digest: str
    layers: int
    cuts: int
    profiled: bool
    # What its weights take of memory; None while it is put away, until a call needs it.
    weights_mb: float | None
    # The directory of its package, on the daemon's machine.
    path: str


class ModelsReport(TypedDict):
    """All models that the daemon serves."""

    models: list[ModelReport]


class LayerReport(TypedDict):
    """One layer of a model: one letter of a placement, and a cut of its name behind it."""

    name: str
    op: str
    # Multiply-accumulate operations.
    macs: int
    # Whether the planner considers cutting behind it.
    candidate: bool
    # The numbers of the layers whose results it computes from, counted from 0; -1: what the network is given. None: the
    # model is put away, until a call needs it.
    inputs: list[int] | None


class CalibrationReport(TypedDict):
    """What a codec makes of the features of a candidate cut, over the images that the package was calibrated on.

    ``precision``: in which the layers before and behind the cut compute; see `Plan`.
    ``fidelity``: the agreement with the unsplit network that these images promise, 0..1, by the measure of the model's
    task, for images that tell something: of which a classifier is sure (it gives its top-1 a probability of 0.5 or
    more), or in which there is something to be found. ``overall``: the same for any image. ``sure_images`` of the
    ``images`` are such; ``sure_agreed`` and ``agreed`` of them agreed. All four are 0 if nothing changes, if the model
    gives tensors, and if no images calibrated the package. ``mean_iou``: of a lossy codec of a segmenter, the mean
    intersection over union of the classes, 0..1.
    """

    cut: str
    codec: str
    precision: str
    bytes: int
    fidelity: float
    overall: float
    sure_agreed: int
    sure_images: int
    agreed: int
    images: int
    mean_iou: float | None


class ThresholdReport(TypedDict):
    """What comes of letting a little network answer where its sureness is ``least`` or more.

    ``share``: the part of the calibration images that it answers, 0..1. Of ``images`` of them, of which the big network
    is sure, ``agreed`` got the same answer; ``fidelity``: what both promise, if the big one answers the others exactly.
    """

    least: float
    share: float
    agreed: int
    images: int
    fidelity: float


class LadderReport(TypedDict):
    """What a little network is worth in one precision. ``score``: how its sureness is measured."""

    precision: str
    score: Sureness | str
    thresholds: list[ThresholdReport]


class LittleReport(TypedDict):
    """The little network that may answer in a model's place. ``off``: why it answers no calls; empty if it does."""

    model: str
    off: str
    ladders: list[LadderReport]


class LayersReport(TypedDict):
    """The layers of a model, in the order of a placement's letters, and the codecs of its candidate cuts."""

    model: str
    digest: str
    # What fidelity means for this model.
    measure: str
    layers: list[LayerReport]
    codecs: list[CalibrationReport]
    little: LittleReport | None


class LinkReport(TypedDict):
    """The network to one companion, as estimated now: there and back, and each way's rate.

    `age_s`: seconds since the last exchange.
    """

    rtt_ms: float | None
    up_mbps: float | None
    down_mbps: float | None
    age_s: float | None


class CloudReport(LinkReport):
    """A companion, as the device knows it."""

    name: str
    # As it is configured.
    url: str
    # Where the daemon found it and asks it now; None: it is asked at ``url``.
    found_at: str | None
    state: CompanionState | str
    # Time that the companion takes for a tail now, divided by the time in its profile.
    speed_factor: float | None
    queue_ms: float | None
    # Share of its CPUs in use, 0..1.
    load: float | None
    breaker: BreakerState | str
    # The companion's last failure, while it is not up.
    problem: str | None
    # Digests of the packages that it holds.
    packages: list[str]
    # By digest, why the companion does not serve another package of this device: "refused the package: ...".
    lacks: dict[str, str]
    # Digests of the packages that it may serve soon: it is being asked, or being sent them, or is measuring them.
    awaited: list[str]


class DeviceReport(TypedDict):
    """The machine that the daemon runs on."""

    # Share of its CPUs in use, 0..1.
    cpu_load: float | None
    # Time that the device takes for a head now, divided by the time in its profile.
    speed_factor: float | None
    memory_mb: float
    sessions: int
    session_mb: float
    # Degrees Celsius.
    temperature_c: float | None
    # The highest clock that the kernel allows now, and the highest clock of the processor.
    frequency_limit_mhz: float | None
    frequency_max_mhz: float | None
    # Why the firmware throttles the processor now: "under-voltage", ...; None: the firmware does not tell.
    throttled: list[str] | None
    # The same for any time since the boot or, if the firmware keeps no record, since the daemon started.
    throttled_before: list[str] | None
    # Charge, 0..1.
    battery: float | None
    power_w: float
    # The instrument that measures the power; or "model", followed by the reason why there is no instrument.
    power_source: str
    power_reason: str


class RequestsReport(TypedDict):
    """Calls since the daemon started."""

    total: int
    failed: int
    degraded: int
    # Of the degraded calls, those that another companion finished than the planned one.
    failed_over: int
    # Calls of which the companion ran a part.
    remote: int
    # Calls that got the last answer of their stream, and calls that were answered anew although they might have got it.
    inherited: int
    checked: int
    budget_missed: int


class AuditsReport(TypedDict):
    """What the device took, while it was idle, to learn from the pictures of its calls how faithful lossy plans are."""

    # The most that audits may take, and what they have taken since the daemon started: shares of one core.
    most: float
    share: float
    core_s: float
    # How many pictures were counted, and how many were like one that was counted before.
    pictures: int
    copies: int


class LastReport(TypedDict):
    """The latest call that was answered."""

    model: str
    cut: str
    codec: str
    precision: str
    # The little network of the plan, its precision, when it is asked, and its name again if it answered.
    little: str | None
    little_precision: str | None
    cascade: Cascade | str | None
    answered_by: str | None
    placement: str
    cloud: str | None
    reason: Reason | str
    predicted_ms: float | None
    measured_ms: float
    budget_met: bool
    degraded: bool
    why: str


class ConditionReport(TypedDict):
    """Something about the daemon that somebody should know, as long as it lasts.

    ``code`` is stable: "companion-lost". ``about``: the companion, model or door that it concerns; empty: the daemon.
    ``what``: a sentence; ``do``: what to do about it. ``since_s``: for how many seconds it has lasted.
    ``behind``: the code of the condition that explains this one; shown in its place. None: it stands for itself.
    """

    code: str
    about: str
    severity: Severity | str
    what: str
    do: str
    since_s: float
    behind: str | None


class StreamReport(TypedDict):
    """The calls of one model and stream (empty: those that belong to none) since the daemon started.

    Of the last call that was answered: ``kind``, how; its plan, as in `LastReport`; ``head_layers``: the first of
    ``layers`` that its plan runs on the device before anything is sent; what was predicted and measured. ``kind`` None:
    no call was answered yet, and the plan is empty. ``kinds``: how many calls were answered in each way. ``missed``:
    calls that kept not all of their budget. ``fidelity``: what is promised of the last answer, 0..1 (1: nothing
    changed); None: nobody knows. ``fidelity_pictures``: on how many pictures the promise rests, as they still count;
    None: on none, since the plan changes nothing, or since the model's fidelity is not counted.

    Streams are bounded: those that were silent longest are told together, as the model and stream "(others)".
    """

    model: str
    stream: str
    kind: PlanKind | str | None
    cut: str
    head_layers: int
    layers: int
    codec: str
    precision: str
    placement: str
    cloud: str | None
    predicted_ms: float | None
    measured_ms: float | None
    # Seconds since its last call, which may have failed.
    age_s: float
    calls: int
    kinds: dict[str, int]
    failed: int
    degraded: int
    missed: int
    bytes_up: int
    bytes_down: int
    energy_mj: float
    cost: float
    fidelity: float | None
    fidelity_pictures: float | None


class StatusReport(TypedDict):
    """The state of the daemon."""

    version: str
    pid: int
    uptime_s: float
    ready: bool
    models: list[ModelReport]
    clouds: list[CloudReport]
    device: DeviceReport
    requests: RequestsReport
    audits: AuditsReport
    # The worst first.
    health: list[ConditionReport]
    # The latest first.
    streams: list[StreamReport]
    last: LastReport | None


class EvidenceReport(TypedDict):
    """The pictures that speak for a lossy plan, as far as they still count: those of this device's calls, and the
    package's.

    ``agreed``: the share of them, 0..1, for which the answer was the unsplit network's. Only pictures that tell
    something count.
    """

    agreed: float
    here: float
    packaged: float


class CodecReport(TypedDict):
    """One way to send the features of a cut."""

    bytes: int | None
    # The agreement with the unsplit network that is promised, 0..1, for images that tell something; and for any image,
    # as the package has it.
    fidelity: float | None
    overall: float | None
    # What ``fidelity`` is promised from; None: the codec is lossless, or no agreement is counted.
    evidence: EvidenceReport | None
    encode_ms: float | None
    decode_ms: float | None
    predicted_ms: float | None
    # What that is made of, in the order in which it happens, each by its name: "overhead" (of the daemons and the
    # caller), "lane" (the wait for the device), "prep" (of the image), "little" (a network that is asked first),
    # "head", "encode", "round_trip", "up", "queue" (at the companion), "decode", "tail", "down", "answer". Of a plan
    # with a little network they are those of the calls that it leaves; where the device may overtake the companion,
    # they are those of the companion's way.
    phases_ms: dict[str, float]
    predicted_energy_mj: float | None
    predicted_cost: float | None
    # Why the planner would choose this codec, or not.
    verdict: Reason | str


class CutReport(TypedDict):
    """One candidate cut in one precision, or the row "output": everything on the device, with "none" for its codec."""

    cut: str
    # Of the layers before the cut and of those behind it; see `Plan`.
    precision: str
    # As in `CandidateReport`.
    cascade: Cascade | str | None
    little_precision: str | None
    little_share: float | None
    # The companion that would run the tail; None: nothing leaves the device.
    cloud: str | None
    head_layers: int
    head_ms: float | None
    # On the companion.
    tail_ms: float | None
    # The same tail on the device, in the quickest precision that is faithful enough: what a failure of the companion
    # costs.
    local_tail_ms: float | None
    codecs: dict[str, CodecReport]


class ProfileReport(TypedDict):
    """Times and bytes of each cut of a model on this machine, and how the planner would judge it now."""

    model: str
    digest: str
    machine: str
    budget: str
    # What fidelity means for this model.
    measure: str
    # Plans of less are left out, 0..1.
    least_fidelity: float
    whole_ms: float | None
    # None: the model has no int8 graph, or it does not run here.
    whole_int8_ms: float | None
    prep_ms: float | None
    cloud: str | None
    link: LinkReport | None
    rows: list[CutReport]


class CandidateReport(TypedDict):
    """One plan that was considered for a call.

    ``cascade``: when it asks a little network, which computes in ``little_precision`` and is expected to answer the
    part ``little_share`` of calls, 0..1; None: it asks none. Predicted latency, energy and cost are means over both
    kinds of calls; ``deadline_ms`` is of the calls that the little network leaves.
    """

    cut: str
    codec: str
    precision: str
    cascade: Cascade | str | None
    little_precision: str | None
    little_share: float | None
    cloud: str | None
    predicted_ms: float
    # Milliseconds: the predicted latency at the deadline quantile, which caps are judged by.
    deadline_ms: float
    energy_mj: float
    cost: float
    fidelity: float
    # As in `CodecReport`.
    evidence: EvidenceReport | None
    verdict: Reason | str


class DecisionReport(TypedDict):
    """An answered call, with the candidates of its decision; no candidates if the call itself stated the placement.

    If a plan has several crossings, its placement (one letter for each layer) stands in place of the cut's name.
    """

    age_s: float
    model: str
    # In a line, as `str` of the SDK's answers gives it: "espresso 0.95". The shares of a mask are those of a grid.
    answer: str
    budget: str
    cut: str
    codec: str
    precision: str
    # The little network of the plan, its precision, when it is asked, and its name again if it answered.
    little: str | None
    little_precision: str | None
    cascade: Cascade | str | None
    answered_by: str | None
    placement: str
    # The companion of the plan, and the one that really ran its part; "one+two": each ran a part.
    cloud: str | None
    ran_on: str | None
    reason: Reason | str
    predicted_ms: float | None
    measured_ms: float
    budget_met: bool
    degraded: bool
    why: str
    candidates: list[CandidateReport]


class ExplainReport(TypedDict):
    """The last decisions, the latest first.

    ``found_at``: by name, where the daemon asks companions now that it found elsewhere than they are configured.
    """

    decisions: list[DecisionReport]
    found_at: dict[str, str]


class SettingReport(TypedDict):
    """One setting; secrets are masked."""

    value: Any
    # The file it came from, an environment variable, or "default".
    origin: str


class ConfigReport(TypedDict):
    """The effective configuration."""

    file: str | None
    # By dotted key: "energy.busy_w".
    settings: dict[str, SettingReport]


class DoorReport(TypedDict):
    """A door of the device daemon for programs that know another protocol, and what has come through it."""

    kind: DoorKind | str
    address: str
    # What calls get that state none; None: the default model, and no budget.
    model: str | None
    budget: str | None
    # Whether calls need a token, and whether they come over TLS.
    keys: bool
    tls: bool
    calls: int
    failed: int
    # Seconds since the last call; None: none has come.
    last_s: float | None


class DoorsReport(TypedDict):
    """The doors that are open. The condition "door-refused" tells of those that could not be opened."""

    doors: list[DoorReport]


class BoxReport(TypedDict):
    """Something that was found in a picture. The corners of its box are parts of the picture's sides, 0..1."""

    label: str
    # 0..1.
    score: float
    x1: float
    y1: float
    x2: float
    y2: float


class PictureReport(TypedDict):
    """A picture of a call, which the dashboard shows under ``pictures/ID`` as a small JPEG, and its answer in a line.

    ``width`` and ``height`` are those of the caller's picture in pixels. ``boxes``: of a detector, the surest first.
    """

    id: int
    age_s: float
    model: str
    stream: str
    answer: str
    width: int
    height: int
    boxes: list[BoxReport]


class PicturesReport(TypedDict):
    """The last pictures of calls, the latest first. ``shown``: whether the door's `pictures` is switched on."""

    shown: bool
    pictures: list[PictureReport]


class PackageReport(TypedDict):
    """A package that a companion has loaded. `provider`: what computes its fp32 graph now."""

    name: str
    digest: str
    weight_bytes: int
    layers: int
    cuts: int
    provider: Provider | str


class EngineReport(TypedDict):
    """The sessions of a companion's engine."""

    # Sessions held, and their own bytes, without the weights that they share.
    sessions: int
    bytes: int
    # How often a session was found, built and evicted since the start.
    hits: int
    builds: int
    evictions: int


class LanesReport(TypedDict):
    """What a companion computes with: under load `count` runs at once, of which so many are `busy` now."""

    count: int
    busy: int
    # Of a run that is alone; under load the lanes share them.
    cores: int


class AnswersReport(TypedDict):
    """What a companion has answered since it started."""

    total: int
    # Milliseconds that the engine took for the latest answer; None: there was no answer yet.
    last_ms: float | None


class CloudStatusReport(TypedDict):
    """The state of a companion, as the companion itself reports it."""

    version: str
    pid: int
    uptime_s: float
    ready: bool
    # Share of its CPUs in use, 0..1.
    load: float | None
    # Requests that wait for the engine.
    queue: int
    lanes: LanesReport
    packages: list[PackageReport]
    engine: EngineReport
    answers: AnswersReport
    # The worst first.
    health: list[ConditionReport]
