"""The files of /proc and /sys, and the firmware's output: an unknown board may have anything in them."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from itertools import pairwise

import msgspec

from collabd.sensing.power.board import board_power
from collabd.sensing.reading import NotMeasured
from collabd.sensing.sampler import Sampler
from collabd.sensing.sensed_machine import SensedMachine
from tests.fuzz.scratch import new_directory
from tests.unit.sensing.conftest import PMIC, Firmware, Kernel, Machine, counters, pi

BETWEEN = b"\n--\n"
COMMANDS = ("get_throttled", "pmic_read_adc")
FILES = {name: text.encode() if isinstance(text, str) else text for name, text in pi().items()}
WORDS = (
    *("total=", "throttled=0x", "current(0)=", "volt(8)=", "Discharging", "1e400", "nan"),
    *("-0",),
    "some avg10=",
)


@cache
def _machine() -> Machine:
    return Machine(new_directory("machine")).write(FILES)


def check(data: bytes) -> None:
    """With any content in a few of the files, the sensors make a snapshot, and JSON can hold all of it."""
    machine, firmware, names = _machine(), Firmware({"get_throttled": "throttled=0x0"}), [*FILES]
    changed: list[str] = []
    for section in data.split(BETWEEN, 4):
        which = (section[:1] or b"\0")[0]
        if which < len(names):
            changed.append(names[which])
            machine.write({names[which]: section[1:]})
        else:
            firmware.answers[COMMANDS[which % 2]] = section[1:].decode("utf-8", "replace")
    try:
        sampler = Sampler(
            board_power("pi5"), SensedMachine(root=machine.root, counters=Kernel(counters((30, 70))), firmware=firmware)
        )
        sampler.sample(1.0)
        snapshot = sampler.sample(9.0)
    finally:
        machine.write({name: FILES[name] for name in changed})
    text = msgspec.json.encode({name: _plain(value) for name, value in asdict(snapshot).items()})
    # msgspec writes NaN and infinity as null, which the reports must know beforehand.
    assert b'"value":null' not in text
    assert not isinstance(snapshot.power.watts, NotMeasured)


def _plain(value: object) -> object:
    return value if not isinstance(value, NotMeasured) else {"reason": value.reason}


def seeds() -> list[bytes]:
    """Each file as a Pi has it, alone and with a neighbour, and the firmware's tables."""
    contents = [*FILES.values()]
    alone = [bytes([index]) + content for index, content in enumerate(contents)]
    printed = [b"\xff" + PMIC.encode(), b"\xfethrottled=0x50005"]
    return [*alone, *map(BETWEEN.join, pairwise(alone)), *printed]
