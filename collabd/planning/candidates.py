"""The plans that could answer a call, as rows and as columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import INHERIT, Cascade, Precision
from collabd.planning.precisions import Precisions

Column = npt.NDArray[np.float64]

# What formulas multiply: the figures of a plan, as rows of `Candidates.features`. The last four are 1 or 0: whether
# the file travels as it came, whether the image is prepared on the device instead, whether a companion is asked, and
# whether nothing of that happens, since the answer is inherited.
HEAD_S, ENCODE_S, UP_BYTES, DOWN_BYTES, DECODE_S, TAIL_S = range(6)
SENDS_FILE, PREPARES_IMAGE, ASKS_COMPANION, INHERITS = range(6, 10)
# Of plans that ask a little network: its run, as a step of the call or beside an exchange, and whether the image is
# prepared for it by itself; whether it answers the call.
LITTLE_S, PREPARES_LITTLE, BESIDE_S, PREPARES_BESIDE, LITTLE_ANSWERS = range(10, 15)
FEATURES = 15

# The codec of the image cut that encodes nothing: it sends the file that the caller gave as it came.
SOURCE = "source"


# Which plan it is, among the candidates of a model: its cut, codec and companion, the precisions of head and tail, and
# how a little network is asked, if one is, and in which precision.
PlanKey: TypeAlias = (
    tuple[str, str, int | None, Precisions] | tuple[str, str, int | None, Precisions, Cascade, Precision]
)


@dataclass(frozen=True, kw_only=True)
class AsksLittle:
    """How a plan asks a little network, which answers where its sureness is `least` or more.

    `share`: the part of all pictures that it answers. `run_s`: its run on an idle device. `prepares`: the image is
    prepared for it by itself; otherwise it takes the one that is prepared for the plan. `again`: that is a second time.
    """

    kind: Cascade
    precision: Precision = Precision.FP32
    least: float
    share: float
    run_s: float
    prepares: bool
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One plan with one crossing, or none: times as profiled, in seconds on an idle machine of its kind."""

    cut: str
    codec: str
    # Index of the companion in the states given to `predict`; None: everything on the device.
    cloud: int | None
    # Of what runs before the crossing, and of what runs behind it, on whichever machine; the same if only one of them
    # is there.
    head: Precision = Precision.FP32
    tail: Precision = Precision.FP32
    # What makes the reduced precision of the tail, and on which machines; empty: it is in none.
    tail_by: str = ""
    head_s: float = 0.0
    encode_s: float = 0.0
    # What is sent; for the codec "source" what is sent besides the file.
    up_bytes: float = 0.0
    down_bytes: float = 0.0
    decode_s: float = 0.0
    tail_s: float = 0.0
    # The tail on the device, should the companion fail; and in which precision that runs.
    local_tail_s: float
    local_tail: Precision = Precision.FP32
    # How often the top-1 equals the unsplit fp32 network's, 0..1.
    fidelity: float = 1.0
    # The same, should the device run the tail in another precision than that of `tail`.
    local_fidelity: float = 1.0
    # None: no little network is asked. All else stands for the calls that it leaves.
    little: AsksLittle | None = None

    @property
    def precisions(self) -> Precisions:
        """Of head and tail."""
        return Precisions(self.head, self.tail)

    @property
    def key(self) -> PlanKey:
        """Which plan it is."""
        key = self.cut, self.codec, self.cloud, self.precisions
        return key if self.little is None else (*key, self.little.kind, self.little.precision)


