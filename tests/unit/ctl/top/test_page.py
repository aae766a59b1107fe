"""The screen at several sizes, from reports that were made up."""

from __future__ import annotations

from typing import Any

import pytest

from collab_sdk.errors import DaemonUnavailable
from collabd.ctl.top.glyphs import ASCII, UNICODE
from collabd.ctl.top.lines import Style
from collabd.ctl.top.page import Page
from tests.unit.ctl.conftest import AWAY as AWAY_MODEL
from tests.unit.ctl.conftest import MODEL, STATUS
from tests.unit.ctl.top.busy import LOST, STREAMS, a_page, a_report, a_stream, texts

AWAY = DaemonUnavailable("cannot reach collabd at /run/collabd/collabd.sock: it is not running")
MANY = [a_stream(f"network-{index:02}", calls=index) for index in range(40)]

SMALL = """\
collabd 0.1.0  up 3 h 12 min   calls 153  3.00/s  degraded 2  missed 3  failed 1
CPU  12 %      ▂▂▂▂▂▂▂▂▂▂▂▂   61 °C      ▆▆▆▆▆▆▆▆▆▆▆▆   4.25 W      ████████████

companion  state               up Mbit/s  down       rtt ms      load  queue ms
desktop    up                   7.50 ▃▆█   80.0 ███   12.2 ███   31 %      0.00
cluster    unknown, half-open      -          -          -          -         -

model stream          network               ms  predicted  calls    /s  degraded
  plan                            fidelity pictures  up B down B joules     cost
efficientnet_lite0    ·················   41.5       40.2    131  1.00         2
  little: that network was sure     99.4 %      812 1.23M  33.0k   12.3  0.00213
nanodet_g front-door  │░░░░░░░░░░░░░░░░   95.0       40.2    131  1.00         2
  image as source to desktop        99.4 %      812 1.23M  33.0k   12.3  0.00213
nanodet_g yard        ·················   41.5          -    131  1.00         2
  inherited from the picture bef…   99.4 %      812 1.23M  33.0k   12.3  0.00213
selfie                █████████████████   41.5       40.2    131  1.00         2
  local                             99.4 %        - 1.23M  33.0k   12.3  0.00213

warning: cluster has not answered (companion-lost, 1 min 15 s)
  → See whether collab-cloudd runs there: systemctl status collab-cloudd. Until
  then all calls run here.
last call net 19.5 ms, predicted 18.8: cut features.2 as q8 to desktop (kept)
  chosen again: the best plan gains too little
 q  quit   ?  what is what   ↑↓  scroll                      streams 1 to 4 of 5"""


def test_a_small_terminal_has_room_for_all_that_matters() -> None:
    shown = texts(a_page())
    assert "\n".join(shown) == SMALL


@pytest.mark.parametrize("size", [(80, 24), (80, 43), (100, 30), (140, 50), (250, 70), (60, 15), (20, 5), (3, 1)])
@pytest.mark.parametrize(
    "report",
    [a_report(), a_report(streams=MANY, health=[LOST] * 6), a_report(clouds=[], streams=[], health=[], last=None)],
    ids=["usual", "much", "little"],
)
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_nothing_is_wider_or_higher_than_the_terminal(size: tuple[int, int], report: Any, glyphs: Any) -> None:
    page = a_page(report, glyphs)
    for problem in (None, AWAY):
        if problem is not None:
            page.failed(problem, 12.0)
        for page.explains in (False, True):
            lines = page.lines(*size, 14.0)
            assert len(lines) == size[1]
            assert max(line.width for line in lines) <= size[0]


def test_in_ascii_all_is_ascii() -> None:
    assert "".join(texts(a_page(glyphs=ASCII), 140, 50)).isascii()


def test_a_wide_terminal_tells_more_of_each_stream() -> None:
    shown = texts(a_page(), 140, 50)
    (heading,) = (" ".join(line.split()) for line in shown if line.startswith("model stream"))
    told = "model stream network: device│companion ms lately ms predicted calls /s missed failed degraded"
    assert heading == told
    assert any("split 80, local 39" in line for line in shown)
    assert any("clock up to 1000 of 1500 MHz, battery 62 %, under-voltage" in line for line in shown)


def test_a_tall_terminal_tells_of_changes_of_plans() -> None:
    page = a_page(a_report(streams=[a_stream()]))
    page.heard(a_report(streams=[a_stream(cut="image", placement="CCCCC", kind="image")]), 12.0)
    told = "     3 s ago  vgg16_cifar10  image as q8 to desktop; it was split as q8 to desktop at features.2"
    assert told in texts(page, 100, 40, now=15.0)
    assert told[:79] + "…" in texts(page, 80, 40, now=15.0)
    assert not any("ago" in line for line in texts(page, 80, 18))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": None, "placement": "", "measured_ms": None, "predicted_ms": None}, "no answer yet"),
        ({"precision": "int8"}, "split as q8 to desktop in int8 at features.2"),
        ({"cut": "DDCCD", "placement": "DDCCD"}, "split as q8 to desktop at 2D 2C 1D"),
        ({"kind": "local", "cloud": None, "precision": "int8"}, "local in int8"),
        # The device was first, or the companion failed.
        ({"kind": "local"}, "local, planned split as q8 to desktop at features.2"),
    ],
)
def test_how_the_last_call_was_answered(changes: dict[str, Any], words: str) -> None:
    shown = texts(a_page(a_report(streams=[a_stream(**changes)])), 160, 24)
    assert any(line.startswith(f"  {words}  ") for line in shown)


