"""Asks as the detector `zmq` of Frigate 0.18 does, byte for byte: what it sends, waits for and makes of the answers."""

from __future__ import annotations

import json
from typing import Any, Self

import numpy as np
import zmq
import zmq.asyncio

# Frigate's own: for an answer to a picture, and to a message about a model.
REQUEST_MS, MODEL_MS = 200, 30_000
# No test waits longer for an answer that must come. Frigate would.
PATIENT_MS = 120_000


class FrigateClient:
    """One connection of Frigate, from `async with`. `ready`: whether it thinks that its model is loaded."""

    def __init__(self, endpoint: str, model_type: str, *, timeout_ms: int = PATIENT_MS) -> None:
        self._endpoint = endpoint
        self._model_type = model_type
        self._timeout_ms = timeout_ms
        self.told: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        self._context = zmq.asyncio.Context()
        self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._context.destroy(linger=0)

    def _connect(self) -> None:
        self._socket = self._context.socket(zmq.REQ)
        self._socket.set(zmq.LINGER, 0)
        self._socket.connect(self._endpoint)

    def hang_up(self) -> None:
        """Close the connection, and make another."""
        self._socket.close(linger=0)
        self._connect()

    async def start(self, file_name: str, content: bytes) -> bool:
        """Ask for a model, and send it if it is not there. Whether it is ready then."""
        told = await self._about({"model_request": True, "model_name": file_name})
        if told.get("model_available", False):
            return bool(told.get("model_loaded", False))
        told = await self._about({"model_data": True, "model_name": file_name}, content)
        return bool(told.get("model_saved", False) and told.get("model_loaded", False))

    async def _about(self, header: dict[str, Any], *more: bytes) -> dict[str, Any]:
        (reply,) = await self.exchange(json.dumps(header).encode("utf-8"), *more)
        told: dict[str, Any] = json.loads(reply.decode("utf-8"))
        self.told.append(told)
        return told

    async def detect(self, tensor: np.ndarray) -> np.ndarray:
        """The rows for a tensor, float32 [20, 6]. Raises `TimeoutError` where Frigate takes nothing for an answer."""
        await self.send_tensor(tensor)
        head, body = await self.receive()
        told = json.loads(head.decode("utf-8"))
        self.told.append(told)
        return np.frombuffer(body, np.dtype(told["dtype"])).reshape(tuple(told["shape"]))

    async def send_tensor(self, tensor: np.ndarray) -> None:
        """Ask, without waiting for the answer."""
        header = {"shape": list(tensor.shape), "dtype": str(tensor.dtype.name), "model_type": self._model_type}
        await self._socket.send_multipart([json.dumps(header).encode("utf-8"), tensor.tobytes(order="C")])

    async def exchange(self, *frames: bytes) -> list[bytes]:
        """Send these frames, whatever they are, and wait for the answer."""
        await self._socket.send_multipart(list(frames))
        return await self.receive()

    async def receive(self) -> list[bytes]:
        """The frames of the answer."""
        if not await self._socket.poll(self._timeout_ms):
            raise TimeoutError
        frames: list[bytes] = await self._socket.recv_multipart()
        return frames
