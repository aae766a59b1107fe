"""Running the program that asks the firmware."""

from __future__ import annotations

from pathlib import Path

from collabd.sensing.machine.firmware import vcgencmd
from collabd.sensing.reading import NotMeasured


def _script(folder: Path, body: str) -> str:
    path = folder / "vcgencmd"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_what_it_prints(tmp_path: Path) -> None:
    assert vcgencmd(_script(tmp_path, 'echo "$1=0x5 $#"'))("get_throttled") == "get_throttled=0x5 1\n"


def test_arguments_meet_no_shell(tmp_path: Path) -> None:
    assert vcgencmd(_script(tmp_path, 'echo "$1"'))("$(id); x") == "$(id); x\n"


def test_its_complaint_is_the_reason(tmp_path: Path) -> None:
    path = _script(tmp_path, 'echo "Can\'t open device file: /dev/vcio" >&2; echo more >&2; exit 255')
    assert vcgencmd(path)("get_throttled") == NotMeasured(f"{path}: Can't open device file: /dev/vcio")


def test_a_failure_without_words(tmp_path: Path) -> None:
    path = _script(tmp_path, "exit 3")
    assert vcgencmd(path)() == NotMeasured(f"{path}: exit status 3")


def test_not_installed() -> None:
    assert vcgencmd("no-such-vcgencmd")("get_throttled") == NotMeasured("no-such-vcgencmd: not installed")


def test_gone_since(tmp_path: Path) -> None:
    path = _script(tmp_path, "true")
    ask = vcgencmd(path)
    Path(path).unlink()
    assert ask() == NotMeasured(f"{path}: no such file or directory")


def test_it_is_not_waited_for_forever(tmp_path: Path) -> None:
    path = _script(tmp_path, "exec sleep 30")
    assert vcgencmd(path, timeout_s=0.05)() == NotMeasured(f"{path}: no answer within 0.05 s")


def test_what_is_not_text(tmp_path: Path) -> None:
    assert vcgencmd(_script(tmp_path, r"printf '\377\n'"))() == "\N{REPLACEMENT CHARACTER}\n"
