"""What MkDocs calls while it builds the site: it adds pages, fills in what is made, turns links that leave docs/."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from handbook.pages import DOCS, MADE, ROOT, SHOWN

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(((?!https?:|mailto:|#)[^)\s#]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^(```.*?^```)$", re.MULTILINE | re.DOTALL)
_MADE = re.compile(r"^<!-- made: (\w+) -->$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere in the checkout."""
    for path, source in SHOWN.items():
        files.append(File.generated(config, path, content=source.read_text(encoding="utf-8")))
    return files


@event_priority(50)
def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Fill in what is made, and turn links that are right in the checkout into links that are right on the site."""
    here = page.file.src_uri
    home = SHOWN.get(here, DOCS / here).parent
    parts = _FENCE.split(markdown)
    turned = (part if part.startswith("```") else _LINK.sub(lambda it: _turned(it, home, here), part) for part in parts)
    return _MADE.sub(lambda it: MADE[it[1]](), "".join(turned))


def _turned(link: re.Match[str], home: Path, here: str) -> str:
    """A file that is not on the site becomes its path: the site knows no address of the checkout."""
    picture, text, path, anchor = link[1], link[2], link[3], link[4] or ""
    target = Path(os.path.normpath(home / path))
    at = next((uri for uri, source in SHOWN.items() if source == target), None)
    if at is None and target.is_relative_to(DOCS):
        at = str(target.relative_to(DOCS))
    if at is None:
        place = str(target.relative_to(ROOT))
        return text if place in text else f"{text} (`{place}`)"
    folder = os.path.dirname(here) or "."  # noqa: PTH120  an address, not a path
    return f"{picture}[{text}]({os.path.relpath(at, folder)}{anchor})"
