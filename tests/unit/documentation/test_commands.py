"""Every command, option, argument and target of make that the documentation names exists."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Sequence

import click
import pytest

from collabd.__main__ import main as collabd
from collabd.cloud.__main__ import main as collab_cloudd
from collabd.ctl.__main__ import main as collabctl
from handbook.commands import targets
from tests.pages import BLOCKS, CHECKOUT, PAGES, Block, commands_of, spans_of

PROGRAMS: dict[str, click.Command] = {"collabctl": collabctl, "collabd": collabd, "collab-cloudd": collab_cloudd}
TARGETS = {name for name, _ in targets()}
# Options of docker and of venv.
OTHERS = {"--volumes", "--system-site-packages"}
_SCRIPTS = ("tests/bench", "tests/chaos", "tests/soak", "models", "collabd/simulation")
_CHECKED = (click.Choice, click.types.IntParamType, click.types.FloatParamType)


def check(words: Sequence[str], *, whole: bool) -> None:
    """Raises `click.UsageError` for a command line that click does not take. `whole`: nothing may be missing.

    Words in capitals stand for values, "…" for anything.
    """
    program, *rest = words
    command, parent = PROGRAMS[program], None
    while isinstance(command, click.Group):
        context = click.Context(command, info_name=command.name, parent=parent, allow_interspersed_args=False)
        _, rest, _ = command.make_parser(context).parse_args(list(rest))
        if not rest:
            if whole:
                raise click.UsageError(f"{' '.join(words)}: a command is missing")
            return
        name, *rest = rest
        following = command.get_command(context, name)
        if following is None:
            raise click.UsageError(f"{' '.join(words)}: no such command: {name}")
        command, parent = following, context
    context = click.Context(command, info_name=command.name, parent=parent)
    given, left, order = command.make_parser(context).parse_args([word for word in rest if word not in {"…", "..."}])
    left = [word for word in left if not word.startswith("$")]
    if left:
        raise click.UsageError(f"{' '.join(words)}: too many arguments: {left}")
    for parameter in command.params:
        value = given.get(parameter.name or "")
        if parameter not in order or parameter.value_is_missing(value):
            if whole and parameter.required:
                raise click.MissingParameter(ctx=context, param=parameter)
        elif isinstance(value, str) and not (value.isupper() or "$" in value) and isinstance(parameter.type, _CHECKED):
            parameter.type(value, parameter, context)


def faults(commands: Iterator[list[str]], *, whole: bool) -> Iterator[str]:
    for words in commands:
        try:
            if words[0] in PROGRAMS and (len(words) > 1 or whole):
                check(words, whole=whole)
            elif words[0] == "make" and len(words) > 1 and words[1] not in TARGETS:
                yield f"make has no target {words[1]}"
            elif words[:2] in (["python", "-m"], ["python3", "-m"]) and importlib.util.find_spec(words[2]) is None:
                yield f"there is no module {words[2]}"
        except click.UsageError as error:
            yield f"{' '.join(words)}: {error.format_message()}"


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language in {"sh", "console"}], ids=str)
def test_commands_of_blocks_exist(block: Block) -> None:
    assert list(faults(commands_of(block.text), whole=True)) == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_exist(page: str) -> None:
    assert [fault for span in spans_of(page) for fault in faults(commands_of(span), whole=False)] == []


def options(command: click.Command) -> set[str]:
    found = {option for parameter in command.params for option in parameter.opts}
    if isinstance(command, click.Group):
        found |= {option for child in command.commands.values() for option in options(child)}
    return found | {"--help"}


def options_of_scripts() -> set[str]:
    """Of what is called by `python -m` and by make."""
    sources = (path.read_text() for folder in _SCRIPTS for path in (CHECKOUT / folder).rglob("*.py"))
    return {option for source in sources for option in re.findall(r'"(--[a-z0-9-]+)"', source)}


@pytest.mark.parametrize("page", PAGES)
def test_options_in_the_text_exist(page: str) -> None:
    known = {option for program in PROGRAMS.values() for option in options(program)} | OTHERS | options_of_scripts()
    assert {span.split()[0] for span in spans_of(page) if span.startswith("--")} <= known


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("collabctl models shwo NAME", "no such command"),
        ("collabctl status --jsn", "No such option"),
        ("collabctl profile", "Missing argument"),
        ("collabctl profile a b", "too many arguments"),
        ("collabctl infer photo.jpg --fallback sometimes", "is not one of"),
        ("collabctl explain --last many", "is not a valid integer"),
        ("sudo make instal", "no target"),
        ("x=1 python -m collabd.simulation.tabel", "no module"),
    ],
)
def test_what_does_not_exist_is_found(line: str, said: str) -> None:
    (fault,) = faults(commands_of(line), whole=True)
    assert said.lower() in fault.lower()
