"""The kinds of plans that a simulation can do without, to see what each of them is worth."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import msgspec

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.little import Little
from collabd.catalog.package.manifest import CodecFigures, Cut, Manifest
from collabd.catalog.package.package import Package
from collabd.codec import JPEG_CODECS
from collabd.profiling.profile import Profile

KINDS = {
    "jpeg": "the image as JPEG",
    "split": "cuts inside the network",
    "int8": "parts of the network, or a little one, in 8-bit integers",
    "cascade": "a little network that answers where it is sure",
    "inherit": "the last answer of a camera that has not moved",
}


def without_kinds(package: Package, profile: Profile, kinds: Collection[str]) -> tuple[Package, Profile]:
    """Package and profile as if nobody had ever heard of these kinds of plans."""
    manifest = package.manifest
    cuts = [msgspec.structs.replace(cut, codecs=tuple(_kept(cut, kinds))) for cut in manifest.cuts]
    precisions = tuple(each for each in manifest.precisions if each not in kinds)
    less = msgspec.structs.replace(
        manifest,
        cuts=tuple(cut for cut in cuts if cut.codecs),
        precisions=precisions,
        little=None if manifest.little is None or "cascade" in kinds else _little(manifest.little, kinds),
    )
    return replace(package, manifest=less), _profile_of(less, profile)


def _little(little: Little, kinds: Collection[str]) -> Little:
    ladders = tuple(each for each in little.ladders if each.precision not in kinds)
    return msgspec.structs.replace(little, ladders=ladders)


def _profile_of(manifest: Manifest, profile: Profile) -> Profile:
    """What the profile says of this manifest, which has no more than the profile's."""
    times_of = {times.cut: times for times in profile.cuts}
    has_int8 = Precision.INT8 in manifest.precisions
    cuts = []
    for cut in manifest.cuts:
        times, codecs = times_of[cut.name], {figures.codec for figures in cut.codecs}
        kept = tuple(each for each in times.codecs if each.codec in codecs)
        cuts.append(msgspec.structs.replace(times, codecs=kept, int8=times.int8 if has_int8 else None))
    whole_int8_ms = profile.whole_int8_ms if has_int8 else None
    return msgspec.structs.replace(profile, cuts=tuple(cuts), whole_int8_ms=whole_int8_ms)


def _kept(cut: Cut, kinds: Collection[str]) -> list[CodecFigures]:
    return [figures for figures in cut.codecs if _kinds(cut, figures).isdisjoint(kinds)]


def _kinds(cut: Cut, figures: CodecFigures) -> set[str]:
    belongs = {
        "jpeg": figures.codec in JPEG_CODECS,
        "split": cut.head_layers > 0,
        "int8": Precision.INT8 in {figures.head, figures.tail},
    }
    return {kind for kind, belonging in belongs.items() if belonging}
