"""A companion that really listens, and a network with several tensors at its cuts."""

from __future__ import annotations

import io
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import msgspec
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from collab_sdk import wire
from collabd.catalog.package.manifest import Classify, Picture
from collabd.catalog.package.package import Package
from collabd.catalog.trial.apart import try_apart
from collabd.cloud.api.remote_peers import REMOTE_PEERS, RemotePeerLimits
from collabd.cloud.server import CloudDaemon, running
from collabd.config import CloudConfig, Loaded
from collabd.engine import Engine

SIDE = 16
LABELS = ("circle", "square", "star")


class Companion:
    """A running daemon and a client's view of it."""

    def __init__(self, cloud: CloudDaemon, http: aiohttp.ClientSession) -> None:
        self.cloud = cloud
        self.http = http

    @property
    def address(self) -> str:
        return self.cloud.address

    async def call(self, method: str, path: str, data: bytes | None = None) -> tuple[int, bytes]:
        body = None if data is None else io.BytesIO(data)
        async with self.http.request(method, self.address + path, data=body) as reply:
            return reply.status, await reply.read()

    async def infer(self, model: str, request: wire.InferRequest) -> wire.InferResponse:
        """Raises the error that the daemon answered with."""
        message = wire.encode_request(request)
        url = f"{self.address}/v2/models/{model}/infer"
        async with self.http.post(url, data=io.BytesIO(message.body()), headers=message.headers) as reply:
            body = await reply.read()
            if reply.status != 200:
                raise wire.decode_error(reply.status, body)
            return wire.decode_response(body, wire.header_length(reply.headers))


class Starter(Protocol):
    def __call__(self, *roots: Path, **changes: Any) -> Any: ...


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Any]:
    """Start a companion over these roots, with other sections of its configuration; `try_out` judges what is pushed."""

    @asynccontextmanager
    async def start(
        *roots: Path,
        try_out: Callable[[Path], None] = try_apart,
        limits: RemotePeerLimits = REMOTE_PEERS,
        **sections: dict[str, Any],
    ) -> AsyncIterator[Companion]:
        settings: dict[str, Any] = {
            "server": {"port": 0},
            "engine": {"threads": 1},
            "models": {"roots": [str(tmp_path / "writable"), *map(str, roots)]},
            "state_dir": str(tmp_path / "state"),
        }
        for name, values in sections.items():
            settings[name] = settings.get(name, {}) | values
        config = msgspec.convert(settings, CloudConfig)
        loaded = Loaded(config, None)
        async with (
            running(loaded, try_out=try_out, limits=limits) as cloud,
            aiohttp.ClientSession() as http,
        ):
            yield Companion(cloud, http)

    return start


@pytest.fixture
async def companion(start: Callable[..., Any], package: Package) -> AsyncIterator[Companion]:
    """One that holds the package "branchy"."""
    async with start(package.path.parent) as companion:
        yield companion


def _weight(rng: np.random.Generator, name: str, *shape: int) -> TensorProto:
    scale = math.sqrt(2 / math.prod(shape[1:]))
    return numpy_helper.from_array((rng.standard_normal(shape) * scale).astype(np.float32), name)


def _branchy() -> onnx.ModelProto:
    """uint8 [batch, 16, 16, 3] to 3 scores, with two tensors alive behind the first pooling and its neighbours."""
    rng = np.random.default_rng(5)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "stem.w"], ["stem"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["stem"], ["stem.relu"]),
        helper.make_node("MaxPool", ["stem.relu"], ["pool1"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["pool1", "left.w"], ["left"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["left"], ["left.relu"]),
        helper.make_node("Conv", ["left.relu", "right.w"], ["right"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["right", "pool1"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["sum.relu"]),
        helper.make_node("MaxPool", ["sum.relu"], ["pool2"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["pool2"], ["flat"]),
        helper.make_node("Gemm", ["flat", "fc.w", "fc.b"], ["logits"], transB=1),
    ]
    weights = [
        numpy_helper.from_array(np.array(1 / 255, np.float32), "scale"),
        _weight(rng, "stem.w", 8, 3, 3, 3),
        _weight(rng, "left.w", 8, 8, 3, 3),
        _weight(rng, "right.w", 8, 8, 3, 3),
        _weight(rng, "fc.w", len(LABELS), 32),
        _weight(rng, "fc.b", len(LABELS)),
    ]
    graph = helper.make_graph(
        nodes,
        "branchy",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])],
        weights,
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


@pytest.fixture(scope="session")
def images() -> npt.NDArray[np.uint8]:
    """Twenty images, uint8 [20, 16, 16, 3], smooth as photographs are."""
    coarse = np.random.default_rng(11).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


@pytest.fixture(scope="session")
def package(images: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The package "branchy". Shared by all tests: nothing may change it."""
    from collabd.catalog.authoring.build import build

    return build(
        _branchy(),
        name="branchy",
        task=Classify(labels=LABELS),
        picture=Picture(height=SIDE, width=SIDE),
        licence="CC0-1.0",
        provenance="made for the tests",
        images=list(images),
        out=tmp_path_factory.mktemp("packages") / "branchy",
    )


class Local:
    """The package's network in this process: what a device computes, and the answers to compare with."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.network = package.network()
        self._engine = Engine(threads=1, cache_bytes=64 << 20)
        self._engine.add("local", self.network)

    def run(self, feeds: dict[str, npt.NDArray[Any]], *outputs: str) -> dict[str, npt.NDArray[Any]]:
        return self._engine.run("local", feeds, outputs)

    def whole(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        manifest = self.package.manifest
        return self.run({manifest.input_names[0]: images}, manifest.output_names[0])[manifest.output_names[0]]

    def features(self, images: npt.NDArray[np.uint8], tensors: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
        """The tensors at a cut."""
        source = self.package.manifest.input_names[0]
        made = tuple(name for name in tensors if name != source)
        found = self.run({source: images}, *made) if made else {}
        return {name: images if name == source else found[name] for name in tensors}


@pytest.fixture(scope="session")
def local(package: Package) -> Local:
    return Local(package)


@pytest.fixture
def local_of() -> Callable[[Package], Local]:
    """For packages other than `package`."""
    return Local
