"""The documentation as the tests read it: its blocks of code, and the names that stand in its text as code.

Every block has a kind, which a comment in the line before it states:

- `<!-- run -->`: tests/integration/test_readme.py runs it with both daemons;
- `<!-- test: FILE, FILE -->`: these tests take it from the page and run it;
- `<!-- not run: REASON -->`: it cannot be run here; what it names is looked up all the same;
- `<!-- of: FILE -->`: a part of a file of this name, which is loaded as that.

A block without one is a configuration (toml, yaml), a program whose names are looked up (python), or no code (text).
What a line prints is said behind it, `# prints TEXT`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
_BESIDE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "sdk/README.md", "models/README.md")
_PATHS = [*(CHECKOUT / name for name in _BESIDE), *sorted((CHECKOUT / "docs").rglob("*.md"))]
PAGES = {str(path.relative_to(CHECKOUT)): path.read_text(encoding="utf-8") for path in _PATHS}
_BLOCK = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
_PROMPT = "$ "
# Words before a program that runs all the same.
_BEFORE = {"sudo", "time", "exec", "do", "then"}
_SET = re.compile(r"[A-Za-z_]+=\S*")


@dataclass(frozen=True)
class Block:
    """A block of code, and what the comment before it says ("": nothing)."""

    page: str
    line: int
    language: str
    text: str
    note: str

    @property
    def kind(self) -> str:
        """Of the note, the word before the colon."""
        return self.note.partition(":")[0]

    @property
    def about(self) -> str:
        """Of the note, what is behind the colon."""
        return self.note.partition(":")[2].strip()

    @property
    def prints(self) -> list[str]:
        """What its comments say that it prints."""
        return re.findall(r"# prints (.+)$", self.text, re.MULTILINE)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def blocks_of(page: str) -> tuple[Block, ...]:
    """All blocks of a page."""
    text = PAGES[page]
    return tuple(
        Block(page, text.count("\n", 0, found.start("text")), found["language"], found["text"], found["note"] or "")
        for found in _BLOCK.finditer(text)
    )


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def block(start: str, page: str = "README.md") -> str:
    """The only block of a page that starts so."""
    (found,) = (each.text for each in blocks_of(page) if each.text.startswith(start))
    return found


def prose_of(page: str) -> str:
    """A page without its blocks."""
    return _BLOCK.sub("", PAGES[page])


def spans_of(page: str) -> list[str]:
    """What stands in its text as code."""
    return [" ".join(span.split()) for span in _SPAN.findall(prose_of(page))]


def commands_of(text: str) -> Iterator[list[str]]:
    """The commands of a block of shell or of a span, each as its words: without sudo, and without what is optional [].

    Of a block with prompts only the lines with prompts are commands.
    """
    lines = text.replace("\\\n", " ").splitlines()
    if any(line.startswith(_PROMPT) for line in lines):
        lines = [line.removeprefix(_PROMPT) for line in lines if line.startswith(_PROMPT)]
    for line in lines:
        for part in re.split(r"&&|\|\|?(?= )|;|\)|(?<=[\"' ])&(?= |$)", _without_brackets(line)):
            words = _words(part)
            while words and (words[0] in _BEFORE or _SET.fullmatch(words[0])):
                words = words[1:]
            if words[:3] == ["docker", "compose", "-f"] and "collabctl" in words:
                words = words[words.index("collabctl") :]
            if words[:1] == ["ssh"]:
                words = [word for word in words[2:] if word != "sudo"]
            if words:
                yield [Path(words[0]).name, *words[1:]]


def _words(part: str) -> list[str]:
    try:
        words = shlex.split(part, comments=True)
    except ValueError:  # a part of a quoted text
        return []
    return [word for word in words if not re.fullmatch(r"[0-9]?[<>]{1,2}.*", word)]


def _without_brackets(line: str) -> str:
    """`[--plot FILE]` without its brackets; those of `collabd[find]` stay."""
    return re.sub(r"(?<!\S)\[([^\]]*)\]", r"\1", line)
