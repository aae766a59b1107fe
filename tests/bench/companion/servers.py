"""The companion as a process of its own, and the server of twenty lines beside it."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from collabd.keys.tokens import line, new_token
from collabd.simulation.testbed import free_port
from tests.bench.shipped import MODELS

_START_S = 120.0
_PLAIN = (
    "import sys; from pathlib import Path; from tests.bench.alternatives.plain import Network, serve; "
    "serve(int(sys.argv[1]), {each.name: each for each in (Network(Path(path), threads=0) for path in sys.argv[2:])})"
)


class Server:
    """A process that answers at a port of this machine."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.port = port
        self._process = psutil.Process(process.pid)

    def cpu_s(self) -> float:
        """The processor time that it has taken."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> float:
        """What is resident."""
        return float(self._process.memory_info().rss) / 2**20


@contextmanager
def companion(directory: Path, devices: int, settings: str = "") -> Iterator[tuple[Server, list[str]]]:
    """collab-cloudd, and the tokens of so many devices."""
    directory.mkdir(parents=True, exist_ok=True)
    tokens = [new_token() for _ in range(devices)]
    keys = directory / "tokens"
    keys.unlink(missing_ok=True)
    keys.write_text("".join(line(f"device{number}", token) for number, token in enumerate(tokens)))
    keys.chmod(0o400)
    port = free_port()
    roots = [str(directory / "models"), *(str(MODELS / name) for name in ("vgg16_cifar10", "efficientnet_lite0"))]
    configuration = directory / "cloud.toml"
    configuration.write_text(
        f'state_dir = "{directory / "state"}"\n[server]\nport = {port}\ntoken_file = "{keys}"\n'
        f"[models]\nroots = {roots}\n{settings}"
    )
    command = [sys.executable, "-m", "collabd.cloud", "--config", str(configuration)]
    with _running(command, port, "/v2/health/ready") as server:
        yield server, tokens


@contextmanager
def plain(packages: Sequence[Path]) -> Iterator[Server]:
    """aiohttp, ONNX Runtime as it comes, and a JPEG."""
    port = free_port()
    with _running([sys.executable, "-c", _PLAIN, str(port), *map(str, packages)], port, "/") as server:
        yield server


@contextmanager
def _running(command: Sequence[str], port: int, path: str) -> Iterator[Server]:
    process = subprocess.Popen(command)
    try:
        _until_it_answers(process, port, path)
        yield Server(process, port)
    finally:
        process.terminate()
        process.wait()


def _until_it_answers(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status != http.client.SERVICE_UNAVAILABLE:
                return
        except OSError:
            pass
        finally:
            connection.close()
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the server did not start; what it said stands above")
        time.sleep(0.1)
