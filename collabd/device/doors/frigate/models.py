"""The models that Frigate names and sends.

Frigate names a model by its file. It sends the file if the name is not known here, and then waits half a minute for the
answer. A package is built of the file in a process of its own; where that takes longer, Frigate is told that the model
is loaded, because it would never ask again otherwise, and what it asks meanwhile has no answer.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from collab_sdk.errors import (
    CollabError,
    InvalidPackage,
    InvalidRequest,
    NotReady,
    Overloaded,
    StorageUnavailable,
    WrongTask,
)
from collabd.catalog.package.manifest import Detect
from collabd.catalog.package.package import Package
from collabd.catalog.package.sent_detector import SentDetector
from collabd.device.doors.frigate.building import build_apart
from collabd.device.doors.frigate.keeping import Keeping, KeptModel
from collabd.device.doors.frigate.labelmaps import numbers_of_names, own_numbers
from collabd.device.doors.frigate.messages import Buffer
from collabd.device.doors.frigate.pictures import FLOATS, Scale
from collabd.device.models.loaded import LoadedModels

log = logging.getLogger(__name__)

# Those that Frigate sent. One more takes the place of the one that was asked for longest ago.
MOST_MODELS = 8
# Those of which a package is being built, or waits for that.
_MOST_UNDER_WAY = 4
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# The families of detectors that Frigate means by each `model_type`.
_FAMILIES = {
    "yolox": ("yolox",),
    "yologeneric": ("yolov8", "yolov5", "yolo-end2end"),
    "yolonas": ("yolo-nas",),
    "rfdetr": ("rf-detr",),
    "dfine": ("rt-detr",),
    "ssd": ("ssd",),
}
# The enum of Frigate has both a name and a value for it.
_OTHERWISE = {"yolo-generic": "yologeneric"}


@dataclass(frozen=True)
class FrigateModel:
    """A detector that answers Frigate. `taken`: what it was taken for, if Frigate sent it; None: it was here before."""

    package: Package
    task: Detect
    taken: SentDetector | None

    @property
    def name(self) -> str:
        """Its name in collabd."""
        return self.package.manifest.name

    @property
    def scales(self) -> tuple[Scale, ...]:
        """How floats are to be read, the likeliest first."""
        return (Scale.LEVELS, Scale.SHARES) if self.taken is not None and self.taken.levels else FLOATS

    def numbers(self, model_type: str) -> npt.NDArray[np.int64]:
        """Frigate's number of each class. Raises `InvalidRequest` where Frigate takes the model for another."""
        model_type = _OTHERWISE.get(model_type, model_type)
        if model_type not in _FAMILIES:
            raise InvalidRequest(f"model_type is {model_type[:80]!r}; it is one of {', '.join(_FAMILIES)}")
        if self.taken is None:
            return numbers_of_names(self.task.classes, model_type)
        if self.taken.family not in _FAMILIES[model_type]:
            right = " or ".join(name for name, families in _FAMILIES.items() if self.taken.family in families)
            raise InvalidRequest(
                f"Frigate takes {self.name} for a model of the type {model_type}, but it is one of the family "
                f"{self.taken.family}: set model_type: {right} in Frigate"
            )
        return own_numbers(len(self.task.classes), model_type)

    def check(self, scale: Scale, *, black: bool) -> None:
        """Raises `InvalidRequest` if Frigate scales pictures otherwise than the model was built for.

        `black`: whether all pixels are 0, which look alike on every scale.
        """
        if self.taken is None or self.taken.levels is None or scale == Scale.PIXELS or black:
            return
        if scale != self.scales[0]:
            raise InvalidRequest(
                f"Frigate sends {self.name} values as with input_dtype: {scale}, but a network of the family "
                f"{self.taken.family} takes them as with input_dtype: {self.scales[0]}: set that in Frigate"
            )


