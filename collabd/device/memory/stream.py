"""The memory of one stream: what was really answered last, and whether that answer may serve again."""

from __future__ import annotations

from dataclasses import dataclass

from collabd.catalog.package.promise import conceivable, promised
from collabd.device.fidelity.tally import RowTally
from collabd.device.memory.difference import Blocks, difference
from collabd.tasks.tensors import Outputs

# An answer may be inherited by pictures that differ by less than the last of these, in levels of 0 to 255. What lies
# between two of them is a row of its own: the fidelity of larger differences is not that of smaller ones.
LADDER = (2, 4, 8)
# Of the answers that may be inherited so many are computed nevertheless, to be compared: more as long as fewer were.
_LEAST_AUDITED = 0.01
_ENOUGH = 300.0
# Where a picture is prepared only to be looked at, a stream that moves is looked at now and then: at two pictures of so
# many and two. So a stream that comes to rest is noticed within that.
_MOST_UNSEEN = 16


@dataclass(frozen=True, eq=False, kw_only=True)
class AnsweredPicture:
    """A picture that was really answered. `at`: when its call arrived, in seconds on the daemon's clock.

    `size`: its width and height before it was prepared. `fidelity`: how often such an answer is the unsplit network's.
    `outputs`: empty where a little network answered, since nobody inherits what is not the network's own. `sure`,
    `shows`: see `sureness`.
    """

    at: float
    blocks: Blocks
    size: tuple[int, int]
    outputs: Outputs
    fidelity: float
    sure: bool
    shows: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Heirloom:
    """An answer that a picture may inherit. The picture `differs` by less than the `rung` of the ladder.

    `age_s`: how long ago the call arrived that was really answered. `fidelity`: what is promised, 0..1.
    """

    answered: AnsweredPicture
    rung: int
    differs: float
    age_s: float
    fidelity: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Sight:
    """What a picture looks like beside the one that was answered last.

    `differs`: by how much; None: there is none. `heirloom`: what it may inherit; None: nothing. `audited`: it is
    answered for real nevertheless, to see whether that makes a difference. `wants_exact`: its own answer had better be
    exact and the network's own, since others are to be compared with it, or to inherit it.
    """

    at: float
    blocks: Blocks
    size: tuple[int, int]
    differs: float | None
    heirloom: Heirloom | None
    audited: bool
    wants_exact: bool


class Stream:
    """One stream of pictures to one model."""

    def __init__(self) -> None:
        self._last: AnsweredPicture | None = None
        # Where nothing is found it is easy to agree, which says little of where something is.
        self._tallies = {(rung, shows): RowTally() for rung in LADDER for shows in (False, True)}
        # What was saved up for the next audit: at 1 there is one.
        self._audits = 0.0
        # Whether the last answer needed no prepared picture; how often in a row a picture was unlike the one before it;
        # how many pictures need not be looked at; and whether the last one was.
        self._costs_a_look = False
        self._moves = 0
        self._unseen = 0
        self._saw_last = False

    def is_worth_a_look(self) -> bool:
        """Whether to look at the next picture, of which this is asked once."""
        if self._costs_a_look and self._unseen > 0:
            self._unseen -= 1
            self._saw_last = False
            return False
        return True

    def see(
        self, blocks: Blocks, size: tuple[int, int], *, at: float, most_age_s: float, least_fidelity: float
    ) -> Sight:
        """Look at the picture of a call that arrived `at` this time. The caller asks for a `least_fidelity`.

        An answer older than `most_age_s` seconds is not inherited.
        """
        last = self._last
        differs = None if last is None or last.size != size else difference(blocks, last.blocks)
        self._note(differs)
        heirloom, audited, wants_exact = None, False, False
        if last is not None and differs is not None and last.sure and 0 <= at - last.at <= most_age_s:
            heirloom = self._heirloom(last, differs, at)
        if heirloom is not None:
            suffices = heirloom.fidelity >= least_fidelity
            audited = suffices and self._is_audit(heirloom)
            # It suffices if the last answer is exact, or may turn out to.
            wants_exact = audited or (not suffices and self._may_suffice(heirloom, least_fidelity))
            heirloom = heirloom if heirloom.answered.outputs else None
        return Sight(
            at=at,
            blocks=blocks,
            size=size,
            differs=differs,
            heirloom=heirloom,
            audited=audited,
            wants_exact=wants_exact,
        )

    def answer(self, answered: AnsweredPicture, *, costs_a_look: bool) -> None:
        """Remember a picture that was really answered, unless a later one was answered before it.

        `costs_a_look`: the picture was prepared only to be looked at.
        """
        self._costs_a_look = costs_a_look
        if self._last is None or self._last.at <= answered.at:
            self._last = answered

    def count(self, heirloom: Heirloom, share: float) -> None:
        """Take in an audit: `share` of the answer that might have been inherited was that of the network, 0..1."""
        self._tallies[heirloom.rung, heirloom.answered.shows].count(share)

    def fidelity(self, rung: int, *, shows: bool) -> float:
        """How often what is inherited so would be the network's answer, 0..1, as audits promise."""
        tally = self._tallies[rung, shows]
        return promised(tally.agreed, tally.images)

    def _may_suffice(self, heirloom: Heirloom, least: float) -> bool:
        tally = self._tallies[heirloom.rung, heirloom.answered.shows]
        return conceivable(tally.agreed, tally.images) >= least

    def _note(self, differs: float | None) -> None:
        if differs is not None and differs < LADDER[-1]:
            self._moves = 0
        elif self._saw_last:
            self._moves += 1
            self._unseen = min(2**self._moves, _MOST_UNSEEN)
        self._saw_last = True

    def _heirloom(self, last: AnsweredPicture, differs: float, at: float) -> Heirloom | None:
        rung = next((rung for rung in LADDER if differs < rung), None)
        if rung is None:
            return None
        # Either may differ from the unsplit network's answer, and nobody knows whether they do so at the same pictures.
        fidelity = max(self.fidelity(rung, shows=last.shows) + last.fidelity - 1, 0.0)
        return Heirloom(answered=last, rung=rung, differs=differs, age_s=at - last.at, fidelity=fidelity)

    def _is_audit(self, heirloom: Heirloom) -> bool:
        counted = max(self._tallies[heirloom.rung, heirloom.answered.shows].images, 1.0)
        self._audits += _LEAST_AUDITED * max(_ENOUGH / counted, 1.0)
        if self._audits < 1:
            return False
        self._audits -= 1
        return True
