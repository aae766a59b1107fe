"""A loaded model: its package, its graph, and what the graph says of tensors that come from outside."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy.typing as npt

from collab_sdk import wire
from collab_sdk.errors import InvalidRequest, InvalidTensor
from collab_sdk.vocabulary import Precision
from collabd.catalog.graph.effort import effort, rows_together
from collabd.catalog.package.manifest import Manifest
from collabd.catalog.package.package import Package
from collabd.codec import CodecError, decode
from collabd.engine import keys_of
from collabd.partition import Network, PartitionError, TensorInfo
from collabd.providers.choice import Reduced
from collabd.use_count import UseCount

# For so many pairs of inputs and outputs it is remembered which inputs the outputs need. A cut or a stage has one.
_REMEMBERED = 1024


class CloudModel:
    """One loaded package. Any thread may use it.

    `networks`: in each precision that runs here. The engine holds them under `keys`, until the last request that has
    the model `lent` has ended.
    """

    def __init__(self, package: Package, networks: Mapping[Precision, Network]) -> None:
        self.package = package
        self.networks = dict(networks)
        self.network = network = networks[Precision.FP32]
        # The digest alone would not do: a package may be loaded anew while requests still use the model from before.
        self.keys = keys_of(f"{package.digest} {id(self):x}", self.networks)
        self.lent = UseCount()
        # By inputs and outputs: the inputs that the outputs need. Raises `InvalidTensor`, naming what is missing.
        self.needed = lru_cache(_REMEMBERED)(partial(_needed, network, name=package.manifest.name))
        # How many images may run together.
        self.most_rows = min(rows_together(effort(each)) for each in self.networks.values())
        # The reduced precision that a provider makes of its fp32 graph; None: nothing was found to.
        self.reduced: Reduced | None = None
        # Why those are no longer computed that were.
        self.given_up: dict[Precision, str] = {}
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

    @property
    def weight_bytes(self) -> int:
        """The memory that its weights take."""
        return sum(network.weight_bytes for each, network in self.networks.items() if not each.is_reduced)

    def offer(self, reduced: Reduced, key: str) -> None:
        """Compute in this precision as well, which the engine does by this key."""
        self.networks[reduced.precision], self.keys[reduced.precision] = self.network, key
        self.reduced = reduced

    def give_up(self, precision: Precision, reason: str) -> None:
        """From now on compute in fp32 what is asked for in this reduced precision."""
        self.leave_out(precision)
        self.reduced, self.given_up[precision] = None, reason

    def computes(self, precision: Precision) -> Precision:
        """In which precision it computes what is asked for in `precision`: the same, unless that was given up."""
        return precision.graph if precision in self.given_up else precision

    def leave_out(self, precision: Precision) -> None:
        """Do without a precision, which does not run here."""
        del self.networks[precision], self.keys[precision]

    @cached_property
    def scores(self) -> str | None:
        """The output of scores, if the network classifies."""
        return None if self.manifest.output_kind is None else self.manifest.output_names[0]

    @cached_property
    def joinable(self) -> frozenset[str]:
        """The tensors along whose axis 0 requests may be joined. Of others it is unknown whether rows stay apart."""
        crossing = self.manifest.crossing if self.manifest.dynamic_batch else ()
        return frozenset(name for name in crossing if self.tensor(name).stacks)

    def check_precision(self, precision: Precision, names: Iterable[str]) -> None:
        """Raises `InvalidRequest` if it does not run in this precision, `InvalidTensor` if that has not these tensors.

        Only at its ends and cuts has each of its graphs the same tensors.
        """
        if precision == Precision.FP32:
            return
        if self.computes(precision) not in self.networks:
            raise InvalidRequest(f"{self.manifest.name} does not run in {precision} here")
        if odd := set(names).difference(self.manifest.crossing):
            raise InvalidTensor(f"{self.manifest.name}: {min(odd)[:80]!r} is at no candidate cut, as {precision} needs")

    def tensor(self, name: str) -> TensorInfo:
        """What the graph states of a tensor. Raises `InvalidTensor` if it has no such tensor."""
        try:
            return self.network.tensor(name)
        except PartitionError:
            raise InvalidTensor(
                f"{self.manifest.name} has no tensor {name[:80]!r}; the network reads "
                f"{' and '.join(self.manifest.input_names)}, and gives {' and '.join(self.manifest.output_names)}"
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
