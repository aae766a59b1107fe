"""`collabctl infer`: what is asked, and all that is told of an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from collab_sdk.errors import BudgetInfeasible, InvalidImage
from collab_sdk.mock import mock_detections, mock_mask, mock_outputs
from collab_sdk.result import PHASES, Plan, Predicted, Result, Timings

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    (tmp_path / "cat.jpg").write_bytes(b"a picture")
    return tmp_path / "cat.jpg"


def values(said: str) -> dict[str, str]:
    """The block's values by name."""
    lines = said.partition("\n\n")[0].splitlines()
    return {line[:9].rstrip(): line[11:] for line in lines}


def test_all_that_is_known_of_an_answer(run: Run, cat: Path) -> None:
    assert values(run("infer", cat).stdout) == {
        "image": str(cat),
        "answer": "tabby 62.5 %",
        "model": "net (0123456789ab)",
        "plan": "cut features.2 as q8 to desktop (chosen)",
        "ran": "2 layers on the device, then 1 layer on desktop",
        "sent": "955 bytes up, 4.46k bytes down",
        "energy": "30.5 mJ (modelled), predicted 31.0",
        "cost": "0.002, predicted 0.001",
        "fidelity": "99.5 %",
        "budget": "no caps, met",
    }


def times(said: str) -> dict[str, tuple[str, str]]:
    """Predicted and measured by the name of their row."""
    heading, *rows = said.partition("\n\n")[2].splitlines()
    assert heading.split() == ["phase", "predicted", "ms", "measured", "ms"]
    return {row.rsplit(maxsplit=2)[0]: (row.split()[-2], row.split()[-1]) for row in rows}


def test_times_phase_by_phase(run: Run, cat: Path) -> None:
    rows = times(run("infer", cat).stdout)
    assert list(rows) == ["head", "queue", "tail", "client", "other", "total"]
    assert [rows[name][0] for name in rows] == ["3.0", "-", "-", "-", "9.5", "12.5"]
    assert [rows[name][1] for name in ("head", "queue", "tail")] == ["-", "0.0", "2.2"]


SPLIT = Timings(
    latency_ms=61.05, prep_ms=0.449, head_ms=10.05, encode_ms=0.249, upload_ms=31.35, queue_ms=0.05, decode_ms=0.35
)
RACED = Timings(latency_ms=80.0, head_ms=10.0, local_tail_ms=30.0)
SHORT = Timings(latency_ms=2.345, prep_ms=0.333, head_ms=1.999)
HEDGED = Predicted(latency_ms=20.0, head_ms=4.0, upload_ms=14.0, tail_ms=5.0)


@pytest.mark.parametrize("measured", [SPLIT, RACED, SHORT], ids=["split", "raced", "short"])
def test_times_add_up_to_the_total_as_shown(
    run: Run, cat: Path, changed: Callable[..., None], measured: Timings
) -> None:
    changed(predicted=HEDGED, measured=measured)
    rows = times(run("infer", cat).stdout)
    for column in (0, 1):
        *parts, total = (Decimal(row[column]) for row in rows.values() if row[column] != "-")
        assert sum(parts) == total
    assert rows["other"][0] == "-3.0"


def test_the_options_are_the_calls(daemon: LittleDaemon, run: Run, cat: Path) -> None:
    words = "--budget 80ms --model net --placement DDC --codec q8 --precision int8/fp32 --fallback never-leave"
    assert run("infer", cat, *words.split(), "--on-infeasible", "fail").exit_code == 0
    asked = daemon.asked[0]
    assert asked.line == "POST /v2/models/net/infer"
    assert asked.infer().inputs[0].to_bytes_list() == [b"a picture"]
    assert asked.infer().parameters == {
        "binary_data_output": True,
        "budget": "80ms",
        "placement": "DDC",
        "codec": "q8",
        "precision": "int8/fp32",
        "fallback": "never-leave",
        "on_infeasible": "fail",
    }


def test_without_options_the_daemon_decides(daemon: LittleDaemon, run: Run, cat: Path) -> None:
    run("infer", cat)
    assert daemon.asked[0].line == "POST /v2/models/_default/infer"
    assert daemon.asked[0].infer().parameters == {"binary_data_output": True}


def test_top(run: Run, cat: Path) -> None:
    assert values(run("infer", cat, "--top", 3).stdout)["answer"] == "tabby 62.5 %, tiger cat 25 %, [lynx] 12.5 %"


