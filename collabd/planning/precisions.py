"""In which precision the two parts of a plan run."""

from __future__ import annotations

from typing import NamedTuple

from collab_sdk.vocabulary import Precision


class Precisions(NamedTuple):
    """`head`: of what runs before the crossing. `tail`: of what runs behind it, on whichever machine.

    They are the same in a plan that has only one of the two.
    """

    head: Precision = Precision.FP32
    tail: Precision = Precision.FP32

    @classmethod
    def parse(cls, text: str) -> Precisions:
        """Read "int8", or "int8/fp32" for head and tail. Raises `ValueError`."""
        head, slash, tail = text.partition("/")
        return cls(Precision(head), Precision(tail if slash else head))

    def __str__(self) -> str:
        return str(self.head) if self.head == self.tail else f"{self.head}/{self.tail}"

    def of(self, letters: str) -> Precisions:
        """What they mean for a placement, one letter for each layer: without a head it has no precision of its own."""
        if "D" not in letters:
            return Precisions(self.tail, self.tail)
        return self if "C" in letters else Precisions(self.head, self.head)


IN_FP32 = Precisions()
