"""Log records as the journal gets them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from logging_journald import JournaldTransport

from collabd.systemd.journal import JournalHandler, with_fields
from tests.patience import PROGRAM_S


@pytest.fixture
def log(journal: Any) -> Iterator[logging.Logger]:
    logger = logging.getLogger("collabd.part")
    transport = JournaldTransport(journal.path, connected=False)
    handler = JournalHandler("collabd", transport)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    with transport.socket:
        yield logger
    logger.removeHandler(handler)


def test_a_record_is_message_level_and_place(log: logging.Logger, journal: Any) -> None:
    log.warning("%s went wrong", "it")
    fields = journal.fields()
    assert (fields["MESSAGE"], fields["PRIORITY"]) == ("it went wrong", "4")
    assert (fields["SYSLOG_IDENTIFIER"], fields["LOGGER"]) == ("collabd", "collabd.part")
    assert (fields["CODE_FILE"], fields["CODE_FUNC"]) == (__file__, "test_a_record_is_message_level_and_place")
    assert "MESSAGE_ID" not in fields


def test_fields_stand_beside_it(log: logging.Logger, journal: Any) -> None:
    log.info("switched", extra=with_fields({"MESSAGE_ID": "0123", "COLLABD_MODEL": "a=b\nPRIORITY=0"}))
    fields = journal.fields()
    assert (fields["MESSAGE_ID"], fields["COLLABD_MODEL"], fields["PRIORITY"]) == ("0123", "a=b\nPRIORITY=0", "6")


def test_an_exception_is_part_of_the_message(log: logging.Logger, journal: Any) -> None:
    try:
        int("inside")
    except ValueError:
        log.exception("outside")
    message = journal.fields()["MESSAGE"]
    assert message.startswith("outside\nTraceback")
    assert message.endswith("ValueError: invalid literal for int() with base 10: 'inside'")


def test_a_journal_that_is_gone_is_no_end(
    log: logging.Logger, journal: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.path.unlink()
    log.error("unheard")
    assert "unheard" in capsys.readouterr().err


SETS_UP = """
import logging
from collabd.systemd.journal import set_up_logging
set_up_logging("collabd", logging.INFO)
logging.getLogger("part").info("said")
"""


@pytest.mark.parametrize("stream", [None, "1:2"])
def test_elsewhere_it_is_stderr(stream: str | None, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "JOURNAL_STREAM"}
    environment |= {} if stream is None else {"JOURNAL_STREAM": stream}
    with (tmp_path / "stderr").open("w+") as stderr:
        subprocess.run([sys.executable, "-c", SETS_UP], env=environment, stderr=stderr, check=True, timeout=PROGRAM_S)
        stderr.seek(0)
        assert stderr.read() == "INFO part: said\n"
