"""What the daemon holds while many call at once with photographs of 12 megapixels: it must not grow with them."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass

import numpy as np
import psutil
from PIL import Image

from collab_sdk import Client
from tests.bench.daemons import Daemons
from tests.bench.shipped import Shipped
from tests.bench.table import table

_SIZE = (4000, 3000)
_CALLERS = (1, 8, 200)
_SAMPLE_S = 0.01


@dataclass
class _Peak:
    """The most bytes resident that were seen."""

    rss: int = 0


def measure(daemons: Daemons, network: Shipped) -> None:
    """Print the comparison."""
    photo = Image.open(io.BytesIO(network.images[0])).convert("RGB").resize(_SIZE)
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=90)
    images: dict[str, bytes | np.ndarray] = {"JPEG": file.getvalue(), "raw frame": np.asarray(photo)}
    with Client(daemons.socket) as client:
        for image in images.values():
            client.infer(image, model=network.name, fallback="never-leave")
    idle = daemons.device.memory_info().rss
    rows = [
        _row(daemons, network, kind, image, callers, idle) for kind, image in images.items() for callers in _CALLERS
    ]
    headings = ("Many callers", "callers", "image", "all of them", "idle", "peak", "growth", "calls/s", "answered")
    print(table(headings, rows))
    print(
        f"Each calls once, {_SIZE[0]} x {_SIZE[1]} pixels, all on the device. idle, peak: resident memory of collabd, "
        f"looked at every {_SAMPLE_S * 1e3:.0f} ms.\n"
    )


def _row(
    daemons: Daemons, network: Shipped, kind: str, image: bytes | np.ndarray, callers: int, idle: int
) -> tuple[str, ...]:
    together = threading.Barrier(callers)

    def call(_: int) -> bool:
        with closing(Client(daemons.socket, timeout_s=600)) as client:
            together.wait()
            return "C" not in client.infer(image, model=network.name, fallback="never-leave").ran

    with _peak(daemons.device) as peak, ThreadPoolExecutor(callers) as pool:
        start = time.perf_counter()
        answered = sum(pool.map(call, range(callers)))
        seconds = time.perf_counter() - start
    size = len(image) if isinstance(image, bytes) else image.nbytes
    sizes = (size, callers * size, idle, peak.rss, peak.rss - idle)
    figures = [f"{value / 2**20:.1f} MiB" for value in sizes]
    return kind, str(callers), *figures, f"{callers / seconds:.1f}", f"{answered}/{callers}"


@contextmanager
def _peak(process: psutil.Process) -> Iterator[_Peak]:
    peak, over = _Peak(), threading.Event()

    def look() -> None:
        while not over.wait(_SAMPLE_S):
            peak.rss = max(peak.rss, process.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield peak
    finally:
        over.set()
        looking.join()
