"""What the name of a camera means, and that its password is nowhere shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from collab_sdk.camera.source import parse_source
from collab_sdk.errors import CameraUnavailable


@pytest.mark.parametrize(
    ("given", "kind", "target"),
    [
        (0, "device", "/dev/video0"),
        ("2", "device", "/dev/video2"),
        ("/dev/v4l/by-id/usb-cam-index0", "device", "/dev/v4l/by-id/usb-cam-index0"),
        ("picamera2", "picamera2", "0"),
        ("picamera2:1", "picamera2", "1"),
        ("rtsp://camera.lan:8554/door", "url", "rtsp://camera.lan:8554/door"),
        (Path("film.mp4"), "file", "film.mp4"),
        ("./picamera2", "file", "./picamera2"),
    ],
)
def test_what_a_name_means(given: str | int | Path, kind: str, target: str) -> None:
    source = parse_source(given)
    assert (source.kind, source.target) == (kind, target)
    assert source.is_live == (kind != "file")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://me:secret@camera/door", "rtsp://camera/door"),
        ("rtsp://me:a@secret@camera/door", "rtsp://camera/door"),
        ("rtsp://camera/user=admin&password=secret&channel=1", "rtsp://camera/user=admin&password=…&channel=1"),
        ("http://camera/video?user=me&pwd=secret", "http://camera/video?user=me&pwd=…"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    source = parse_source(url)
    assert (source.target, source.shown) == (url, shown)


def test_user_and_password_from_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / ".netrc"
    file.write_text("machine camera.lan login me password p@ss/word\n")
    file.chmod(0o600)
    source = parse_source("rtsp://camera.lan:8554/door")
    assert (source.target, source.shown) == (
        "rtsp://me:p%40ss%2Fword@camera.lan:8554/door",
        "rtsp://camera.lan:8554/door",
    )
    assert parse_source("rtsp://other.lan/door").target == "rtsp://other.lan/door"
    # What stands in the URL goes first.
    assert parse_source("rtsp://you:x@camera.lan/").target == "rtsp://you:x@camera.lan/"
    file.write_text("machina camera.lan\n")
    with pytest.raises(CameraUnavailable, match=r"cannot read the password of camera\.lan"):
        parse_source("rtsp://camera.lan/")


@pytest.mark.parametrize("url", ["ftp://camera/x", "rtsp://camera:port/x", "rtsp:///door", "http://[::1/x"])
def test_what_is_no_url_of_a_camera(url: str) -> None:
    with pytest.raises(CameraUnavailable, match="URL"):
        parse_source(url)
