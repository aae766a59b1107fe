"""A loaded model: its package, its graph, and what the graph says of tensors that come from outside."""

from __future__ import annotations

import math
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy.typing as npt

from collab_sdk import wire
from collab_sdk.errors import InvalidTensor
from collabd.catalog.graph.effort import effort, rows_together
from collabd.catalog.package.manifest import Manifest
from collabd.catalog.package.package import Package
from collabd.codec import CodecError, decode
from collabd.partition import Network, PartitionError, TensorInfo
from collabd.use_count import UseCount

# For so many pairs of inputs and outputs it is remembered which inputs the outputs need. A cut or a stage has one.
_REMEMBERED = 1024


class CloudModel:
    """One loaded package. Any thread may use it.

    The engine holds its network under `key`, until the last request that has it `lent` has ended.
    """

    def __init__(self, package: Package, network: Network) -> None:
        self.package = package
        self.network = network
        # The digest alone would not do: a package may be loaded anew while requests still use the model from before.
        self.key = f"{package.digest} {id(self):x}"
        self.lent = UseCount()
        # By inputs and outputs: the inputs that the outputs need. Raises `InvalidTensor`, naming what is missing.
        self.needed = lru_cache(_REMEMBERED)(partial(_needed, network, name=package.manifest.name))
        # How many images may run together.
        self.most_rows = rows_together(effort(network))
        # The devices that used it since it was loaded.
        self.devices: set[str | None] = set()

    @property
    def manifest(self) -> Manifest:
        """Its package's manifest."""
        return self.package.manifest

    @property
    def digest(self) -> str:
        """Its package's digest."""
        return self.package.digest

    @cached_property
    def joinable(self) -> frozenset[str]:
        """The tensors along whose axis 0 requests may be joined. Of others it is unknown whether rows stay apart."""
        crossing = self.manifest.crossing if self.manifest.dynamic_batch else ()
        return frozenset(name for name in crossing if self.tensor(name).stacks)

    def tensor(self, name: str) -> TensorInfo:
        """What the graph states of a tensor. Raises `InvalidTensor` if it has no such tensor."""
        try:
            return self.network.tensor(name)
        except PartitionError:
            raise InvalidTensor(
                f"{self.manifest.name} has no tensor {name[:80]!r}; the network reads {self.manifest.input!r} and "
                f"gives {self.manifest.output!r}"
            ) from None

    def array(self, tensor: wire.Tensor) -> tuple[npt.NDArray[Any], int | None]:
        """The elements of a tensor from the wire, and its batch size (None: it has no batch axis).

        Raises `InvalidTensor` unless datatype and shape are the graph's; only then is anything decoded.
        """
        info = self.tensor(tensor.name)
        batch = _batch(tensor, info)
        if "codec" not in tensor.parameters:
            return tensor.to_array(), batch
        try:
            return decode(tensor.data, tensor.parameters, dtype=info.dtype, shape=tensor.shape), batch
        except CodecError as error:
            raise InvalidTensor(f"tensor {tensor.name!r}: {error}") from error


def _needed(network: Network, inputs: tuple[str, ...], outputs: tuple[str, ...], *, name: str) -> tuple[str, ...]:
    if len({*inputs, *outputs}) < len(inputs) + len(outputs):
        raise InvalidTensor(f"a tensor is named twice among the inputs {inputs} and the outputs {outputs}")
    try:
        return network.needed(inputs, outputs)
    except PartitionError as error:
        raise InvalidTensor(f"{name}: {error}") from error


def _batch(tensor: wire.Tensor, info: TensorInfo) -> int | None:
    fits = len(tensor.shape) == len(info.shape) and all(
        size == wanted or (wanted is None and size > 0) for size, wanted in zip(tensor.shape, info.shape, strict=True)
    )
    if tensor.datatype != wire.datatype_of(info.dtype) or not fits:
        raise InvalidTensor(
            f"tensor {tensor.name!r} is {wire.datatype_of(info.dtype)} {_text(info.shape)}, "
            f"not {tensor.datatype} {list(tensor.shape)}"
        )
    if None not in info.shape:
        return None
    batch, odd = divmod(math.prod(tensor.shape) * info.dtype.itemsize, info.nbytes)
    if odd or not batch:
        raise InvalidTensor(
            f"tensor {tensor.name!r} has the shape {list(tensor.shape)}, which is not a whole number of images"
        )
    return batch


def _text(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('batch' if size is None else str(size) for size in shape)}]"
