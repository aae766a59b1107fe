"""`collabctl status`, `wait` and `config`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from collab_sdk.errors import NotReady
from collab_sdk.reports import ConditionReport
from collabd import __version__

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run


def words_of(said: str) -> list[str]:
    """Its lines, without what aligns them."""
    return [" ".join(line.split()) for line in said.splitlines()]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["status"], "GET /collab/v1/status"),
        (["profile", "net"], "GET /collab/v1/profile/net"),
        (["models", "list"], "GET /collab/v1/models"),
        (["models", "show", "net"], "GET /collab/v1/models/net"),
        (["config"], "GET /collab/v1/config"),
    ],
    ids=["status", "profile", "models list", "models show", "config"],
)
def test_json_is_the_very_report(daemon: LittleDaemon, run: Run, words: list[str], line: str) -> None:
    assert json.loads(run(*words, "--json").stdout) == daemon.answers[line]
    assert [asked.line for asked in daemon.asked] == [line]


def test_status_tells_of_daemon_companions_and_models(run: Run) -> None:
    said = words_of(run("status").stdout)
    assert said[0] == f"collabd {__version__}, ready, up 3 h 12 min, process 812"
    assert "CPU 12 %, 8.10x its profiled times, 212 MB" in said[1]
    assert said[2] == (
        "machine 4.25 W (measured by ina219), 61 °C, clock up to 1000 of 1500 MHz, under-voltage, frequency-capped, "
        "battery 62 %"
    )
    assert (
        said[3] == "requests 120: 80 with a companion, 7 inherited, 2 degraded, 1 failed over, 3 over budget, 1 failed"
    )
    assert said[4] == "audits 812 pictures, 95 copies, 48.4 s: 0.42 % of a core, of at most 1 %"
    assert said[5] == ("last call net, cut features.2 as q8 to desktop (kept): 19.5 ms, predicted 18.8, budget met")
    assert "desktop up 12.2 21.5 80.0 3.20 0.00 31 % 1.04x 1 http://192.168.1.20:8470" in said
    assert "net classify 0123456789ab 3 2 1.2 yes" in said
    assert "other detect ff 9 4 - no" in said


LOST = ConditionReport(
    code="companion-lost",
    about="pc",
    severity="warning",
    what="the device works without pc: pc at http://192.168.1.20:8470: Connection refused",
    do="See that collab-cloudd runs there",
    since_s=95.0,
    behind=None,
)
STALE = LOST | {"code": "link-stale", "severity": "notice", "what": "old", "behind": "companion-lost"}
DOOR = LOST | {"code": "door-refused", "about": "oip at :1", "severity": "error", "what": "the door is not open"}


def test_a_daemon_that_is_well_says_nothing_of_its_health(run: Run) -> None:
    assert "health" not in run("status").stdout


def test_conditions_stand_with_what_to_do_and_what_they_explain(daemon: LittleDaemon, run: Run) -> None:
    daemon.answers["GET /collab/v1/status"]["health"] = [DOOR, LOST, STALE]
    said = words_of(run("status").stdout)
    first = said.index("health condition for")
    assert said[first + 1 : first + 6] == [
        "error door-refused 1 min 35 s the door is not open",
        "→ See that collab-cloudd runs there",
        f"warning companion-lost 1 min 35 s {LOST['what']}",
        "→ See that collab-cloudd runs there",
        "It explains link-stale of pc.",
    ]


def test_conditions_fit_into_eighty_columns(daemon: LittleDaemon, run: Run) -> None:
    daemon.answers["GET /collab/v1/status"]["health"] = [DOOR, LOST, STALE]
    said = run("status", env={"COLUMNS": "80"}).stdout.splitlines()
    first = next(index for index, line in enumerate(said) if line.startswith("health"))
    assert all(len(line) <= 80 for line in said[first : first + 8])
    assert "companion-lost" in said[first + 3]


def test_what_a_companion_was_not_heard_to_say_is_a_dash(run: Run) -> None:
    unheard = "cluster unknown (half-open) - - - - - - - 0 https://cluster.example.org:8470"
    said = words_of(run("status").stdout)
    assert unheard in said
    assert "cluster the companion refused our key" in said


def test_a_companion_that_was_found_elsewhere_is_shown_there(daemon: LittleDaemon, run: Run) -> None:
    daemon.answers["GET /collab/v1/status"]["clouds"][1]["found_at"] = "https://192.168.1.77:8470"
    said = words_of(run("status").stdout)
    assert "cluster unknown (half-open) - - - - - - - 0 https://192.168.1.77:8470" in said
    assert "cluster found there, and no longer at https://cluster.example.org:8470" in said
    assert "the companion refused our key" in said


def test_why_a_companion_does_not_serve_a_model(daemon: LittleDaemon, run: Run) -> None:
    assert "desktop other: refused the package: the graph has an If" in words_of(run("status").stdout)
    # Beside its other trouble.
    daemon.answers["GET /collab/v1/status"]["clouds"][1]["lacks"] = {"sha256:ff": "is still measuring the package"}
    said = words_of(run("status").stdout)
    assert said[said.index("cluster the companion refused our key") + 1] == "other: is still measuring the package"


def test_status_of_a_daemon_that_has_nothing_yet(daemon: LittleDaemon, run: Run) -> None:
    daemon.answers["GET /collab/v1/status"] |= {"ready": False, "models": [], "clouds": [], "last": None}
    daemon.answers["GET /collab/v1/status"]["device"] |= {"cpu_load": None, "speed_factor": None}
    unknown = dict.fromkeys(("temperature_c", "frequency_limit_mhz", "frequency_max_mhz", "throttled", "battery"))
    daemon.answers["GET /collab/v1/status"]["device"] |= unknown | {"power_source": "model"}
    lines = run("status").stdout.splitlines()
    assert len(lines) == 6
    assert "loading" in lines[0]
    assert "CPU -, - its profiled times, 212 MB" in lines[1]
    assert lines[2].split() == ["machine", "4.25", "W", "(modelled)"]
    assert lines[5].split() == ["last", "call", "-"]


def test_status_says_why_the_last_call_was_degraded(daemon: LittleDaemon, run: Run) -> None:
    daemon.answers["GET /collab/v1/status"]["last"] |= {
        "degraded": True,
        "why": "desktop hung up",
        "predicted_ms": None,
        "budget_met": False,
    }
    assert "predicted -, budget missed; degraded: desktop hung up" in run("status").stdout


def test_wait_returns_silently(daemon: LittleDaemon, run: Run) -> None:
    ran = run("wait")
    assert (ran.exit_code, ran.output) == (0, "")
    assert [asked.line for asked in daemon.asked] == ["GET /v2/health/ready"]


@pytest.mark.parametrize(
    ("words", "why"),
    [(["--profiled"], "still profiling other"), ([], "still loading its models")],
    ids=["profiling", "loading"],
)
def test_wait_fails_saying_why(daemon: LittleDaemon, run: Run, words: list[str], why: str) -> None:
    if not words:
        daemon.answers["GET /v2/health/ready"] = NotReady("loading")
    ran = run("wait", "--timeout", "0.3", *words)
    assert ran.exit_code == 1
    assert ran.stderr.startswith("collabctl: collabd is not ready after 0.3 s: ")
    assert why in ran.stderr


def test_wait_refuses_a_timeout_that_is_none(run: Run) -> None:
    ran = run("wait", "--timeout", "-1")
    assert (ran.exit_code, ran.stderr) == (1, "collabctl: timeout_s: -1.0 is not a number of seconds above 0\n")


def test_config_shows_values_as_the_file_has_them_and_their_origin(run: Run) -> None:
    said = words_of(run("config").stdout)
    assert said[0] == "file /etc/collabd/collabd.toml"
    assert "planning.min_fidelity file 0.995" in said
    assert "models.roots default []" in said
    assert "energy.busy_w default -" in said
    assert "clouds[0].push_packages default true" in said


def test_config_without_a_file(daemon: LittleDaemon, run: Run) -> None:
    daemon.answers["GET /collab/v1/config"]["file"] = None
    assert run("config").stdout.startswith("file       no file: all settings have their defaults\n")
