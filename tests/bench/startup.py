"""How long collabd takes to be ready, and how much memory it holds then and later."""

from __future__ import annotations

import itertools
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from collab_sdk import Client
from collabd.catalog.package.package import MODEL
from tests.bench import memory
from tests.bench.daemons import Daemons
from tests.bench.memory import Memory
from tests.bench.shipped import Shipped
from tests.bench.stopwatch import taken
from tests.bench.table import table

_STARTS = 5
_CALLS = 300
_POLL_S = 0.002
_GIVE_UP_S = 60.0

_Taker = TypeVar("_Taker")
Ready = tuple[float, float]


def measure(daemons: Daemons, networks: Sequence[Shipped]) -> None:
    """Print both; leaves both daemons running, profiled."""
    with Client(daemons.socket) as client, _notify_socket(daemons.directory / "notify.sock") as listener:
        first = _start(daemons, client, listener)
        profiled_s = taken(lambda: client.wait(300, profiled=True))
        later = [_restart(daemons, client, listener) for _ in range(_STARTS)]
        imports_s = statistics.median(taken(memory.of_imports) for _ in range(_STARTS))
        _print_times(first, profiled_s, later, imports_s)
        del os.environ["NOTIFY_SOCKET"]
        held = _held(daemons, client, networks)
    _print_memory(held, networks)


def measure_alone(network: Shipped) -> None:
    """Print the memory of a daemon that holds only this network."""
    with tempfile.TemporaryDirectory(prefix="collabd-bench-") as scratch:
        packages, directory = Path(scratch) / "packages", Path(scratch) / "daemons"
        packages.mkdir()
        directory.mkdir()
        (packages / network.name).symlink_to(network.package.path.resolve())
        daemons = Daemons(packages, directory)
        with ExitStack() as stack, Client(daemons.socket) as client:
            stack.push(daemons)
            daemons.start_device()
            client.wait(300, profiled=True)
            daemons.kill_device()
            daemons.start_device()
            client.wait(300, profiled=True)
            held = _held(daemons, client, [network])
    _print_memory(held, [network])


def _held(daemons: Daemons, client: Client, networks: Sequence[Shipped]) -> dict[str, Memory]:
    """What collabd holds when it is ready, after calls on the device alone, and after calls at every cut."""
    held = {"collabd, right after ready": memory.of(daemons.device)}
    for turn, network in _turns(networks):
        client.infer(network.image(turn), model=network.name, fallback="never-leave")
    held[f"collabd, after {_CALLS} local calls"] = memory.of(daemons.device)
    daemons.start_cloud()
    daemons.until_both_ready()
    for turn, (network, cut) in _turns(_cuts(networks)):
        client.infer(network.image(turn), model=network.name, cut=cut, fallback="fail")
    held[f"collabd, after {_CALLS} calls with remote plans"] = memory.of(daemons.device)
    return held


@contextmanager
def _notify_socket(path: Path) -> Iterator[socket.socket]:
    """Where a daemon that is started meanwhile reports to, as to systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(_GIVE_UP_S)
        os.environ["NOTIFY_SOCKET"] = str(path)
        yield listener


def _start(daemons: Daemons, client: Client, listener: socket.socket) -> Ready:
    """Seconds from exec until the SDK finds it ready, and until READY=1."""
    with ThreadPoolExecutor(1) as pool:
        start = time.perf_counter()
        notified = pool.submit(_notified_at, listener)
        daemons.start_device()
        while not client.ready():
            if time.perf_counter() - start > _GIVE_UP_S:
                raise TimeoutError(f"collabd is not ready after {_GIVE_UP_S:g} s:\n{daemons.log('device')}")
            time.sleep(_POLL_S)
        ready = time.perf_counter()
        return ready - start, notified.result() - start


def _restart(daemons: Daemons, client: Client, listener: socket.socket) -> Ready:
    daemons.kill_device()
    return _start(daemons, client, listener)


def _notified_at(listener: socket.socket) -> float:
    while listener.recv(256) != b"READY=1":
        pass
    return time.perf_counter()


def _turns(takers: Sequence[_Taker]) -> Iterator[tuple[int, _Taker]]:
    """One for each call."""
    return ((turn, takers[turn % len(takers)]) for turn in range(_CALLS))


def _cuts(networks: Sequence[Shipped]) -> list[tuple[Shipped, str]]:
    """Every candidate cut, the networks taking turns."""
    columns = [[(network, cut.name) for cut in network.package.manifest.cuts] for network in networks]
    return [pair for row in itertools.zip_longest(*columns) for pair in row if pair is not None]


def _print_times(first: Ready, profiled_s: float, later: Sequence[Ready], imports_s: float) -> None:
    medians = [statistics.median(times) for times in zip(*later, strict=True)]

    def row(name: str, sdk_s: float, notified_s: float) -> tuple[str, ...]:
        return name, f"{sdk_s:.2f} s", f"{notified_s:.2f} s", f"{sdk_s / imports_s:.1f}x"

    rows = [
        row("collabd, no profile stored", *first),
        row(f"collabd, profiles stored (median of {_STARTS})", *medians),
        ("a process that only imports the same, start to end", f"{imports_s:.2f} s", "", "1.0x"),
    ]
    print(table(("From exec to ready", "SDK", "READY=1", "to imports"), rows))
    print(f"Without a stored profile it served from then on, and had measured its networks {profiled_s:.1f} s later.\n")


def _print_memory(held: dict[str, Memory], networks: Sequence[Shipped]) -> None:
    imports = memory.of_imports()
    plain = memory.of_plain_sessions(network.package.path / MODEL for network in networks)
    weights = {network.name: network.package.network().weight_bytes for network in networks}
    total = sum(weights.values())
    others = {"imports alone": imports, "imports and plain ONNX Runtime sessions": plain}
    rows = [
        (name, *(f"{number / 1e6:.1f} MB" for number in (it.rss, it.uss)), f"{(it.rss - imports.rss) / total:.2f}x")
        for name, it in (others | held).items()
    ]
    print(table(("Memory", "RSS", "USS", "RSS over imports, to fp32 weights"), rows))
    listed = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in weights.items())
    print(f"Weights in fp32: {listed}; {total / 1e6:.1f} MB in all.\n")