def test_json_has_every_field_of_the_result(daemon: LittleDaemon, run: Run, cat: Path) -> None:
    result = daemon.results[0]
    assert isinstance(result, Result)
    said = json.loads(run("infer", cat, "--json", "--budget", "80ms", "--top", 2).stdout)
    assert said["plan"] == vars(result.plan)
    assert said["predicted"] == vars(result.predicted) | {"other_ms": 9.5}
    assert said["measured"]["tail_ms"] == 2.25
    for times in (said["predicted"], said["measured"]):
        phases = sum(times[f"{phase}_ms"] or 0 for phase in (*PHASES, "other"))
        assert phases == pytest.approx(times["latency_ms"])
    assert said["top"] == [{"label": "tabby", "score": 0.625}, {"label": "tiger cat", "score": 0.25}]
    assert (said["image"], said["budget"], said["unmet"]) == (str(cat), "80ms", [])
    fields = vars(result).keys() - {"answer", "dropped", "image"}
    assert said.keys() == fields | {"image", "label", "score", "top"}
    same = fields - {"plan", "predicted", "measured", "unmet", "budget"}
    assert {name: said[name] for name in same} == {name: getattr(result, name) for name in same}


@pytest.fixture
def changed(daemon: LittleDaemon) -> Callable[..., None]:
    """Changes the next answer."""

    def change(**parts: Any) -> None:
        (result,) = daemon.results
        daemon.results = [Result(**(vars(result) | parts))]

    return change


def test_caps_that_were_missed_are_named(run: Run, cat: Path, changed: Callable[..., None]) -> None:
    changed(budget_met=False, unmet=("latency", "cost"))
    said = values(run("infer", cat, "--budget", "10ms,cost=0.001").stdout)
    assert said["budget"] == "10ms,cost 0.001, missed: latency, cost"


def test_a_degraded_answer_says_why_and_where_it_ran(run: Run, cat: Path, changed: Callable[..., None]) -> None:
    changed(degraded=True, why="desktop hung up", ran="DDD")
    said = values(run("infer", cat).stdout)
    assert (said["degraded"], said["ran"]) == ("desktop hung up", "3 layers on the device")


def test_a_plan_that_leaves_nothing(run: Run, cat: Path, changed: Callable[..., None]) -> None:
    changed(
        plan=Plan(cut="output", codec="none", placement="DDD", cloud=None, reason="fixed"),
        ran="DDD",
        bytes_up=0,
        bytes_down=0,
        fidelity=None,
    )
    said = values(run("infer", cat).stdout)
    assert said["plan"] == "all on the device (fixed)"
    assert (said["sent"], said["fidelity"]) == ("0 bytes up, 0 bytes down", "-")


def test_what_was_not_predicted_is_a_dash(run: Run, cat: Path, changed: Callable[..., None]) -> None:
    changed(
        predicted=Predicted(),
        measured=Timings(latency_ms=5.0),
        plan=Plan(cut="DCD", codec="f32", placement="DCD", cloud="desktop", reason="fixed"),
        ran="DCD",
    )
    said = values(run("infer", cat).stdout)
    assert (said["energy"], said["cost"]) == ("30.5 mJ (modelled), predicted -", "0.002, predicted -")
    assert said["ran"] == "1 layer on the device, then 1 layer on desktop, then 1 layer on the device"


@pytest.mark.parametrize("words", [("infer", "{cat}"), ("profile", "net")], ids=lambda words: words[0])
def test_a_number_without_a_unit_is_refused_with_its_readings(
    daemon: LittleDaemon, run: Run, cat: Path, words: tuple[str, ...]
) -> None:
    ran = run(*(word.format(cat=cat) for word in words), "--budget", "80")
    assert ran.exit_code == 1
    assert ran.stderr == "collabctl: 80 of what? Write 80ms (latency), 80mJ (energy) or cost 80\n"
    assert daemon.asked == []


def test_several_images_a_block_each(daemon: LittleDaemon, run: Run, cat: Path) -> None:
    daemon.results *= 2
    said = run("infer", cat, cat).stdout
    assert said.count(f"image      {cat}\n") == 2
    assert said.count("\n\n") == 3


def test_several_images_are_a_line_of_json_each(daemon: LittleDaemon, run: Run, cat: Path) -> None:
    daemon.results *= 2
    lines = run("infer", cat, cat, "--json").stdout.splitlines()
    assert [json.loads(line)["label"] for line in lines] == ["tabby", "tabby"]


