"""What the clients ask for, drawn from a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from collab_sdk.vocabulary import Fallback, Precision
from collabd.catalog.package.package import Package
from collabd.codec import FEATURE_CODECS, IMAGE_CODECS

Form = Literal["file", "pixels"]

# Which networks are called, and how often.
WEIGHTS = {"alexnet_cifar10": 0.45, "vgg16_cifar10": 0.4, "efficientnet_lite0": 0.15}
# The kinds of calls in a run: without a deadline, with a deadline of a class, or with one and kept on the device.
NO_DEADLINE = "none"
LOCAL = "never-leave, 1.5 x p99"
SHARES = {NO_DEADLINE: 0.45, "1.5 x p99": 0.25, "4 x p99": 0.15, LOCAL: 0.1, "half the median": 0.05}
# The share of the calls without a deadline whose cut and codec are forced, so that faults hit every codec and cut.
_FORCED = 0.4
# Of the others, of a pair, the share in which the big network has to compute in fp32.
_IN_FP32 = 0.5


@dataclass(frozen=True)
class Order:
    """One call. `deadline` names its class; `pause_s` is before the call; `image` a key of the images."""

    model: str
    image: str
    form: Form
    pause_s: float
    deadline: str = NO_DEADLINE
    deadline_ms: float | None = None
    fallback: Fallback | None = None
    cut: str | None = None
    codec: str | None = None
    precision: str | None = None

    @property
    def budget(self) -> str | None:
        """As the caller writes it."""
        return None if self.deadline_ms is None else f"{self.deadline_ms:g}ms"


@dataclass(frozen=True)
class Drawer:
    """Draws orders. `images`: names by network."""

    packages: Mapping[str, Package]
    images: Mapping[str, Sequence[str]]
    pause_s: float
    luck: Random = field(default_factory=Random)

    def local(self, count: int) -> list[Order]:
        """Calls that stay on the device: what it can do alone."""
        return [self._order(fallback=Fallback.NEVER_LEAVE) for _ in range(count)]

    def mixed(self, count: int, deadlines: Mapping[tuple[str, str], float]) -> list[Order]:
        """Calls of all kinds; `deadlines` in milliseconds by network and class."""
        return [self._mixed(deadlines) for _ in range(count)]

    def failing(self, count: int) -> list[Order]:
        """Calls that may not be finished on the device, and are forced to leave it."""
        return [self._forced(fallback=Fallback.FAIL) for _ in range(count)]

    def _mixed(self, deadlines: Mapping[tuple[str, str], float]) -> Order:
        kind = self.luck.choices(list(SHARES), list(SHARES.values()))[0]
        if kind == NO_DEADLINE:
            return self._forced(None) if self.luck.random() < _FORCED else self._free()
        order = self._order(Fallback.NEVER_LEAVE if kind == LOCAL else None)
        return Order(
            **vars(order) | {"deadline": kind, "deadline_ms": deadlines[order.model, kind]},
        )

    def _order(self, fallback: Fallback | None) -> Order:
        names = [name for name in WEIGHTS if name in self.packages]
        model = self.luck.choices(names, [WEIGHTS[name] for name in names])[0]
        form: Form = "file" if self.luck.random() < 0.5 else "pixels"
        image = self.luck.choice(self.images[model])
        return Order(model, image, form, self.luck.expovariate(1 / self.pause_s), fallback=fallback)

    def _free(self) -> Order:
        """The plan is collabd's. Beside int8 a little network may not be worth asking, so half of a pair's calls do
        without int8 for the big one."""
        order = self._order(None)
        pair = self.packages[order.model].manifest.little is not None
        in_fp32 = pair and self.luck.random() < _IN_FP32
        return Order(**vars(order) | {"precision": str(Precision.FP32)}) if in_fp32 else order

    def _forced(self, fallback: Fallback | None) -> Order:
        order = self._order(fallback)
        cut = self.luck.choice(self.packages[order.model].manifest.cuts)
        codecs = [*(IMAGE_CODECS if cut.head_layers == 0 else FEATURE_CODECS)]
        if cut.head_layers == 0 and order.form == "file":
            codecs.append("source")
        there = self.packages[order.model].manifest.precisions
        precision = f"{self.luck.choice(there)}/{self.luck.choice(there)}"
        return Order(**vars(order) | {"cut": cut.name, "codec": self.luck.choice(codecs), "precision": precision})
