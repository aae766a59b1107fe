"""The candidate plans of a model, from its package's figures, this device's profile and its companions'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collabd.catalog.package.manifest import CodecFigures, Cut, Manifest
from collabd.device.companions.overhead import ENVELOPE_DOWN_BYTES, ENVELOPE_UP_BYTES, HEADER_BYTES
from collabd.device.job.placement import LOCAL_CUT, NO_CODEC
from collabd.device.models.model import DeviceModel
from collabd.planning import Candidate, Candidates
from collabd.planning.candidates import SOURCE
from collabd.profiling.profile import CutTimes, Profile


def local_plan(whole_s: float) -> Candidate:
    """All on the device, which takes `whole_s` when idle."""
    return Candidate(cut=LOCAL_CUT, codec=NO_CODEC, cloud=None, head_s=whole_s, local_tail_s=whole_s)


def candidates(model: DeviceModel, remote: Sequence[Profile | None]) -> Candidates:
    """Every plan: all on the device, then for each companion (its profile, None: not known) each cut and codec."""
    rows = [local_plan(model.whole_s)]
    if model.profile is not None:
        for cloud, profile in enumerate(remote):
            if profile is not None:
                rows.extend(remote_plans(model.manifest, model.profile, profile, cloud))
    return Candidates(rows)


def remote_plans(manifest: Manifest, here: Profile, there: Profile, cloud: int) -> Iterator[Candidate]:
    """Every cut and codec with one companion, from the profiles of the package here and there."""
    down = 4.0 * len(manifest.labels) + ENVELOPE_DOWN_BYTES + HEADER_BYTES
    times_here, times_there = _by_cut(here), _by_cut(there)
    image = manifest.cuts[0]
    whole_here, whole_there = here.whole_ms / 1e3, there.whole_ms / 1e3
    yield Candidate(
        cut=image.name,
        codec=SOURCE,
        cloud=cloud,
        up_bytes=ENVELOPE_UP_BYTES,
        down_bytes=down,
        tail_s=whole_there,
        local_tail_s=whole_here,
    )
    for cut in manifest.cuts:
        if cut.name in times_here and cut.name in times_there:
            for figures in cut.codecs:
                yield _plan(cut, figures, times_here[cut.name], times_there[cut.name], cloud, down)


def _plan(cut: Cut, figures: CodecFigures, here: CutTimes, there: CutTimes, cloud: int, down: float) -> Candidate:
    encode_ms = {times.codec: times.encode_ms for times in here.codecs}[figures.codec]
    decode_ms = {times.codec: times.decode_ms for times in there.codecs}[figures.codec]
    return Candidate(
        cut=cut.name,
        codec=figures.codec,
        cloud=cloud,
        head_s=here.head_ms / 1e3,
        encode_s=encode_ms / 1e3,
        up_bytes=figures.bytes_median + ENVELOPE_UP_BYTES,
        down_bytes=down,
        decode_s=decode_ms / 1e3,
        tail_s=there.tail_ms / 1e3,
        local_tail_s=here.tail_ms / 1e3,
        fidelity=figures.fidelity,
    )


def _by_cut(profile: Profile) -> dict[str, CutTimes]:
    return {times.cut: times for times in profile.cuts}
