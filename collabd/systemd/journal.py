"""Logging: under systemd to the journal, with the fields of an event; elsewhere to stderr."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logging_journald import JournaldTransport

# syslog(3).
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
# The attribute of a log record that holds the fields of its event.
_FIELDS = "journal_fields"


def set_up_logging(program: str, level: int) -> None:
    """Log to the journal if stderr goes there, else to stderr."""
    logging.basicConfig(level=level, handlers=[_journal(program) or _stderr()])


def _stderr() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    return handler


def _journal(program: str) -> logging.Handler | None:
    if "JOURNAL_STREAM" not in os.environ:
        return None
    from logging_journald import JournaldTransport, check_journal_stream  # noqa: PLC0415  under systemd alone

    if not check_journal_stream():
        return None
    # Without a connection, which would break when the journal is restarted.
    handler = JournalHandler(program, JournaldTransport(connected=False))
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


def with_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The argument `extra` of a log call, which puts these fields into the journal beside the message."""
    return {_FIELDS: fields}


class JournalHandler(logging.Handler):
    """Sends records by the journal's native protocol."""

    def __init__(self, program: str, transport: JournaldTransport) -> None:
        super().__init__()
        self._program = program
        self._transport = transport

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record to the journal; if the journal does not take it, the failure goes to stderr."""
        try:
            self._transport.send(self._pairs(record))
        except OSError:
            self.handleError(record)

    def _pairs(self, record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
        yield "MESSAGE", self.format(record)
        yield "PRIORITY", _PRIORITIES.get(record.levelno, 6)
        yield "SYSLOG_IDENTIFIER", self._program
        yield "LOGGER", record.name
        yield "CODE_FILE", record.pathname
        yield "CODE_LINE", record.lineno
        yield "CODE_FUNC", record.funcName
        yield from getattr(record, _FIELDS, {}).items()
