"""Tells the journal of conditions: once when one is raised, and once when it is over."""

from __future__ import annotations

import logging

from collab_sdk.vocabulary import Severity
from collabd.health.tracker import Change
from collabd.systemd.journal import with_fields

log = logging.getLogger(__name__)

HEALTH_RAISED = "3c6f0a1d9b7e4d5c8a42e1f07b96d3a8"
HEALTH_CLEARED = "a91e5c7f24b04f6db83d60c2e7f1943b"

_LEVELS = {Severity.NOTICE: logging.INFO, Severity.WARNING: logging.WARNING, Severity.ERROR: logging.ERROR}


def tell(change: Change) -> None:
    """Report a change, unless another event of the journal says the same."""
    sighting, condition = change.sighting, change.condition
    if condition.event:
        return
    level, message_id, message = logging.INFO, HEALTH_CLEARED, f"no longer {sighting.code}: {sighting.what}"
    if change.raised:
        level, message_id = _LEVELS[condition.severity], HEALTH_RAISED
        message = f"{sighting.code}: {sighting.what} ({condition.do})"
    fields = {
        "MESSAGE_ID": message_id,
        "COLLABD_CODE": sighting.code.value,
        "COLLABD_ABOUT": sighting.about,
        "COLLABD_SEVERITY": condition.severity.value,
        "COLLABD_WHAT": sighting.what,
        "COLLABD_DO": condition.do,
    }
    log.log(level, message, extra=with_fields(fields))
