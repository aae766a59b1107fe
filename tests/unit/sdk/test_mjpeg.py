"""Pictures for browsers: who gets them, and who does not."""

from __future__ import annotations

import http.client
import io
import threading
import time

import pytest
from PIL import Image

from collab_sdk.errors import InvalidRequest
from collab_sdk.mjpeg import MjpegServer
from tests.patience import PATIENCE_S

RED = Image.new("RGB", (32, 16), (255, 0, 0))


def wait_for_a_viewer(server: MjpegServer) -> None:
    end = time.monotonic() + PATIENCE_S
    while not server.is_watched:
        assert time.monotonic() < end
        time.sleep(0.01)


def connection(server: MjpegServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.url.split("/")[2], timeout=PATIENCE_S)


def test_a_viewer_gets_the_next_picture() -> None:
    with MjpegServer("0", name="<gate>") as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert not server.is_watched
        got: list[bytes] = []

        def look() -> None:
            line = connection(server)
            line.request("GET", "/picture.jpg")
            got.append(line.getresponse().read())
            line.close()

        viewer = threading.Thread(target=look)
        viewer.start()
        wait_for_a_viewer(server)
        server.show(RED)
        viewer.join(PATIENCE_S)
        with Image.open(io.BytesIO(got[0])) as picture:
            red, green, blue = picture.convert("RGB").resize((1, 1)).tobytes()
        assert red > 240
        assert max(green, blue) < 15


def asked(server: MjpegServer, path: str, host: str | None = None) -> tuple[int, str]:
    line = connection(server)
    line.request("GET", path, headers={} if host is None else {"Host": host})
    reply = line.getresponse()
    said = reply.status, reply.read().decode()
    line.close()
    return said


def test_the_page_and_what_there_is_not() -> None:
    with MjpegServer("0", name="<gate>") as server:
        status, page = asked(server, "/")
        assert status == 200
        assert "<title>&lt;gate&gt;</title>" in page
        assert asked(server, "/etc/passwd")[0] == 404


def test_a_page_from_elsewhere_does_not_look_by_another_name() -> None:
    """A site whose name is made to point to this machine must not see its camera."""
    with MjpegServer("0") as server:
        assert asked(server, "/", "evil.example:80")[0] == 421
        assert asked(server, "/", "localhost:1")[0] == 200


def test_a_closed_server_lets_its_viewers_go() -> None:
    server = MjpegServer("0")
    line = connection(server)
    line.request("GET", "/stream.mjpg")
    wait_for_a_viewer(server)
    server.show(RED)
    reply = line.getresponse()
    assert reply.readline() == b"--picture\r\n"
    server.close()
    reply.read()
    line.close()


@pytest.mark.parametrize("listen", ["here", "70000", "1.2.3.4:80", "127.0.0.1:", ""])
def test_where_one_cannot_listen(listen: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot show pictures at"):
        MjpegServer(listen)


def test_a_port_that_is_taken() -> None:
    with MjpegServer("0") as server, pytest.raises(InvalidRequest, match="Address already in use"):
        MjpegServer(server.url.split("/")[2])
