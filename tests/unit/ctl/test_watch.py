"""`collabctl watch`: the line of an answer, wherever it came from, and the count at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from collab_sdk.errors import BudgetInfeasible
from collab_sdk.mock import mock_outputs
from tests.unit.ctl.conftest import DIGEST, a_result

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Of three pictures."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(3):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    return path


def test_where_each_answer_came_from(daemon: LittleDaemon, run: Run, film: Path) -> None:
    daemon.results = [a_result(), a_result(inherited_age_s=0.5, ran=""), a_result(ran="DDD")]
    ran = run("watch", film)
    assert ran.exit_code == 0
    (line,) = ran.stdout.splitlines()
    assert line[10:].split() == ["tabby", "0.62", "desktop", *line.split()[-2:]]
    assert len(line) == 80
    assert ran.stderr == ("collabctl: 3 pictures: 1 answered on the device, 1 with desktop, 1 inherited, 0 dropped\n")


def test_what_is_asked(daemon: LittleDaemon, run: Run, film: Path) -> None:
    daemon.results = [a_result()] * 3
    run("watch", film, "--budget", "80ms", "--stream", "gate", "--model", "net")
    asked = [each.infer() for each in daemon.asked if each.line.endswith("/infer")]
    assert [each.line for each in daemon.asked if each.line.endswith("/infer")] == ["POST /v2/models/net/infer"] * 3
    assert {each.parameters["stream"] for each in asked} == {"gate"}
    assert {each.parameters["budget"] for each in asked} == {"80ms"}
    assert {each.inputs[0].parameters["channels"] for each in asked} == {"bgr"}


def test_the_same_in_json(daemon: LittleDaemon, run: Run, film: Path) -> None:
    daemon.results = [a_result()] * 3
    (report,) = map(json.loads, run("watch", film, "--json").stdout.splitlines())
    assert report["seen"] == [{"name": "tabby", "count": 1, "sureness": 0.625}]
    assert (report["model"], report["where"], report["degraded"]) == ("net", "desktop", False)


def test_a_long_line_is_whole_in_a_pipe(daemon: LittleDaemon, run: Run, film: Path) -> None:
    daemon.answers["GET /v2/models/net"]["parameters"]["labels"] = ["a" * 100, "b", "c"]
    daemon.results = [a_result()] * 3
    assert "a" * 100 in run("watch", film, env={"COLUMNS": "80"}).stdout


def test_tensors_say_nothing(daemon: LittleDaemon, run: Run, film: Path) -> None:
    daemon.results = [mock_outputs({"y": np.zeros(3, np.float32)}, model="net", digest=DIGEST)] * 3
    ran = run("watch", film)
    assert ran.exit_code == 1
    assert ran.stderr.splitlines()[-1].startswith("collabctl: net answers with tensors")


def test_an_error_ends_it_after_the_count(daemon: LittleDaemon, run: Run, film: Path) -> None:
    # Several pictures are asked about at a time, so that the third may come before the second.
    daemon.results = [a_result(), BudgetInfeasible("nothing fits"), BudgetInfeasible("nothing fits")]
    ran = run("watch", film, "--budget", "1ms")
    assert ran.exit_code == 1
    assert ran.stderr.splitlines() == [
        "collabctl: 1 picture: 0 answered on the device, 1 with desktop, 0 inherited, 0 dropped",
        "collabctl: nothing fits",
    ]
