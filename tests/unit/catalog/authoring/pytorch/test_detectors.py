from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD

from collabd.catalog.authoring.optimise import optimise
from collabd.catalog.authoring.pytorch.detectors import AnchorDetector
from collabd.catalog.authoring.pytorch.export import export
from collabd.catalog.graph.effort import require_bounded
from collabd.catalog.trial.plain_graph import read_plain
from collabd.partition import CutSpec, Network, candidate_cuts, layers, order
from collabd.tasks.suppression import suppress
from tests.bench.torchvision_sweep import EQUAL, cut_error

pytestmark = pytest.mark.slow

HEIGHT, WIDTH, CLASSES, CHANNELS = 64, 96, 5, 32
MOST = 24
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


class Pyramid(nn.Module):
    """Two levels of features, at a 16th and a 32nd of the size."""

    def __init__(self, out_channels: int | list[int] = CHANNELS) -> None:
        super().__init__()
        self.out_channels = out_channels  # the families of torchvision expect one number, SSD one for each level
        self.stem = nn.Conv2d(3, CHANNELS, 16, stride=16)
        self.down = nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1)

    def forward(self, planes: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        fine = self.stem(planes)
        return OrderedDict([("fine", fine), ("coarse", self.down(fine.relu()))])


def anchors(*shapes: float) -> AnchorGenerator:
    return AnchorGenerator(sizes=((16,), (32,)), aspect_ratios=(shapes, shapes))


def ssd() -> SSD:
    boxes = DefaultBoxGenerator([[2], [2, 3]])
    return SSD(Pyramid([CHANNELS] * 2), boxes, (WIDTH, HEIGHT), CLASSES, image_mean=MEAN, image_std=STD)


def retinanet() -> RetinaNet:
    return RetinaNet(Pyramid(), CLASSES, **sizes(), anchor_generator=anchors(0.5, 1.0, 2.0))


def fcos() -> FCOS:
    return FCOS(Pyramid(), CLASSES, **sizes(), anchor_generator=anchors(1.0))


def sizes() -> dict[str, Any]:
    return {"min_size": HEIGHT, "max_size": WIDTH, "image_mean": MEAN, "image_std": STD}


def spread(network: Any) -> Any:
    """Random weights under which scores and boxes differ much from anchor to anchor, and nothing is left out as low."""
    network.score_thresh = 0.0
    generator = torch.Generator().manual_seed(3)
    for name, weight in network.named_parameters():
        if name.startswith("head") or name.endswith("weight"):
            fan = max(1, weight[0].numel())
            weight.data = torch.randn(weight.shape, generator=generator) * (2.0 / fan) ** 0.5
    return network.eval()


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=[ssd, retinanet, fcos], ids=lambda make: make.__name__)
def network(request: pytest.FixtureRequest) -> Any:
    return spread(request.param())


@pytest.fixture(scope="module")
def exported(network: Any) -> bytes:
    model = export(
        AnchorDetector(network, height=HEIGHT, width=WIDTH, most=MOST),
        height=HEIGHT,
        width=WIDTH,
        mean=MEAN,
        std=STD,
        outputs=["boxes", "scores", "classes"],
    )
    return bytes(model.SerializeToString())


def run(exported: bytes, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes, scores, classes = ort.InferenceSession(exported).run(None, {"image": pixels})
    return boxes, scores, classes


def test_after_suppression_it_finds_what_torchvision_finds(network: Any, exported: bytes) -> None:
    pixels = pictures(3)
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        expected = network([*planes])
    for boxes, scores, classes, theirs in zip(*run(exported, pixels), expected, strict=True):
        kept = suppress(boxes, scores, classes, iou_threshold=network.nms_thresh, most=len(boxes))
        # Of what torchvision finds besides, no score is as high as the lowest of these.
        reached = (theirs["scores"] > float(scores[-1]) + 1e-6).numpy()
        count = int(reached.sum())
        assert count >= 8
        np.testing.assert_array_equal(classes[kept][:count], theirs["labels"].numpy()[reached])
        np.testing.assert_allclose(scores[kept][:count], theirs["scores"].numpy()[reached], rtol=1e-4)
        np.testing.assert_allclose(boxes[kept][:count], theirs["boxes"].numpy()[reached], atol=0.01)
        assert len(kept) - count <= 1


def test_its_outputs_are_those_of_the_task_and_bounded(exported: bytes) -> None:
    boxes, scores, classes = run(exported, pictures(2))
    assert [boxes.shape, scores.shape, classes.shape] == [(2, MOST, 4), (2, MOST), (2, MOST)]
    assert [str(made.dtype) for made in (boxes, scores, classes)] == ["float32", "float32", "int32"]
    assert (np.diff(scores) <= 0).all()
    assert (boxes >= 0).all()
    assert (boxes <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
    stored = order(optimise(onnx.load_from_string(exported)))
    network = require_bounded(read_plain(stored.SerializeToString()))
    assert [info.shape for info in network.outputs] == [(None, MOST, 4), (None, MOST), (None, MOST)]


def test_it_is_equal_behind_every_layer(exported: bytes) -> None:
    network = Network.from_proto(order(optimise(onnx.load_from_string(exported))))
    candidates, specs = candidate_cuts(network, layers(network)), layers(network)
    assert len(candidates) >= 2
    everywhere = [CutSpec(layer.name, number, layer.tensors) for number, layer in enumerate(specs, start=1)]
    assert cut_error(network, [candidates[0], *everywhere[:-1]]) <= EQUAL


def test_pictures_do_not_change_one_another(exported: bytes) -> None:
    pixels = pictures(3)
    together = run(exported, pixels)
    alone = [run(exported, pixels[index : index + 1]) for index in range(3)]
    for found, parts in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(found, np.concatenate(parts), rtol=1e-4, atol=0.01)


def test_it_gives_no_more_boxes_than_there_are_anchors() -> None:
    detector = AnchorDetector(spread(fcos()), height=HEIGHT, width=WIDTH, most=1000)
    boxes, scores, _ = detector(torch.zeros(1, 3, HEIGHT, WIDTH))
    assert boxes.shape[1] == scores.shape[1] == len(detector.anchors) == 4 * 6 + 2 * 3
