"""The seconds that a part of a network takes. The names of its input and output tensors identify the part."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import Cut, Manifest
from collabd.device.decide.spans import Spans
from collabd.profiling.profile import Profile


class PartTimes:
    """The seconds of the median run on an idle machine, for parts that begin and end at candidate cuts.

    All in one precision, which the profile must time.
    """

    def __init__(self, manifest: Manifest, profile: Profile, precision: Precision = Precision.FP32) -> None:
        self._cuts = manifest.cuts
        self._place_of = {cut.head_layers: place for place, cut in enumerate(manifest.cuts)}
        self._place_of[len(manifest.layers)] = len(manifest.cuts)
        # For each tensor, the number of layers that have run when the tensor is known.
        self._layers_of = dict.fromkeys(manifest.input_names, 0)
        for index, layer in enumerate(manifest.layers):
            for name in layer.tensors:
                self._layers_of.setdefault(name, index + 1)
        self._spans = Spans(profile, [cut.name for cut in manifest.cuts], precision)
        self.run_s = lru_cache(None)(self._run_s)
        self.device_run_s = lru_cache(None)(self._device_run_s)

    def cut(self, tensors: Iterable[str]) -> Cut:
        """The cut where these tensors cross."""
        return self._cuts[self._place(tensors)]

    def _run_s(self, feeds: tuple[str, ...], outputs: tuple[str, ...]) -> float:
        """The seconds of the part that computes `outputs` from `feeds`."""
        return self._spans.seconds(self._place(feeds), self._place(outputs))

    def _device_run_s(self, feeds: tuple[str, ...], outputs: tuple[str, ...]) -> float:
        """The same seconds, for a machine that has run the head of the network as well.

        Head and tail, profiled one by one, may add up to less than the whole network. A part that ends the network
        therefore takes at least the time of the whole network minus the time of the head.
        """
        first, last, heads_s = self._place(feeds), self._place(outputs), self._spans.heads_s
        if last == len(self._cuts):
            return max(self._spans.seconds(first, last), float(heads_s[last] - heads_s[first]))
        return self._spans.seconds(first, last)

    def _place(self, tensors: Iterable[str]) -> int:
        return self._place_of[max(self._layers_of[name] for name in tensors)]
