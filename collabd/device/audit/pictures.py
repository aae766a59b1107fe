"""The newest picture of each model, held in memory until it is audited. None is ever stored."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import TaskKind
from collabd.catalog.package.manifest import Picture
from collabd.device.job.image import CallImage
from collabd.device.job.tensors import CallInput
from collabd.device.models.model import DeviceModel
from collabd.profiling.evidence import is_copy, reduced

T = TypeVar("T")

# A larger file that the device has not prepared itself is not held.
_MOST_FILE_BYTES = 8 << 20
# For each model so many pictures are known again, about as many as count; and so many models are remembered.
_KNOWN = 1000
_MODELS = 16


class ServedPicture(NamedTuple):
    """A picture of a call to the package `digest`: as its network takes it, or the file, if nobody has prepared it.

    `may_leave`: whether the call allowed it to be sent to companions.
    """

    digest: str
    content: npt.NDArray[np.uint8] | CallImage
    may_leave: bool

    def prepared(self, spec: Picture) -> npt.NDArray[np.uint8]:
        """The network's input. Raises `InvalidImage`."""
        return self.content.prepare(spec) if isinstance(self.content, CallImage) else self.content


class RecentPictures:
    """Calls show their pictures. The audit takes them, in turn by model."""

    def __init__(self) -> None:
        self._newest: dict[str, ServedPicture] = {}
        # The models whose pictures were taken, the latest last.
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._came = asyncio.Event()

    def saw(
        self,
        model: DeviceModel,
        given: CallInput,
        prepared: npt.NDArray[np.generic] | None,
        *,
        may_leave: bool = False,
    ) -> None:
        """A call had this picture. `prepared`: the network's input, if the device has made it.

        `may_leave`: see `ServedPicture`.
        """
        if model.kind == TaskKind.TENSORS or not isinstance(given, CallImage):
            return
        content: npt.NDArray[np.uint8] | CallImage
        if prepared is not None:
            content = prepared.view(np.uint8)
        elif (given.file_bytes or _MOST_FILE_BYTES) < _MOST_FILE_BYTES:
            content = given
        else:
            return
        self._newest[model.digest] = ServedPicture(model.digest, content, may_leave)
        self._came.set()

    async def next(self) -> ServedPicture:
        """The newest picture of the model whose turn it is. It is no longer held here."""
        while not self._newest:
            self._came.clear()
            await self._came.wait()
        turns = list(self._taken)
        digest = min(self._newest, key=lambda digest: turns.index(digest) if digest in turns else -1)
        _note(self._taken, digest, None)
        return self._newest.pop(digest)


class KnownPictures:
    """Tells copies of pictures that were counted. It keeps the means of their patches, at most 16 a side, in memory."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, npt.NDArray[np.uint8]] = OrderedDict()

    def has(self, digest: str, pixels: npt.NDArray[np.uint8]) -> bool:
        """Whether nearly the same picture was counted for this package."""
        known = self._of.get(digest)
        return known is not None and is_copy(reduced(pixels)[0], known)

    def add(self, digest: str, pixels: npt.NDArray[np.uint8]) -> None:
        """The picture was counted. The oldest is forgotten."""
        small = reduced(pixels).round().astype(np.uint8)
        known = self._of.get(digest, small[:0])
        _note(self._of, digest, np.concatenate([known[-_KNOWN + 1 :], small]))


def _note(of: OrderedDict[str, T], digest: str, value: T) -> None:
    """Keep the value as the latest, and forget the model that was not used for longest."""
    of[digest] = value
    of.move_to_end(digest)
    if len(of) > _MODELS:
        of.popitem(last=False)
