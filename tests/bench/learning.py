"""`python -m tests.bench.learning --photographs PHOTOGRAPHS`: in how many pictures lossy plans are earned and lost.

EfficientNet-Lite0, as if no images had calibrated it, sees crops of photographs in any order, and every row of its
first cuts is audited with each. Then the scene changes: to the same photographs by night (a quarter of the light, and a
sensor's noise), or else to a poisoned stream, of pictures that all change the answer of the row. Counts are of all
pictures, and in brackets of those of which the network is sure.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import NO_IMAGES, CodecFigures, Cut, Manifest
from collabd.catalog.package.package import load
from collabd.config import PlanningSettings
from collabd.device.audit.answers import LocalAnswers
from collabd.device.audit.pictures import KnownPictures
from collabd.device.fidelity.ledger import Ledger
from collabd.device.fidelity.row import Row
from collabd.device.fidelity.tally import RowTally
from collabd.device.models.model import DeviceModel
from collabd.engine import Engine, Stop
from collabd.imaging import prepare
from collabd.profiling.likeness.classes import ClassLikeness
from collabd.profiling.likeness.likeness import likeness_of
from models.photographs import crops, photographs
from tests.bench.shipped import MODELS
from tests.bench.table import table

_NAME = "efficientnet_lite0"
_CUTS = 2
_LEAST = PlanningSettings().min_fidelity
_LIGHT, _NOISE = 0.25, 6.0
_HEADINGS = ("row", "agree by day", "allowed (+) and dropped (-)", "agree by night", "dropped", "poisoned: dropped")
_Pictures = Sequence[npt.NDArray[np.uint8]]


class Service:
    """A device that learns from pictures, without what is around it."""

    def __init__(self) -> None:
        package = load(MODELS / _NAME / "package")
        self.model = DeviceModel(package, package.networks())
        self.manifest = _unproven(package.manifest)
        self.ledger = Ledger(None)
        self._engine = Engine(threads=2, cache_bytes=2**29)
        for precision, key in self.model.keys.items():
            self._engine.add(key, self.model.networks[precision])
        self._known = KnownPictures()
        self.shown = self.sure = 0
        # How many pictures had been shown, and how many counted, when a row was allowed or dropped.
        self.changes: dict[Row, list[tuple[int, int]]] = {}
        self.shares: list[dict[Row, float]] = []

    @property
    def rows(self) -> Iterator[tuple[Cut, CodecFigures]]:
        """The lossy rows that are audited."""
        for cut in self.manifest.cuts[:_CUTS]:
            yield from ((cut, figures) for figures in cut.codecs if figures.agreement is not None)

    def sees(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Audit one picture."""
        self.shown += 1
        if self._known.has("", pixels):
            return
        self._known.add("", pixels)
        answers, stop = LocalAnswers(self.model, self._engine, pixels), Stop()
        likeness = likeness_of(self.manifest, answers.whole(Precision.FP32, stop), [(1, 1)])
        assert isinstance(likeness, ClassLikeness)
        if not likeness.reference.sure[0]:
            return
        self.sure += 1
        shares = {}
        for cut, figures in self.rows:
            answers.head(cut, figures.head, stop)
            shares[Row.packed(cut, figures)] = float(likeness.shares(answers.lossy(cut, figures, stop), 0)[0, 0])
        self.shares.append(shares)
        self.takes_in(shares, int(likeness.reference.decided[0]))

    def takes_in(self, shares: dict[Row, float], decided: int) -> None:
        """Learn from one picture that was compared."""
        for crossed in self.ledger.take_in("", self.manifest, shares, decided=decided, caps={_LEAST}):
            for row in crossed.rows:
                self.changes.setdefault(row, []).append((self.shown, self.sure))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.learning", description=__doc__)
    parser.add_argument("--photographs", type=Path, required=True, help="folder: see models/README.md")
    parser.add_argument("--each", type=int, default=8, help="crops of each photograph")
    given = parser.parse_args()
    service = Service()
    by_day = _crops(service.manifest, photographs(given.photographs), given.each)
    for picture in by_day:
        service.sees(picture)
    by_day_changes, days = service.changes, len(service.shares)
    allowed = {row for row, changes in service.changes.items() if len(changes) % 2}
    print(f"{_NAME}: {service.shown} pictures by day, sure of {service.sure}, no copies")
    poisoned = {row: _poisoned(service, row) for row in allowed}
    by_day_seen, service.changes = (service.shown, service.sure), {}
    for picture in by_day:
        service.sees(_by_night(picture))
    print(f"{service.shown - by_day_seen[0]} by night, sure of {service.sure - by_day_seen[1]}")
    rows = [Row.packed(cut, figures) for cut, figures in service.rows]
    told = [_cells(service, row, by_day_changes, days=days, day=by_day_seen, poisoned=poisoned) for row in rows]
    print(table(_HEADINGS, told))


def _poisoned(service: Service, row: Row) -> int:
    """After how many pictures that all change its answer the row is dropped, on a copy of what was learned."""
    evidence = service.ledger.of("", service.manifest).evidence[row]
    tally, pictures = RowTally(agreed=evidence.agreed, images=evidence.here, packaged=0.0), 0
    while tally.evidence(NO_IMAGES, 0.0).fidelity >= _LEAST:
        tally.count(0.0)
        pictures += 1
    return pictures


def _cells(
    service: Service,
    row: Row,
    by_day: dict[Row, list[tuple[int, int]]],
    *,
    days: int,
    day: tuple[int, int],
    poisoned: dict[Row, int],
) -> tuple[str, ...]:
    daily, nightly = ([each[row] for each in part] for part in (service.shares[:days], service.shares[days:]))
    changes = service.changes.get(row, [])
    dropped = f"{changes[0][0] - day[0]} ({changes[0][1] - day[1]})" if changes and row in poisoned else "-"
    signs = (f"{'+-'[place % 2]}{shown} ({sure})" for place, (shown, sure) in enumerate(by_day.get(row, [])))
    return (
        str(row),
        f"{np.mean(daily):.2%}",
        " ".join(signs) or "-",
        f"{np.mean(nightly):.2%}",
        dropped,
        f"{poisoned[row]}" if row in poisoned else "-",
    )


def _crops(manifest: Manifest, paths: Sequence[Path], each: int) -> _Pictures:
    """Crops in any order, as the network takes them."""
    made = [prepare(crop, manifest.require_picture()) for crop in crops(paths, each, seed=16)]
    return [made[index] for index in np.random.default_rng(16).permutation(len(made))]


def _by_night(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    noise = np.random.default_rng(int(pixels.sum())).normal(0, _NOISE, pixels.shape)
    return np.asarray((pixels * _LIGHT + noise).clip(0, 255).round(), np.uint8)


def _unproven(manifest: Manifest) -> Manifest:
    cuts = tuple(
        msgspec.structs.replace(
            cut,
            codecs=tuple(msgspec.structs.replace(each, agreement=each.agreement and NO_IMAGES) for each in cut.codecs),
        )
        for cut in manifest.cuts
    )
    return msgspec.structs.replace(manifest, cuts=cuts)


if __name__ == "__main__":
    main()
