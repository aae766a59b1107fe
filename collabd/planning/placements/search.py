"""The best placement there is, whatever the number of its crossings: exact, by dynamic programming over segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from collab_sdk.vocabulary import Cap
from collabd.planning.candidates import Column
from collabd.planning.caps import Caps
from collabd.planning.nearest import EQUALLY_LIKELY
from collabd.planning.placements.capped_path import CappedPathSearch
from collabd.planning.placements.chain import Chain
from collabd.planning.placements.cheapest_path import PathStep, best_rests, path_of, sums_of_path
from collabd.planning.placements.path_value import PathValue
from collabd.planning.placements.placement import Placement, evaluate, fidelity_of, letters_of, runs_of
from collabd.planning.placements.trellis import CLOUD, DEVICE, LATENCY, NO_PINS, Pins, TrellisLayer, trellis
from collabd.planning.state import CallFacts, CloudState, DeviceState


@dataclass(frozen=True, kw_only=True)
class _ValuedPath:
    """A path, and what it is worth."""

    chain: Chain
    layers: Sequence[TrellisLayer]
    path: list[PathStep]
    value: PathValue

    @cached_property
    def sums(self) -> Column:
        return sums_of_path(self.layers, self.path)

    @cached_property
    def unmet(self) -> tuple[Cap, ...]:
        return self.value.unmet(self.sums)

    @cached_property
    def chance(self) -> float:
        return float(self.value.chance(self.sums))

    @property
    def objective(self) -> tuple[float, float]:
        return float(self.sums[self.value.objective]), float(self.sums[LATENCY])

    @property
    def excess(self) -> tuple[float, float]:
        return float(self.value.excess(self.sums)), float(self.sums[LATENCY])


def place(
    chains: Sequence[Chain],
    *,
    device: DeviceState,
    clouds: Sequence[CloudState],
    call: CallFacts,
    caps: Caps,
    quantile: float,
    pins: Pins = NO_PINS,
) -> Placement:
    """The placement of the least objective within the caps.

    If no placement keeps them, it is the one that most likely does; of equals the one that is expected to exceed the
    caps least. Where none has an even chance, the candidates are the placements with one crossing and the one of all
    that is expected to exceed the caps least. There is at least one chain. All are of the same segments, and each has a
    companion of its own, since a placement asks one companion only. The formulas are those of `predict`; caps and ties
    are treated as in `choose`.
    """
    found: list[_ValuedPath] = []
    for chain in chains:
        cloud = clouds[chain.cloud]
        layers = trellis(chain, device=device, cloud=cloud, call=call, pins=pins, quantile=quantile)
        value = PathValue(caps, device=device, cloud=cloud, quantile=quantile)
        paths = _paths(layers, value)
        found.extend(_ValuedPath(chain=chain, layers=layers, path=path, value=value) for path in paths)
    best = _best(found)
    letters, runs = letters_of(best.path), runs_of(best.layers, best.path)
    return Placement(
        letters=letters,
        cloud=best.chain.cloud if runs else None,
        runs=runs,
        fidelity=fidelity_of(runs),
        prediction=evaluate(
            best.chain,
            letters=letters,
            runs=runs,
            device=device,
            cloud=clouds[best.chain.cloud],
            call=call,
            quantile=quantile,
        ),
        unmet=best.unmet,
    )


def _best(found: Sequence[_ValuedPath]) -> _ValuedPath:
    within = [one for one in found if not one.unmet]
    if within:
        return min(within, key=lambda one: one.objective)
    chance = max(one.chance for one in found)
    return min((one for one in found if one.chance >= chance - EQUALLY_LIKELY), key=lambda one: one.excess)


def _paths(layers: Sequence[TrellisLayer], value: PathValue) -> list[list[PathStep]]:
    """The paths of one chain that may be the best; more than the cheapest is searched only if that breaks a cap."""
    path = path_of(best_rests(layers, value.objective))
    if not value.unmet(sums_of_path(layers, path)):
        return [path]
    search = CappedPathSearch(layers, value)
    if within := search.best(value.goal, (value.objective, *value.capped)):
        return [within]
    if likeliest := search.best(value.doubt, value.capped):
        least = float(value.chance(sums_of_path(layers, likeliest))) - EQUALLY_LIKELY
        return [search.best(partial(value.excess, least=least), value.capped) or likeliest]
    # Where a cap is next to nothing, rounding may leave no path.
    nearest = search.best(value.excess, value.capped)
    return [*filter(None, [nearest]), *_with_one_crossing(layers)]


def _with_one_crossing(layers: Sequence[TrellisLayer]) -> Iterator[list[PathStep]]:
    """Every path that crosses once and returns at the end, and the path that stays on the device."""
    ends = len(layers) - 1
    for leaves in range(ends):
        for row in range(len(layers[leaves].options[DEVICE][CLOUD])):
            stays = all(len(layer.options[CLOUD][CLOUD]) for layer in layers[leaves + 1 : ends])
            if stays and len(layers[ends].options[CLOUD][DEVICE]):
                on = [PathStep(CLOUD, 0)] * (ends - leaves - 1)
                yield [*[PathStep(DEVICE, 0)] * leaves, PathStep(CLOUD, row), *on, PathStep(DEVICE, 0)]
    yield [PathStep(DEVICE, 0)] * len(layers)
