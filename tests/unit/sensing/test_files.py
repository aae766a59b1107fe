"""Small files that may hold anything."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.files import read_number, read_text
from collabd.sensing.reading import NotMeasured
from tests.unit.sensing.conftest import Machine


def test_text_is_without_its_padding(machine: Machine) -> None:
    machine.write({"model": "Raspberry Pi 4\0", "type": "Battery\n"})
    assert read_text(machine.root / "model") == "Raspberry Pi 4"
    assert read_text(machine.root / "type") == "Battery"


def test_a_missing_file_says_so(machine: Machine) -> None:
    path = machine.root / "temp"
    assert read_text(path) == NotMeasured(f"{path}: no such file or directory")
    assert read_number(machine.root) == NotMeasured(f"{machine.root}: is a directory")


@pytest.mark.parametrize(("text", "number"), [("48199\n", 48199.0), ("-800000", -800000.0), ("1.5", 1.5), ("0", 0.0)])
def test_numbers(machine: Machine, text: str, number: float) -> None:
    assert read_number(machine.write({"n": text}).root / "n") == number


@pytest.mark.parametrize("text", ["", "nan", "inf", "1e999", "12 W", "0x10", "<unsupported>"])
def test_what_is_no_number_is_not_measured(machine: Machine, text: str) -> None:
    number = read_number(machine.write({"n": text}).root / "n")
    assert isinstance(number, NotMeasured)
    assert "not a number" in number.reason


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        assert isinstance(read_text(path), str)
        assert isinstance(read_number(path), float | NotMeasured)
