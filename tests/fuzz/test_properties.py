"""What `make fuzz` looks for, in a few seconds: every edge with inputs that are almost sound."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.extra.numpy as npst
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collabd.config import CloudConfig, DeviceConfig
from tests.fuzz import message, tiny
from tests.fuzz.edges import budget, companion, config, intake, package, profile, request, response, roundtrip, traces
from tests.fuzz.strategies import ODD, bytes_like, json_like
from tests.fuzz.targets import TARGETS, Target

# The daemons of an edge are started by its first example.
few = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@few
@given(data=st.data())
def test_bytes(target: Target, data: st.DataObject) -> None:
    target.edge.check(data.draw(bytes_like(target.edge.seeds(), target.words)))


@pytest.mark.parametrize("edge", [request, response, intake], ids=lambda edge: edge.__name__)
@few
@given(data=st.data())
def test_heads_of_messages(edge: Any, data: st.DataObject) -> None:
    headers, body = message.split(data.draw(st.sampled_from([seed for seed in edge.seeds() if seed[:2] == b"=\n"])))
    length = int(headers["Inference-Header-Content-Length"])
    head = json.dumps(data.draw(json_like(json.loads(body[:length])))).encode()
    edge.check(b"=\n" + head + b"\n\0\n" + body[length:])


@few
@given(data=st.data())
def test_what_a_companion_says(data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from([seed for seed in companion.seeds() if seed[3:5] == b"\n{"]))
    companion.check(seed[:4] + json.dumps(data.draw(json_like(json.loads(seed[4:])))).encode())


@few
@given(json_like(msgspec.to_builtins(tiny.profile())))
def test_profiles(changed: Any) -> None:
    profile.check(json.dumps(changed).encode())


@few
@given(json_like(msgspec.to_builtins(tiny.MANIFEST)))
def test_manifests(changed: Any) -> None:
    package.check(bytes([package.FILES.index("package.json")]) + json.dumps(changed).encode())


def _toml(value: Any) -> str:
    """JSON's values are TOML's, but for null and objects."""
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, dict | None) else "{a = 1}"


@few
@given(data=st.data())
def test_settings(data: st.DataObject) -> None:
    kind: Any = data.draw(st.sampled_from([DeviceConfig, CloudConfig]))
    lines = []
    sections = st.sampled_from(msgspec.structs.fields(kind))
    for section in data.draw(st.lists(sections, max_size=3, unique_by=lambda field: field.name)):
        keys = getattr(section.type, "__struct_fields__", ("name", "url", "token_file", "model", "fallback"))
        lines.append(f"[[{section.name}]]" if section.name in {"clouds", "policies"} else f"[{section.name}]")
        lines += [f"{key} = {_toml(data.draw(ODD))}" for key in data.draw(st.lists(st.sampled_from(keys), max_size=3))]
    config.check("\n".join(lines).encode(errors="replace"))


odd_numbers = st.sampled_from(["1e400", "-1", "", ".5", "5e-324", "9" * 400])
numbers = st.one_of(st.floats(0, allow_nan=False).map(repr), odd_numbers)
tokens = st.tuples(numbers, st.sampled_from([*budget.WORDS, "", " "])).map("".join)


@few
@given(st.lists(tokens, max_size=4).map(",".join))
def test_budgets(text: str) -> None:
    budget.check(text.encode())


steps = st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=5)


@few
@given(steps)
def test_traces(rows: list[tuple[str, str, str]]) -> None:
    names = ("duration_ms", "bandwidth_kbps", "latency_ms")
    traces.check("\n".join(["1" + ",".join(names), *map(",".join, rows)]).encode())
    traces.check(f"0{json.dumps([dict(zip(names, row, strict=True)) for row in rows])}".encode())


@few
@given(
    st.sampled_from(range(len(roundtrip.CODECS))),
    st.integers(0, 4),
    npst.arrays(np.float32, npst.array_shapes(max_dims=4, max_side=4)),
)
def test_features(codec: int, axis: int, array: np.ndarray) -> None:
    inner = array.shape[1:]
    roundtrip.check(bytes([codec, axis, 0, len(inner), *(size - 1 for size in inner)]) + array.tobytes())
