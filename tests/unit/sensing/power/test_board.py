"""Models of boards, and which board this is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.power.board import BOARDS, BoardPower, board_power, recognise
from collabd.sensing.reading import NotMeasured
from tests.unit.sensing.conftest import Machine


@pytest.mark.parametrize(
    ("model", "board"),
    [
        ("Raspberry Pi 3 Model B Plus Rev 1.3", "pi3"),
        ("Raspberry Pi 3 Model A Plus Rev 1.0", "pi3"),
        ("Raspberry Pi Compute Module 3 Plus Rev 1.0", "pi3"),
        ("Raspberry Pi 4 Model B Rev 1.4", "pi4"),
        ("Raspberry Pi 400 Rev 1.0", "pi4"),
        ("Raspberry Pi Compute Module 4S Rev 1.0", "pi4"),
        ("Raspberry Pi 5 Model B Rev 1.0", "pi5"),
        ("Raspberry Pi 500 Rev 1.0", "pi5"),
        ("Raspberry Pi Compute Module 5 Rev 1.0", "pi5"),
        ("Raspberry Pi Zero 2 W Rev 1.0", "zero2w"),
    ],
)
def test_boards_are_recognised(machine: Machine, model: str, board: str) -> None:
    assert recognise(machine.write({"proc/device-tree/model": f"{model}\0"}).root) == board
    assert board in BOARDS


@pytest.mark.parametrize(
    "model", ["Raspberry Pi 2 Model B Rev 1.1", "Raspberry Pi Zero W Rev 1.1", "Raspberry Pi 42", "Radxa ROCK 5B", ""]
)
def test_others_are_not_guessed(machine: Machine, model: str) -> None:
    board = recognise(machine.write({"proc/device-tree/model": model}).root)
    assert isinstance(board, NotMeasured)
    assert repr(model) in board.reason


def test_a_unit_that_hides_proc(machine: Machine) -> None:
    machine.write({"sys/firmware/devicetree/base/model": "Raspberry Pi 5 Model B Rev 1.0\0"})
    assert recognise(machine.root) == "pi5"


def test_no_device_tree(machine: Machine) -> None:
    assert recognise(machine.root) == NotMeasured("there is no device tree, so this is not a Raspberry Pi")


@given(st.text())
def test_any_model_is_a_board_or_none(tmp_path_factory: pytest.TempPathFactory, model: str) -> None:
    machine = Machine(tmp_path_factory.getbasetemp() / "model")
    machine.write({"proc/device-tree/model": model.encode("utf-8", "surrogatepass")})
    board = recognise(machine.root)
    assert isinstance(board, NotMeasured) or board in BOARDS


def test_busy_is_more_than_idle_on_every_board() -> None:
    for board in BOARDS.values():
        assert board.busy_w > board.idle_w > 0


def test_measured_figures_come_first() -> None:
    power = board_power("pi4", busy_w=None, idle_w=1.9, tx_w_per_mbps=0.0)
    assert (power.busy_w, power.idle_w, power.tx_w_per_mbps) == (BOARDS["pi4"].busy_w, 1.9, 0.0)


def test_a_custom_board_is_what_was_measured() -> None:
    assert board_power("custom", busy_w=9.0, idle_w=4.0) == BoardPower(busy_w=9.0, idle_w=4.0)
    with pytest.raises(ValueError, match=r"needs busy_w and idle_w"):
        board_power("custom", tx_base_w=0.1)
    with pytest.raises(ValueError, match=r"needs idle_w"):
        board_power("custom", busy_w=9.0)


def test_an_unknown_board() -> None:
    with pytest.raises(KeyError):
        board_power("pi9")
