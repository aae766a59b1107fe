"""What parts of a network take, told by their tensors."""

from __future__ import annotations

from itertools import pairwise

import pytest
from msgspec.structs import replace

from collabd.catalog.package.package import Package
from collabd.profiling.profile import Profile
from collabd.simulation.part_times import PartTimes


@pytest.fixture
def times(tiny_package: Package, tiny_profile: Profile) -> PartTimes:
    return PartTimes(tiny_package.manifest, tiny_profile)


def test_heads_and_tails_are_those_of_the_profile(
    times: PartTimes, tiny_package: Package, tiny_profile: Profile
) -> None:
    manifest = tiny_package.manifest
    image, output = manifest.input_names, manifest.output_names
    assert times.run_s(image, output) == pytest.approx(tiny_profile.whole_ms / 1e3)
    for cut, measured in zip(manifest.cuts[1:], tiny_profile.cuts[1:], strict=True):
        assert times.cut(cut.tensors) is cut
        assert times.run_s(image, cut.tensors) == pytest.approx(measured.head_ms / 1e3)
        assert times.run_s(cut.tensors, output) == pytest.approx(measured.tail_ms / 1e3)


def test_a_part_between_two_cuts_is_what_the_later_head_adds(times: PartTimes, tiny_package: Package) -> None:
    manifest = tiny_package.manifest
    for one, other in pairwise(manifest.cuts[1:]):
        heads = [times.run_s(manifest.input_names, cut.tensors) for cut in (one, other)]
        assert times.run_s(one.tensors, other.tensors) == pytest.approx(heads[1] - heads[0])


def test_the_parts_of_a_network_take_no_less_than_the_whole(tiny_package: Package, tiny_profile: Profile) -> None:
    image, *cuts = tiny_profile.cuts
    halved = tuple(replace(cut, tail_ms=cut.tail_ms / 2) for cut in cuts)
    profile = replace(tiny_profile, cuts=(image, *halved))
    times, manifest = PartTimes(tiny_package.manifest, profile), tiny_package.manifest
    for cut in manifest.cuts[1:]:
        head_s = times.device_run_s(manifest.input_names, cut.tensors)
        rest_s = times.device_run_s(cut.tensors, manifest.output_names)
        assert head_s + rest_s >= profile.whole_ms / 1e3 * (1 - 1e-9)
        assert times.run_s(cut.tensors, manifest.output_names) < rest_s