class Candidates:
    """Rows of `Candidate`, and the same as columns; made once for a profile, evaluated at each call.

    `with_little`: where those stand that ask a little network; they follow one another.
    """

    def __init__(self, rows: Sequence[Candidate]) -> None:
        self.rows = tuple(rows)
        asking = [place for place, row in enumerate(self.rows) if row.little is not None]
        self.with_little = slice(asking[0], asking[-1] + 1) if asking else slice(0, 0)
        self.head_s = self._column("head_s")
        self.encode_s = self._column("encode_s")
        self.up_bytes = self._column("up_bytes")
        self.down_bytes = self._column("down_bytes")
        self.decode_s = self._column("decode_s")
        self.tail_s = self._column("tail_s")
        self.fidelity = self._column("fidelity")
        # What the device works if it also runs the tail. By then it has stopped a little network beside the exchange.
        self.home_s = self.head_s + self.encode_s + self._column("local_tail_s")
        # A little network, and whether the image is prepared for it by a rule of its own; whether it is asked first.
        self.little_s = self._of_little(lambda little: little.run_s)
        self.prepared_again = self._of_little(lambda little: float(little.again))
        self.serial = self._of_little(lambda little: float(little.kind is Cascade.SERIAL))
        # Which part of the calls the little network answers.
        self.share = self._of_little(lambda little: little.share)
        # Local rows have -1, which is the neutral companion that `PredictionBasis` puts behind the others.
        self.cloud = np.array([-1 if row.cloud is None else row.cloud for row in self.rows], dtype=np.intp)
        self.local: npt.NDArray[np.bool_] = self.cloud == -1
        self.inherits = np.array([row.cut == INHERIT for row in self.rows])
        # Of several crossings ("source+q8") only the first can send the file.
        self.source = np.array([row.codec.partition("+")[0] == SOURCE for row in self.rows])
        self._features: dict[int, Column] = {}
        self._sure_features: dict[int, Column] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def with_another(self, row: Candidate) -> Candidates:
        """These plans, and one more behind them."""
        return Candidates([*self.rows, row])

    def _column(self, name: str) -> Column:
        return np.array([getattr(row, name) for row in self.rows], dtype=np.float64)

    def _of_little(self, figure: Callable[[AsksLittle], float]) -> Column:
        return np.array([0.0 if row.little is None else figure(row.little) for row in self.rows], np.float64)

    def features(self, clouds: int) -> Column:
        """Float64 [clouds * FEATURES, rows]: a block of features a companion, zero for the plans of the others.

        A local plan asks no companion, and stands in the first block. Plans that ask a little network have the features
        of the calls that it leaves.
        """
        if clouds not in self._features:
            self._features = {clouds: self._blocks(clouds, self._values())}
        return self._features[clouds]

    def sure_features(self, clouds: int) -> Column:
        """The same of the calls that the little network answers: float64 [clouds * FEATURES, rows of `with_little`].

        An exchange beside it has begun, and counts in full.
        """
        if clouds not in self._sure_features:
            values = self._values()
            serial = self.serial > 0
            values[:, serial] *= _OF_LITTLE[:, None]
            values[LITTLE_ANSWERS, serial], values[PREPARES_LITTLE, serial] = 1.0, 0.0
            self._sure_features = {clouds: self._blocks(clouds, values)[:, self.with_little]}
        return self._sure_features[clouds]

    def _values(self) -> Column:
        values = np.zeros((FEATURES, len(self)))
        values[HEAD_S], values[ENCODE_S] = self.head_s, self.encode_s
        values[UP_BYTES], values[DOWN_BYTES] = self.up_bytes, self.down_bytes
        values[DECODE_S], values[TAIL_S] = self.decode_s, self.tail_s
        values[SENDS_FILE], values[PREPARES_IMAGE] = self.source, ~(self.source | self.inherits)
        values[ASKS_COMPANION], values[INHERITS] = ~self.local, self.inherits
        for place, row in enumerate(self.rows[self.with_little], start=self.with_little.start):
            if (little := row.little) is not None:
                first = little.kind is Cascade.SERIAL
                values[LITTLE_S if first else BESIDE_S, place] = little.run_s
                values[PREPARES_LITTLE if first else PREPARES_BESIDE, place] = little.prepares
        return values

    def _blocks(self, clouds: int, values: Column) -> Column:
        blocks = np.zeros((clouds, FEATURES, len(self)))
        blocks[np.maximum(self.cloud, 0), :, np.arange(len(self))] = values.T
        return blocks.reshape(clouds * FEATURES, len(self))

    @cached_property
    def index(self) -> dict[PlanKey, int]:
        """Where each plan stands."""
        return {row.key: place for place, row in enumerate(self.rows)}

    @cached_property
    def home(self) -> dict[Precision, int]:
        """Where the local plan of each precision stands that runs the network, and asks no little one."""
        alone = np.flatnonzero(self.local & ~self.inherits)
        return {self.rows[place].tail: int(place) for place in alone if self.rows[place].little is None}

    @cached_property
    def at_home(self) -> npt.NDArray[np.intp]:
        """For each plan the local one that may race it: in the precision in which its tail would run here, or in fp32
        if there is none in that. A local plan races with nobody, and has itself here.
        """
        homes = [self.home.get(row.local_tail, self.home[Precision.FP32]) for row in self.rows]
        return np.where(self.local, np.arange(len(self)), homes)


# The features that are left of a plan if the little network, which is asked first, answers.
_OF_LITTLE = np.isin(np.arange(FEATURES), [LITTLE_S, LITTLE_ANSWERS]).astype(np.float64)
