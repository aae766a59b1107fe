"""The words that calls, answers and reports choose from, each defined once for the SDK, the daemons and `collabctl`.

Each word is a `StrEnum` and equals its text: ``Fallback.LOCAL == "local"``. Calls take either. An answer may hold a
word that only a newer daemon knows; it stays text (`known_or_text`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

__all__ = [
    "BreakerState",
    "Cap",
    "Cascade",
    "CompanionState",
    "DoorKind",
    "EnergySource",
    "Fallback",
    "Objective",
    "OnInfeasible",
    "Precision",
    "Provider",
    "Reason",
    "ScoreKind",
    "Sureness",
    "TaskKind",
    "known_or_text",
]

# The cut of a plan that runs no layer: the answer is the one that the stream got last, for a picture like this.
INHERIT = "inherit"


class Fallback(StrEnum):
    """What to do when the companion fails."""

    LOCAL = "local"  # finish on the device
    FAIL = "fail"  # raise CompanionUnavailable
    NEVER_LEAVE = "never-leave"  # send nothing to a companion in the first place


class OnInfeasible(StrEnum):
    """What to do when no plan fits the budget."""

    NEAREST = "nearest"  # run the plan that most likely keeps it
    FAIL = "fail"  # raise BudgetInfeasible before anything runs


class Objective(StrEnum):
    """What to do best within the caps."""

    LATENCY = "latency"
    ENERGY = "energy"
    COST = "cost"
    THROUGHPUT = "throughput"  # answers a second of a stream


class Cap(StrEnum):
    """A limit that a budget sets."""

    LATENCY = "latency"
    ENERGY = "energy"
    COST = "cost"
    FIDELITY = "fidelity"


class Reason(StrEnum):
    """Why a plan was taken, or not."""

    CHOSEN = "chosen"
    EXPLORED = "explored"  # the plan's estimate is old or unsure; it is tried now and then, at a bounded loss
    KEPT = "kept"  # the previous plan; the best one's gain is not worth a switch
    NEAREST = "nearest"  # no plan fits the budget; this one most likely keeps it, and among equals exceeds it least
    FIXED = "fixed"  # the call itself stated the cut or the placement
    WORSE = "worse"  # fits, but another does better on the objective
    NOT_WORTH_A_SWITCH = "not-worth-a-switch"
    OVER_LATENCY = "over-latency"
    OVER_ENERGY = "over-energy"
    OVER_COST = "over-cost"
    BELOW_FIDELITY = "below-fidelity"
    BUSY = "busy"  # the companion asked to be left alone for a while
    IMPOSSIBLE = "impossible"  # the companion is down, or there is no file to send as it came
    NOT_ALLOWED = "not-allowed"  # the call's own policy or cut excludes it


# Of a plan that was taken.
TAKEN = (Reason.CHOSEN, Reason.EXPLORED, Reason.KEPT, Reason.NEAREST)


class Cascade(StrEnum):
    """When a little network is asked, which answers in the place of the big one if it is sure."""

    SERIAL = "serial"  # first; the big one runs only if the little one is unsure
    RACED = "raced"  # while the companion works on the same picture; the first to be sure of it answers


class PlanKind(StrEnum):
    """How a call was answered, in one word."""

    SPLIT = "split"  # the network was cut: head here, tail on the companion
    IMAGE = "image"  # the picture went to the companion, which ran all of the network
    LOCAL = "local"  # all on the device
    LITTLE = "little"  # a little network was sure, and answered
    INHERITED = "inherited"  # the last answer of a camera's stream, whose picture has not changed


class Severity(StrEnum):
    """How bad a health condition is."""

    NOTICE = "notice"  # nothing is lost; it may explain what is seen
    WARNING = "warning"  # calls are answered, but worse than they could be
    ERROR = "error"  # something that was configured does not work


class DoorKind(StrEnum):
    """The protocol of a door for other programs."""

    OIP = "oip"  # the Open Inference Protocol v2
    DEEPSTACK = "deepstack"  # DeepStack and CodeProject.AI
    DOODS = "doods"
    FRIGATE_ZMQ = "frigate-zmq"  # Frigate's detector of that name
    DASHBOARD = "dashboard"  # a page for browsers, which only shows


class EnergySource(StrEnum):
    """Where the energy of an answer comes from."""

    MODELLED = "modelled"  # the model of the board
    MEASURED = "measured"  # an instrument


class ScoreKind(StrEnum):
    """What a network's scores are."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"  # exactly one label is right: the scores sum to 1
    INDEPENDENT = "independent"  # each label has its own probability (sigmoids)


class Precision(StrEnum):
    """How layers compute. Those before a cut may compute otherwise than those behind it."""

    FP32 = "fp32"
    INT8 = "int8"  # 8-bit weights and activations, in a graph of its own
    BF16 = "bf16"  # the fp32 graph on a companion whose processor multiplies in bfloat16

    @property
    def graph(self) -> Precision:
        """The precision of the package's graph that computes so."""
        return Precision.FP32 if self is Precision.BF16 else self

    @property
    def is_reduced(self) -> bool:
        """Whether it is what a companion makes of another precision's graph, which can answer in its place."""
        return self.graph is not self


class Provider(StrEnum):
    """What computes the graphs of an engine: an execution provider of ONNX Runtime."""

    CUDA = "cuda"
    TENSORRT = "tensorrt"
    OPENVINO = "openvino"
    CPU = "cpu"


class Sureness(StrEnum):
    """How it is measured how sure a little network is."""

    MARGIN = "margin"  # the probability of its top-1 less that of the next
    MAX = "max"  # the probability of its top-1
    ENTROPY = "entropy"  # 1 less the entropy of its probabilities, as a part of the most that it can be


class TaskKind(StrEnum):
    """What a network is for."""

    CLASSIFY = "classify"  # a picture to scores of labels
    DETECT = "detect"  # a picture to boxes of objects
    SEGMENT = "segment"  # a picture to the class of each pixel
    TENSORS = "tensors"  # arrays to arrays, whatever they mean


class CompanionState(StrEnum):
    """The state of a companion, as the device knows it."""

    UP = "up"
    BUSY = "busy"  # up, but it has asked to be left alone for a moment
    DOWN = "down"
    UNKNOWN = "unknown"  # it has not answered yet


class BreakerState(StrEnum):
    """Whether calls go to a companion."""

    CLOSED = "closed"  # calls go to the companion
    OPEN = "open"  # it failed, and is left alone for a while
    HALF_OPEN = "half-open"  # the pause is over; one probe decides


Word = TypeVar("Word", bound=StrEnum)


def known_or_text(kind: type[Word], text: str) -> Word | str:
    """The word of this text. A word that only a newer daemon knows is returned as the text that it came as."""
    try:
        return kind(text)
    except ValueError:
        return text
