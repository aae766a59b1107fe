"""What pages get from the code, by the name in their comment `<!-- made: NAME -->`, and which pages lie elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from handbook import commands, errors, events, metrics, protocol, rooms, sdk, settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

MADE: dict[str, Callable[[], str]] = {
    "settings": settings.page,
    "commands": commands.page,
    "make": commands.targets_page,
    "protocol": protocol.page,
    "errors": errors.page,
    "metrics": metrics.page,
    "events": events.page,
    "sdk": sdk.page,
    "rooms": rooms.page,
}

# Files of the checkout that are pages of the site, though they are not in docs/.
SHOWN = {
    "index.md": ROOT / "README.md",
    "sdk.md": ROOT / "sdk/README.md",
    "networks.md": ROOT / "models/README.md",
    "contributing.md": ROOT / "CONTRIBUTING.md",
    "changes.md": ROOT / "CHANGELOG.md",
    "reporting.md": ROOT / "SECURITY.md",
}