def test_more_streams_than_fit_are_scrolled() -> None:
    page = a_page(a_report(streams=MANY, health=[]))
    first = texts(page)
    assert first[-1].endswith("streams 1 to 5 of 40")
    page.scroll(streams=1)
    assert any(line.startswith("network-05") for line in texts(page))
    page.scroll(pages=1)
    assert texts(page)[-1].endswith("streams 7 to 11 of 40")
    page.scroll(pages=1e6)
    assert texts(page)[-1].endswith("streams 36 to 40 of 40")
    page.scroll(pages=-1e6)
    assert texts(page) == first


def test_nothing_scrolls_where_all_is_shown() -> None:
    page = a_page(a_report(health=[]), reports=1)
    texts(page, 80, 40)
    page.scroll(streams=3)
    assert any(line.startswith("efficientnet_lite0") for line in texts(page, 80, 40))
    assert "scroll" not in texts(page, 80, 40)[-1]


def test_streams_stay_in_their_place_whichever_was_called_last() -> None:
    forth = texts(a_page(a_report(streams=STREAMS)), 80, 40)
    assert forth == texts(a_page(a_report(streams=STREAMS[::-1])), 80, 40)


def test_a_condition_that_another_one_explains_is_left_out() -> None:
    behind = LOST | {"code": "link-stale", "behind": "companion-lost"}
    shown = "\n".join(texts(a_page(a_report(health=[LOST, behind]))))
    assert "companion-lost" in shown
    assert "link-stale" not in shown


def test_of_many_conditions_the_worst_are_shown_and_the_others_counted() -> None:
    shown = "\n".join(texts(a_page(a_report(health=[LOST | {"severity": "error"}, *[LOST] * 4]))))
    assert "error: cluster has not answered" in shown
    assert "and 4 more: collabctl status" in shown


def test_why_a_companion_fails_stands_below_it_unless_a_condition_says_so() -> None:
    problem = "  the companion refused our key"
    assert problem in texts(a_page(a_report(health=[])))
    assert problem not in texts(a_page())


def test_a_daemon_without_companions_or_calls_says_what_to_do() -> None:
    shown = texts(a_page(a_report(clouds=[], streams=[], health=[], last=None)))
    assert "No companion is configured: all calls run on this device." in shown
    assert "No calls yet. Try: collabctl infer PICTURE" in shown


def test_a_daemon_that_is_loading() -> None:
    assert texts(a_page(a_report(ready=False)))[0].startswith("collabd 0.1.0  loading its mo")


def test_models_that_are_not_measured_yet_are_named() -> None:
    assert "Still measuring other: not split until then." in texts(a_page(a_report(models=[MODEL, AWAY_MODEL])))


def test_before_the_first_answer() -> None:
    page = Page(UNICODE)
    assert texts(page)[0] == "asking collabd ..."
    page.failed(AWAY, 2.0)
    assert " ".join(texts(page, now=5.0)[:2]) == f"No answer for 3 s, still trying: {AWAY}"
    assert "q  quit" in texts(page)[-1]


def test_a_daemon_that_fell_silent_leaves_what_it_said_last() -> None:
    page = a_page()
    page.failed(AWAY, 12.0)
    page.failed(AWAY, 13.0)
    shown = texts(page, now=14.0)
    assert shown[0].startswith("No answer for 2 s, still trying")
    assert shown[2] == "What stands below is 3 s old."
    assert shown[3].startswith("collabd 0.1.0")
    page.heard(a_report(), 15.0)
    assert texts(page, now=15.0)[0].startswith("collabd 0.1.0")


@pytest.mark.parametrize(
    ("piece", "style"),
    [
        # More than half as long again as predicted.
        (" 95.0", Style.WARNING),
        (" 41.5", Style.STRONG),
        ("up", Style.GOOD),
        ("degraded 2", Style.WARNING),
    ],
)
def test_what_needs_a_look_is_coloured(piece: str, style: Style) -> None:
    page = a_page(a_report(streams=[a_stream("a"), a_stream("b", measured_ms=95.0)]))
    pieces = {text.strip(): shown for line in page.lines(80, 24, 12.0) for text, shown in line.pieces}
    assert pieces[piece.strip()] == style


def test_a_machine_that_shows_little_of_itself() -> None:
    unknown = dict.fromkeys(("cpu_load", "speed_factor", "temperature_c", "frequency_limit_mhz", "battery"))
    device = STATUS["device"] | unknown | {"power_source": "model", "throttled": None}
    shown = texts(a_page(a_report(device=device)), 140, 50)
    assert shown[1].split() == ["CPU", "-", "temperature", "-", "4.25", "W", "(modelled)", "████████████"]
    assert shown[2] == "212 MB resident, 5 sessions of 88.2 MB, - its profiled times"


def test_a_degraded_call_says_why() -> None:
    last = STATUS["last"]
    assert last is not None
    shown = texts(a_page(a_report(last=last | {"degraded": True, "why": "desktop is away", "budget_met": False})))
    assert "last call net 19.5 ms, predicted 18.8, over budget: cut features.2 as q8 to des…" in shown
    assert "  degraded: desktop is away" in shown