class FrigateModels:
    """Finds models by the names of their files, and builds packages of files that come."""

    def __init__(
        self,
        models: LoadedModels,
        directory: Path,
        *,
        own: str,
        min_confidence: float,
        changed: Callable[[], None],
        build: Callable[..., Awaitable[SentDetector]] = build_apart,
    ) -> None:
        """`own`: the door's model, which answers whatever Frigate names; empty: it has none.

        `directory` holds what is known of models that Frigate sent. Less sure than `min_confidence` they tell nothing.
        `changed` is called when a model took the place of another, or went.
        """
        self._models = models
        self._keeping = Keeping(directory)
        self._own = own
        self._min_confidence = min_confidence
        self._changed = changed
        self._build = build
        # Held while a package is being built: one takes all that a small board can spare.
        self._building = asyncio.Lock()
        self._under_way: dict[str, asyncio.Task[None]] = {}

    @property
    def own(self) -> str:
        """The door's model; empty: it has none."""
        return self._own

    def is_known(self, name: str) -> bool:
        """Whether there is a model of this name, or will be."""
        return bool(self._own) or name in self._models.names or name in self._under_way

    def get(self, name: str) -> FrigateModel:
        """The model `name`. Raises `NotReady` while it is being built, `UnknownModel`, `WrongTask`."""
        if name in self._under_way:
            raise NotReady(f"the package of {name} is still being built")
        package = self._models.package(name)
        task = package.manifest.task
        if not isinstance(task, Detect):
            raise WrongTask(f"{package.manifest.name} is no detector, which Frigate needs")
        kept = self._keeping.of(package.manifest.name, package.digest)
        return FrigateModel(package, task, None if kept is None else kept.taken)

    async def ready(self, name: str, within_s: float) -> bool:
        """Load the model `name`, and wait for that, at most so many seconds. False: it is still being built.

        Raises what `get` raises, and why it could not be built.
        """
        if (task := self._under_way.get(name)) is not None:
            await asyncio.wait([task], timeout=within_s)
            if not task.done():
                return False
            task.result()
        model = self.get(name)
        if model.taken is not None:
            self._keeping.used(model.name)
        await self._models.fetch(model.name)
        return True

    async def take(self, name: str, content: Buffer) -> None:
        """Begin to build the model `name` of a file that Frigate sent. `ready` waits for its end.

        Raises `InvalidRequest` if there is such a model that Frigate did not send, `Overloaded`, `StorageUnavailable`.
        """
        if name in self._under_way:
            return
        if self._own:
            raise InvalidRequest(f"this door answers by its own model, {self._own}, and takes no other")
        self._require_free(name)
        if len(self._under_way) >= _MOST_UNDER_WAY:
            raise Overloaded("packages of other models are being built: try again later")
        task = asyncio.create_task(self._taken(name, content))
        self._under_way[name] = task
        task.add_done_callback(lambda _: self._ended(name, task))

    async def close(self) -> None:
        """End what is under way."""
        for task in list(self._under_way.values()):
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._under_way[name]
        if task.cancelled() or (error := task.exception()) is None:
            return
        defect = None if isinstance(error, CollabError) else error
        log.error("no model was made of %s, which Frigate sent: %s", name, error, exc_info=defect)

    def _require_free(self, name: str) -> None:
        if name in self._models.names and not self._was_sent(self._models.package(name)):
            raise InvalidRequest(f"there is a model {name} that Frigate did not send: it stays as it is")

    def _was_sent(self, package: Package) -> bool:
        return self._keeping.of(package.manifest.name, package.digest) is not None

    async def _taken(self, name: str, content: Buffer) -> None:
        try:
            scratch = await asyncio.to_thread(_written, content)
        except OSError as error:
            raise StorageUnavailable(f"this machine cannot keep the model ({error.strerror}): make room") from error
        del content
        try:
            async with self._building:
                file, directory = scratch / "model.onnx", scratch / "package"
                log.info("building a package of %s, which Frigate sent", name)
                taken = await self._build(file, directory, name=name, min_confidence=self._min_confidence)
                _require_a_type(taken)
                await self._make_room(name)
                model = await self._models.install(directory, replaces=self._was_sent)
                self._keeping.add(name, KeptModel(model.digest, taken))
                self._changed()
                log.info("%s, which Frigate sent, is a detector of the family %s", name, taken.family)
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)

    async def _make_room(self, name: str) -> None:
        kept = [each for each in self._keeping.names() if each != name]
        for other in kept[: max(0, len(kept) - MOST_MODELS + 1)]:
            if other in self._models.names and self._was_sent(self._models.package(other)):
                await self._models.remove(other)
                log.info("%s, which Frigate sent, made room for %s", other, name)
            self._keeping.forget(other)
        self._changed()


def name_of(file_name: str) -> str:
    """The name of the model in a file that Frigate names. Raises `InvalidRequest` if it is no name for a model."""
    name = file_name if (suffix := PurePosixPath(file_name).suffix) != ".onnx" else file_name.removesuffix(suffix)
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{file_name[:80]!r} is no name of a model's file: letters, digits, '.', '_' and '-', at most 100"
        )
    return name


def _require_a_type(taken: SentDetector) -> None:
    if not any(taken.family in families for families in _FAMILIES.values()):
        raise InvalidPackage(
            f"it is a detector of the family {taken.family}, for which Frigate has no model_type: add the file with "
            "`collabctl models add`, and let Frigate name that model"
        )


def _written(content: Buffer) -> Path:
    scratch = Path(tempfile.mkdtemp(prefix="collabd-sent-"))
    try:
        (scratch / "model.onnx").write_bytes(content)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return scratch
