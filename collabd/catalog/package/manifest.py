"""What a model package says of itself: `package.json`, as typed and validated data."""

from __future__ import annotations

from typing import Literal

import msgspec

from collab_sdk.vocabulary import ScoreKind

# The unsplit network is sure of an image if it gives its top-1 at least this probability: half, so that no other label
# can be more probable. Of other images it guesses, and changes that nobody sees change the guess.
SURE = 0.5


class Preprocessing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How any RGB image becomes the network's uint8 input of shape [1, height, width, 3]."""

    height: int
    width: int
    # The shorter side is resized to this, and the centre is cropped; None: the image is resized to height x width.
    resize_shorter: int | None = None
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"


class Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run of neighbouring graph nodes that is placed as one; the smallest unit of a placement."""

    name: str
    op: str
    # The frontier behind this layer: every tensor that a later layer still needs.
    tensors: tuple[str, ...]
    macs: int


class Agreement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many calibration images had the top-1 of the unsplit network.

    Of `images` images `agreed` had it; of the `sure_images` among them, of which the unsplit network is sure (`SURE`),
    `sure_agreed` had it. Equal pictures count once, and fewer count where nearly all are of one class.
    """

    agreed: int
    images: int
    sure_agreed: int
    sure_images: int

    @property
    def fidelity(self) -> float:
        """Expected agreement, 0..1, for an image of which the unsplit network is sure."""
        return _expected(self.sure_agreed, self.sure_images)

    @property
    def overall(self) -> float:
        """Expected agreement, 0..1, for any image."""
        return _expected(self.agreed, self.images)


def _expected(agreed: int, images: int) -> float:
    """The posterior mean under Jeffreys' prior.

    100 of 100 give 0.995, and 1000 of 1000 give 0.9995: few images cannot promise much.
    """
    return (agreed + 0.5) / (images + 1)


class CodecFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one codec makes of the features at one cut, over the calibration images."""

    codec: str
    # None: one scale for the tensor; else one for each index along this axis.
    channel_axis: int | None
    bytes_median: int
    bytes_p95: int
    # None: the codec is lossless.
    agreement: Agreement | None = None

    @property
    def fidelity(self) -> float:
        """Expected top-1 agreement with the unsplit network, 0..1, for images of which that is sure."""
        return 1.0 if self.agreement is None else self.agreement.fidelity

    @property
    def overall(self) -> float:
        """The same for any image."""
        return 1.0 if self.agreement is None else self.agreement.overall


class Cut(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A candidate cut: `layers[:head_layers]` run on the device, the rest on the cloud."""

    name: str
    head_layers: int
    tensors: tuple[str, ...]
    codecs: tuple[CodecFigures, ...]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`package.json`. The input tensor is uint8 [batch, height, width, 3]; the output float32 [batch, labels]."""

    format: Literal[2] = 2
    name: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    input: str
    output: str
    # `logits`: unbounded. `probabilities`: of labels of which one is right; they sum to 1. `independent`: a probability
    # for each label by itself, as sigmoids give.
    output_kind: ScoreKind = ScoreKind.LOGITS
    dynamic_batch: bool
    layers: tuple[Layer, ...]
    # In graph order. The first is the image itself (head_layers 0); running all on the device is no cut.
    cuts: tuple[Cut, ...]
    licence: str
    provenance: str
    # For example {"dataset": "...", "images": 5000, "top1": 0.8786}; None: not measured.
    accuracy: dict[str, str | int | float] | None = None

    @property
    def crossing(self) -> tuple[str, ...]:
        """The tensors that a device may send or ask for: the input, the output, and those at the cuts."""
        return tuple(dict.fromkeys([self.input, self.output, *(name for cut in self.cuts for name in cut.tensors)]))
