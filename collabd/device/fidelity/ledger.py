"""Keeps what is believed of every package's rows, and learns from pictures of this device."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from collabd.catalog.package.little import Threshold
from collabd.catalog.package.manifest import Agreement, Manifest
from collabd.clock import MONOTONIC, Clock
from collabd.device.fidelity import stored
from collabd.device.fidelity.figures import Fidelities, reduced_row
from collabd.device.fidelity.row import Row
from collabd.device.fidelity.stored import Tallies
from collabd.device.fidelity.tally import RowTally
from collabd.profiling.profile import Profile

_log = logging.getLogger(__name__)

# Each new belief ends all choices for calls of the model. A smaller change is worth that only if it crosses a cap.
_WORTH_TELLING = 1e-3
# At most so much of what was learned is lost with the power. Cards wear out by writing.
_SAVED_EVERY_S = 300.0
# The packages whose counts are in memory. Few devices have as many.
_MOST = 64
# So many kinds of companions are told apart in what their reduced precisions are worth.
_MOST_REDUCED = 32
# What a class still counts when another picture comes, as with the pictures themselves; below this it is forgotten.
_KEPT_CLASS, _LEAST_CLASS = 1 - 1 / 1000, 0.01


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """The rows that now keep a `least` fidelity, or no longer do, with what is promised of each now."""

    least: float
    rows: Mapping[Row, float]


@dataclass(eq=False, kw_only=True)
class _Package:
    priors: dict[Row, Agreement]
    tallies: Tallies
    believed: Fidelities
    is_saved: bool = True


class Ledger:
    """The beliefs of all packages, by digest. They are kept in `directory` over a restart; None: they are not kept."""

    def __init__(self, directory: Path | None, *, clock: Clock = MONOTONIC) -> None:
        self._directory = directory
        self._clock = clock
        # Least recently used first.
        self._packages: OrderedDict[str, _Package] = OrderedDict()
        self._save_at = clock() + _SAVED_EVERY_S

    def of(self, digest: str, manifest: Manifest, there: Iterable[Profile | None] = ()) -> Fidelities:
        """What is believed of a package now. It stays the same object until something is learned.

        `there`: its profiles on companions. What they count of their reduced precisions is what there is to begin with.
        """
        package = self._of(digest, manifest)
        for profile in there:
            if profile is not None and profile.bf16_agreement is not None:
                _note_reduced(package, reduced_row(profile), profile.bf16_agreement)
        return package.believed

    def take_in(
        self,
        digest: str,
        manifest: Manifest,
        shares: Mapping[Row, float],
        *,
        decided: int | None,
        caps: Collection[float],
    ) -> list[Crossed]:
        """Learn from one picture: how much of each row's answer is like the unsplit network's, 0..1.

        `decided`: the class that a classifier decided for; None: the answer has more than one. Returns what this
        changes for calls that ask for one of these least fidelities, `caps`.
        """
        package = self._of(digest, manifest)
        _count(package, shares, decided)
        before, now = package.believed, _believed(package)
        crossed = [each for least in sorted(set(caps)) if (each := _crossed(before, now, least)) is not None]
        moved = (abs(before.promised(row) - now.promised(row)) for row in package.priors)
        if crossed or max(moved, default=0.0) >= _WORTH_TELLING:
            package.believed = now
        package.is_saved = False
        return crossed

    async def save_sometimes(self) -> None:
        """Write what was learned, if that was not done for minutes."""
        if self._clock() >= self._save_at:
            self._save_at = self._clock() + _SAVED_EVERY_S
            await asyncio.to_thread(self._write, self._unsaved())

    def save(self) -> None:
        """Write what was learned. If that fails, the journal says so."""
        self._write(self._unsaved())

    def _unsaved(self) -> dict[str, bytes]:
        """What is to be written of each package."""
        unsaved = {digest: each for digest, each in self._packages.items() if not each.is_saved}
        for package in unsaved.values():
            package.is_saved = True
        return {digest: stored.content(digest, each.tallies) for digest, each in unsaved.items()}

    def _write(self, contents: Mapping[str, bytes]) -> None:
        if self._directory is None:
            return
        try:
            for digest, content in contents.items():
                stored.write(digest, content, self._directory)
        except OSError as error:
            _log.warning("cannot keep over a restart what was learned of fidelity: %s", error)

    def _of(self, digest: str, manifest: Manifest) -> _Package:
        if (known := self._packages.get(digest)) is None:
            known = self._packages[digest] = self._loaded(digest, manifest)
            if len(self._packages) > _MOST:
                self.save()
                self._packages.popitem(last=False)
        self._packages.move_to_end(digest)
        return known

    def _loaded(self, digest: str, manifest: Manifest) -> _Package:
        priors = {
            Row.packed(cut, figures): figures.agreement
            for cut in manifest.cuts
            for figures in cut.codecs
            if figures.agreement is not None
        }
        if manifest.little is not None:
            priors |= {
                Row.of_threshold(ladder.precision, each.least): _of_both(each)
                for ladder in manifest.little.ladders
                for each in ladder.thresholds
            }
        tallies = Tallies(rows={}, classes={})
        if self._directory is not None:
            tallies = stored.load(digest, self._directory)
        # What was learned of companions waits until they are there again.
        reduced = {row: tally for row, tally in tallies.rows.items() if row.is_reduced}
        tallies.rows = {row: tallies.rows.get(row, RowTally()) for row in priors} | reduced
        package = _Package(priors=priors, tallies=tallies, believed=Fidelities({}))
        package.believed = _believed(package)
        return package


def _note_reduced(package: _Package, row: Row, agreement: Agreement) -> None:
    """The first count of a companion stands. It fades with what is seen here, which no other count may bring back."""
    if row in package.priors or sum(known.is_reduced for known in package.priors) >= _MOST_REDUCED:
        return
    package.priors[row] = agreement
    package.tallies.rows.setdefault(row, RowTally())
    package.believed = _believed(package)


def _of_both(threshold: Threshold) -> Agreement:
    """What was counted at a threshold, of all pictures of which the big network is sure. It agrees with itself."""
    images = round(threshold.images / threshold.sure_share) if threshold.sure_share else 0
    agreed = images - (threshold.images - threshold.agreed)
    return Agreement(agreed=agreed, images=images, sure_agreed=agreed, sure_images=images)


def _count(package: _Package, shares: Mapping[Row, float], decided: int | None) -> None:
    classes = package.tallies.classes
    if decided is not None:
        for kind in list(classes):
            classes[kind] *= _KEPT_CLASS
            if classes[kind] < _LEAST_CLASS:
                del classes[kind]
        classes[decided] = classes.get(decided, 0.0) + 1
    for row, share in shares.items():
        # A companion that was asked may be forgotten by now.
        if row in package.priors:
            package.tallies.rows[row].count(share)


def _believed(package: _Package) -> Fidelities:
    classes = package.tallies.classes
    usual = max(classes.values()) / sum(classes.values()) if classes else 0.0
    rows = package.tallies.rows
    return Fidelities({row: rows[row].evidence(prior, usual) for row, prior in package.priors.items()})


def _crossed(before: Fidelities, now: Fidelities, least: float) -> Crossed | None:
    rows = {
        row: promised
        for row in now.evidence
        if (before.promised(row) >= least) != ((promised := now.promised(row)) >= least)
    }
    return Crossed(least=least, rows=rows) if rows else None
