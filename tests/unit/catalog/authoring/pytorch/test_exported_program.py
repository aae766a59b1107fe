from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.authoring.pytorch.exported_program import read_exported

pytestmark = pytest.mark.slow

MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
SAMPLES = "data/sample_inputs/model.pt"


class Scales(nn.Module):
    """Two inputs, two outputs, a buffer, a constant, and a size that follows the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("factor", torch.tensor([2.0]))

    def forward(self, image: torch.Tensor, weight: torch.Tensor) -> dict[str, torch.Tensor]:
        rows = self.conv(image).relu().mean((2, 3)).reshape(image.shape[0], 4) + torch.tensor([0.5])
        return {"rows": rows * self.factor, "sum": rows.sum(1, keepdim=True) + weight}


def opening(trace: Path) -> bytes:
    """A pickle, in its oldest form, that calls `open(trace, "w")` where it is read."""
    return f"cbuiltins\nopen\n(V{trace}\nVw\ntR.".encode()


@pytest.fixture(scope="module")
def module() -> Scales:
    torch.manual_seed(0)
    return Scales().eval()


@pytest.fixture(scope="module")
def saved(module: Scales, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "scales.pt2"
    batch = torch.export.Dim("batch")
    given = (torch.zeros(2, 3, 8, 8), torch.zeros(2, 1))
    torch.export.save(torch.export.export(module, given, dynamic_shapes=({0: batch}, {0: batch})), path)
    return path


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def changed(saved: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """The file with its entries changed."""
    with zipfile.ZipFile(saved) as archive:
        entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(entries)
    path = tmp_path / "changed.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(f"changed/{name}", data)
    return path


def edited(entry: str, edit: Callable[[Any], object]) -> Callable[[dict[str, bytes]], None]:
    """A change of one JSON document."""

    def change(entries: dict[str, bytes]) -> None:
        document = json.loads(entries[entry])
        edit(document)
        entries[entry] = json.dumps(document).encode()

    return change


def check(path: Path, module: Scales) -> None:
    """The graph of the file answers as the module does."""
    rng = np.random.default_rng(0)
    feeds = {
        "image": rng.standard_normal((3, 3, 8, 8)).astype(np.float32),
        "weight": rng.standard_normal((3, 1)).astype(np.float32),
    }
    session = ort.InferenceSession(read_exported(path).SerializeToString())
    found = dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds), strict=True))
    with torch.inference_mode():
        expected = module(*map(torch.from_numpy, feeds.values()))
    assert found.keys() == expected.keys() == {"rows", "sum"}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value.numpy(), rtol=1e-5, atol=1e-6)


def test_a_saved_network_answers_as_its_module(saved: Path, module: Scales) -> None:
    check(saved, module)


def test_sample_inputs_and_guards_are_left_alone(saved: Path, module: Scales, tmp_path: Path, trace: Path) -> None:
    def change(entries: dict[str, bytes]) -> None:
        entries[SAMPLES] = opening(trace)
        edited(MODEL, lambda program: program.update(guards_code=[f"open({str(trace)!r}, 'w') is not None"]))(entries)

    check(changed(saved, tmp_path, change), module)
    assert not trace.exists()


def _first_node(program: Any) -> Any:
    return program["graph_module"]["graph"]["nodes"][0]


def _first_size(program: Any) -> Any:
    return program["graph_module"]["graph"]["tensor_values"]["image"]["sizes"][0]["as_expr"]


def _pickled_weight(table: Any) -> None:
    table["config"]["factor"]["use_pickle"] = True


def _custom_constant(table: Any) -> None:
    table["config"]["thing"] = {
        "path_name": "custom_obj_0",
        "is_param": False,
        "use_pickle": False,
        "tensor_meta": None,
    }


def _opaque_constant(table: Any) -> None:
    table["config"]["thing"] = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}


def _default_dict(program: Any) -> None:
    context = {"default_factory_module": "this", "default_factory_name": "s", "dict_context": []}
    spec = {"type": "collections.defaultdict", "context": json.dumps(context), "children_spec": []}
    program["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = json.dumps([1, spec])


@pytest.mark.parametrize(
    ("entry", "edit", "complaint"),
    [
        (WEIGHTS, _pickled_weight, "keeps 'factor' as a pickled object"),
        (CONSTANTS, _custom_constant, "keeps 'thing' as a pickled object"),
        (CONSTANTS, _opaque_constant, "keeps 'thing' as a pickled object"),
        (MODEL, lambda it: _first_node(it).update(target="torch.os.system"), "calls 'torch.os.system'"),
        (MODEL, lambda it: _first_node(it).update(target="torch.ops.aten.from_file.default"), "aten.from_file"),
        (MODEL, lambda it: _first_node(it).update(target="math.sin"), "calls 'math.sin'"),
        (MODEL, lambda it: _first_node(it).update(target="#extension"), "calls '#extension'"),
        (MODEL, lambda it: _first_size(it).update(expr_str="__import__('os')"), "states a size as .__import__"),
        (MODEL, lambda it: _first_size(it).update(expr_str="Symbol('s').name"), "not plain arithmetic"),
        (MODEL, lambda it: _first_size(it).update(expr_str="[Integer(1)]"), "not plain arithmetic"),
        (MODEL, _default_dict, "takes or returns a collections.defaultdict"),
        (MODEL, lambda it: it["graph_module"]["graph"].update(custom_obj_values={"a": {}}), "objects of classes"),
    ],
)
def test_what_could_run_code_is_refused(
    saved: Path, tmp_path: Path, entry: str, edit: Callable[[Any], object], complaint: str
) -> None:
    with pytest.raises(InvalidPackage, match=complaint):
        read_exported(changed(saved, tmp_path, edited(entry, edit)))


def test_compiled_code_is_refused(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match="compiled code"):
        read_exported(changed(saved, tmp_path, lambda entries: entries.update({"data/aotinductor/model/a.so": b""})))


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: entries.clear(),
        lambda entries: entries.pop(WEIGHTS),
        lambda entries: entries.pop("data/weights/weight_0"),
        lambda entries: entries.update({MODEL: b"{"}),
        edited(WEIGHTS, lambda table: table.clear()),
        edited(MODEL, lambda program: program["graph_module"].pop("graph")),
        edited(MODEL, lambda program: program["graph_module"]["graph"]["nodes"].clear()),
        edited(WEIGHTS, lambda table: table["config"].pop("conv.weight")),
    ],
)
def test_a_file_that_is_none_or_contradicts_itself_is_refused(
    saved: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], object]
) -> None:
    with pytest.raises(InvalidRequest, match=r"is no network that torch|contradicts itself"):
        read_exported(changed(saved, tmp_path, change))


@pytest.mark.parametrize("content", [None, b"not an archive"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "network.pt2"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidRequest, match="is no network that torch"):
        read_exported(path)
