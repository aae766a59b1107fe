"""Frigate's detector `zmq`: a ready-made tensor comes, and rows of what is in it go back.

Frigate waits 200 ms for an answer, and takes none for a frame with nothing in it. Whatever goes wrong, it gets rows of
zeros with an `error` beside them, which it does not read; the journal says the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from collab_sdk.answers import Detections
from collab_sdk.errors import WrongTask
from collab_sdk.image import image_tensor
from collab_sdk.text import plain
from collabd.device.doors.asker import Asker
from collabd.device.doors.frigate.messages import (
    ModelSent,
    ModelWanted,
    TensorQuestion,
    about_a_model,
    found,
    nothing,
    read,
)
from collabd.device.doors.frigate.models import FrigateModel, FrigateModels, name_of
from collabd.device.doors.frigate.pictures import picture_in
from collabd.device.doors.frigate.rows import IOU_THRESHOLD, once_each, rows_of
from collabd.device.doors.frigate.sockets import Arrived, FrigateSocket, open_router
from collabd.device.models.loaded import LoadedModels
from collabd.http.error_replies import told
from collabd.lifecycle import background

log = logging.getLogger(__name__)

# Frigate waits 30 s for each answer about a model.
_MODEL_S = 25.0
# Connections that are remembered. Frigate makes a new one whenever it has waited in vain.
_MOST_PEERS = 256
# Messages that are answered at once. Those who ask for an inference wait at the door of the daemon, in turn.
_MOST_AT_ONCE = 64
# Calls under way have so long to end when the daemon stops.
_DRAIN_S = 5.0


@dataclass
class _Peer:
    """A connection. `model`: the one that it asked for; empty: none yet."""

    model: str = ""
    busy: bool = False
    # What went wrong last, so that the journal says it once and not for each frame.
    trouble: str = ""


@asynccontextmanager
async def frigate_door(asker: Asker, models: LoadedModels, directory: Path) -> AsyncIterator[None]:
    """The door is open inside this context. `directory` is for what is known of the models that Frigate sends.

    Raises `OSError` if its address cannot be listened on.
    """
    settings = asker.settings

    def reconsider() -> None:
        """The choices for calls of a model that is gone would keep its weights."""
        asker.plane.generation.planner.reconsider()

    own = FrigateModels(
        models,
        directory,
        own=settings.model,
        min_confidence=settings.min_confidence,
        changed=reconsider,
    )
    async with open_router(settings.listen, most_bytes=asker.max_request_bytes) as socket:
        asker.traffic.address = socket.address
        door = _FrigateDoor(asker=asker, models=own, socket=socket)
        try:
            async with background(f"the door {settings.kind}", door.serve):
                yield
            await door.drain(_DRAIN_S)
        finally:
            await own.close()


@dataclass(kw_only=True)
class _FrigateDoor:
    """Answers what comes through `socket`."""

    asker: Asker
    models: FrigateModels
    socket: FrigateSocket
    _peers: OrderedDict[bytes, _Peer] = field(default_factory=OrderedDict)
    _said_last: dict[str, str] = field(default_factory=dict)
    _answering: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self) -> None:
        """Take one message after another."""
        while True:
            arrived = await self.socket.arrived()
            if arrived is None:
                continue
            peer = self._peer(arrived.peer)
            if peer.busy:
                continue  # A REQ waits for its answer, so nobody waits for this one.
            peer.busy = True
            task = asyncio.create_task(self._answer(arrived, peer))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            if len(self._answering) >= _MOST_AT_ONCE:
                await asyncio.wait(self._answering, return_when=asyncio.FIRST_COMPLETED)

    async def drain(self, patience_s: float) -> None:
        """Let the answers under way end; after so many seconds, end them."""
        if self._answering:
            await asyncio.wait(self._answering, timeout=patience_s)
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    def _peer(self, identity: bytes) -> _Peer:
        peer = self._peers.setdefault(identity, _Peer())
        self._peers.move_to_end(identity)
        idle = (other for other, each in self._peers.items() if not each.busy)
        for other in [other for _, other in zip(range(len(self._peers) - _MOST_PEERS), idle, strict=False)]:
            del self._peers[other]
        return peer

    async def _answer(self, arrived: Arrived, peer: _Peer) -> None:
        try:
            frames = await self._frames(arrived, peer)
            if frames is not None:
                await self.socket.reply(arrived.peer, frames)
        finally:
            peer.busy = False

    async def _frames(self, arrived: Arrived, peer: _Peer) -> list[bytes] | None:
        try:
            message = read(arrived.frames)
            match message:
                case ModelWanted(file_name):
                    return await self._about(file_name, peer, self._wanted(file_name, peer))
                case ModelSent(file_name):
                    return await self._about(file_name, peer, self._sent(message, arrived, peer), was_sent=True)
                case TensorQuestion():
                    return await self._question(message, arrived, peer)
        except Exception as error:  # noqa: BLE001  it is told, and logged if it is the daemon's fault
            return nothing(self._told(error, peer))

    async def _about(
        self, file_name: str, peer: _Peer, answer: Awaitable[list[bytes]], *, was_sent: bool = False
    ) -> list[bytes]:
        try:
            return await answer
        except Exception as error:  # noqa: BLE001
            # Of a model that is there and cannot be used, Frigate sends no file.
            said = self._told(error, peer)
            return about_a_model(file_name, there=not was_sent, ready=False, message=said, was_sent=was_sent)

    async def _wanted(self, file_name: str, peer: _Peer) -> list[bytes]:
        name = self.models.own or name_of(file_name)
        if not self.models.is_known(name):
            return about_a_model(file_name, there=False, ready=False, message=f"there is no model {name}: send it")
        return await self._ready(name, file_name, peer)

    async def _sent(self, sent: ModelSent, arrived: Arrived, peer: _Peer) -> list[bytes]:
        name = name_of(sent.file_name)
        with self.asker.visit_of_bytes(arrived.nbytes, arrived.user) as visit:
            await visit.may_read()
            await self.models.take(name, sent.content)
        return await self._ready(name, sent.file_name, peer, was_sent=True)

    async def _ready(self, name: str, file_name: str, peer: _Peer, *, was_sent: bool = False) -> list[bytes]:
        done = await self.models.ready(name, _MODEL_S)
        peer.model, peer.trouble = name, ""
        message = f"{name} is loaded" if done else f"{name} is being built; until then nothing is found"
        if self._said_last.get(name) != message:  # Frigate asks anew whenever it has waited in vain.
            log.info("Frigate asked for %s: %s", plain(file_name[:80]), message)
        self._said_last[name] = message
        return about_a_model(file_name, there=True, ready=True, message=message, was_sent=was_sent)

    async def _question(self, question: TensorQuestion, arrived: Arrived, peer: _Peer) -> list[bytes] | None:
        with self.asker.visit_of_bytes(arrived.nbytes, arrived.user) as visit:
            name = self.models.own or peer.model
            if not name:
                # The daemon was started anew meanwhile. Frigate asks for its model again when it has waited in vain.
                self._say(peer, "a tensor came from a Frigate that has not named its model yet: left unanswered")
                return None
            await visit.may_read()
            model = self.models.get(name)
            numbers = model.numbers(question.model_type)
            pixels = await asyncio.to_thread(_pixels, question, model)
            answered = await self.asker.ask(visit, image_tensor(pixels), model=model.name)
            return found(self._rows(answered.answer, model, size=pixels.shape[1::-1], numbers=numbers))

    def _rows(
        self, answer: object, model: FrigateModel, *, size: tuple[int, int], numbers: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        if not isinstance(answer, Detections):
            raise WrongTask(f"{model.name} is no detector, which Frigate needs")
        shown = self.asker.shown(answer)
        # Boxes are clipped to the picture by now, so a package that has left out what Frigate would is not asked twice.
        return rows_of(once_each(shown) if model.task.iou_threshold > IOU_THRESHOLD else shown, size, numbers)

    def _told(self, error: Exception, peer: _Peer) -> str:
        refusal = told(error, "a message of Frigate")
        self._say(peer, str(refusal))
        return str(refusal)

    def _say(self, peer: _Peer, trouble: str) -> None:
        if trouble != peer.trouble:
            log.warning("door %s: %s", self.asker.settings.kind, trouble)
        peer.trouble = trouble


def _pixels(question: TensorQuestion, model: FrigateModel) -> npt.NDArray[np.uint8]:
    """The picture in the tensor of a question. Raises `InvalidTensor`, and `InvalidRequest` if it is scaled wrongly."""
    picture = picture_in(question.tensor, model.scales)
    model.check(picture.scale, black=not picture.pixels.any())
    return picture.pixels
