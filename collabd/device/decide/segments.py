"""The segments of a model with one companion, and what can cross between them. Placements are planned from these."""

from __future__ import annotations

from dataclasses import dataclass

from collabd.catalog.package.manifest import Cut
from collabd.device.decide.crossings import FILE_UP, answer_down, options_up, tensors_down
from collabd.device.decide.spans import Spans
from collabd.device.fidelity.figures import FidelityOf, as_packed
from collabd.device.models.model import DeviceModel
from collabd.planning.placements.chain import Chain
from collabd.profiling.profile import Profile


@dataclass(frozen=True, kw_only=True)
class ModelSegments:
    """The chain for planning, with the cuts where its segments start and the seconds of runs on either side.

    `here`: seconds on the device. `there`: seconds on the companion. `layers`: the number of layers of the network.
    """

    chain: Chain
    cuts: tuple[Cut, ...]
    here: Spans
    there: Spans
    layers: int

    @property
    def starts(self) -> tuple[int, ...]:
        """The first layer of each segment."""
        return tuple(cut.head_layers for cut in self.cuts)

    def placement(self, letters: str) -> str:
        """Turns one letter for each segment into one letter for each layer."""
        ends = (*self.starts[1:], self.layers)
        return "".join(letter * (end - start) for letter, start, end in zip(letters, self.starts, ends, strict=True))


def segments(
    model: DeviceModel, here: Profile, there: Profile, *, cloud: int, fidelity_of: FidelityOf = as_packed
) -> ModelSegments:
    """The segments, from the profile of the device (`here`) and of the companion with the index `cloud` (`there`)."""
    times_here, times_there = ({times.cut: times for times in profile.cuts} for profile in (here, there))
    cuts = tuple(cut for cut in model.manifest.cuts if cut.name in times_here and cut.name in times_there)
    names = [cut.name for cut in cuts]
    spans_here, spans_there = Spans(here, names), Spans(there, names)
    options = (
        tuple(options_up(cut, times_here[cut.name], times_there[cut.name], fidelity_of=fidelity_of)) for cut in cuts
    )
    inner = (sum(model.network.tensor(name).nbytes for name in cut.tensors) for cut in cuts[1:])
    answer = answer_down(model.manifest, model.network, model.manifest.cuts[-1])
    chain = Chain(
        cloud=cloud,
        device_s=spans_here.by_heads(),
        cloud_s=spans_there.by_tails(),
        up=tuple((FILE_UP, *up) if _takes_file(model, cut) else up for cut, up in zip(cuts, options, strict=True)),
        down=tuple((option,) for option in (*map(tensors_down, inner), answer)),
    )
    return ModelSegments(chain=chain, cuts=cuts, here=spans_here, there=spans_there, layers=len(model.manifest.layers))


def _takes_file(model: DeviceModel, cut: Cut) -> bool:
    return cut.head_layers == 0 and model.manifest.picture is not None
