"""The README is true: its commands run unchanged with both daemons, and its example prints the shown output."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from collabd.ctl.__main__ import main as collabctl
from tests.readme import BLOCKS, CHECKOUT, TEXT, Newcomer, block, following

WITHOUT_INSTALLING = "python3 -m venv"
PHOTO = "models/samples/photos/coffee.jpg"
ALEXNET = "models/alexnet_cifar10/package"
TRACE = "duration_ms,bandwidth_kbps,latency_ms\n1000,8000,5\n"

# What becomes of each block, by how it starts.
RUN = {"from collab_sdk import infer", "curl --unix-socket"}
RUN_IN_A_FRESH_ENVIRONMENT_TOO = {WITHOUT_INSTALLING}
NOT_RUN_HERE = {
    "   application": "a drawing",
    "make demo": "CI runs both targets",
    "collabctl models add torchvision": "downloads weights; tests/unit/ctl/test_add.py builds packages",
    "make wheels": "installs a service: tests/system and tests/packaging do",
    "sudo collabctl pair new": "keys of a service: tests/system/test_pair.py",
}
# What a code span of the table of commands is run as, and with which exit status it may end.
TABLE: dict[str, tuple[list[str], set[int]]] = {
    "status": ([], {0}),
    "profile": (["efficientnet_lite0"], {0}),
    "explain": (["--last", "2"], {0}),
    "infer": ([PHOTO], {0}),
    "models list": ([], {0}),
    "models show": (["efficientnet_lite0"], {0}),
    "models add": ([ALEXNET], {0}),
    "models remove": (["alexnet_cifar10"], {0}),
    "models verify": ([], {0}),
    "config": ([], {0}),
    "wait": ([], {0}),
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
    script = block(WITHOUT_INSTALLING)
    for line in ("python3 -m venv venv && . venv/bin/activate\n", "pip install ./sdk .\n"):
        assert line in script
        script = script.replace(line, "")
    with following(script, tree, home) as it:
        yield it


def test_it_is_known_of_every_block_whether_it_runs() -> None:
    starts = RUN | RUN_IN_A_FRESH_ENVIRONMENT_TOO | NOT_RUN_HERE.keys()
    assert [text for text in BLOCKS if sum(text.startswith(start) for start in starts) != 1] == []
    assert [start for start in starts if not any(text.startswith(start) for text in BLOCKS)] == []


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
    ran = newcomer.run("sh", "-c", block("curl --unix-socket"))
    assert '"name": "vgg16_cifar10"' in ran.stdout


def commands_of_the_table() -> list[str]:
    """`collabctl models list`, `show` means two commands."""
    found: list[str] = []
    for row in re.findall(r"^\| (`collabctl .*?) \|", TEXT, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", row)
        words = [word for word in first.replace("[", "").split()[1:] if word.islower() and not word.startswith("-")]
        found += [" ".join(words), *(" ".join([*words[:-1], other]) for other in others)]
    return found


def test_every_command_of_the_table_runs(newcomer: Newcomer) -> None:
    """In the order of the README, in which keys are made before they are carried over."""
    commands = commands_of_the_table()
    assert sorted(commands) == sorted(TABLE)
    # Added, before it is removed.
    for command in sorted(commands, key=lambda each: each == "models remove"):
        arguments, statuses = TABLE[command]
        ran = newcomer.run("collabctl", *command.split(), *arguments)
        assert ran.returncode in statuses, f"{command}: {ran.stdout}{ran.stderr}"
        assert ran.stdout or ran.stderr or command == "wait", command


def every_command() -> list[str]:
    """The lines of blocks, and the spans of text, that begin with a program of ours or with make."""
    lines = [line for text in BLOCKS for line in text.splitlines()]
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))
    parts = [part.strip() for text in lines + spans for part in re.split(r"&&|\|(?= )|;", text)]
    bare = [re.sub(r"^(sudo |ssh pi sudo )", "", part) for part in parts]
    return [command for command in bare if re.match(r"(collabctl|make) ", command)]


COMMANDS = sorted(set(every_command()))


@pytest.mark.parametrize("text", [command for command in COMMANDS if command.startswith("collabctl ")])
def test_every_command_that_is_named_exists_with_its_options(text: str) -> None:
    words = shlex.split(text.replace("[", "").replace("]", ""), comments=True)[1:]
    command: click.Command = collabctl
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("text", [command for command in COMMANDS if command.startswith("make ")])
def test_every_target_that_is_named_is_one_of_make_help(text: str) -> None:
    target = text.split()[1]
    rules = "".join(path.read_text() for path in (CHECKOUT / "Makefile", *(CHECKOUT / "packaging").glob("*.mk")))
    assert target in re.findall(r"^([a-z][a-z0-9-]*):.*## ", rules, re.MULTILINE)


def test_every_file_that_is_named_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in link]
    paths = re.findall(r"\b(?:etc|models|docs|sdk|packaging)/[\w./-]+\w", " ".join(BLOCKS))
    assert [path for path in links + paths if not Path(CHECKOUT, path).exists()] == []
