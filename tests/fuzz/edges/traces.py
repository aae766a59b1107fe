"""Link traces of the simulation, in each of their formats."""

from __future__ import annotations

import itertools
import json
import math
from functools import cache
from pathlib import Path

from collabd.simulation.traces import TraceError, load
from tests.fuzz.scratch import new_directory

SUFFIXES = (".json", ".csv", ".down")
WORDS = ("duration_ms", "bandwidth_kbps", "latency_ms", "1e308", "null", "Infinity")


@cache
def _directory() -> Path:
    return new_directory("traces")


def check(data: bytes) -> None:
    """`TraceError`, or a trace whose arithmetic holds at every time."""
    path = _directory() / f"trace{SUFFIXES[(data[:1] or b'0')[0] % len(SUFFIXES)]}"
    path.write_bytes(data[1:])
    try:
        trace = load(path)
    except TraceError:
        return
    assert trace.duration_s > 0
    for start_s, nbytes in itertools.product((0.0, 0.4, 1e6), (1.0, 1e9)):
        assert 0 <= trace.rate_at(start_s) < math.inf
        latency_s = trace.latency_at(start_s)
        assert latency_s is None or 0 <= latency_s < math.inf
        assert trace.bytes_between(start_s, start_s + 1) >= 0
        assert trace.finish_time(start_s, nbytes) >= start_s


def seeds() -> list[bytes]:
    """A tram ride in each format."""
    steps = [{"duration_ms": 500, "bandwidth_kbps": 8000, "latency_ms": 20}, {"duration_ms": 1e3, "bandwidth_kbps": 0}]
    table = "duration_ms,bandwidth_kbps,latency_ms\n500,8000,20\n1000,0,\n"
    texts = (json.dumps(steps, indent=1), table, "1\n1\n4\n12\n")
    return [f"{suffix}{text}".encode() for suffix, text in enumerate(texts)]
