from __future__ import annotations

import pytest

from collab_sdk.reports import AnswersReport, CloudStatusReport, EngineReport, LanesReport, PackageReport
from collabd.cloud.report.status_line import status_line


def report(answers: AnswersReport) -> CloudStatusReport:
    return CloudStatusReport(
        version="1",
        pid=1,
        uptime_s=1.0,
        ready=True,
        load=None,
        queue=0,
        packages=[PackageReport(name="tiny", digest="sha256:00", weight_bytes=1, layers=1, cuts=1, provider="cpu")],
        lanes=LanesReport(count=2, busy=0, cores=2),
        engine=EngineReport(sessions=0, bytes=0, hits=0, builds=0, evictions=0),
        answers=answers,
        health=[],
    )


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (AnswersReport(total=0, last_ms=None), "no request yet"),
        (AnswersReport(total=3, last_ms=12.34), "3 answers, the last took 12.3 ms"),
    ],
)
def test_one_line_tells_where_with_what_and_how_fast(answers: AnswersReport, said: str) -> None:
    assert status_line("http://127.0.0.1:8470", report(answers)) == f"http://127.0.0.1:8470 with 1 packages: {said}"
