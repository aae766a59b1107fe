"""Every example runs as it is shown, on real input, and says what is in the picture."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import requests

from collab_sdk import Client
from tests.integration.camera.conftest import CHECKOUT, PERSON, SIZE, Picture, Runner, picture, video
from tests.integration.camera.rtsp import RtspServer, needs_rtsp
from tests.patience import PROGRAM_S

# A photograph in which the network sees something else when red and blue are exchanged.
COLOURED = "photos/coffee.jpg"


def test_every_example_is_run_and_shown() -> None:
    names = {path.stem for path in (CHECKOUT / "examples").glob("*.py")}
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    shown = (CHECKOUT / "docs/cameras.md").read_text()
    assert {name for name in names if f'example("{name}"' not in tests} == set()
    for path in (CHECKOUT / "examples").glob("*.py"):
        assert path.read_text() in shown, f"docs/cameras.md does not show {path.name} as it is"


def score_of(line: str) -> tuple[str, float]:
    found = re.match(r"(.+) (\d\.\d\d) · ", line)
    assert found is not None, line
    return found[1], float(found[2])


# There is no Raspberry Pi here. This stands in for picamera2, of which it has what the example uses: arrays in the
# order of bytes that picamera2 documents for each format. It plays one picture for ever.
STAND_IN = """
import numpy as np

ORDERS = {"RGB888": [2, 1, 0], "BGR888": [0, 1, 2], "XBGR8888": [0, 1, 2, 3], "XRGB8888": [2, 1, 0, 3]}


class Picamera2:
    def __init__(self, camera_num=0):
        self._is_started = False

    @staticmethod
    def global_camera_info():
        return [{"Model": "stand-in", "Num": 0}]

    def create_video_configuration(self, main):
        return {"main": {"format": "XBGR8888", "size": (1280, 720)} | main}

    def configure(self, configuration):
        self._format = configuration["main"]["format"]

    def start(self):
        self._is_started = True

    def capture_array(self, name="main", wait=None):
        assert self._is_started and name == "main"
        red_first = np.load(__file__.replace("picamera2.py", "picture.npy"))
        padded = np.dstack([red_first, np.full(red_first.shape[:2], 255, np.uint8)])
        return np.ascontiguousarray(padded[:, :, ORDERS[self._format]])

    def close(self):
        self._is_started = False
"""


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    """A directory with the stand-in for picamera2."""
    directory = tmp_path / "pi"
    directory.mkdir()
    (directory / "picamera2.py").write_text(STAND_IN)
    np.save(directory / "picture.npy", picture(COLOURED)[:, :, ::-1])
    return directory


def told(socket: Path, image: Picture, channels: str) -> tuple[str, float]:
    with Client(socket) as client:
        result = client.infer(image, channels=channels, cut="output")
        return result.label, result.score


def test_the_pi_camera_has_its_colours_right(programs: Runner, pi: Path) -> None:
    right = told(programs.socket, picture(COLOURED), "bgr")
    wrong = told(programs.socket, picture(COLOURED), "rgb")
    # The picture tells the one from the other.
    assert right[0] != wrong[0] or abs(right[1] - wrong[1]) > 0.05
    with programs.example("pi_camera", path=pi) as program:
        program.until(lambda: len(program.lines) >= 3)
        assert program.interrupt() == 0
    for line in program.lines[:3]:
        label, score = score_of(line)
        assert label == right[0]
        assert score == pytest.approx(right[1], abs=0.02)


def test_the_usb_camera_reads_what_opencv_gives(programs: Runner, film: Path) -> None:
    """There is no camera here: OpenCV plays a file in its place."""
    with programs.example("usb_camera", film) as program:
        assert program.end() == 0, program.errors
    assert len(program.lines) == 30
    seen = cv2.imread(str(programs.directory / "seen.jpg"))
    # The last frame showed the person; on it the label is drawn, in the corner at the top left.
    assert seen.shape == (SIZE[1], SIZE[0], 3)
    assert np.abs(seen[100:].astype(int) - PERSON[100:]).mean() < 10
    assert np.abs(seen[:12, :40].astype(int) - PERSON[:12, :40]).mean() > 10


def test_a_usb_camera_that_is_not_there(programs: Runner) -> None:
    with programs.example("usb_camera", "nothing.avi") as program:
        assert program.end() == 1
    assert program.errors[-1].startswith("cannot open nothing.avi")


@needs_rtsp
def test_the_newest_frame_of_a_camera_that_goes_and_comes_back(programs: Runner, film: Path) -> None:
    with RtspServer(film) as server, programs.example("newest_frame", server.url) as program:
        program.until(lambda: len(program.lines) >= 3)
        server.kill()
        program.until(lambda: any("gives no more pictures" in line for line in program.errors))
        answered = len(program.lines)
        server.start()
        program.until(lambda: "back" in program.errors and len(program.lines) >= answered + 3)
        assert program.interrupt() == 0
    assert all(re.search(r" dropped$", line) for line in program.lines)


def test_boxes_in_a_browser(programs: Runner, tmp_path: Path) -> None:
    still = video(tmp_path / "still.avi", PERSON, frames=400)
    with programs.example("boxes_in_browser", still, "0") as program:
        program.until(lambda: program.lines)
        url = program.lines[0].removeprefix("look at ")
        assert '<img src="stream.mjpg"' in requests.get(url, timeout=PROGRAM_S).text
        reply = requests.get(f"{url}picture.jpg", timeout=PROGRAM_S)
        assert reply.headers["Content-Type"] == "image/jpeg"
        drawn = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_COLOR)
        assert drawn is not None
        with Client(programs.socket, channels="bgr") as client:
            person = next(
                each for each in client.infer(PERSON, model="nanodet_g").detections if each.class_name == "person"
            )
        x1, y1, x2, y2 = (round(edge) for edge in person.xyxy)
        # Red where it was red, and a box along the left edge.
        middle = (slice(y1 + 40, y2 - 40), slice(x1 + 40, x2 - 40))
        assert np.abs(drawn[middle].astype(int) - PERSON[middle]).mean() < 10
        edge = (slice(y1 + 40, y2 - 40), slice(x1, x1 + 2))
        assert np.abs(drawn[edge].astype(int) - PERSON[edge]).mean() > 20
        assert program.interrupt() == 0


def test_people_are_counted(programs: Runner, film: Path) -> None:
    with programs.example("count_people", film, "people.csv") as program:
        assert program.end() == 0, program.errors
    rows = list(csv.reader((programs.directory / "people.csv").read_text().splitlines()))
    assert [row[1] for row in rows] == ["1", "0", "1"]
    assert sorted(row[0] for row in rows) == [row[0] for row in rows]


def test_people_as_lines_of_json(programs: Runner, film: Path) -> None:
    with programs.example("count_people", film, "-") as program:
        assert program.end() == 0, program.errors
    counted = [len(json.loads(line)["people"]) for line in program.lines]
    assert counted == [1] * 10 + [0] * 10 + [1] * 10
