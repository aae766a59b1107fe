"""All conditions of both daemons, in one table: to add one, add its code, its row, and a sense that sights it.

docs/health.md shows this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from collab_sdk.vocabulary import Severity


class Code(StrEnum):
    """The names of the conditions. They never change, since people alert on them."""

    COMPANION_LOST = "companion-lost"
    LINK_STALE = "link-stale"
    DIGEST_MISMATCH = "digest-mismatch"
    UNDER_VOLTAGE = "under-voltage"
    TOO_HOT = "too-hot"
    THROTTLED = "throttled"
    PROFILE_STALE = "profile-stale"
    DEADLINE_MISSES = "deadline-misses"
    FIDELITY_DRIFTED = "fidelity-drifted"
    DOOR_REFUSED = "door-refused"
    OVERLOADED = "overloaded"
    MEMORY_LOW = "memory-low"
    SESSIONS_EVICTED = "sessions-evicted"
    PROVIDER_FAILED = "provider-failed"
    DISK_FULL = "disk-full"
    DISK_LOW = "disk-low"
    CLOCK_OFF = "clock-off"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_EXPIRING = "certificate-expiring"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One kind of trouble.

    `sentence`: when it stands. `do`: what to do about it. It is raised when it was seen for `raise_s` seconds without a
    pause, and cleared when it was not seen for `clear_s`. `behind`: the conditions that explain it, the most telling
    first; while one of them stands, it is shown in the place of this one. `daemons`: whose it is. `event`: the event of
    the journal that says the same already, so that it is not said twice; empty: there is none.
    """

    severity: Severity
    sentence: str
    do: str
    raise_s: float
    clear_s: float
    behind: tuple[Code, ...] = ()
    daemons: tuple[str, ...] = ("collabd",)
    event: str = ""


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A condition as it is seen now.

    `about`: the companion, model, door or file that it concerns; empty: the daemon. `what`: a sentence. `of`: the
    companion to which the subject belongs; only a condition about that companion, or about the daemon, explains it.
    Empty: any explains it.
    """

    code: Code
    what: str
    about: str = ""
    of: str = ""


_BOTH: Any = {"daemons": ("collabd", "collab-cloudd")}
# The board is slow for these reasons; the first says most.
_SLOW_BOARD = (Code.UNDER_VOLTAGE, Code.TOO_HOT, Code.THROTTLED)

# A companion that restarts is back within seconds, and so is a link after a change of the access point. What is seen at
# the end of a window of minutes has lasted by itself. A Pi's firmware raises and lowers its flags within seconds, so
# they count as lowered when a minute has passed.
CONDITIONS: Mapping[Code, Condition] = {
    Code.COMPANION_LOST: Condition(
        severity=Severity.WARNING,
        sentence="A companion does not answer; this device works without it.",
        do="See that collab-cloudd runs there and that its address is right: collabctl doctor",
        raise_s=10.0,
        clear_s=10.0,
        event="COMPANION_LOST",
    ),
    Code.LINK_STALE: Condition(
        severity=Severity.NOTICE,
        sentence="Calls come, and the estimate of the link to a companion is old all the same.",
        do="The link may be blocked for seconds at a time: look at the signal of the WLAN, and at what else uses it",
        raise_s=30.0,
        clear_s=5.0,
        behind=(Code.COMPANION_LOST,),
    ),
    Code.DIGEST_MISMATCH: Condition(
        severity=Severity.WARNING,
        sentence="A companion does not hold just this package of a model, and cannot be given it.",
        do="Install the package there, or let the companion take it ([packages] accept there, push_packages here)",
        raise_s=60.0,
        clear_s=5.0,
        behind=(Code.COMPANION_LOST,),
    ),
    Code.UNDER_VOLTAGE: Condition(
        severity=Severity.WARNING,
        sentence="The supply of the board is under its voltage.",
        do="Use the board's own power supply and a short, thick cable",
        raise_s=5.0,
        clear_s=60.0,
        event="THROTTLED",
    ),
    Code.TOO_HOT: Condition(
        severity=Severity.WARNING,
        sentence="The processor is at 80 °C or more, where a Raspberry Pi begins to slow down.",
        do="Cool the board: a heat sink, a fan, air around it",
        raise_s=10.0,
        clear_s=60.0,
    ),
    Code.THROTTLED: Condition(
        severity=Severity.WARNING,
        sentence="The firmware holds the processor back.",
        do="Cool the board, and see that its supply is strong enough",
        raise_s=10.0,
        clear_s=60.0,
        behind=(Code.UNDER_VOLTAGE, Code.TOO_HOT),
        event="THROTTLED",
    ),
    Code.PROFILE_STALE: Condition(
        severity=Severity.WARNING,
        sentence="Plans for a model go by no measured times, or by times that are no longer true.",
        do="Delete `profiles` in the state directory and restart collabd, which measures anew while it is idle",
        raise_s=600.0,
        clear_s=60.0,
        behind=_SLOW_BOARD,
    ),
    Code.DEADLINE_MISSES: Condition(
        severity=Severity.WARNING,
        sentence="More than a tenth of the calls to a model that had a deadline missed it in the last two minutes.",
        do="collabctl explain shows what each plan would take: allow more time, or less fidelity",
        raise_s=60.0,
        clear_s=60.0,
        behind=(*_SLOW_BOARD, Code.COMPANION_LOST),
    ),
    Code.FIDELITY_DRIFTED: Condition(
        severity=Severity.WARNING,
        sentence="By this device's own pictures, lossy plans of a model are less faithful than its package says.",
        do="What the camera sees has changed: calibrate on such pictures (collabctl models add --calibration)",
        raise_s=0.0,
        clear_s=600.0,
        event="FIDELITY_CHANGED",
    ),
    Code.DOOR_REFUSED: Condition(
        severity=Severity.ERROR,
        sentence="A door for other programs could not be opened; it is tried again.",
        do="See what listens at its address (ss -ltnp), or give the door another in [[doors]]",
        raise_s=0.0,
        clear_s=0.0,
    ),
    Code.OVERLOADED: Condition(
        severity=Severity.WARNING,
        sentence="More than a twentieth of the requests of the last minute were refused for want of room.",
        do="Call less often, or add a companion; if the machine has room, raise server.max_inside or batching.queue",
        raise_s=15.0,
        clear_s=60.0,
        **_BOTH,
    ),
    Code.MEMORY_LOW: Condition(
        severity=Severity.WARNING,
        sentence="Less than a twentieth of the memory that the daemon may use is free.",
        do="End other programs, serve fewer models, or lower [engine] cache_mb",
        raise_s=60.0,
        clear_s=60.0,
        **_BOTH,
    ),
    Code.SESSIONS_EVICTED: Condition(
        severity=Severity.NOTICE,
        sentence="Sessions of the engine push one another out of memory, and are built again and again.",
        do="Raise [engine] cache_mb, or serve fewer models",
        raise_s=60.0,
        clear_s=120.0,
        behind=(Code.MEMORY_LOW,),
        **_BOTH,
    ),
    Code.PROVIDER_FAILED: Condition(
        severity=Severity.WARNING,
        sentence="What [engine] providers names cannot run a model; the next provider does.",
        do="Install what the provider needs, or take it out of [engine] providers; a restart tries it again",
        raise_s=0.0,
        clear_s=0.0,
        **_BOTH,
    ),
    Code.DISK_FULL: Condition(
        severity=Severity.ERROR,
        sentence="Less than 20 MB are free for the state directory.",
        do="Make room: the daemon can keep no packages and nothing that it learns",
        raise_s=0.0,
        clear_s=60.0,
        **_BOTH,
    ),
    Code.DISK_LOW: Condition(
        severity=Severity.WARNING,
        sentence="Less than 200 MB are free for the state directory.",
        do="Make room, or the daemon can soon keep no packages and nothing that it learns",
        raise_s=60.0,
        clear_s=60.0,
        behind=(Code.DISK_FULL,),
        **_BOTH,
    ),
    Code.CLOCK_OFF: Condition(
        severity=Severity.WARNING,
        sentence="Nothing has set the clock by the network, or it differs from a companion's by over 30 s.",
        do="Certificates are valid by the clock. On the machine with the wrong one: sudo timedatectl set-ntp true",
        raise_s=300.0,
        clear_s=60.0,
        **_BOTH,
    ),
    Code.CERTIFICATE_EXPIRED: Condition(
        severity=Severity.ERROR,
        sentence="A certificate of the configuration has expired.",
        do="Make new keys: sudo collabctl pair renew on the companion",
        raise_s=0.0,
        clear_s=0.0,
        **_BOTH,
    ),
    Code.CERTIFICATE_EXPIRING: Condition(
        severity=Severity.WARNING,
        sentence="A certificate of the configuration expires within 30 days.",
        do="Make new keys: sudo collabctl pair renew on the companion",
        raise_s=0.0,
        clear_s=0.0,
        **_BOTH,
    ),
}
