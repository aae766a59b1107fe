"""The options of a call: read from the request's parameters, checked, and completed with defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from collab_sdk.budget import Budget
from collab_sdk.errors import InvalidRequest
from collab_sdk.vocabulary import Fallback, Objective, OnInfeasible, Precision
from collabd.codec import FEATURE_CODECS, IMAGE_CODECS, JPEG, USUAL_JPEG
from collabd.http.parameters import check_parameters, timeout_ms
from collabd.planning import Caps
from collabd.planning.candidates import SOURCE
from collabd.planning.precisions import Precisions

# The parameters of a call, and what each means.
PARAMETERS = {
    "budget": "caps and an objective, with commas between them: `80ms`, `150mJ`, `cost 0.002`, `99%`, `min-energy`",
    "cut": "the layer behind which the network is cut; `image` leaves all of it to the companion, `output` nothing",
    "placement": "a letter for each layer: D on the device, C on the companion",
    "codec": "how features travel, or the image: the only one, or the only ones, that a plan may have",
    "precision": "how the layers compute: `fp32`, `int8`, on companions `bf16`, or head and tail as in `int8/fp32`",
    "pin_first": "how many of the first layers must run on the device",
    "pin_last": "how many of the last layers must run on the device",
    "fallback": "when the companion fails: `local` finishes here, `fail` fails, `never-leave` sends nothing at all",
    "on_infeasible": "when no plan fits the budget: `nearest` runs the nearest, `fail` fails before anything runs",
    "raw": "true: the network's own outputs are the answer",
    "stream": "the name of the stream that the picture belongs to, of up to 64 letters",
}
# Letters of the name of a stream.
_MOST_LETTERS = 64
_LEAST_LEFT = 1e-3
_REMEMBERED = 256
_CODECS = (*FEATURE_CODECS, *IMAGE_CODECS, SOURCE)

T = TypeVar("T", bound=StrEnum)
U = TypeVar("U")


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """What the caller asks for. `cut` or `placement` fixes where the layers run; then `codec` says how features travel,
    and `precision` (None: fp32) how the layers compute. In other calls both limit the choice.

    The first `pin_first` layers and the last `pin_last` layers stay on the device. `fallback` None: the fallback of the
    model's policy applies. `raw`: the answer is the network's own outputs. `stream`: the name of the stream that the
    picture belongs to; None: it belongs to none.
    """

    budget: Budget
    cut: str | None
    placement: str | None
    codec: str | None
    precision: Precisions | None = None
    fallback: Fallback | None
    on_infeasible: OnInfeasible
    pin_first: int = 0
    pin_last: int = 0
    raw: bool = False
    stream: str | None = None

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> CallOptions:
        """Read the options from the parameters of a request. Raises `InvalidRequest` and `InvalidBudget`.

        Calls with the same parameters get the same object.
        """
        return _read(*parameters, *parameters.values())

    @cached_property
    def is_fixed(self) -> bool:
        """Whether the caller, and not the planner, says where the layers run."""
        return self.cut is not None or self.placement is not None

    @cached_property
    def is_sparing(self) -> bool:
        """Whether no tail runs here only to be faster: the budget limits energy, or its objective is not latency."""
        return self.budget.energy_mj is not None or self.budget.objective not in {None, Objective.LATENCY}

    def caps(self, min_fidelity: float) -> Caps:
        """The budget in SI units. `min_fidelity` applies if the budget states no fidelity."""
        return Caps.of(self.budget, min_fidelity)

    def after(self, waited_s: float, spent_j: float = 0.0) -> CallOptions:
        """The options with what is left of the budget after `waited_s` seconds, in which the device spent `spent_j`.

        At least 0.001 ms and 0.001 mJ are left, since a budget of 0 is not allowed.
        """
        latency_ms, energy_mj = self.budget.latency_ms, self.budget.energy_mj
        budget = self.budget
        if latency_ms is not None:
            budget = replace(budget, latency_ms=max(latency_ms - waited_s * 1e3, _LEAST_LEFT))
        if energy_mj is not None and spent_j:
            budget = replace(budget, energy_mj=max(energy_mj - spent_j * 1e3, _LEAST_LEFT))
        return self if budget is self.budget else replace(self, budget=budget)

    def exactly(self) -> CallOptions:
        """The options with a budget that allows no loss."""
        return replace(self, budget=replace(self.budget, fidelity=1.0))

    def check(self) -> None:
        """Raises `InvalidRequest` for options that exclude one another."""
        if self.cut is not None and self.placement is not None:
            raise InvalidRequest("give a cut or a placement, not both")
        if self.is_fixed and self.fallback == Fallback.NEVER_LEAVE:
            raise InvalidRequest("a fixed cut or placement cannot be combined with fallback=never-leave")


# Applications send the same few parameters with each call. `typed`: 1, 1.0 and true are different values.
@lru_cache(_REMEMBERED, typed=True)
def _read(*names_and_values: Any) -> CallOptions:
    count = len(names_and_values) // 2
    parameters = dict(zip(names_and_values[:count], names_and_values[count:], strict=True))
    check_parameters(parameters, PARAMETERS)
    options = CallOptions(
        budget=_budget(parameters),
        cut=_text(parameters, "cut"),
        placement=_text(parameters, "placement"),
        codec=_codec(parameters),
        precision=_precision(parameters),
        fallback=_one_of(parameters, "fallback", Fallback, default=None),
        on_infeasible=_one_of(parameters, "on_infeasible", OnInfeasible, default=OnInfeasible.NEAREST),
        pin_first=_layers(parameters, "pin_first"),
        pin_last=_layers(parameters, "pin_last"),
        raw=_bool(parameters, "raw"),
        stream=_name(parameters, "stream"),
    )
    options.check()
    return options


def _budget(parameters: Mapping[str, Any]) -> Budget:
    """The budget of the call. If the timeout is stricter than the latency cap, the timeout becomes the cap."""
    budget, limit_ms = Budget.parse(parameters.get("budget")), timeout_ms(parameters)
    if limit_ms is None or (budget.latency_ms is not None and budget.latency_ms <= limit_ms):
        return budget
    return replace(budget, latency_ms=limit_ms)


def _text(parameters: Mapping[str, Any], key: str) -> str | None:
    value = parameters.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"{key} must be text, not {value!r}")
    return value


def _name(parameters: Mapping[str, Any], key: str) -> str | None:
    name = _text(parameters, key)
    if name is not None and not (0 < len(name) <= _MOST_LETTERS and name.isprintable()):
        raise InvalidRequest(f"{key} must be a name of 1 to {_MOST_LETTERS} printable characters")
    return name


def _codec(parameters: Mapping[str, Any]) -> str | None:
    """The codec; the word "jpeg" alone means the usual JPEG."""
    codec = _text(parameters, "codec")
    if codec == JPEG:
        return USUAL_JPEG
    if codec is not None and codec not in _CODECS:
        raise InvalidRequest(f"unknown codec {codec!r}: it is one of {', '.join((*_CODECS, JPEG))}")
    return codec


def _precision(parameters: Mapping[str, Any]) -> Precisions | None:
    text = _text(parameters, "precision")
    try:
        return None if text is None else Precisions.parse(text)
    except ValueError:
        known = " or ".join(Precision)
        raise InvalidRequest(f"precision must be {known}, or two of them as head/tail, not {text!r}") from None


def _layers(parameters: Mapping[str, Any], key: str) -> int:
    value = parameters.get(key, 0)
    if type(value) is not int or value < 0:  # bool is an int too
        raise InvalidRequest(f"{key} must be a number of layers, not {value!r}")
    return value


def _bool(parameters: Mapping[str, Any], key: str) -> bool:
    value = parameters.get(key, False)
    if type(value) is not bool:
        raise InvalidRequest(f"{key} must be true or false, not {value!r}")
    return value


def _one_of(parameters: Mapping[str, Any], key: str, kind: type[T], *, default: U) -> T | U:
    if key not in parameters:
        return default
    try:
        return kind(parameters[key])
    except ValueError as error:
        raise InvalidRequest(f"{key} must be one of {', '.join(kind)}, not {parameters[key]!r}") from error
