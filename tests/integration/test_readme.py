"""The README and the pages are true: their commands run unchanged with both daemons, and print what they say."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.newcomer import Newcomer, following
from tests.pages import BLOCKS, CHECKOUT, PAGES, Block, block

WITHOUT_INSTALLING = "python3 -m venv"
WINE = "models/samples/objects/wine.jpg"
DRAWN = "collabctl models add models/nanodet_g/package"
PHOTO = "models/samples/photos/coffee.jpg"
ALEXNET = "models/alexnet_cifar10/package"
TRACE = "duration_ms,bandwidth_kbps,latency_ms\n1000,8000,5\n"

README, PERFORMANCE = PAGES["README.md"], PAGES["docs/performance.md"]
OPERATE = "docs/operate.md"
RUN = [each for each in BLOCKS if each.kind == "run"]

# What a code span of the table of commands is run as, and with which exit status it may end.
TABLE: dict[str, tuple[list[str], set[int]]] = {
    "status": ([], {0}),
    "profile": (["efficientnet_lite0"], {0}),
    "explain": (["--last", "2"], {0}),
    "infer": ([PHOTO], {0}),
    "watch": (["film.avi", "--model", "efficientnet_lite0"], {0}),
    "models list": ([], {0}),
    "models show": (["efficientnet_lite0"], {0}),
    "models add": ([ALEXNET], {0}),
    "models remove": (["alexnet_cifar10"], {0}),
    "models verify": ([], {0}),
    "models index": ([ALEXNET, "--out", "offered"], {0}),
    "models pull": (["alexnet_cifar10", "--index", "offered/index.json"], {0}),
    "run": (["efficientnet_lite0", PHOTO], {0}),
    "config": ([], {0}),
    "wait": ([], {0}),
    "top": (["--once"], {0}),
    "pair new": (["pi", "--config", "companion.toml"], {0}),
    "pair add": (["pi.pair", "--config", "device.toml"], {0}),
    "pair list": (["--config", "companion.toml"], {0}),
    "pair remove": (["pi", "--config", "companion.toml"], {0}),
    "doctor": ([], {0, 1}),  # a machine of CI may have its faults
    "simulate": (["--model", ALEXNET, "--trace", "trace.csv", "--requests", "4", "--policy", "collabd"], {0}),
}


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """Who followed the README in a checkout, but for the installation: this environment has it."""
    tree, home = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("home")
    for path in CHECKOUT.iterdir():
        (tree / path.name).symlink_to(path)
    (tree / "trace.csv").write_text(TRACE)
    for name, picture in {"cat.jpg": PHOTO, "street.jpg": WINE}.items():
        (tree / name).symlink_to(CHECKOUT / picture)
    film = cv2.VideoWriter(str(tree / "film.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    film.write(np.zeros((48, 64, 3), np.uint8))
    film.release()
    script = block(WITHOUT_INSTALLING)
    for line in ("python3 -m venv venv && . venv/bin/activate\n", "pip install ./sdk .\n"):
        assert line in script
        script = script.replace(line, "")
    with following(script, tree, home) as it:
        yield it


def test_the_number_on_the_first_screen_is_one_of_the_measured_ones() -> None:
    (row,) = re.findall(r"^\| resnet50 \| frame \| 20 \| .*$", PERFORMANCE, re.MULTILINE)
    _, _, _, _, _, bare, jpeg, _, default, *_ = (cell.strip() for cell in row.split("|"))
    said = " ".join(README[README.index("**One number.**") : README.index("**When not to use it**")].split())
    assert f"{default} as collabd comes, {bare} with ONNX Runtime on the device alone" in said
    assert f"takes {jpeg} there" in said


def test_the_way_without_installing_ends_in_an_answer(newcomer: Newcomer) -> None:
    assert "answer     espresso" in newcomer.said


def test_the_first_example_prints_what_its_comments_say(newcomer: Newcomer) -> None:
    example = block("from collab_sdk import infer")
    ran = newcomer.run(sys.executable, "-c", example)
    assert ran.stderr == ""
    prints = [line for line in example.splitlines() if line.startswith("print(")]
    promised = {index: line.partition("# prints ")[2] for index, line in enumerate(prints) if "# prints " in line}
    assert promised
    for index, says in promised.items():
        *words, score = ran.stdout.splitlines()[index].split()
        *expected, about = says.split()
        assert words == expected
        assert float(score) == pytest.approx(float(about), abs=0.02)  # codecs that lose a little are allowed


def test_the_protocols_line_answers(newcomer: Newcomer) -> None:
    newcomer.run("collabctl", "models", "add", "models/vgg16_cifar10/package")
    ran = newcomer.run("sh", "-c", block("curl --unix-socket", "docs/use.md"))
    assert '"name": "vgg16_cifar10"' in ran.stdout


def test_the_detector_in_the_box_draws_what_it_finds(newcomer: Newcomer) -> None:
    ran = newcomer.run("sh", "-c", block(DRAWN))
    assert "wine glass" in ran.stdout
    with Image.open(newcomer.tree / "boxes.png") as drawn, Image.open(CHECKOUT / WINE) as photo:
        assert drawn.size == photo.size


def commands_of_the_table() -> list[str]:
    """`collabctl models list`, `show` means two commands."""
    found: list[str] = []
    for row in re.findall(r"^\| (`collabctl .*?) \|", PAGES[OPERATE], re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", row)
        words = [word for word in first.replace("[", "").split()[1:] if word.islower() and not word.startswith("-")]
        found += [" ".join(words), *(" ".join([*words[:-1], other]) for other in others)]
    return found


def test_every_command_of_the_table_runs(newcomer: Newcomer) -> None:
    """In the order of the page, in which keys are made before they are carried over."""
    commands = commands_of_the_table()
    assert sorted(commands) == sorted(TABLE)
    # Added, before it is removed.
    for command in sorted(commands, key=lambda each: each == "models remove"):
        arguments, statuses = TABLE[command]
        ran = newcomer.run("collabctl", *command.split(), *arguments)
        assert ran.returncode in statuses, f"{command}: {ran.stdout}{ran.stderr}"
        assert ran.stdout or ran.stderr or command == "wait", command


@pytest.mark.parametrize("each", RUN, ids=str)
def test_a_block_runs_and_prints_what_it_says(newcomer: Newcomer, each: Block) -> None:
    if "nanodet_g" in each.text:
        newcomer.run("collabctl", "models", "add", "models/nanodet_g/package")
    command = [sys.executable, "-c", each.text] if each.language == "python" else ["sh", "-exc", each.text]
    ran = newcomer.run(*command)
    assert ran.returncode == 0, ran.stderr
    assert [text for text in each.prints if text not in ran.stdout] == []


def test_what_a_line_of_shell_must_print_may_be_missing() -> None:
    """The comments are read, and are no part of what is printed."""
    assert {text for each in RUN for text in each.prints} >= {"espresso", "collabd_answers_total", "invalid_image"}
