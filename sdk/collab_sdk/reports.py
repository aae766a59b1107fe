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
==========================  ======  ===================================

A companion answers ``status`` with a `CloudStatusReport`, and ``packages`` with a list of `PackageReport`.

Times are milliseconds, energies millijoules, sizes bytes unless the name says otherwise. A field of type
``Reason | str`` holds text, which equals a word of `collab_sdk.vocabulary`: compare with ``==``. A newer daemon may use
words that this SDK does not know.
"""

from __future__ import annotations

from typing import Any, TypedDict

from collab_sdk.vocabulary import BreakerState, CompanionState, Reason

__all__ = [
    "AnswersReport",
    "CalibrationReport",
    "CandidateReport",
    "CloudReport",
    "CloudStatusReport",
    "CodecReport",
    "ConfigReport",
    "CutReport",
    "DecisionReport",
    "DeviceReport",
    "EngineReport",
    "ExplainReport",
    "LastReport",
    "LayerReport",
    "LayersReport",
    "LinkReport",
    "ModelReport",
    "ModelsReport",
    "PackageReport",
    "ProfileReport",
    "RequestsReport",
    "SettingReport",
    "StatusReport",
]


class ModelReport(TypedDict):
    """A model that the daemon serves."""

    name: str
    digest: str
    layers: int
    cuts: int
    profiled: bool
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


class CalibrationReport(TypedDict):
    """What a codec makes of the features of a candidate cut, over the images that the package was calibrated on.

    ``fidelity``: expected top-1 agreement with the unsplit network, 0..1, for images of which that is sure: it gives
    its top-1 a probability of 0.5 or more. ``overall``: the same for any image. ``sure_images`` of the ``images`` are
    such; ``sure_agreed`` and ``agreed`` of them agreed. All four are 0 if the codec is lossless.
    """

    cut: str
    codec: str
    bytes: int
    fidelity: float
    overall: float
    sure_agreed: int
    sure_images: int
    agreed: int
    images: int


class LayersReport(TypedDict):
    """The layers of a model, in the order of a placement's letters, and the codecs of its candidate cuts."""

    model: str
    digest: str
    layers: list[LayerReport]
    codecs: list[CalibrationReport]


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
    url: str
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
    # Calls of which the companion ran a part.
    remote: int
    budget_missed: int


class LastReport(TypedDict):
    """The latest call that was answered."""

    model: str
    cut: str
    codec: str
    placement: str
    cloud: str | None
    reason: Reason | str
    predicted_ms: float | None
    measured_ms: float
    budget_met: bool
    degraded: bool
    why: str


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
    last: LastReport | None


class CodecReport(TypedDict):
    """One way to send the features of a cut."""

    bytes: int | None
    # Expected top-1 agreement with the unsplit network, 0..1, for images of which that is sure; and for any image.
    fidelity: float | None
    overall: float | None
    encode_ms: float | None
    decode_ms: float | None
    predicted_ms: float | None
    predicted_energy_mj: float | None
    predicted_cost: float | None
    # Why the planner would choose this codec, or not.
    verdict: Reason | str


class CutReport(TypedDict):
    """One candidate cut, or the row "output": everything on the device, with "none" for its one codec."""

    cut: str
    # The companion that would run the tail; None: nothing leaves the device.
    cloud: str | None
    head_layers: int
    head_ms: float | None
    # On the companion.
    tail_ms: float | None
    # The same tail on the device: what a failure of the companion costs.
    local_tail_ms: float | None
    codecs: dict[str, CodecReport]


class ProfileReport(TypedDict):
    """Times and bytes of each cut of a model on this machine, and how the planner would judge it now."""

    model: str
    digest: str
    machine: str
    budget: str
    whole_ms: float | None
    prep_ms: float | None
    cloud: str | None
    link: LinkReport | None
    rows: list[CutReport]


class CandidateReport(TypedDict):
    """One plan that was considered for a call."""

    cut: str
    codec: str
    cloud: str | None
    predicted_ms: float
    # Milliseconds: the predicted latency at the deadline quantile, which caps are judged by.
    deadline_ms: float
    energy_mj: float
    cost: float
    fidelity: float
    verdict: Reason | str


class DecisionReport(TypedDict):
    """An answered call, with the candidates of its decision; no candidates if the call itself stated the placement.

    If a plan has several crossings, its placement (one letter for each layer) stands in place of the cut's name.
    """

    age_s: float
    model: str
    budget: str
    cut: str
    codec: str
    placement: str
    cloud: str | None
    reason: Reason | str
    predicted_ms: float | None
    measured_ms: float
    budget_met: bool
    degraded: bool
    why: str
    candidates: list[CandidateReport]


class ExplainReport(TypedDict):
    """The last decisions, the latest first."""

    decisions: list[DecisionReport]


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


class PackageReport(TypedDict):
    """A package that a companion has loaded."""

    name: str
    digest: str
    weight_bytes: int
    layers: int
    cuts: int


class EngineReport(TypedDict):
    """The sessions of a companion's engine."""

    # Sessions held, and their own bytes, without the weights that they share.
    sessions: int
    bytes: int
    # How often a session was found, built and evicted since the start.
    hits: int
    builds: int
    evictions: int


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
    packages: list[PackageReport]
    engine: EngineReport
    answers: AnswersReport
