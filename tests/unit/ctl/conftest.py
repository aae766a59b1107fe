"""A little daemon that answers with recorded reports, and the command that asks it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from click.testing import CliRunner
from click.testing import Result as Ran

from collab_sdk import MockTransport, wire
from collab_sdk.answers import Classification
from collab_sdk.errors import CollabError
from collab_sdk.reports import (
    AuditsReport,
    CalibrationReport,
    CandidateReport,
    CloudReport,
    CodecReport,
    ConfigReport,
    CutReport,
    DecisionReport,
    DeviceReport,
    DoorReport,
    EvidenceReport,
    ExplainReport,
    LastReport,
    LayersReport,
    LinkReport,
    ModelReport,
    ProfileReport,
    RequestsReport,
    StatusReport,
)
from collab_sdk.result import Plan, Predicted, Result, Timings, encode_result
from collab_sdk.transport import DaemonReply, DaemonRequest
from collabd import __version__
from collabd.ctl.__main__ import main
from tests.served import ServedDaemon, refusal

LABELS = ("tabby", "tiger cat", "[lynx]")
DIGEST = "sha256:0123456789abcdef0123456789abcdef"

MODEL = ModelReport(
    name="net",
    task="classify",
    digest=DIGEST,
    layers=3,
    cuts=2,
    profiled=True,
    weights_mb=1.25,
    path="/srv/models/net",
)
AWAY = ModelReport(
    name="other",
    task="detect",
    digest="sha256:ff",
    layers=9,
    cuts=4,
    profiled=False,
    weights_mb=None,
    path="/srv/other",
)
LAYERS = LayersReport(
    model="net",
    digest=DIGEST,
    measure="how often the top-1 is right",
    layers=[
        {"name": "features.0", "op": "Conv", "macs": 1_250_000, "candidate": False, "inputs": None},
        {"name": "features.2", "op": "MaxPool", "macs": 0, "candidate": True, "inputs": None},
        {"name": "logits", "op": "Gemm", "macs": 640, "candidate": False, "inputs": None},
    ],
    little=None,
    codecs=[
        CalibrationReport(
            cut="image",
            precision="fp32",
            codec="u8",
            bytes=150_528,
            fidelity=1.0,
            overall=1.0,
            sure_agreed=0,
            sure_images=0,
            agreed=0,
            images=0,
            mean_iou=None,
        ),
        CalibrationReport(
            cut="image",
            precision="fp32",
            codec="jpeg90-444",
            bytes=19_192,
            fidelity=0.995,
            overall=0.887,
            sure_agreed=301,
            sure_images=302,
            agreed=632,
            images=712,
            mean_iou=None,
        ),
    ],
)
LINK = LinkReport(rtt_ms=12.25, up_mbps=21.5, down_mbps=80.0, age_s=3.2)
CLOUD = CloudReport(
    name="desktop",
    url="http://192.168.1.20:8470",
    found_at=None,
    state="up",
    **LINK,
    speed_factor=1.04,
    queue_ms=0.0,
    load=0.31,
    breaker="closed",
    problem=None,
    packages=[DIGEST],
    lacks={"sha256:ff": "refused the package: the graph has an If"},
    awaited=[],
)
UNHEARD = CloudReport(
    name="cluster",
    url="https://cluster.example.org:8470",
    found_at=None,
    state="unknown",
    rtt_ms=None,
    up_mbps=None,
    down_mbps=None,
    age_s=None,
    speed_factor=None,
    queue_ms=None,
    load=None,
    breaker="half-open",
    problem="the companion refused our key",
    packages=[],
    lacks={},
    awaited=[],
)
STATUS = StatusReport(
    version=__version__,
    pid=812,
    uptime_s=11_532.4,
    ready=True,
    models=[MODEL, AWAY],
    clouds=[CLOUD, UNHEARD],
    device=DeviceReport(
        cpu_load=0.125,
        speed_factor=8.1,
        memory_mb=212.4,
        sessions=5,
        session_mb=88.25,
        temperature_c=61.4,
        frequency_limit_mhz=1000.0,
        frequency_max_mhz=1500.0,
        throttled=["under-voltage", "frequency-capped"],
        throttled_before=["under-voltage", "frequency-capped"],
        battery=0.625,
        power_w=4.25,
        power_source="ina219",
        power_reason="",
    ),
    requests=RequestsReport(
        total=120, failed=1, degraded=2, failed_over=1, remote=80, inherited=7, checked=3, budget_missed=3
    ),
    audits=AuditsReport(most=0.01, share=0.0042, core_s=48.4, pictures=812, copies=95),
    health=[],
    streams=[],
    last=LastReport(
        model="net",
        cut="features.2",
        codec="q8",
        precision="fp32",
        little=None,
        little_precision=None,
        cascade=None,
        answered_by=None,
        placement="DDC",
        cloud="desktop",
        reason="kept",
        predicted_ms=18.75,
        measured_ms=19.5,
        budget_met=True,
        degraded=False,
        why="",
    ),
)
CONFIG = ConfigReport(
    file="/etc/collabd/collabd.toml",
    settings={
        "planning.min_fidelity": {"value": 0.995, "origin": "/etc/collabd/collabd.toml"},
        "models.roots": {"value": [], "origin": "default"},
        "energy.busy_w": {"value": None, "origin": "default"},
        "clouds[0].push_packages": {"value": True, "origin": "default"},
    },
)


EVIDENCE = EvidenceReport(agreed=0.9934, here=812.4, packaged=14.6)


def phases(ms: float | None) -> dict[str, float]:
    """All phases, which add up to that."""
    parts = {"prep": 0.1, "head": 0.4, "encode": 0.05, "round_trip": 0.1, "up": 0.2, "decode": 0.05, "tail": 0.1}
    rest = dict.fromkeys(("overhead", "lane", "little", "queue", "down", "answer"), 0.0)
    return rest | {name: part * (ms or 0.0) for name, part in parts.items()}


def codec(verdict: str, ms: float | None, octets: int | None = None, mj: float = 40.0) -> CodecReport:
    return CodecReport(
        bytes=octets,
        fidelity=0.995,
        overall=0.975,
        evidence=None if octets is None else EVIDENCE,
        encode_ms=0.2,
        decode_ms=0.1,
        predicted_ms=ms,
        phases_ms=phases(ms),
        predicted_energy_mj=mj,
        predicted_cost=2.5e-6,
        verdict=verdict,
    )


PROFILE = ProfileReport(
    model="net",
    digest=DIGEST,
    machine="Cortex-A72, 4 threads",
    budget="80ms",
    measure="how often the top-1 is right",
    least_fidelity=0.99,
    whole_ms=143.2,
    whole_int8_ms=None,
    prep_ms=2.04,
    cloud="desktop",
    link=LINK,
    rows=[
        CutReport(
            cut="output",
            precision="fp32",
            cascade=None,
            little_precision=None,
            little_share=None,
            cloud=None,
            head_layers=3,
            head_ms=143.2,
            tail_ms=None,
            local_tail_ms=None,
            codecs={"none": codec("over-latency", 145.0, mj=900.0)},
        ),
        CutReport(
            cut="image",
            precision="fp32",
            cascade=None,
            little_precision=None,
            little_share=None,
            cloud="desktop",
            head_layers=0,
            head_ms=0.0,
            tail_ms=12.5,
            local_tail_ms=143.2,
            codecs={"u8": codec("over-latency", 90.5, 150_978), "jpeg90": codec("below-fidelity", 33.0, 15_300)},
        ),
        CutReport(
            cut="features.2",
            precision="fp32",
            cascade=None,
            little_precision=None,
            little_share=None,
            cloud="desktop",
            head_layers=2,
            head_ms=14.25,
            tail_ms=9.75,
            local_tail_ms=None,
            codecs={
                "f32": codec("over-latency", 180.0, 602_562, mj=20.0),
                "f16": codec("worse", 75.0, 301_200),
                "q8": codec("chosen", 41.5, 40_100),
                "q4": codec("below-fidelity", 30.0, 955),
            },
        ),
    ],
)


def a_result(**changes: Any) -> Result:
    """A result with every part filled in."""
    parts: dict[str, Any] = {
        "model": "net",
        "digest": DIGEST,
        "task": "classify",
        "answer": Classification(np.array([0.625, 0.25, 0.125], np.float32), LABELS),
        "plan": Plan(cut="features.2", codec="q8", placement="DDC", cloud="desktop", reason="chosen"),
        "predicted": Predicted(latency_ms=12.5, head_ms=3.0, energy_mj=31.0, cost=0.001),
        "measured": Timings(latency_ms=13.25, queue_ms=0.0, tail_ms=2.25),
        "energy_mj": 30.5,
        "energy_source": "modelled",
        "cost": 0.002,
        "fidelity": 0.995,
        "bytes_up": 955,
        "bytes_down": 4460,
        "budget_met": True,
        "unmet": (),
        "degraded": False,
        "why": "",
        "ran": "DDC",
    }
    return Result(**(parts | changes))


@dataclass
class Asked:
    """A request as it arrived; `line` is "METHOD /path"."""

    line: str
    query: str
    body: bytes
    request: DaemonRequest

    @classmethod
    def of(cls, request: DaemonRequest) -> Asked:
        url = urlsplit(request.url)
        return cls(f"{request.method} {url.path}", url.query, request.message.body(), request)

    def infer(self) -> wire.InferRequest:
        return wire.decode_request(self.body, wire.header_length(self.request.message.headers))


def _candidate(cut: str, codec: str, milliseconds: float, verdict: str) -> CandidateReport:
    return CandidateReport(
        cut=cut,
        codec=codec,
        precision="fp32",
        cascade=None,
        little_precision=None,
        little_share=None,
        cloud=None if cut == "output" else "desktop",
        predicted_ms=milliseconds,
        deadline_ms=milliseconds * 1.25,
        energy_mj=3 * milliseconds,
        cost=0.0 if cut == "output" else 0.00125,
        fidelity=0.995,
        evidence=None if cut == "output" else EVIDENCE,
        verdict=verdict,
    )


EXPLAIN = ExplainReport(
    found_at={},
    decisions=[
        DecisionReport(
            age_s=2.5,
            answer="tabby cat 0.83",
            model="net",
            budget="80ms",
            cut="features.2",
            codec="q8",
            precision="fp32",
            little=None,
            little_precision=None,
            cascade=None,
            answered_by=None,
            placement="DDC",
            cloud="desktop",
            ran_on="desktop",
            reason="chosen",
            predicted_ms=40.0,
            measured_ms=312.0,
            budget_met=False,
            degraded=True,
            why="desktop did not answer",
            candidates=[
                _candidate("output", "none", 143.0, "over-latency"),
                _candidate("features.2", "q8", 40.0, "chosen"),
            ],
        )
    ],
)

DOOR = DoorReport(
    kind="deepstack",
    address="http://127.0.0.1:5000",
    model="nanodet_g",
    budget="80ms",
    keys=True,
    tls=False,
    calls=1234,
    failed=2,
    last_s=3.2,
)

_ANSWERS: dict[str, Any] = {
    "GET /collab/v1/explain": EXPLAIN,
    "GET /collab/v1/status": STATUS,
    "GET /collab/v1/profile/net": PROFILE,
    "GET /collab/v1/models": {"models": STATUS["models"]},
    "GET /collab/v1/models/net": LAYERS,
    "POST /collab/v1/models": MODEL,
    "DELETE /collab/v1/models/net": {},
    "GET /collab/v1/config": CONFIG,
    "GET /collab/v1/doors": {"doors": [DOOR]},
    "GET /v2/health/ready": {},
    "GET /v2/models/net": {"name": "net", "parameters": {"digest": DIGEST, "labels": list(LABELS)}},
}


class LittleDaemon(MockTransport):
    """``answers`` maps "METHOD /path" to a report, an error to raise or a function that makes the report.

    ``results`` are those of calls, in order.
    """

    def __init__(self) -> None:
        super().__init__(self._reply)
        self.results: list[Result | CollabError] = [a_result()]
        self.answers: dict[str, Any] = copy.deepcopy(_ANSWERS)

    @property
    def asked(self) -> list[Asked]:
        return [Asked.of(request) for request in self.requests]

    def _reply(self, request: DaemonRequest) -> DaemonReply:
        asked = Asked.of(request)
        answer = self.results.pop(0) if asked.line.endswith("/infer") else self.answers[asked.line]
        if isinstance(answer, CollabError):
            return refusal(answer)
        if isinstance(answer, Result):
            message = wire.encode_response(encode_result(answer), binary=True)
            return DaemonReply(200, message.body(), message.headers)
        return DaemonReply(200, json.dumps(answer(asked) if callable(answer) else answer).encode())


Run = Callable[..., Ran]


@pytest.fixture
def daemon() -> LittleDaemon:
    return LittleDaemon()


@pytest.fixture
def socket(daemon: LittleDaemon, tmp_path: Path) -> Iterator[Path]:
    """A real socket of the little daemon, for programs of their own."""
    served = ServedDaemon(tmp_path / "sock", partial(daemon.send, timeout_s=60))
    yield served.path
    served.stop()


@pytest.fixture
def run(daemon: LittleDaemon) -> Run:
    """Runs collabctl against the little daemon, in this process."""

    def collabctl(*words: object, env: dict[str, str] | None = None) -> Ran:
        return CliRunner().invoke(main, [str(word) for word in words], env={"COLUMNS": ""} | (env or {}), obj=daemon)

    return collabctl
