"""The companion as a Ray Serve application, on a small Ray that lives as long as the tests of this file."""

import gc
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import requests

from collab_sdk import wire
from collab_sdk.errors import UnknownModel, UnknownPackage
from collabd.catalog.package import package as packages
from collabd.codec import encode
from collabd.config import ConfigError

pytest.importorskip("ray.serve", reason="Ray is not installed: pip install 'collabd[ray]'")

# Ray 2.40 leaves its processes and sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.alone,  # Ray gives its processes 30 s to start
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store that replicas share, empty at the start."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def address(package: Any, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where Serve answers."""
    import ray
    from ray import serve

    from collabd.cloud.ray_app import app

    state = tmp_path_factory.mktemp("state")
    config = state / "cloud.toml"
    config.write_text(
        f'state_dir = "{state}"\n[server]\ninsecure = true\n[engine]\nthreads = 1\n'
        f'[models]\nroots = ["{root}", "{package.path.parent}"]\n'
    )
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=1, include_dashboard=False, object_store_memory=100 << 20, log_to_driver=False)
    try:
        port = _free_port()
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(app({"config": str(config)}))
        yield f"http://127.0.0.1:{port}"
        serve.shutdown()
    finally:
        ray.shutdown()
        monkeypatch.undo()
        gc.collect()  # here, where its warnings are ignored, and not at the end of the suite


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def infer(address: str, model: str, request: wire.InferRequest) -> wire.InferResponse:
    message = wire.encode_request(request)
    url = f"{address}/v2/models/{model}/infer"
    reply = requests.post(url, data=message.body(), headers=message.headers, timeout=30)
    if reply.status_code != 200:
        raise wire.decode_error(reply.status_code, reply.content)
    return wire.decode_response(reply.content, wire.header_length(reply.headers))


def whole(images: Any, **parameters: Any) -> wire.InferRequest:
    parameters |= {"binary_data_output": True}
    return wire.InferRequest([wire.Tensor.from_array("image", images)], parameters=parameters)


def test_a_whole_network_is_answered(address: str, package: Any, local: Any, images: Any) -> None:
    answer = infer(address, "branchy", whole(images[:2]))
    np.testing.assert_allclose(answer.outputs[0].to_array(), local.whole(images[:2]), rtol=1e-5, atol=1e-6)
    assert answer.parameters["digest"] == package.digest
    assert {"queue_ms", "decode_ms", "compute_ms", "batch", "load"} <= answer.parameters.keys()


def test_a_tail_is_answered_by_digest(address: str, package: Any, local: Any, images: Any) -> None:
    layer = next(layer for layer in package.manifest.layers if len(layer.tensors) > 1)
    features = local.features(images[:1], layer.tensors)
    tensors = []
    for name, array in features.items():
        encoded = encode(array, "f32")
        tensors.append(wire.Tensor(name, "FP32", array.shape, data=encoded.payload, parameters=encoded.parameters))
    answer = infer(address, "branchy", wire.InferRequest(tensors, parameters={"digest": package.digest}))
    np.testing.assert_allclose(answer.outputs[0].to_array(), local.whole(images[:1]), rtol=1e-4, atol=1e-5)


def test_what_is_unknown_is_told_in_the_wire_form(address: str, images: Any) -> None:
    with pytest.raises(UnknownModel, match="branchy"):
        infer(address, "none", whole(images[:1]))
    with pytest.raises(UnknownPackage):
        infer(address, "branchy", whole(images[:1], digest="sha256:" + "0" * 64))


def test_a_package_that_another_replica_kept_is_found_by_digest(
    address: str, package: Any, images: Any, root: Path
) -> None:
    manifest = msgspec.structs.replace(package.manifest, name="pushed")
    model = (package.path / packages.MODEL).read_bytes()
    other = packages.write(root / ".elsewhere" / "pushed", manifest, model=model, licence="CC0-1.0")
    with pytest.raises(UnknownPackage):
        infer(address, "pushed", whole(images[:1], digest=other.digest))
    shutil.copytree(other.path, root / "pushed")
    assert infer(address, "pushed", whole(images[:1], digest=other.digest)).parameters["digest"] == other.digest


def test_a_link_can_be_probed(address: str) -> None:
    reply = requests.post(f"{address}/collab/v1/ping", data=bytes(16_000), timeout=30)
    assert (reply.status_code, reply.json()["bytes"]) == (200, 16_000)


def test_a_bad_configuration_is_told_before_anything_starts(tmp_path: Path) -> None:
    from collabd.cloud.ray_app import app

    config = tmp_path / "cloud.toml"
    config.write_text("[server]\nprot = 1\n")
    with pytest.raises(ConfigError, match=r"server\.prot"):
        app({"config": str(config)})
    with pytest.raises(TypeError, match="confg"):
        app({"confg": str(config)})
