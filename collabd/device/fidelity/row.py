"""What a fidelity belongs to."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import CodecFigures, Cut
from collabd.planning import Candidate
from collabd.planning.candidates import SOURCE
from collabd.planning.precisions import IN_FP32, Precisions

# In the place of a cut.
_LITTLE, _REDUCED = "little network", "reduced precision"


@dataclass(frozen=True, order=True)
class Row:
    """One way in which a network is split. Whatever changes its answers stands here, and nothing else."""

    cut: str
    codec: str
    _: KW_ONLY
    # Of what runs before the cut and behind it; the same at the first cut, before which nothing runs.
    head: Precision = Precision.FP32
    tail: Precision = Precision.FP32

    @classmethod
    def packed(cls, cut: Cut, figures: CodecFigures) -> Row:
        """The row that these figures of a package are about."""
        head = figures.head if cut.head_layers else figures.tail
        return cls(cut.name, figures.codec, head=head, tail=figures.tail)

    @classmethod
    def of_plan(cls, plan: Candidate) -> Row:
        """The row of a plan with one crossing, or none. If the tail is in a reduced precision: without that."""
        if plan.tail == Precision.INT8 and (plan.cloud is None or plan.codec == SOURCE):
            return WHOLE_INT8
        return cls(plan.cut, plan.codec, head=plan.head.graph, tail=plan.tail.graph)

    @classmethod
    def of_reduced(cls, precision: Precision, by: str) -> Row:
        """The row of all layers in a reduced precision. What other machines make of it counts apart (`computed_by`)."""
        return cls(_REDUCED, by, head=precision, tail=precision)

    @classmethod
    def of_threshold(cls, precision: Precision, least: float) -> Row:
        """The row of a little network that computes in this precision, and answers where its sureness is `least` or
        more; the big one answers the rest without loss."""
        return cls(_LITTLE, f"{least:.6g}", head=precision, tail=precision)

    @property
    def asks_little(self) -> bool:
        """Whether it is about a threshold, and not a way to split the network."""
        return self.cut == _LITTLE

    @property
    def is_reduced(self) -> bool:
        """Whether it is about a reduced precision of companions, and not a way to split the network."""
        return self.cut == _REDUCED

    @property
    def is_split(self) -> bool:
        """Whether it is about a way to split the network, of which this device can compute all itself."""
        return not (self.asks_little or self.is_reduced)

    def __str__(self) -> str:
        if self.asks_little:
            return f"the little network in {self.tail} from a sureness of {self.codec} on"
        if self.is_reduced:
            return f"{self.tail} by {self.codec}"
        precisions = Precisions(self.head, self.tail)
        return f"{self.codec} at {self.cut}" + ("" if precisions == IN_FP32 else f" in {precisions}")


# A picture that crosses unchanged, and all behind it in int8. On the device it is the same, and so it is for a file.
WHOLE_INT8 = Row("image", "u8", head=Precision.INT8, tail=Precision.INT8)
