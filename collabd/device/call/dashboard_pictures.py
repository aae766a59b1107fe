"""The last pictures of calls with their answers, small and few, for the dashboard of whoever switched that on.

They are in memory alone. None is kept while nobody looks, and all are forgotten a minute after somebody last looked.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from collab_sdk.errors import CollabError
from collab_sdk.reports import BoxReport, PictureReport
from collab_sdk.text import plain
from collab_sdk.vocabulary import TaskKind
from collabd.catalog.package.manifest import Picture
from collabd.clock import Clock
from collabd.device.job.image import CallImage
from collabd.device.job.tensors import CallInput
from collabd.device.models.model import DeviceModel
from collabd.imaging import prepare
from collabd.tasks.detect import BOXES, CLASSES, SCORES
from collabd.tasks.tensors import Outputs

log = logging.getLogger(__name__)

# So many, of at most so many pixels a side, one every so many seconds: on a Pi a hundredth of a core.
KEPT = 6
SIDE = 320
_EVERY_S = 2.0
_QUALITY = 80
_MOST_BOXES = 30
# A page looks about once a second while somebody sees it.
_LOOKED_S = 15.0
_FORGOTTEN_S = 60.0


@dataclass(frozen=True, kw_only=True)
class _Shown:
    at: float
    model: str
    stream: str
    answer: str
    size: tuple[int, int]
    boxes: list[BoxReport]
    jpeg: bytes


class DashboardPictures:
    """Calls show their pictures, and a dashboard looks at them. Use it in the event loop's thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[int, _Shown] = OrderedDict()
        self._number = 0
        self._looked_until = self._next_at = -np.inf
        self._making: asyncio.Task[None] | None = None
        self._forgetting: asyncio.TimerHandle | None = None

    def saw(
        self,
        model: DeviceModel,
        given: CallInput,
        answered: Outputs,
        *,
        size: tuple[int, int],
        stream: str | None,
        said: Callable[[], str],
    ) -> None:
        """A call had this picture, of this width and height, and this answer, which `said` tells in a line."""
        now = self._clock()
        if not self._next_at <= now < self._looked_until or self._making is not None:
            return
        if not isinstance(given, CallImage) or given.input_of is not None:
            return
        self._next_at = now + _EVERY_S
        boxes = _boxes(model, answered, size) if model.kind == TaskKind.DETECT else []
        self._making = asyncio.create_task(
            self._keep(given, size, name=model.manifest.name, stream=stream or "", answer=plain(said()), boxes=boxes)
        )

    def look(self) -> list[PictureReport]:
        """Those that are kept, the latest first. From now on calls' pictures are kept for a while."""
        now = self._clock()
        self._looked_until = now + _LOOKED_S
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._forgetting = asyncio.get_running_loop().call_later(_FORGOTTEN_S, self.forget)
        return [
            PictureReport(
                id=number,
                age_s=now - shown.at,
                model=shown.model,
                stream=shown.stream,
                answer=shown.answer,
                width=shown.size[0],
                height=shown.size[1],
                boxes=shown.boxes,
            )
            for number, shown in reversed(self._kept.items())
        ]

    def jpeg(self, number: int) -> bytes | None:
        """The picture of this id as a JPEG; None: it is not kept."""
        shown = self._kept.get(number)
        return None if shown is None else shown.jpeg

    def forget(self) -> None:
        """Nobody looks any more."""
        self._kept.clear()
        self._looked_until = -np.inf
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None

    async def close(self) -> None:
        """Let go of everything."""
        self.forget()
        if self._making is not None:
            await asyncio.wait({self._making})

    async def _keep(
        self, given: CallImage, size: tuple[int, int], *, name: str, stream: str, answer: str, boxes: list[BoxReport]
    ) -> None:
        try:
            jpeg = await asyncio.to_thread(_small, given, size)
        except CollabError as error:
            # The network got it from elsewhere, such as a companion that decodes more.
            log.debug("a picture is not shown: %s", error)
            return
        finally:
            self._making = None
        if self._clock() >= self._looked_until:
            return
        self._number += 1
        self._kept[self._number] = _Shown(
            at=self._clock(), model=name, stream=stream, answer=answer, size=size, boxes=boxes, jpeg=jpeg
        )
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)


def _small(given: CallImage, size: tuple[int, int]) -> bytes:
    """The picture as a small JPEG, upright and without what its file says besides. In a thread."""
    width, height = size
    scale = min(SIDE / max(width, height), 1.0)
    spec = Picture(width=max(round(width * scale), 1), height=max(round(height * scale), 1))
    # Opened anew: one that is open is another thread's.
    pixels = prepare(given.content, spec, given.channels)[0]
    file = io.BytesIO()
    Image.fromarray(np.array(pixels)).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _boxes(model: DeviceModel, answered: Outputs, size: tuple[int, int]) -> list[BoxReport]:
    """The surest boxes, in parts of the picture's sides."""
    if not answered.keys() >= {BOXES, SCORES, CLASSES} or answered[BOXES].ndim != 2:
        return []  # the network's own outputs
    labels, (width, height) = model.manifest.labels, size
    return [
        BoxReport(
            label=plain(labels[number]),
            score=float(score),
            x1=float(x1) / width,
            y1=float(y1) / height,
            x2=float(x2) / width,
            y2=float(y2) / height,
        )
        for (x1, y1, x2, y2), score, number in zip(
            answered[BOXES][:_MOST_BOXES], answered[SCORES][:_MOST_BOXES], answered[CLASSES][:_MOST_BOXES], strict=True
        )
    ]
