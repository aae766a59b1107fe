"""What is asked: requests as they travel, and what the engine makes of the same by itself."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from collab_sdk import wire
from collab_sdk.vocabulary import Precision
from collabd.catalog.package.package import Package, load
from collabd.codec import encode
from collabd.engine import Engine
from collabd.imaging import prepare
from tests.bench.shipped import MODELS

_CACHE_BYTES = 1 << 29
_QUALITY = 90
Feeds = dict[str, np.ndarray]


@dataclass(frozen=True)
class Ask:
    """One kind of request. `feeds`: what the engine gets of it, made by `decode`.

    `plain`: what the other server gets: path, content type and body. `answer`: the first output, for the feeds.
    """

    name: str
    package: Package
    request: wire.InferRequest
    feeds: Feeds
    decode: Callable[[], object]
    outputs: tuple[str, ...]
    answer: np.ndarray
    plain: tuple[str, str, bytes] | None

    def message(self, token: str) -> bytes:
        """The request of the device with this token, as it goes to the companion."""
        body = wire.encode_request(self.request)
        head = {**body.headers, "Authorization": f"Bearer {token}"} if token else body.headers
        return http_post(f"/v2/models/{self.package.manifest.name}/infer", head, body.body())

    def plain_message(self) -> bytes:
        """The request as it goes to the other server."""
        assert self.plain is not None
        path, kind, body = self.plain
        return http_post(path, {"Content-Type": kind}, body)

    def is_right(self, body: bytes, header_length: int | None) -> bool:
        """Whether a reply of the companion is what the engine answers by itself."""
        found = wire.decode_response(body, header_length).outputs[0].to_array()
        return bool(np.allclose(found, self.answer, rtol=1e-3, atol=1e-4))


def http_post(path: str, headers: dict[str, str], body: bytes) -> bytes:
    """A request as bytes."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def asks() -> Iterator[Ask]:
    """A small image as pixels, features in 8 bits, and a JPEG."""
    cifar = load(MODELS / "vgg16_cifar10" / "package")
    yield _whole("VGG16, image", cifar, as_file=False)
    photographic = load(MODELS / "efficientnet_lite0" / "package")
    yield _tail("EfficientNet-Lite0, q8", photographic)
    yield _whole("EfficientNet-Lite0, JPEG", photographic, as_file=True)


def engine_of(package: Package, threads: int) -> Engine:
    """An engine with the package's network, which it knows as "it"."""
    engine = Engine(threads=threads, cache_bytes=_CACHE_BYTES)
    engine.add("it", package.networks()[Precision.FP32])
    return engine


def _whole(name: str, package: Package, *, as_file: bool) -> Ask:
    manifest, picture = package.manifest, package.manifest.require_picture()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((picture.width, picture.height), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    source = file.getvalue() if as_file else np.asarray(image)[np.newaxis]
    feed = prepare(source, picture) if isinstance(source, bytes) else source
    if isinstance(source, bytes):
        tensor = wire.Tensor.from_bytes_list(manifest.input_names[0], [source])
        decode: Callable[[], object] = lambda: prepare(source, picture)  # noqa: E731
        plain = (f"/{manifest.name}/file", "image/jpeg", source)
    else:
        tensor = wire.Tensor.from_array(manifest.input_names[0], source)
        decode = source.copy
        plain = (f"/{manifest.name}", "application/octet-stream", source.tobytes())
    return _ask(name, package, [tensor], {manifest.input_names[0]: feed}, decode=decode, plain=plain)


def _tail(name: str, package: Package) -> Ask:
    """The rest behind the cut in the middle."""
    manifest = package.manifest
    cut = next(cut for cut in manifest.cuts if cut.head_layers and any(each.codec == "q8" for each in cut.codecs))
    picture = manifest.require_picture()
    image = np.zeros((1, picture.height, picture.width, 3), np.uint8)
    engine = engine_of(package, 1)
    features = engine.run("it", {manifest.input_names[0]: image}, cut.tensors)
    axis = next(each.channel_axis for each in cut.codecs if each.codec == "q8")
    tensors, feeds = [], {}
    for each, array in features.items():
        encoded = encode(array, "q8", axis)
        datatype = wire.datatype_of(array.dtype)
        tensors.append(wire.Tensor(each, datatype, array.shape, data=encoded.payload, parameters=encoded.parameters))
        feeds[each] = _decoded(encoded.payload, encoded.parameters, array)
    first, *_ = tensors
    decode = lambda: _decoded(first.data, first.parameters, features[first.name])  # noqa: E731
    return _ask(name, package, tensors, feeds, decode=decode, plain=None)


def _decoded(payload: object, parameters: object, like: np.ndarray) -> np.ndarray:
    from collabd.codec import decode

    return decode(payload, parameters, dtype=like.dtype, shape=like.shape)  # type: ignore[arg-type]


def _ask(
    name: str,
    package: Package,
    tensors: list[wire.Tensor],
    feeds: Feeds,
    *,
    decode: Callable[[], object],
    plain: tuple[str, str, bytes] | None,
) -> Ask:
    outputs = package.manifest.output_names
    answer = engine_of(package, 1).run("it", feeds, outputs)[outputs[0]]
    parameters = {"binary_data_output": True, "digest": package.digest}
    request = wire.InferRequest(tensors, parameters=parameters)
    return Ask(name, package, request, feeds, decode, outputs, answer, plain)
