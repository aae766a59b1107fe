"""The candidate plans of a model, from the figures in its package and the profiles of the device and companions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import Manifest
from collabd.device.decide.crossings import FILE_UP, answer_down, options_up
from collabd.device.fidelity.figures import FidelityOf, ReducedFidelityOf, as_counted_there, as_packed
from collabd.device.job.placement import LOCAL_CUT, NO_CODEC
from collabd.device.models.model import DeviceModel
from collabd.partition import Network
from collabd.planning import Candidate, Candidates
from collabd.profiling.profile import Profile


def local_plan(whole_s: float, precision: Precision = Precision.FP32, fidelity: float = 1.0) -> Candidate:
    """The plan that runs all layers on the device. An idle device takes `whole_s` seconds for them."""
    return Candidate(
        cut=LOCAL_CUT,
        codec=NO_CODEC,
        cloud=None,
        head=precision,
        tail=precision,
        head_s=whole_s,
        local_tail_s=whole_s,
        local_tail=precision,
        fidelity=fidelity,
    )


def candidates(
    model: DeviceModel,
    remote: Sequence[Profile | None],
    *,
    fidelity_of: FidelityOf = as_packed,
    reduced_fidelity_of: ReducedFidelityOf = as_counted_there,
) -> Candidates:
    """Every plan: first those that stay on the device, then each cut and codec with each companion.

    `remote` holds the profile of each companion. None: the profile is not known, and the companion gets no plans.
    """
    rows = [local_plan(model.whole_s)]
    if model.profile is not None:
        rows.extend(other_local_plans(model.manifest, model.profile, fidelity_of=fidelity_of))
        for cloud, profile in enumerate(remote):
            if profile is not None:
                rows.extend(
                    remote_plans(
                        model.manifest,
                        model.network,
                        model.profile,
                        there=profile,
                        cloud=cloud,
                        fidelity_of=fidelity_of,
                        reduced_fidelity_of=reduced_fidelity_of,
                    )
                )
    return Candidates(rows)


def other_local_plans(manifest: Manifest, here: Profile, *, fidelity_of: FidelityOf = as_packed) -> Iterator[Candidate]:
    """The plans that stay on the device in another precision than fp32."""
    figures = manifest.whole_int8
    if figures is not None and Precision.INT8 in here.precisions:
        yield local_plan(here.whole_s(Precision.INT8), Precision.INT8, fidelity_of(manifest.cuts[0], figures))


def remote_plans(
    manifest: Manifest,
    network: Network,
    here: Profile,
    *,
    there: Profile,
    cloud: int,
    fidelity_of: FidelityOf = as_packed,
    reduced_fidelity_of: ReducedFidelityOf = as_counted_there,
) -> Iterator[Candidate]:
    """Every cut, codec and precision with one companion, from the profiles of the device and of the companion.

    Both must run the graph of the tail. If the companion fails, the device runs the tail in that, unless a call allows
    a quicker one (`local_tails`). Of a reduced precision nothing is promised but what is left if the answers that it
    changes are others than those that codec and head do.
    """
    tails = [each for each in there.precisions if each.graph in here.precisions]
    kept = {each: reduced_fidelity_of(there) if each.is_reduced else 1.0 for each in tails}
    if manifest.picture is not None:
        yield from _file_plans(manifest, network, here, there=there, cloud=cloud, kept=kept, fidelity_of=fidelity_of)
    times_here, times_there = ({times.cut: times for times in profile.cuts} for profile in (here, there))
    for cut in manifest.cuts:
        if cut.name in times_here and cut.name in times_there:
            at_cut, at_cut_there = times_here[cut.name], times_there[cut.name]
            down_bytes = answer_down(manifest, network, cut).sent_bytes
            for head, tail in product(here.precisions if cut.head_layers else (Precision.FP32,), tails):
                tail_ms, graph = at_cut_there.parts(tail).tail_ms, tail.graph
                if tail.is_reduced and tail_ms >= at_cut_there.parts(graph).tail_ms:
                    continue
                for option in options_up(cut, at_cut, at_cut_there, head=head, tail=graph, fidelity_of=fidelity_of):
                    yield Candidate(
                        cut=cut.name,
                        codec=option.codec,
                        cloud=cloud,
                        head=head if cut.head_layers else tail,
                        tail=tail,
                        tail_by=there.computed_by if tail.is_reduced else "",
                        head_s=at_cut.parts(head).head_ms / 1e3,
                        encode_s=option.device_s,
                        up_bytes=option.sent_bytes,
                        down_bytes=down_bytes,
                        decode_s=option.cloud_s,
                        tail_s=tail_ms / 1e3,
                        local_tail_s=at_cut.parts(graph).tail_ms / 1e3,
                        local_tail=graph,
                        fidelity=_both(option.fidelity, kept[tail]),
                    )


def _file_plans(
    manifest: Manifest,
    network: Network,
    here: Profile,
    *,
    there: Profile,
    cloud: int,
    kept: Mapping[Precision, float],
    fidelity_of: FidelityOf,
) -> Iterator[Candidate]:
    """The caller's file as it came, and all on the companion. Only the precision can change the answer.

    `kept`: by precision, the answers that stay if a companion makes it of another precision's graph, 0..1.
    """
    first, int8 = manifest.cuts[0], manifest.whole_int8
    fidelities = {Precision.FP32: 1.0} | ({} if int8 is None else {Precision.INT8: fidelity_of(first, int8)})
    for tail, stay in kept.items():
        graph = tail.graph
        if graph in fidelities and (tail == graph or there.whole_s(tail) < there.whole_s(graph)):
            yield Candidate(
                cut=first.name,
                codec=FILE_UP.codec,
                cloud=cloud,
                head=tail,
                tail=tail,
                tail_by="" if tail == graph else there.computed_by,
                up_bytes=FILE_UP.sent_bytes,
                down_bytes=answer_down(manifest, network, first).sent_bytes,
                tail_s=there.whole_s(tail),
                local_tail_s=here.whole_s(graph),
                local_tail=graph,
                fidelity=_both(fidelities[graph], stay),
            )


def _both(one: float, other: float) -> float:
    """The answers that stay for certain, 0..1, where these stay by two things that change others."""
    return max(one - (1 - other), 0.0)