def test_an_image_that_is_none_does_not_keep_others_from_an_answer(daemon: LittleDaemon, run: Run, cat: Path) -> None:
    daemon.results.insert(0, InvalidImage("the image is truncated"))
    missing = cat.with_name("missing.png")
    ran = run("infer", cat, missing, cat)
    assert ran.exit_code == 1
    assert values(ran.stdout)["answer"] == "tabby 62.5 %"
    assert ran.stderr.splitlines() == [
        f"collabctl: {cat}: the image is truncated",
        f"collabctl: cannot read the image '{missing}': No such file or directory",
    ]


def test_a_budget_that_no_plan_keeps_ends_it(daemon: LittleDaemon, run: Run, cat: Path) -> None:
    daemon.results.insert(0, BudgetInfeasible("no plan keeps the budget 1ms", {"latency_ms": 20.0}))
    ran = run("infer", cat, cat, "--budget", "1ms", "--on-infeasible", "fail")
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert ran.stderr == "collabctl: no plan keeps the budget 1ms\n"
    assert len(daemon.asked) == 1


FOUND = mock_detections([("cat", 0.75, (2, 0, 443, 296)), ("dog", 0.5, (10, 20, 30, 60))], (451, 300), model="net")
SHOWN = mock_mask(np.repeat(np.array([[0, 1, 1, 1]], np.uint8), 300, axis=0), ["background", "person"], model="net")
GAVE = mock_outputs({"a/b": np.arange(6, dtype=np.float16).reshape(2, 3), "file": np.zeros(0, np.int64)}, model="net")


@pytest.fixture
def answered(daemon: LittleDaemon, tmp_path: Path) -> Callable[[Result], Path]:
    """The daemon answers so, and this is the picture to ask about."""

    def answer(result: Result) -> Path:
        daemon.results = [result]
        labels = [] if result.task == "tensors" else list(result.labels)
        daemon.answers["GET /v2/models/net"]["parameters"] = {"digest": result.digest, "labels": labels}
        size = (result.image_width or 1, result.image_height or 1)
        Image.new("RGB", size, (90, 90, 90)).save(tmp_path / "scene.png")
        return tmp_path / "scene.png"

    return answer


@pytest.mark.parametrize(
    ("result", "answer", "table"),
    [
        (
            FOUND,
            "cat 75 %, dog 50 %",
            ["object confidence x y width height", "cat 75 % 2 0 441 296", "dog 50 % 10 20 20 40"],
        ),
        (mock_detections([], model="net"), "nothing found", None),
        (
            SHOWN,
            "person 75 %, background 25 % of 4x300 pixels",
            ["class share", "person 75 %", "background 25 %"],
        ),
        (GAVE, "a/b float16 [2, 3], file int64 [0]", ["output dtype shape", "a/b float16 [2, 3]", "file int64 [0]"]),
    ],
    ids=["objects", "nothing", "mask", "outputs"],
)
def test_the_answer_of_each_task(
    run: Run, answered: Callable[[Result], Path], result: Result, answer: str, table: list[str] | None
) -> None:
    blocks = run("infer", answered(result)).stdout.split("\n\n")
    assert values(blocks[0])["answer"] == answer
    assert (len(blocks) == 3) == (table is not None)
    if table:
        assert [" ".join(line.split()) for line in blocks[1].splitlines()] == table


def test_json_has_the_answer_of_each_task(run: Run, answered: Callable[[Result], Path]) -> None:
    found = json.loads(run("infer", answered(FOUND), "--json").stdout)
    assert (found["task"], found["image_width"], found["image_height"]) == ("detect", 451, 300)
    assert found["detections"] == [
        {"class_name": "cat", "class_id": 0, "confidence": 0.75, "xyxy": [2, 0, 443, 296]},
        {"class_name": "dog", "class_id": 1, "confidence": 0.5, "xyxy": [10, 20, 30, 60]},
    ]
    assert "label" not in found
    shown = json.loads(run("infer", answered(SHOWN), "--json").stdout)
    shares = [{"class_name": "person", "share": 0.75}, {"class_name": "background", "share": 0.25}]
    assert shown["mask"] == {"width": 4, "height": 300, "shares": shares}
    gave = json.loads(run("infer", answered(GAVE), "--json").stdout)
    assert gave["outputs"] == [
        {"name": "a/b", "dtype": "float16", "shape": [2, 3]},
        {"name": "file", "dtype": "int64", "shape": [0]},
    ]


