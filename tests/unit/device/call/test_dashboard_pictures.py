"""The pictures that a dashboard may show: few, small, and only while somebody looks."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collabd.catalog.package.package import Package
from collabd.device.call.dashboard_pictures import KEPT, SIDE, DashboardPictures
from collabd.device.job.image import CallImage
from collabd.device.models.model import DeviceModel
from collabd.imaging import OpenImage
from tests.task_networks import package_of


@pytest.fixture
def finder(tmp_path: Path) -> DeviceModel:
    package = package_of("detect", tmp_path / "finder", name="finder")
    return DeviceModel(package, package.networks())


@pytest.fixture
def classifier(tiny_package: Package) -> DeviceModel:
    return DeviceModel(tiny_package, tiny_package.networks())


class Viewer:
    """Shows pictures at times of its choice."""

    def __init__(self) -> None:
        self.now = 100.0
        self.shown = DashboardPictures(lambda: self.now)

    async def call(self, model: DeviceModel, given: CallImage, said: Callable[[], str] = lambda: "cup 0.9") -> None:
        """A call with this picture, three seconds after the last."""
        self.now += 3
        size = given.upright_size
        boxes = np.array([[0, 0, 10, size[1]], [5, 5, 9, 9]], np.float32)
        answered = {"boxes": boxes, "scores": np.array([0.9, 0.6], np.float32), "classes": np.array([2, 0], np.int32)}
        self.shown.saw(model, given, answered, size=size, stream="door", said=said)
        if (making := self.shown._making) is not None:
            await making


@pytest.fixture
async def viewer() -> Viewer:
    return Viewer()


def photo(width: int = 640, height: int = 480) -> CallImage:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    Image.new("RGB", (width, height), (200, 30, 30)).save(file, "JPEG", exif=exif)
    return CallImage(file.getvalue(), width * height)


async def test_nothing_is_kept_before_somebody_looks(viewer: Viewer, finder: DeviceModel) -> None:
    await viewer.call(finder, photo())
    assert viewer.shown.look() == []
    await viewer.call(finder, photo())
    assert len(viewer.shown.look()) == 1
    await viewer.shown.close()


async def test_what_is_kept_is_small_and_says_nothing_else(viewer: Viewer, finder: DeviceModel) -> None:
    viewer.shown.look()
    await viewer.call(finder, photo())
    (report,) = viewer.shown.look()
    assert (report["model"], report["stream"], report["answer"]) == ("finder", "door", "cup 0.9")
    assert report["boxes"][0] == pytest.approx(
        {"label": "cup", "score": 0.9, "x1": 0, "y1": 0, "x2": 10 / 640, "y2": 1}, abs=1e-6
    )
    jpeg = viewer.shown.jpeg(report["id"])
    assert jpeg is not None
    assert b"at home" not in jpeg
    assert Image.open(io.BytesIO(jpeg)).size == (SIDE, SIDE * 480 // 640)
    await viewer.shown.close()
    assert viewer.shown.jpeg(report["id"]) is None


async def test_few_are_kept_and_none_when_nobody_looks_any_more(viewer: Viewer, classifier: DeviceModel) -> None:
    for _ in range(KEPT + 3):
        viewer.shown.look()
        await viewer.call(classifier, photo(32, 32))
    kept = viewer.shown.look()
    assert [report["id"] for report in kept] == list(range(KEPT + 3, 3, -1))
    assert kept[0]["boxes"] == []
    viewer.now += 60
    await viewer.call(classifier, photo(32, 32))
    assert [report["id"] for report in viewer.shown.look()] == [report["id"] for report in kept]
    viewer.shown.forget()
    assert viewer.shown.look() == []
    await viewer.shown.close()


async def test_of_many_calls_a_few_show_theirs(viewer: Viewer, classifier: DeviceModel) -> None:
    viewer.shown.look()
    await viewer.call(classifier, photo(32, 32))
    viewer.now -= 2
    await viewer.call(classifier, photo(32, 32))
    assert len(viewer.shown.look()) == 1
    await viewer.shown.close()


async def test_a_picture_that_cannot_be_shown_is_left_out(viewer: Viewer, classifier: DeviceModel) -> None:
    viewer.shown.look()
    whole = photo()
    assert isinstance(whole.content, bytes)
    await viewer.call(classifier, CallImage(whole.content[:300], 640 * 480, opened=OpenImage(whole.content)))
    await viewer.call(classifier, CallImage(np.full((9, 7, 3), 255, np.uint8), 63))
    (report,) = viewer.shown.look()
    assert (report["width"], report["height"]) == (7, 9)
    await viewer.shown.close()
