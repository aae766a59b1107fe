"""The least that a daemon can be: a Unix socket, aiohttp, uvloop, a thread, the same engine. collabd is judged by it.

`python -m tests.bench.alternatives.minimal SOCKET PACKAGE...` serves the networks. It has no plans, results or checks.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import uvloop
from aiohttp import web

from tests.bench.alternatives.plain import Network, Picture


class MinimalClient:
    """Calls the minimal daemon over one connection, which is kept."""

    def __init__(self, path: Path, network: str) -> None:
        self._connection, self._name = http.client.HTTPConnection("daemon"), network
        self._connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection.sock.connect(str(path))

    def __call__(self, picture: Picture) -> np.ndarray:
        """The scores of one image."""
        shape = "" if isinstance(picture, bytes) else ",".join(map(str, picture.shape))
        body = picture if isinstance(picture, bytes) else picture.data.cast("B")
        self._connection.request("POST", f"/{self._name}", body, {"Shape": shape, "Content-Length": str(len(body))})
        return np.frombuffer(self._connection.getresponse().read(), np.float32)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


async def _serve(path: str, networks: dict[str, Network]) -> None:
    thread = ThreadPoolExecutor(1)

    async def infer(request: web.Request) -> web.Response:
        network, body = networks[request.match_info["name"]], await request.read()

        def scores() -> np.ndarray:
            shape = request.headers["Shape"]
            picture = np.frombuffer(body, np.uint8).reshape(tuple(map(int, shape.split(",")))) if shape else body
            return network.scores(np.asarray(network.resized(picture)))

        found = await asyncio.get_running_loop().run_in_executor(thread, scores)
        return web.Response(body=found.tobytes())

    app = web.Application(client_max_size=2**26)
    app.add_routes([web.post("/{name}", infer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], {network.name: network for network in map(Network, map(Path, sys.argv[2:]))}))
