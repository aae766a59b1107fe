"""What is wrong with what is known of models: profiles that are missing or no longer true, fidelity that has fallen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from weakref import WeakKeyDictionary

from collabd.catalog.package.manifest import Agreement
from collabd.device.fidelity.figures import Fidelities
from collabd.device.fidelity.ledger import Ledger
from collabd.device.fidelity.row import Row
from collabd.device.fidelity.tally import Evidence
from collabd.device.models.model import DeviceModel
from collabd.health.conditions import Code, Sighting

# Load and clock, as they are sensed, explain a run's time within a factor of 1.5 or so.
_UNTRUE = 2.5
# A promise falls as well since the package's pictures count less and less. Only answers that differ are a drift: so
# many more, 0..1, of so many pictures.
_FALLEN = 0.01
_LEAST_PICTURES = 20.0


def profiles_seen(models: Iterable[DeviceModel], *, speed: float, expected: float) -> Iterator[Sighting]:
    """Of the models in memory. `speed`: times of runs by those in the profile; `expected`: what that should be now."""
    profiled = True
    for model in models:
        if model.profile is None:
            profiled = False
            name = model.manifest.name
            yield Sighting(
                code=Code.PROFILE_STALE, about=name, what=f"{name} is not profiled, and runs on this device alone"
            )
    untrue = speed / expected
    if profiled and not 1 / _UNTRUE < untrue < _UNTRUE:
        yield Sighting(
            code=Code.PROFILE_STALE,
            what=f"runs take {untrue:.2g} times as long as in the profiles, which load and clock do not explain",
        )


class DriftSense:
    """`caps`: the least fidelities that calls of a model ask for, as far as is known."""

    def __init__(
        self,
        models: Callable[[], Iterable[DeviceModel]],
        ledger: Ledger,
        caps: Callable[[DeviceModel], Collection[float]],
    ) -> None:
        self._models = models
        self._ledger = ledger
        self._caps = caps
        # What was found for the same beliefs and caps.
        self._found: WeakKeyDictionary[DeviceModel, tuple[Fidelities, frozenset[float], str]] = WeakKeyDictionary()

    def __call__(self) -> Iterator[Sighting]:
        """The models of which lossy plans have fallen below what calls ask for."""
        for model in self._models():
            if what := self._drift(model):
                yield Sighting(code=Code.FIDELITY_DRIFTED, about=model.manifest.name, what=what)

    def _drift(self, model: DeviceModel) -> str:
        believed, caps = self._ledger.of(model.digest, model.manifest), frozenset(self._caps(model))
        found = self._found.get(model)
        if found is None or found[0] is not believed or found[1] != caps:
            found = self._found[model] = believed, caps, _drifted(model, believed, caps)
        return found[2]


def _drifted(model: DeviceModel, believed: Fidelities, caps: Collection[float]) -> str:
    """In words, the rows that keep one of these least fidelities by the package, and not by this device's pictures."""
    fallen = [
        (believed.promised(row), str(row))
        for row, packed in _packed(model)
        if any(packed.fidelity >= least > believed.promised(row) for least in caps)
        and _has_fallen(packed, believed.evidence[row])
    ]
    if not fallen:
        return ""
    promised, row = min(fallen)
    rest = f" (and {len(fallen) - 1} more)" if len(fallen) > 1 else ""
    return f"{model.manifest.name}: this device's pictures promise {promised * 100:.1f} % of {row}{rest}"


def _packed(model: DeviceModel) -> Iterator[tuple[Row, Agreement]]:
    for cut in model.manifest.cuts:
        for figures in cut.codecs:
            if figures.agreement is not None:
                yield Row.packed(cut, figures), figures.agreement


def _has_fallen(packed: Agreement, now: Evidence) -> bool:
    if now.here < _LEAST_PICTURES or not packed.sure_images:
        return False
    return packed.sure_agreed / packed.sure_images - now.agreed / now.pictures >= _FALLEN
