"""Cameras that are refused, lost and closed."""

from __future__ import annotations

import os
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from collab_sdk.camera import Camera
from collab_sdk.camera.opencv import open_video
from collab_sdk.camera.source import CameraSource
from collab_sdk.errors import CameraUnavailable, MissingDependency
from tests.patience import PATIENCE_S


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Five frames: the first is all 0, the next all 50, and so on."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for grey in range(0, 250, 50):
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()
    return path


def test_a_file_gives_all_its_frames_and_ends(film: Path) -> None:
    with Camera(film) as camera:
        frames = list(camera)
    assert not camera.is_live
    assert [round(float(frame.mean()), -1) for frame in frames] == [0, 50, 100, 150, 200]
    assert {(frame.shape, frame.dtype.name) for frame in frames} == {((48, 64, 3), "uint8")}


def test_a_closed_camera_gives_no_more(film: Path) -> None:
    camera = Camera(film)
    frames = iter(camera)
    next(frames)
    camera.close()
    assert list(frames) == []
    assert list(camera) == []
    camera.close()


@contextmanager
def http_camera(reply: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/video"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


JPEG = cv2.imencode(".jpg", np.full((48, 64, 3), 200, np.uint8))[1].tobytes()


def motion_jpeg(frames: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def reply(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        to.end_headers()
        for _ in range(frames):
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(JPEG)}\r\n\r\n"
            to.wfile.write(head.encode() + JPEG + b"\r\n")

    return reply


def test_a_camera_of_motion_jpeg_that_ends_is_opened_again() -> None:
    told: list[str | None] = []
    back = threading.Event()

    def on_change(lost: CameraUnavailable | None) -> None:
        told.append(None if lost is None else str(lost))
        if lost is None:
            back.set()

    with http_camera(motion_jpeg(12)) as url, Camera(url, on_change=on_change) as camera:
        assert camera.is_live
        for number, frame in enumerate(camera):
            assert frame.shape == (48, 64, 3)
            if back.is_set() or number > 1000:
                break
    assert told[:2] == [f"{url} gives no more pictures", None]


def test_a_lost_camera_is_closed_while_it_is_waited_for() -> None:
    lost = threading.Event()
    with http_camera(motion_jpeg(12)) as url:
        camera = Camera(url, on_change=lambda _: lost.set())
        reader = threading.Thread(target=lambda: [None for _ in camera])
        reader.start()
        assert lost.wait(PATIENCE_S)
    # Its server is gone for good.
    camera.close()
    reader.join(PATIENCE_S)
    assert not reader.is_alive()


def status(code: int) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda to: to.send_error(code)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (status(401), r"it wants a user and a password: give them in ~/.netrc \(machine 127.0.0.1"),
        (status(404), r"there is no such stream \(404\)"),
        (status(500), r"it refuses \(500\)"),
        (lambda to: to.wfile.write(b"SSH-2.0-x\r\n"), "what answers there does not speak http"),
        (lambda to: (to.send_response(200), to.end_headers(), to.wfile.write(b"hello")), "not with a video"),
    ],
)
def test_why_a_url_is_refused(reply: Callable[[BaseHTTPRequestHandler], None], says: str) -> None:
    with http_camera(reply) as url, pytest.raises(CameraUnavailable, match=says):
        Camera(url)


def test_a_wrong_password() -> None:
    with (
        http_camera(status(401)) as url,
        pytest.raises(CameraUnavailable, match="refuses this user and password") as it,
    ):
        Camera(url.replace("http://", "http://me:secret@"))
    assert "secret" not in str(it.value)


def test_who_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        for scheme in ("rtsp", "rtsps", "http"):
            with pytest.raises(CameraUnavailable, match="refuses the connection"):
                Camera(f"{scheme}://127.0.0.1:{taken.getsockname()[1]}/door")
    with pytest.raises(CameraUnavailable, match=r"there is no host nothing\.invalid"):
        Camera("rtsp://nothing.invalid/door")


def test_a_camera_that_one_may_not_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is no camera, but of it only the permission is looked at."""
    path = tmp_path / "video0"
    if os.getuid() != 0:
        path.touch(mode=0)
    else:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        for directory in (tmp_path, *tmp_path.parents):
            if directory.name.startswith("pytest-"):
                directory.chmod(0o755)
        os.seteuid(65534)
    try:
        with pytest.raises(CameraUnavailable, match=r"you may not use .*: sudo usermod -aG video \$USER"):
            open_video(CameraSource(kind="device", target=str(path), shown="it"))
    finally:
        os.seteuid(os.getuid())


def test_a_device_that_is_no_camera() -> None:
    with pytest.raises(CameraUnavailable, match="/dev/null is not a camera that gives pictures"):
        Camera("/dev/null")
    with pytest.raises(CameraUnavailable, match="there is no camera /dev/video4711"):
        Camera(4711)


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"hello")
    for name, says in {"x.mp4": "as a video", ".": "Is a directory", "none.mp4": "No such file"}.items():
        with pytest.raises(CameraUnavailable, match=says):
            Camera(tmp_path / name)


# There is no Raspberry Pi here: this is what the SDK uses of picamera2, and how that fails (its source says so).
STAND_IN = """
import numpy as np

FOUND = 2


class Picamera2:
    def __init__(self, camera_num=0):
        if camera_num == 1:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.left = 3

    @staticmethod
    def global_camera_info():
        return [{"Num": number} for number in range(FOUND)]

    def create_video_configuration(self, main):
        return {"main": main}

    def configure(self, configuration):
        self.main = configuration["main"]

    def start(self):
        pass

    def capture_array(self, name, wait):
        if not self.left:
            raise TimeoutError
        self.left -= 1
        width, height = self.main["size"]
        assert self.main["format"] == "RGB888"
        return np.full((height, width, 3), (200, 100, 50), np.uint8)  # blue, green, red

    def close(self):
        pass
"""


@pytest.fixture
def picamera2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "picamera2.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("picamera2", None)


@pytest.mark.usefixtures("picamera2")
def test_a_camera_at_the_ribbon_cable_is_blue_green_red_and_comes_back() -> None:
    told: list[bool] = []
    with Camera("picamera2", on_change=lambda lost: told.append(lost is None)) as camera:
        for number, frame in enumerate(camera):
            assert frame[0, 0].tolist() == [200, 100, 50]
            if number == 4:
                break
    assert told == [False, True]


@pytest.mark.usefixtures("picamera2")
def test_cameras_at_the_ribbon_cable_that_cannot_be_used() -> None:
    with pytest.raises(CameraUnavailable, match=r"cannot open picamera2:1 .*another program may be using it"):
        Camera("picamera2:1")
    with pytest.raises(CameraUnavailable, match="there is no camera picamera2:2: there are 2, counted from 0"):
        Camera("picamera2:2")


def test_without_picamera2() -> None:
    with pytest.raises(MissingDependency, match="sudo apt install python3-picamera2"):
        Camera("picamera2")