@pytest.mark.parametrize("ending", ["png", "jpg", "WEBP"])
def test_an_answer_is_drawn(run: Run, answered: Callable[[Result], Path], tmp_path: Path, ending: str) -> None:
    ran = run("infer", answered(FOUND), "--draw", tmp_path / f"out.{ending}")
    assert (ran.exit_code, ran.stderr) == (0, "")
    with Image.open(tmp_path / f"out.{ending}") as drawn:
        assert drawn.size == (451, 300)
        assert len(drawn.convert("RGB").getcolors(2**24) or []) > 2


@pytest.mark.parametrize(
    ("result", "names"),
    [(FOUND, ["xyxy", "confidence", "class_id"]), (SHOWN, ["mask"]), (GAVE, ["a/b", "file"])],
    ids=["objects", "mask", "outputs"],
)
def test_the_arrays_of_an_answer_are_saved(
    run: Run, answered: Callable[[Result], Path], tmp_path: Path, result: Result, names: list[str]
) -> None:
    assert run("infer", answered(result), "--save", tmp_path / "out.npz").exit_code == 0
    with np.load(tmp_path / "out.npz") as saved:
        assert list(saved) == names
        for name, sent in zip(names, result.answer.on_wire().values(), strict=False):
            np.testing.assert_array_equal(saved[name], sent)


def test_tensors_come_from_a_file_of_arrays(
    daemon: LittleDaemon, run: Run, answered: Callable[[Result], Path], tmp_path: Path
) -> None:
    answered(GAVE)
    np.savez(tmp_path / "in.npz", left=np.ones((1, 3), np.float32), right=np.zeros(2, np.int64))
    assert run("infer", tmp_path / "in.npz").exit_code == 0
    left, right = daemon.asked[0].infer().inputs
    assert (left.name, left.datatype, left.shape) == ("left", "FP32", (1, 3))
    assert (right.name, right.datatype, right.shape) == ("right", "INT64", (2,))


def test_an_array_alone_has_the_name_of_its_file(
    daemon: LittleDaemon, run: Run, answered: Callable[[Result], Path], tmp_path: Path
) -> None:
    answered(GAVE)
    np.save(tmp_path / "left.npy", np.ones((1, 3), np.float32))
    assert run("infer", tmp_path / "left.npy").exit_code == 0
    assert daemon.asked[0].infer().inputs[0].name == "left"


@pytest.mark.parametrize("content", [b"", b"no arrays", b"PK\x05\x06" + bytes(17), None])
def test_a_file_without_arrays_is_refused(run: Run, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "in.npz"
    if content is not None:
        path.write_bytes(content)
    ran = run("infer", path)
    assert ran.exit_code == 1
    assert ran.stderr.startswith(f"collabctl: cannot read the arrays of '{path}': ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--draw", "out.png"], "--draw and --save take one IMAGE"),
        (["--save", "out.npz"], "--draw and --save take one IMAGE"),
        (["--draw", "out.tiff"], "'out.tiff' does not end in .png or .jpg or .jpeg or .webp"),
        (["--save", "out.npy"], "'out.npy' does not end in .npz"),
        (["--draw", "nowhere/out.png"], "there is no directory 'nowhere' to write 'out.png' to"),
        (["--save", "nowhere/out.npz"], "there is no directory 'nowhere' to write 'out.npz' to"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_asked(
    daemon: LittleDaemon, run: Run, cat: Path, words: list[str], says: str
) -> None:
    ran = run("infer", cat, cat, *words)
    assert ran.exit_code == 2
    assert says in ran.stderr
    assert daemon.asked == []


def test_outputs_are_not_drawn_but_shown(run: Run, answered: Callable[[Result], Path], tmp_path: Path) -> None:
    ran = run("infer", answered(GAVE), "--draw", tmp_path / "out.png")
    assert ran.exit_code == 1
    assert "a/b float16 [2, 3], file int64 [0]" in ran.stdout
    assert ran.stderr == ("collabctl: net answers with tensors, which --draw cannot show: --save FILE.npz keeps them\n")


def test_what_cannot_be_written_whole_is_said_and_not_left_behind(
    run: Run, answered: Callable[[Result], Path], tmp_path: Path
) -> None:
    wide = answered(Result(**vars(FOUND) | {"image_width": 17_000, "image_height": 1}))
    Image.new("RGB", (17_000, 1)).save(wide)
    ran = run("infer", wide, "--draw", tmp_path / "out.webp")
    assert ran.exit_code == 1
    assert "cat" in ran.stdout
    assert ran.stderr.startswith(f"collabctl: cannot write '{tmp_path / 'out.webp'}': ")
    assert "PNG has room for more pixels" in ran.stderr
    assert not (tmp_path / "out.webp").exists()
