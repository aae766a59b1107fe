"""Placements with one crossing or none, and those that calls state, made ready to run once for all calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from collab_sdk.errors import InvalidPlacement
from collabd.catalog.package.manifest import Manifest
from collabd.codec import IMAGE_CODECS
from collabd.device.decide import steps
from collabd.device.job.job import JobStep
from collabd.device.job.placement import LOCAL_CUT, NO_CODEC, head_layers_of, parse_placement, single_cut
from collabd.planning import Candidate, Candidates
from collabd.planning.candidates import SOURCE

# So many are remembered: a model has up to two hundred candidates with a companion, of which its calls use a few.
_REMEMBERED = 128


@dataclass(frozen=True, kw_only=True)
class PreparedPlacement:
    """A placement, ready to run. `letters`: one a layer. `plan`: alone in `plans`.

    `is_candidate`: whether the plan's figures are measured; else they are no more than what failing over needs.
    """

    letters: str
    plan: Candidate
    plans: Candidates
    is_candidate: bool
    steps: tuple[JobStep, ...]


class PreparedPlacements:
    """Makes each placement ready once, from a model's candidates.

    Seconds of the whole network when idle: `whole_s` here, `whole_there_s` on each companion.
    """

    def __init__(
        self, manifest: Manifest, candidates: Candidates, *, whole_s: float, whole_there_s: Sequence[float]
    ) -> None:
        self._manifest = manifest
        self._candidates = candidates
        self._whole_s = whole_s
        self._whole_there_s = whole_there_s
        self.of = lru_cache(_REMEMBERED)(self._of)

    def _of(
        self, *, cut: str | None, placement: str | None, codec: str | None, cloud: int | None, has_file: bool
    ) -> PreparedPlacement:
        """For a `cut`, or else a `placement` of one letter a layer; `codec` None: a lossless one.

        `cloud`: the companion to send to, should one be needed; None: there is none. `has_file`: whether the call's
        image is a file. Raises `InvalidPlacement`.
        """
        letters = self._letters(cut, placement)
        cloud = cloud if "C" in letters else None
        name, codec = _cut_name(letters, self._manifest), _codec(codec, letters, has_file=has_file)
        row = self._candidates.index.get((name, codec, cloud))
        plan = self._unmeasured(name, codec, cloud) if row is None else self._candidates.rows[row]
        return PreparedPlacement(
            letters=letters,
            plan=plan,
            plans=Candidates([plan]),
            is_candidate=row is not None,
            steps=steps.of_plan(plan, letters, self._manifest),
        )

    def _letters(self, cut: str | None, placement: str | None) -> str:
        if placement is not None:
            return parse_placement(placement, self._manifest)
        return single_cut(head_layers_of(cut or LOCAL_CUT, self._manifest), len(self._manifest.layers))

    def _unmeasured(self, cut: str, codec: str, cloud: int | None) -> Candidate:
        whole_there_s = 0.0 if cloud is None else self._whole_there_s[cloud]
        return Candidate(
            cut=cut,
            codec=codec,
            cloud=cloud,
            head_s=0.0,
            encode_s=0.0,
            up_bytes=0.0,
            down_bytes=0.0,
            decode_s=0.0,
            tail_s=whole_there_s,
            local_tail_s=self._whole_s,
            fidelity=0.0,
        )


def _cut_name(letters: str, manifest: Manifest) -> str:
    """The cut that a placement with one crossing is; otherwise the placement itself."""
    head, layers = letters.count("D"), manifest.layers
    if letters != single_cut(head, len(layers)):
        return letters
    if head == len(layers):
        return LOCAL_CUT
    return manifest.cuts[0].name if head == 0 else layers[head - 1].name


def _codec(stated: str | None, letters: str, *, has_file: bool) -> str:
    """The codec that is stated, or the lossless one. Raises `InvalidPlacement` where it does not fit."""
    if "C" not in letters:
        return NO_CODEC
    image_cut = letters.startswith("C")
    codec = stated or ("u8" if image_cut else "f32")
    if codec in (*IMAGE_CODECS, SOURCE) and not image_cut:
        raise InvalidPlacement(f"codec {codec} is for the image, but the first layer runs on the device")
    if codec == SOURCE and ("D" in letters or not has_file):
        raise InvalidPlacement(
            "codec source sends an image file as it came: give a file, and place all layers on the companion"
        )
    return codec
