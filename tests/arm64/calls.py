"""Which calls are made, and how far the answers of two machines may be apart."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

_CIFAR10 = tuple(f"models/samples/cifar10/{name}.jpg" for name in ("cat/0000", "frog/0005", "ship/0003", "truck/0001"))
_PHOTOS = tuple(f"models/samples/photos/{name}.jpg" for name in ("chelsea", "coffee"))
# Kernels of either machine add up in another order.
_LOSSLESS = 1e-5
# By which a value may then fall to the other side of a step of the quantiser.
_QUANTISED = 1e-3

# Of each case, by its name: the answer to every call.
Answers = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Case:
    """A model with its images, and where it is cut."""

    model: str
    images: Sequence[str]
    cut: str
    codec: str | None = None

    @property
    def name(self) -> str:
        """For the report."""
        return f"{self.model}, " + (f"cut at {self.cut} as {self.codec}" if self.codec else "all on the device")

    @property
    def tolerance(self) -> float:
        """The largest difference of a probability that is allowed."""
        return _QUANTISED if self.codec == "q8" else _LOSSLESS

    def calls(self) -> list[dict[str, Any]]:
        """The arguments of each call."""
        return [{"image": image, "model": self.model, "cut": self.cut, "codec": self.codec} for image in self.images]


WHOLE = (
    Case("alexnet_cifar10", _CIFAR10, "output"),
    Case("vgg16_cifar10", _CIFAR10, "output"),
    Case("efficientnet_lite0", _PHOTOS, "output"),
)
SPLIT = tuple(
    Case(model, images, cut, codec)
    for (model, images, cut), codec in product(
        (
            ("alexnet_cifar10", _CIFAR10, "features.5"),
            ("vgg16_cifar10", _CIFAR10[:2], "features.13"),
            ("efficientnet_lite0", _PHOTOS[:1], "blocks.5.project.norm"),
        ),
        ("f32", "q8"),
    )
)


def answers(command: Iterable[str], cases: Iterable[Case]) -> Answers:
    """What `command`, an answers.py, answers to all calls of each case."""
    cases = list(cases)
    lines = "".join(json.dumps(call) + "\n" for case in cases for call in case.calls())
    done = subprocess.run(list(command), input=lines, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2])
    answered = map(json.loads, done.stdout.splitlines())
    return {case.name: [next(answered) for _ in case.images] for case in cases}
