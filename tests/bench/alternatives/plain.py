"""What a user would write: ONNX Runtime in a process, or behind twenty lines of aiohttp. One thread, as collabd has."""

from __future__ import annotations

import asyncio
import http.client
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
from aiohttp import web
from PIL import Image, ImageOps

from collabd.catalog.package.package import MODEL, load
from tests.bench.alternatives.networks import JPEG_QUALITY

Picture = bytes | np.ndarray


class Network:
    """A network in ONNX Runtime, and how large its images are."""

    def __init__(self, package: Path, graph: str = MODEL, *, threads: int = 1) -> None:
        """`threads` 0: as many as ONNX Runtime takes by itself."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(package / graph, options, providers=["CPUExecutionProvider"])
        manifest = load(package).manifest
        self.name, self._input = manifest.name, manifest.input_names[0]
        self.wants = manifest.require_picture()

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """The first output for an image of the network's own size: scores, or a detector's boxes."""
        return np.asarray(self._session.run(None, {self._input: pixels[np.newaxis]})[0])

    def resized(self, picture: Picture) -> Image.Image:
        """A file's bytes or a frame, as the network wants it: resized, and cut or padded where it says so."""
        image = Image.open(io.BytesIO(picture)) if isinstance(picture, bytes) else Image.fromarray(picture)
        wants, size = self.wants, (self.wants.width, self.wants.height)
        filtering = Image.Resampling[wants.interpolation.upper()]
        if wants.rule == "letterbox":
            return ImageOps.pad(image.convert("RGB"), size, filtering, color=(wants.pad,) * 3)
        if wants.resize_shorter is None:
            return image.convert("RGB").resize(size, filtering)
        scale = wants.resize_shorter / min(image.size)
        whole = image.convert("RGB").resize((round(image.width * scale), round(image.height * scale)), filtering)
        left, top = (whole.width - wants.width) // 2, (whole.height - wants.height) // 2
        return whole.crop((left, top, left + wants.width, top + wants.height))


class Bare:
    """ONNX Runtime in the caller's own process."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, picture: Picture) -> np.ndarray:
        """The scores of one image."""
        return self._network.scores(np.asarray(self._network.resized(picture)))


class Sender:
    """Sends images over one connection, which is kept, to a server of this module."""

    def __init__(
        self, server: tuple[str, int], network: Network, encode: Callable[[Image.Image], tuple[str, bytes]]
    ) -> None:
        self._connection = http.client.HTTPConnection(*server)
        self._network, self._encode = network, encode

    def __call__(self, picture: Picture) -> np.ndarray:
        """The scores of one image."""
        kind, body = self._encode(self._network.resized(picture))
        self._connection.request("POST", f"/{self._network.name}", body, {"Content-Type": kind})
        return np.frombuffer(self._connection.getresponse().read(), np.float32)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def as_jpeg(image: Image.Image) -> tuple[str, bytes]:
    """The image compressed, and its content type."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY)
    return "image/jpeg", file.getvalue()


def as_raw(image: Image.Image) -> tuple[str, bytes]:
    """The image's pixels, and their content type."""
    return "application/octet-stream", image.tobytes()


def serve(port: int, networks: dict[str, Network]) -> None:
    """The server: `python -m tests.bench.alternatives.plain PORT PACKAGE...`.

    `/NAME` takes images of the network's own size, `/NAME/file` files of any size.
    """

    async def answer(request: web.Request, pixels: Callable[[Network, bytes], np.ndarray]) -> web.Response:
        network, body = networks[request.match_info["name"]], await request.read()
        scores = await asyncio.to_thread(lambda: network.scores(pixels(network, body)))
        return web.Response(body=scores.tobytes())

    async def infer(request: web.Request) -> web.Response:
        is_jpeg = request.content_type == "image/jpeg"
        return await answer(request, lambda network, body: _jpeg(body) if is_jpeg else _raw(network, body))

    async def infer_file(request: web.Request) -> web.Response:
        return await answer(request, lambda network, body: np.asarray(network.resized(body)))

    app = web.Application(client_max_size=2**26)
    app.add_routes([web.post("/{name}", infer), web.post("/{name}/file", infer_file)])
    web.run_app(app, host="127.0.0.1", port=port, print=None)


def _jpeg(body: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))


def _raw(network: Network, body: bytes) -> np.ndarray:
    return np.frombuffer(body, np.uint8).reshape(network.wants.height, network.wants.width, 3)


if __name__ == "__main__":
    serve(int(sys.argv[1]), {network.name: network for network in map(Network, map(Path, sys.argv[2:]))})
