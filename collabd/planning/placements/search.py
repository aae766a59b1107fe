"""The best placement there is, whatever the number of its crossings: exact, by dynamic programming over segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from collabd.planning.candidates import Column
from collabd.planning.limits import Caps
from collabd.planning.nearest import EQUALLY_LIKELY
from collabd.planning.placements.chain import Chain
from collabd.planning.placements.cheapest import Way, cheapest, path_of, total
from collabd.planning.placements.labels import Search
from collabd.planning.placements.path_value import PathValue
from collabd.planning.placements.route import Placement, evaluate, fidelity_of, letters_of, runs_of
from collabd.planning.placements.trellis import CLOUD, DEVICE, LATENCY, NO_PINS, Pins, TrellisLayer, trellis
from collabd.planning.state import CallFacts, CloudState, DeviceState


@dataclass(frozen=True)
class _ScoredPath:
    """A path, and what it is worth."""

    chain: Chain
    layers: Sequence[TrellisLayer]
    path: list[Way]
    worth: PathValue

    @cached_property
    def sums(self) -> Column:
        return total(self.layers, self.path)

    @cached_property
    def unmet(self) -> tuple[str, ...]:
        return self.worth.unmet(self.sums)

    @cached_property
    def chance(self) -> float:
        return float(self.worth.chance(self.sums))

    @property
    def objective(self) -> tuple[float, float]:
        return float(self.sums[self.worth.objective]), float(self.sums[LATENCY])

    @property
    def excess(self) -> tuple[float, float]:
        return float(self.worth.excess(self.sums)), float(self.sums[LATENCY])


def place(
    chains: Sequence[Chain],
    device: DeviceState,
    clouds: Sequence[CloudState],
    call: CallFacts,
    caps: Caps,
    *,
    quantile: float,
    pins: Pins = NO_PINS,
) -> Placement:
    """The placement of the least objective within the caps.

    If there is none, the likeliest to keep them all; of equals the one that is expected to exceed them least. Where
    none is more likely than not to keep them, this is so among the placements with one crossing, and the one of all
    that is expected to exceed them least. There is at least one chain; all are of the same segments, each with a
    companion of its own, since a placement asks one companion only. The formulas are those of `predict`; caps and ties
    are treated as in `choose`.
    """
    found: list[_ScoredPath] = []
    for chain in chains:
        cloud = clouds[chain.cloud]
        layers, worth = (
            trellis(chain, device=device, cloud=cloud, call=call, pins=pins, quantile=quantile),
            PathValue(caps, device=device, cloud=cloud, quantile=quantile),
        )
        found.extend(_ScoredPath(chain, layers, path, worth) for path in _paths(layers, worth))
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


def _best(found: Sequence[_ScoredPath]) -> _ScoredPath:
    within = [one for one in found if not one.unmet]
    if within:
        return min(within, key=lambda one: one.objective)
    chance = max(one.chance for one in found)
    return min((one for one in found if one.chance >= chance - EQUALLY_LIKELY), key=lambda one: one.excess)


def _paths(layers: Sequence[TrellisLayer], worth: PathValue) -> list[list[Way]]:
    """One label finds the least objective; only where that breaks a cap is there more to search."""
    path = path_of(cheapest(layers, worth.objective))
    if not worth.unmet(total(layers, path)):
        return [path]
    search = Search(layers, worth)
    if within := search.best(worth.goal, (worth.objective, *worth.capped)):
        return [within]
    if likeliest := search.best(worth.doubt, worth.capped):
        least = float(worth.chance(total(layers, likeliest))) - EQUALLY_LIKELY
        return [search.best(partial(worth.excess, least=least), worth.capped) or likeliest]
    # Rounding may leave it none, where a cap is next to nothing.
    nearest = search.best(worth.excess, worth.capped)
    return [*filter(None, [nearest]), *_with_one_crossing(layers)]


def _with_one_crossing(layers: Sequence[TrellisLayer]) -> Iterator[list[Way]]:
    """Every path with one crossing and back at the end, and the one that stays."""
    ends = len(layers) - 1
    for leaves in range(ends):
        for row in range(len(layers[leaves].ways[DEVICE][CLOUD])):
            stays = all(len(layer.ways[CLOUD][CLOUD]) for layer in layers[leaves + 1 : ends])
            if stays and len(layers[ends].ways[CLOUD][DEVICE]):
                on = [Way(CLOUD, 0)] * (ends - leaves - 1)
                yield [*[Way(DEVICE, 0)] * leaves, Way(CLOUD, row), *on, Way(DEVICE, 0)]
    yield [Way(DEVICE, 0)] * len(layers)
