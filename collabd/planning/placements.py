"""The best placement there is, whatever the number of its crossings: exact, by dynamic programming over segments."""

from __future__ import annotations

from collections.abc import Sequence

from collabd.planning.cheapest import Way, cheapest, path_of, total
from collabd.planning.labels import Search
from collabd.planning.limits import Caps
from collabd.planning.predict import Request
from collabd.planning.route import Placement, evaluate, fidelity_of, letters_of, runs_of
from collabd.planning.segments import Chain
from collabd.planning.state import CloudState, DeviceState
from collabd.planning.trellis import NO_PINS, Layer, Pins, trellis
from collabd.planning.worth import Worth


def place(
    chains: Sequence[Chain],
    device: DeviceState,
    clouds: Sequence[CloudState],
    request: Request,
    caps: Caps,
    *,
    quantile: float,
    pins: Pins = NO_PINS,
) -> Placement:
    """The placement of the least objective within the caps; if there is none, the one that exceeds them least.

    There is at least one chain; all are of the same segments, each with a companion of its own, since a placement asks
    one companion only. The formulas are those of `predict`; caps and ties are treated as in `choose`.
    """
    found = []
    for chain in chains:
        cloud = clouds[chain.cloud]
        layers = trellis(chain, device, cloud, request, pins, quantile)
        worth = Worth(caps, device, cloud, quantile)
        path = _best(layers, worth)
        sums = total(layers, path)
        found.append((worth.rank(sums), worth.unmet(sums), chain, layers, path))
    _, unmet, chain, layers, path = min(found, key=lambda one: one[0])
    letters, runs = letters_of(path), runs_of(layers, path)
    return Placement(
        letters=letters,
        cloud=chain.cloud if runs else None,
        runs=runs,
        fidelity=fidelity_of(runs),
        prediction=evaluate(chain, letters, runs, device, clouds[chain.cloud], request, quantile),
        unmet=unmet,
    )


def _best(layers: Sequence[Layer], worth: Worth) -> list[Way]:
    """One label finds the least objective; only where that breaks a cap is there more to search."""
    path = path_of(cheapest(layers, worth.objective))
    if not worth.unmet(total(layers, path)):
        return path
    search = Search(layers, worth)
    within = search.best(worth.goal, (worth.objective, *worth.capped))
    return within or search.best(worth.excess, worth.capped)
