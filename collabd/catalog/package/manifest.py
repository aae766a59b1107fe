"""What a model package says of itself: `package.json`, as typed and validated data."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from collab_sdk.errors import InvalidTensor
from collab_sdk.vocabulary import Precision, ScoreKind
from collabd.catalog.package.little import Little
from collabd.catalog.package.promise import promised
from collabd.codec import LOSSLESS

# The unsplit network is sure of an image if it gives its top-1 at least this probability: half, so that no other label
# can be more probable. Of other images it guesses, and changes that nobody sees change the guess.
SURE = 0.5


class Classify(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="classify"):
    """Says what a picture shows. One output, float32 [batch, labels]."""

    labels: tuple[str, ...]
    # `logits`: unbounded. `probabilities`: of labels of which one is right; they sum to 1. `independent`: a probability
    # for each label by itself, as sigmoids give.
    output_kind: ScoreKind = ScoreKind.LOGITS


class Detect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="detect"):
    """Finds things in a picture. The outputs are `boxes`, `scores` and `classes`, for a fixed number of boxes.

    Boxes are float32 [batch, boxes, 4]: x1, y1, x2, y2 in pixels of the network's input. Scores are float32 [batch,
    boxes] and fall; classes are int32 [batch, boxes]. Boxes may overlap: suppression is no part of the graph.
    """

    classes: tuple[str, ...]
    # Boxes of a lower score are left out.
    score_threshold: float = 0.40
    # Of two boxes of one class that overlap more, the one of the lower score is left out.
    iou_threshold: float = 0.45
    # The most boxes of an answer.
    most: int = 100


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="segment"):
    """Gives each pixel of a picture a class. One output, uint8 [batch, height, width], of any height and width."""

    classes: tuple[str, ...]
    # The colour of each class, red, green and blue in 0..255; None: whoever draws it chooses.
    palette: tuple[tuple[int, int, int], ...] | None = None


class Tensors(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="tensors"):
    """Gives its outputs as they are. It takes a picture, or any tensors."""


Task: TypeAlias = Classify | Detect | Segment | Tensors


class Port(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor that goes into the network or comes out of it. `dtype`: as numpy names it.

    `shape`: None for an axis with one entry for each item of the batch, which is always the first one.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def at_batch_1(self) -> Port:
        """The same for one item alone."""
        return Port(self.name, self.dtype, tuple(1 if size is None else size for size in self.shape))

    def __str__(self) -> str:
        sizes = ", ".join("batch" if size is None else str(size) for size in self.shape)
        return f"{self.name} {self.dtype} [{sizes}]"


Rule: TypeAlias = Literal["stretch", "crop", "letterbox", "letterbox_top_left"]


class Picture(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How any RGB picture becomes the network's one input, uint8 [batch, height, width, 3].

    `stretch` resizes it to height x width. `crop` resizes it until its shorter side is `resize_shorter`, and takes the
    centre. The letterboxes keep its shape: they resize it until it just fits, put it in the centre or at the top left,
    and fill the rest with the grey `pad` (0..255).
    """

    height: int
    width: int
    rule: Rule = "stretch"
    resize_shorter: int | None = None
    pad: int = 114
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"


class Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run of neighbouring graph nodes that is placed as one; the smallest unit of a placement."""

    name: str
    op: str
    # The frontier behind this layer: every tensor that a later layer still needs.
    tensors: tuple[str, ...]
    macs: int


class Agreement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many calibration images had the answer of the unsplit network.

    Of `images` images `agreed` had it; of the `sure_images` among them, which say more than others, `sure_agreed` had
    it. A classifier's answer is its top-1, and it says more if the network is sure of it (`SURE`); equal pictures count
    once, and fewer count where nearly all are of one class. A detector or segmenter may have the answer in part (see
    `profiling/likeness`); the parts add up, and images say more if there is anything to be found in them.
    """

    agreed: int
    images: int
    sure_agreed: int
    sure_images: int

    @property
    def adds_up(self) -> bool:
        """Whether such counts are possible."""
        return 0 <= self.agreed <= self.images and 0 <= self.sure_agreed <= self.sure_images <= self.images

    @property
    def fidelity(self) -> float:
        """The agreement promised, 0..1, for an image of which the unsplit network is sure."""
        return promised(self.sure_agreed, self.sure_images)

    @property
    def overall(self) -> float:
        """The agreement promised, 0..1, for any image."""
        return promised(self.agreed, self.images)


# Of packages that no images calibrated.
NO_IMAGES = Agreement(agreed=0, images=0, sure_agreed=0, sure_images=0)


class CodecFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one codec makes of the features at one cut, over the calibration images, in certain precisions."""

    codec: str
    # Of what runs before the cut, and of what runs behind it.
    head: Precision = Precision.FP32
    tail: Precision = Precision.FP32
    # None: one scale for the tensor; else one for each index along this axis.
    channel_axis: int | None
    bytes_median: int
    bytes_p95: int
    # None: nothing changes, since the codec is lossless and all runs in fp32; or the network gives tensors.
    agreement: Agreement | None = None
    # How far a value of the outputs was off, as a part of the range of its tensor; None: nothing changes, or the
    # network's task says which answers agree.
    largest_change: float | None = None
    # Of segmenters: the intersection over union with the unsplit network's map, 0..1, the mean over the classes of an
    # image and over the images in which anything is found. It is only shown.
    mean_iou: float | None = None

    @property
    def in_fp32(self) -> bool:
        """Whether the parts before and behind the cut both run in fp32."""
        return self.head == self.tail == Precision.FP32

    @property
    def is_exact(self) -> bool:
        """Whether the answer is that of the unsplit fp32 network."""
        return self.codec in LOSSLESS and self.in_fp32

    @property
    def fidelity(self) -> float:
        """The agreement with the unsplit fp32 network that is promised, 0..1, for images of which that is sure."""
        return 1 - (self.largest_change or 0.0) if self.agreement is None else self.agreement.fidelity

    @property
    def overall(self) -> float:
        """The same for any image."""
        return self.fidelity if self.agreement is None else self.agreement.overall


class Cut(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A candidate cut: `layers[:head_layers]` run on the device, the rest on the cloud.

    `tensors`: all that are alive there. Outputs among them that the rest does not read stay on the device.
    """

    name: str
    head_layers: int
    tensors: tuple[str, ...]
    codecs: tuple[CodecFigures, ...]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`package.json`."""

    format: Literal[4] = 4
    name: str
    task: Task
    # None: the inputs are tensors, each to be sent by its name.
    picture: Picture | None
    # Those of the graph, in its order.
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    dynamic_batch: bool
    layers: tuple[Layer, ...]
    # The graphs that the package holds, fp32 first. All have the same inputs and outputs, and tensors of the same names
    # at the cuts; the layers are those of the fp32 graph.
    precisions: tuple[Precision, ...] = (Precision.FP32,)
    # In graph order. The first is the picture itself, or the inputs (head_layers 0); running all on the device is no
    # cut.
    cuts: tuple[Cut, ...]
    # The bytes of all outputs as a companion returns them, the median over the calibration images; None: not measured,
    # and about as many as they have.
    answer_bytes: int | None = None
    # A little network that may answer in the place of this one; None: there is none.
    little: Little | None = None
    licence: str
    provenance: str
    # For example {"dataset": "...", "images": 5000, "top1": 0.8786}; None: not measured.
    accuracy: dict[str, str | int | float] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes; empty if there are none."""
        return labels_of(self.task)

    @property
    def output_kind(self) -> ScoreKind | None:
        """What a classifier's scores are; None for other tasks."""
        return self.task.output_kind if isinstance(self.task, Classify) else None

    def require_picture(self) -> Picture:
        """How a picture becomes the input. Raises `InvalidTensor` if the network takes none."""
        if self.picture is None:
            raise InvalidTensor(f"{self.name} takes tensors, not a picture: {', '.join(map(str, self.inputs))}")
        return self.picture

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return tuple(port.name for port in self.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return tuple(port.name for port in self.outputs)

    @property
    def whole_int8(self) -> CodecFigures | None:
        """The figures of the whole network in int8: at the first cut, where a lossless codec changes nothing.

        None: it was not found worth a plan, or there is none.
        """
        return next(
            (each for each in self.cuts[0].codecs if each.codec in LOSSLESS and each.tail == Precision.INT8), None
        )

    @property
    def crossing(self) -> tuple[str, ...]:
        """The tensors that a device may send or ask for: the inputs, the outputs, and those at the cuts."""
        at_cuts = (name for cut in self.cuts for name in cut.tensors)
        return tuple(dict.fromkeys([*self.input_names, *self.output_names, *at_cuts]))


def blank_inputs(manifest: Manifest) -> dict[str, npt.NDArray[np.generic]]:
    """Zeros for each input, at batch 1."""
    alone = (port.at_batch_1() for port in manifest.inputs)
    return {port.name: np.zeros([size or 0 for size in port.shape], port.dtype) for port in alone}


def labels_of(task: Task) -> tuple[str, ...]:
    """The names of the classes of a task; empty if it has none."""
    match task:
        case Classify(labels=labels):
            return labels
        case Detect(classes=classes) | Segment(classes=classes):
            return classes
    return ()


def kind_of(task: Task) -> str:
    """The task's name: classify, detect, segment or tensors."""
    return str(type(task).__struct_config__.tag)
