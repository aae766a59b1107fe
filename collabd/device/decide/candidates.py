"""The candidate plans of a model, from the figures in its package and the profiles of the device and companions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collabd.catalog.package.manifest import Manifest
from collabd.device.decide.crossings import FILE_UP, answer_down, options_up
from collabd.device.job.placement import LOCAL_CUT, NO_CODEC
from collabd.device.models.model import DeviceModel
from collabd.planning import Candidate, Candidates
from collabd.profiling.profile import Profile


def local_plan(whole_s: float) -> Candidate:
    """The plan that runs all layers on the device. An idle device takes `whole_s` seconds for them."""
    return Candidate(cut=LOCAL_CUT, codec=NO_CODEC, cloud=None, head_s=whole_s, local_tail_s=whole_s)


def candidates(model: DeviceModel, remote: Sequence[Profile | None]) -> Candidates:
    """Every plan: first the one that stays on the device, then each cut and codec with each companion.

    `remote` holds the profile of each companion. None: the profile is not known, and the companion gets no plans.
    """
    rows = [local_plan(model.whole_s)]
    if model.profile is not None:
        for cloud, profile in enumerate(remote):
            if profile is not None:
                rows.extend(remote_plans(model.manifest, model.profile, profile, cloud=cloud))
    return Candidates(rows)


def remote_plans(manifest: Manifest, here: Profile, there: Profile, *, cloud: int) -> Iterator[Candidate]:
    """Every cut and codec with one companion, from the profile of the device and the profile of the companion."""
    down_bytes = answer_down(manifest).sent_bytes
    yield Candidate(
        cut=manifest.cuts[0].name,
        codec=FILE_UP.codec,
        cloud=cloud,
        up_bytes=FILE_UP.sent_bytes,
        down_bytes=down_bytes,
        tail_s=there.whole_ms / 1e3,
        local_tail_s=here.whole_ms / 1e3,
    )
    times_here, times_there = ({times.cut: times for times in profile.cuts} for profile in (here, there))
    for cut in manifest.cuts:
        if cut.name in times_here and cut.name in times_there:
            at_cut, at_cut_there = times_here[cut.name], times_there[cut.name]
            for option in options_up(cut, at_cut, at_cut_there):
                yield Candidate(
                    cut=cut.name,
                    codec=option.codec,
                    cloud=cloud,
                    head_s=at_cut.head_ms / 1e3,
                    encode_s=option.device_s,
                    up_bytes=option.sent_bytes,
                    down_bytes=down_bytes,
                    decode_s=option.cloud_s,
                    tail_s=at_cut_there.tail_ms / 1e3,
                    local_tail_s=at_cut.tail_ms / 1e3,
                    fidelity=option.fidelity,
                )
