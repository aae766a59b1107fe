"""Each content is held once, and no longer than somebody uses it."""

from __future__ import annotations

import gc
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from collabd.engine.shared_arrays import SharedArrays

# Eight sessions that all hold the same 16 MB, and what they add to the first.
_SESSIONS = """
import sys
import zlib
from pathlib import Path
import numpy as np
from collabd.engine import Engine
from collabd.partition import Network
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
network = Network.load(Path(sys.argv[1]))
engine = Engine(threads=1, cache_bytes=64 << 20)
engine.add("n", network)
image = np.zeros((1, 256, 4, 4), np.float32)
engine.run("n", {"x": image}, ["t0"])
first = resident()
for number in range(1, 8):
    engine.run("n", {"x": image}, [f"t{number}"])
print((resident() - first) >> 20)
"""


@pytest.fixture
def arrays() -> SharedArrays:
    return SharedArrays()


def test_what_is_equal_is_one_array(arrays: SharedArrays) -> None:
    values = np.arange(600, dtype=np.float32).reshape(20, 30)
    one = arrays.shared(values)
    assert arrays.shared(values.copy()) is one
    assert arrays.shared(np.asfortranarray(values)) is one
    np.testing.assert_array_equal(one, values)
    assert not one.flags.writeable
    assert one.ctypes.data % 64 == 0


@pytest.mark.parametrize("other", [np.zeros(4, np.int32), np.zeros((2, 2), np.float32), -np.zeros(4, np.float32)])
def test_another_type_shape_or_sign_is_another_array(arrays: SharedArrays, other: np.ndarray) -> None:
    one = arrays.shared(np.zeros(4, np.float32))
    two = arrays.shared(other)
    assert two is not one
    assert (two.dtype, two.shape, two.tobytes()) == (other.dtype, other.shape, other.tobytes())


def test_contents_with_one_checksum_stay_apart(arrays: SharedArrays) -> None:
    # CRC-32 is linear: what differs by a multiple of its polynomial has the same checksum.
    one, two = (np.frombuffer(value.to_bytes(8, "little"), np.uint8) for value in (0, 0x1_DB71_0641))
    assert zlib.crc32(one.data) == zlib.crc32(two.data)
    held = arrays.shared(one)
    np.testing.assert_array_equal(arrays.shared(two), two)
    np.testing.assert_array_equal(held, one)


def test_what_nobody_holds_is_forgotten(arrays: SharedArrays) -> None:
    one = arrays.shared(np.ones(1000, np.float32))
    assert len(arrays) == 1
    del one
    gc.collect()
    assert len(arrays) == 0


def test_sessions_share_what_they_rearrange(tmp_path: Path) -> None:
    kernel = np.random.default_rng(9).standard_normal((256, 256, 8, 8)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "k"], ["c"], pads=[4, 4, 3, 3])]
    nodes += [helper.make_node("LeakyRelu", ["c"], [f"t{n}"], alpha=0.1 * n) for n in range(8)]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 256, 4, 4]) for name in ["x", "c"]]
    ports += [helper.make_tensor_value_info(f"t{n}", TensorProto.FLOAT, ["batch", 256, 4, 4]) for n in range(8)]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[2:], [numpy_helper.from_array(kernel, "k")])
    graph.value_info.append(ports[1])
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)]), tmp_path / "m.onnx")
    command = [sys.executable, "-c", _SESSIONS, str(tmp_path / "m.onnx")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(shown.stdout) < 16
