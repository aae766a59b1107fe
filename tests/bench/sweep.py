"""Every way to split a network, over many images, beside the unsplit network."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collab_sdk import Client, Result
from collabd.catalog.package.manifest import Manifest
from collabd.codec import USUAL_JPEG

# Several at once, so that the companion joins them into batches as it would for several devices.
_CALLERS = 8
_LEAST_Q8 = 0.995


@dataclass(frozen=True)
class Split:
    """A cut and a codec, and how often the answers must agree with the unsplit network's (0: only reported)."""

    cut: str
    codec: str
    head_layers: int
    least: float


@dataclass(frozen=True)
class Answers:
    """One row of `scores` an image, in the order of the images."""

    scores: npt.NDArray[np.float32]
    bytes_up: npt.NDArray[np.int64]

    @property
    def top1(self) -> npt.NDArray[np.intp]:
        """The class of each."""
        return np.asarray(self.scores.argmax(1), np.intp)


@dataclass(frozen=True)
class Outcome:
    """What one split made of all images. `widest_tie`: among the answers that differ, the most by which the unsplit
    network preferred its first class to its second (probability); 0 if none differs."""

    split: Split
    differing: int
    images: int
    right: int
    bytes_up: int
    largest_change: float
    widest_tie: float
    seconds: float

    @property
    def agreement(self) -> float:
        """The share of the answers that equal those of the unsplit network."""
        return 1 - self.differing / self.images

    @property
    def is_good(self) -> bool:
        """Whether that is enough."""
        return self.agreement >= self.split.least


def splits(manifest: Manifest) -> list[Split]:
    """The image at each codec, every layer at f32, every candidate cut at q8."""
    image = manifest.cuts[0].name
    return [
        *(Split(image, codec, 0, least) for codec, least in (("u8", 1.0), ("source", 1.0), (USUAL_JPEG, 0.0))),
        *(Split(layer.name, "f32", place, 1.0) for place, layer in enumerate(manifest.layers[:-1], 1)),
        *(Split(cut.name, "q8", cut.head_layers, _LEAST_Q8) for cut in manifest.cuts[1:]),
    ]


class Sweep:
    """One network behind `client`, and images with their classes."""

    def __init__(self, client: Client, manifest: Manifest, images: Sequence[tuple[bytes, int]]) -> None:
        self._client = client
        self._manifest = manifest
        self._files = [image for image, _ in images]
        self._classes = np.array([label for _, label in images])
        whole = Split("output", "none", len(manifest.layers), 1.0)
        self._unsplit = self._ask(whole)
        self.right = int((self._unsplit.top1 == self._classes).sum())

    def outcomes(self) -> Iterator[Outcome]:
        """One split after the other."""
        for split in splits(self._manifest):
            start = time.perf_counter()
            answers = self._ask(split)
            yield self._compared(split, answers, time.perf_counter() - start)

    def _compared(self, split: Split, answers: Answers, seconds: float) -> Outcome:
        unsplit = self._unsplit
        differ = answers.top1 != unsplit.top1
        second, first = np.sort(unsplit.scores, axis=1)[:, -2:].T
        return Outcome(
            split,
            differing=int(differ.sum()),
            images=len(differ),
            right=int((answers.top1 == self._classes).sum()),
            bytes_up=int(np.median(answers.bytes_up)),
            largest_change=float(np.abs(answers.scores - unsplit.scores).max()),
            widest_tie=float((first - second)[differ].max(initial=0.0)),
            seconds=seconds,
        )

    def _ask(self, split: Split) -> Answers:
        with ThreadPoolExecutor(_CALLERS) as pool:
            results = list(pool.map(lambda image: self._answer(image, split), self._files))
        return Answers(np.stack([result.scores for result in results]), np.array([it.bytes_up for it in results]))

    def _answer(self, image: bytes, split: Split) -> Result:
        codec = None if split.codec == "none" else split.codec
        result = self._client.infer(image, model=self._manifest.name, cut=split.cut, codec=codec, fallback="fail")
        ran = "D" * split.head_layers + "C" * (len(self._manifest.layers) - split.head_layers)
        if (result.ran, result.plan.codec, result.labels) != (ran, split.codec, self._manifest.labels):
            raise RuntimeError(f"asked for {split}, answered by {result}")
        return result
