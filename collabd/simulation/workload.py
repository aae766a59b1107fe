"""The requests of a simulation: the plans of one package, and how each request differs from the median request."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, log

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import Cut, Manifest
from collabd.catalog.package.package import Package
from collabd.device.decide.candidates import candidates
from collabd.device.decide.plans_for_calls import plans_for_calls
from collabd.device.fidelity.ledger import Ledger
from collabd.device.job.placement import LOCAL_CUT, NO_CODEC
from collabd.device.models.model import DeviceModel
from collabd.partition import Network
from collabd.planning import Candidate, Candidates
from collabd.planning.candidates import SOURCE
from collabd.planning.precisions import IN_FP32
from collabd.profiling.profile import Profile
from collabd.simulation.answers import RAW, AnswerRow
from collabd.simulation.blank_tensors import BlankTensors
from collabd.simulation.kinds import without_kinds
from collabd.simulation.part_times import PartTimes
from collabd.simulation.shown import Shown

# How much a run differs from the median run: the standard deviation of the natural logarithm of its time.
_NOISE = 0.03
# The 95th percentile of a normal distribution, in standard deviations.
_P95 = 1.645
# A stopped run ends at the next node of its graph. For packages of 10 ms this took 4 to 8 % of the time of the whole
# network, as measured.
_STOP_SHARE = 0.1


@dataclass(frozen=True)
class Draw:
    """The luck of one request.

    `device` and `cloud` multiply the times of the two machines. `size` says by how many standard deviations the size of
    the request differs from the median.
    """

    device: float
    cloud: float
    size: float


class Workload:
    """The frames of a camera, one after the other, for one package. Every policy gets the same frames.

    `plans`: the plans of collabd, and `package` as its daemon knows it, without the kinds of plans `without`. Plans
    that ask a little network depend on the fidelity that is wanted: see `plans_for`. `all_plans` has these kinds, too,
    but no such plans. `raw_plans`: the plans of the papers, which keep all on the device, send the
    pixels of the image, or send features in fp32. `chain_plans`: the raw plans with a single tensor at the cut.
    `shown`: what the frames show; None: nothing, and no answer is ever looked at.
    """

    def __init__(
        self,
        package: Package,
        profile: Profile,
        *,
        slowdown: float,
        requests: int,
        seed: int,
        without: Collection[str] = (),
        shown: Shown | None = None,
    ) -> None:
        manifest = package.manifest
        self.package, self.profile = without_kinds(package, profile, without)
        self.networks = package.networks()
        self.network = self.networks[Precision.FP32]
        self.blanks = BlankTensors(self.network)
        self.times = {each: PartTimes(manifest, profile, each) for each in profile.precisions}
        self.slowdown = slowdown
        self.shown = shown
        # Whether the daemon is told that the frames are those of one stream.
        self.is_stream = shown is not None and "inherit" not in without
        self.prep_s = profile.prep_ms / 1e3
        self.plans = Candidates(_plans(self.model(), self.profile))
        self.all_plans = Candidates(_plans(DeviceModel(package, self.networks), profile))
        self.raw_plans = Candidates([*_raw(manifest, self.network, self.all_plans.rows)])
        single = {cut.name for cut in manifest.cuts if len(cut.tensors) == 1} | {LOCAL_CUT}
        self.chain_plans = Candidates([plan for plan in self.raw_plans.rows if plan.cut in single])
        self._spreads = dict(_spreads(manifest))
        luck = np.random.default_rng(seed).standard_normal((requests, 3))
        self._luck: npt.NDArray[np.float64] = luck

    def __len__(self) -> int:
        return len(self._luck)

    def plans_for(self, least_fidelity: float) -> Candidates:
        """The plans of collabd for calls that want this fidelity. The first ones are `plans`."""
        little = None if self.shown is None or self.shown.little is None else self.shown.little.model()
        model = self.model()
        believed = Ledger(None, clock=lambda: 0.0).of(model.digest, model.manifest)
        model.take_profile(self.profile)
        return plans_for_calls(model, little, self.plans, believed=believed)(least_fidelity)

    def model(self) -> DeviceModel:
        """The package as a daemon loads it, without a profile."""
        networks = {each: self.networks[each] for each in self.package.manifest.precisions}
        return DeviceModel(self.package, networks)

    def draw(self, request: int) -> Draw:
        """The luck of one request."""
        device, cloud, size = self._luck[request].tolist()
        return Draw(self.slowdown * exp(_NOISE * device), exp(_NOISE * cloud), size)

    def plan(self, cut: str, codec: str, head: Precision = Precision.FP32) -> Candidate:
        """A plan of this cut and codec, and of this head if there is one. What crosses is the same in each of them."""
        found = [plan for plan in self.all_plans.rows if (plan.cut, plan.codec) == (cut, codec)]
        return next((plan for plan in found if plan.head == head), found[0])

    def cut(self, tensors: Iterable[str]) -> Cut:
        """The cut where these tensors cross."""
        return self.times[Precision.FP32].cut(tensors)

    def row(self, crossing: Iterable[str], codec: str, *, head: Precision, tail: Precision) -> AnswerRow:
        """The way to an answer over this crossing. Where all of the network is behind it, there is no head."""
        cut = self.cut(crossing)
        return AnswerRow.over(cut.name, codec, head if cut.head_layers else tail, tail)

    def stop_s(self, draw: Draw) -> float:
        """How many seconds the device goes on with a tail after it was told to stop."""
        return _STOP_SHARE * self.plans.rows[0].local_tail_s * draw.device

    def up_bytes(self, plan: Candidate, draw: Draw) -> float:
        """The bytes that this request really sends. Some images compress better than others, with any codec."""
        return float(round(plan.up_bytes * exp(draw.size * self._spreads.get((plan.cut, plan.codec), 0.0))))


def _plans(model: DeviceModel, profile: Profile) -> list[Candidate]:
    """Every plan of the daemon. A camera gives no file, so no plan can send a file unchanged."""
    model.take_profile(profile)
    return [plan for plan in candidates(model, [profile]).rows if plan.codec != SOURCE]


def _raw(manifest: Manifest, network: Network, plans: Sequence[Candidate]) -> Iterator[Candidate]:
    cuts = {cut.name: cut for cut in manifest.cuts}
    for plan in plans:
        if plan.precisions != IN_FP32:
            continue
        if plan.codec in {NO_CODEC, "u8"}:
            yield plan
        elif plan.codec == "f32":
            sent = sum(network.tensor(name).nbytes for name in cuts[plan.cut].tensors)
            yield replace(plan, codec=RAW, encode_s=0.0, decode_s=0.0, up_bytes=float(sent))


def _spreads(manifest: Manifest) -> Iterator[tuple[tuple[str, str], float]]:
    for cut in manifest.cuts:
        for figures in cut.codecs:
            yield (cut.name, figures.codec), log(max(figures.bytes_p95, 1) / max(figures.bytes_median, 1)) / _P95
