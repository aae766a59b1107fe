"""Packages pushed to the companion as its unit sandboxes it."""

from __future__ import annotations

import json

from tests.system.conftest import PYTHON, Service

_PUSHER = """
import json, sys, tempfile
from pathlib import Path
import msgspec, onnx, requests
from collabd.catalog.package import package as packages
from collabd.catalog.store import bundle
shipped = packages.load(Path("/usr/local/share/collabd/models/alexnet_cifar10"))
manifest = msgspec.structs.replace(shipped.manifest, provenance="pushed")
model = onnx.load(shipped.path / packages.MODEL)
if sys.argv[1] == "hungry":
    # onnx itself computes this while it infers shapes: 2**40 elements
    for name, value in (("zero", 0), ("limit", 1 << 40), ("one", 1)):
        model.graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [], [value]))
    model.graph.node.append(onnx.helper.make_node("Range", ["zero", "limit", "one"], ["long"]))
    model.graph.node.append(onnx.helper.make_node("Cast", ["long"], ["wide"], to=onnx.TensorProto.FLOAT))
with tempfile.TemporaryDirectory() as scratch:
    int8 = (shipped.path / packages.GRAPHS["int8"]).read_bytes()
    pushed = packages.write(Path(scratch, "p"), manifest, model=model.SerializeToString(), licence="CC0-1.0", int8=int8)
    url = f"http://127.0.0.1:8470/collab/v1/packages/{pushed.digest}"
    reply = requests.put(url, data=bundle.pack(pushed), timeout=300)
    print(json.dumps([reply.status_code, reply.json()]))
"""


def push(companion: Service, kind: str) -> tuple[int, dict[str, object]]:
    done = companion.box.run(PYTHON, "-I", "-c", _PUSHER, kind)
    status, body = json.loads(done.stdout.splitlines()[-1])
    return status, body


def test_a_pushed_package_is_tried_out_within_the_sandbox(companion: Service) -> None:
    companion.systemctl("start")
    pid = companion.pid()
    status, body = push(companion, "sound")
    assert (status, body.get("name")) == (201, "alexnet_cifar10"), body
    # The limits of the trial hold there too: it ends, and the companion goes on.
    status, body = push(companion, "hungry")
    assert (status, body.get("code")) == (400, "invalid_package")
    assert "more memory than one package may take" in str(body["error"])
    assert companion.pid() == pid
    assert push(companion, "sound")[0] == 201
