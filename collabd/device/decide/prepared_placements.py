"""Placements with one crossing or none, and placements that calls state. Each is made ready once for all calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache

from collab_sdk.errors import InvalidPlacement
from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import Manifest
from collabd.codec import IMAGE_CODECS
from collabd.device.decide import steps
from collabd.device.job.job import JobStep
from collabd.device.job.placement import LOCAL_CUT, NO_CODEC, head_layers_of, parse_placement, single_cut
from collabd.planning import Candidate, Candidates
from collabd.planning.candidates import SOURCE
from collabd.planning.precisions import IN_FP32, Precisions

# The number of placements that are remembered. A model has up to 200 candidates with a companion; calls use a few.
_REMEMBERED = 128


@dataclass(frozen=True, kw_only=True)
class PreparedPlacement:
    """A placement that is ready to run. `letters`: one letter for each layer. `plans` holds `plan` and nothing else.

    `is_candidate`: whether the figures of the plan are measured. Otherwise the plan has only the figures that failing
    over needs.
    """

    letters: str
    plan: Candidate
    plans: Candidates
    is_candidate: bool
    steps: tuple[JobStep, ...]


class PreparedPlacements:
    """Makes each placement ready once, from the candidates of a model.

    `whole_s`: seconds that the idle device takes for the whole network. `whole_there_s`: the same for each companion;
    0: it does not hold the package.
    """

    def __init__(
        self, manifest: Manifest, candidates: Candidates, *, whole_s: float, whole_there_s: Sequence[float]
    ) -> None:
        # What makes them knows nothing of what remembers them. In a circle, both would stay in memory after their last
        # use until the garbage collector looks at everything, which takes thousands of calls.
        preparation = _Preparation(manifest, candidates, _whole_s=whole_s, _whole_there_s=whole_there_s)
        self.of = lru_cache(_REMEMBERED)(preparation.of)
        self._rows = candidates.rows
        self._holders = tuple(cloud for cloud, seconds in enumerate(whole_there_s) if seconds > 0)

    def elsewhere(self, prepared: PreparedPlacement) -> Iterator[tuple[int, tuple[JobStep, ...]]]:
        """The steps of a placement on each other companion that can run them, behind the companion's index."""
        plan = prepared.plan
        for cloud in self._holders if plan.cloud is not None else ():
            if cloud != plan.cloud:
                there = self.of(
                    cut=None,
                    placement=prepared.letters,
                    codec=plan.codec,
                    cloud=cloud,
                    has_file=True,
                    precisions=self._precisions_like(plan, cloud),
                )
                if there.is_candidate == prepared.is_candidate:
                    yield cloud, there.steps

    def _precisions_like(self, plan: Candidate, cloud: int) -> Precisions:
        """Those of the plan. What another kind of machine makes of a reduced one is another loss, and fp32 is none."""
        like = (row.cloud == cloud and (row.tail, row.tail_by) == (plan.tail, plan.tail_by) for row in self._rows)
        return (
            plan.precisions if not plan.tail.is_reduced or any(like) else Precisions(plan.head.graph, plan.tail.graph)
        )


@dataclass(frozen=True)
class _Preparation:
    _manifest: Manifest
    _candidates: Candidates
    _: KW_ONLY
    _whole_s: float
    _whole_there_s: Sequence[float]

    def of(
        self,
        *,
        cut: str | None,
        placement: str | None,
        codec: str | None,
        cloud: int | None,
        has_file: bool,
        precisions: Precisions = IN_FP32,
    ) -> PreparedPlacement:
        """The placement of a `cut`, or of a `placement` with one letter for each layer.

        `codec` None: a lossless codec. `cloud`: the index of the companion to send to, if the placement needs one;
        None: there is none. `has_file`: whether the image of the call is a file. Raises `InvalidPlacement`.
        """
        letters = self._letters(cut, placement)
        precisions = precisions.of(letters)
        cloud = cloud if "C" in letters else None
        name, codec = _cut_name(letters, self._manifest), _codec(codec, letters, self._manifest, has_file=has_file)
        self._check(precisions, name, letters, cloud)
        row = self._candidates.index.get((name, codec, cloud, precisions))
        plan = (
            self._unmeasured(name, codec, cloud=cloud, precisions=precisions)
            if row is None
            else self._candidates.rows[row]
        )
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

    def _check(self, precisions: Precisions, cut: str, letters: str, cloud: int | None) -> None:  # noqa: PLR0917
        """Raises `InvalidPlacement` where the graphs have not the tensors, or are not there, to run in these."""
        if precisions == IN_FP32:
            return
        if "D" in letters and precisions.head.is_reduced:
            head = precisions.head
            raise InvalidPlacement(f"only companions compute in {head}: say fp32/{head} if layers run on the device")
        if precisions.tail.is_reduced and cloud is not None and not self._computes(precisions.tail, cloud):
            raise InvalidPlacement(f"the companion does not compute {self._manifest.name} faster in {precisions.tail}")
        if missing := {each.graph for each in precisions}.difference(self._manifest.precisions):
            raise InvalidPlacement(f"{self._manifest.name} has no graph in {', '.join(sorted(missing))}")
        if cut not in {LOCAL_CUT, *(each.name for each in self._manifest.cuts)}:
            raise InvalidPlacement(
                f"precision {precisions} is for candidate cuts and {LOCAL_CUT!r}; all other placements run in fp32"
            )

    def _computes(self, precision: Precision, cloud: int) -> bool:
        return any(row.cloud == cloud and row.tail == precision for row in self._candidates.rows)

    def _unmeasured(self, cut: str, codec: str, *, cloud: int | None, precisions: Precisions) -> Candidate:
        whole_there_s = 0.0 if cloud is None else self._whole_there_s[cloud]
        return Candidate(
            cut=cut,
            codec=codec,
            cloud=cloud,
            head=precisions.head,
            tail=precisions.tail,
            head_s=0.0,
            encode_s=0.0,
            up_bytes=0.0,
            down_bytes=0.0,
            decode_s=0.0,
            tail_s=whole_there_s,
            local_tail_s=self._whole_s,
            local_tail=precisions.tail.graph,
            fidelity=0.0,
        )


def _cut_name(letters: str, manifest: Manifest) -> str:
    """The name of the cut, for a placement with one crossing or none; otherwise the letters of the placement."""
    head, layers = letters.count("D"), manifest.layers
    if letters != single_cut(head, len(layers)):
        return letters
    if head == len(layers):
        return LOCAL_CUT
    return manifest.cuts[0].name if head == 0 else layers[head - 1].name


def _codec(stated: str | None, letters: str, manifest: Manifest, *, has_file: bool) -> str:
    """The stated codec, or the lossless one. Raises `InvalidPlacement` when the codec does not fit the placement."""
    if "C" not in letters:
        return NO_CODEC
    if manifest.picture is None and stated in (*IMAGE_CODECS, SOURCE):
        raise InvalidPlacement(f"codec {stated} is for a picture, but {manifest.name} takes tensors")
    image_cut = letters.startswith("C") and manifest.picture is not None
    codec = stated or ("u8" if image_cut else "f32")
    if codec in (*IMAGE_CODECS, SOURCE) and not image_cut:
        raise InvalidPlacement(f"codec {codec} is for the image, but the first layer runs on the device")
    if codec == SOURCE and ("D" in letters or not has_file):
        raise InvalidPlacement(
            "codec source sends an image file as it came: give a file, and place all layers on the companion"
        )
    return codec
