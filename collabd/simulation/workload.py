"""The requests of a simulation: the plans of one package, and how each request differs from the median request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import exp, log

import numpy as np
import numpy.typing as npt

from collabd.catalog.package.manifest import Manifest
from collabd.catalog.package.package import Package
from collabd.device.decide.candidates import local_plan, remote_plans
from collabd.device.job.placement import LOCAL_CUT
from collabd.partition import Network
from collabd.planning import Candidate, Candidates
from collabd.planning.candidates import SOURCE
from collabd.profiling.profile import Profile
from collabd.simulation.part_times import PartTimes

# How much a run differs from the median run: the standard deviation of the natural logarithm of its time.
_NOISE = 0.03
# The 95th percentile of a normal distribution, in standard deviations.
_P95 = 1.645
# A stopped run ends at the next node of its graph. For packages of 10 ms this took 4 to 8 % of the time of the whole
# network, as measured.
_STOP_SHARE = 0.1
# A codec that only the reference policies use: features in fp32, as in memory.
RAW = "raw"


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

    `plans`: the plans of collabd. `raw_plans`: the plans of the papers, which keep all on the device, send the pixels
    of the image, or send features in fp32. `chain_plans`: the raw plans with a single tensor at the cut.
    """

    def __init__(self, package: Package, profile: Profile, *, slowdown: float, requests: int, seed: int) -> None:
        manifest = package.manifest
        local = local_plan(profile.whole_ms / 1e3)
        # A camera gives no file, so no plan can send a file unchanged.
        remote = [plan for plan in remote_plans(manifest, profile, profile, cloud=0) if plan.codec != SOURCE]
        self.package = package
        self.network = package.network()
        self.profile = profile
        self.times = PartTimes(manifest, profile)
        self.slowdown = slowdown
        self.prep_s = profile.prep_ms / 1e3
        self.plans = Candidates([local, *remote])
        self.raw_plans = Candidates([local, *_raw(manifest, self.network, remote)])
        single = {cut.name for cut in manifest.cuts if len(cut.tensors) == 1} | {LOCAL_CUT}
        self.chain_plans = Candidates([plan for plan in self.raw_plans.rows if plan.cut in single])
        self._spreads = dict(_spreads(manifest))
        luck = np.random.default_rng(seed).standard_normal((requests, 3))
        self._luck: npt.NDArray[np.float64] = luck

    def __len__(self) -> int:
        return len(self._luck)

    def draw(self, request: int) -> Draw:
        """The luck of one request."""
        device, cloud, size = self._luck[request].tolist()
        return Draw(self.slowdown * exp(_NOISE * device), exp(_NOISE * cloud), size)

    def plan(self, cut: str, codec: str) -> Candidate:
        """The plan of this cut and codec."""
        return self.plans.rows[self.plans.index[cut, codec, 0]]

    def stop_s(self, draw: Draw) -> float:
        """How many seconds the device goes on with a tail after it was told to stop."""
        return _STOP_SHARE * self.plans.rows[0].local_tail_s * draw.device

    def up_bytes(self, plan: Candidate, draw: Draw) -> float:
        """The bytes that this request really sends. Some images compress better than others, with any codec."""
        return plan.up_bytes * exp(draw.size * self._spreads.get((plan.cut, plan.codec), 0.0))


def _raw(manifest: Manifest, network: Network, plans: list[Candidate]) -> Iterator[Candidate]:
    cuts = {cut.name: cut for cut in manifest.cuts}
    for plan in plans:
        if plan.codec == "u8":
            yield plan
        elif plan.codec == "f32":
            sent = sum(network.tensor(name).nbytes for name in cuts[plan.cut].tensors)
            yield replace(plan, codec=RAW, encode_s=0.0, decode_s=0.0, up_bytes=float(sent))


def _spreads(manifest: Manifest) -> Iterator[tuple[tuple[str, str], float]]:
    for cut in manifest.cuts:
        for figures in cut.codecs:
            yield (cut.name, figures.codec), log(max(figures.bytes_p95, 1) / max(figures.bytes_median, 1)) / _P95
