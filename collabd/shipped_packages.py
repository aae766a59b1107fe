"""The model packages that come with collabd: where they lie, and the command that adds one of them."""

from __future__ import annotations

import os
from pathlib import Path

# The one for photographs. It answers calls that name no model.
DEFAULT_MODEL = "efficientnet_lite0"
_INSTALLED = ("/usr/local/share/collabd/models", "/usr/share/collabd/models")


def root() -> Path:
    """The directory of the packages that were installed with collabd. It may not exist."""
    given = os.environ.get("COLLABD_MODELS")
    places = [Path(given)] if given else [Path(place) for place in _INSTALLED]
    return next((place for place in places if place.is_dir()), places[-1])


def how_to_add() -> str:
    """For users whose daemon has no model: the command that adds a shipped one, as part of a sentence."""
    packages = [path.parent for path in (*root().glob("*/package.json"), *_checkout().glob("*/package/package.json"))]
    example = next((path for path in packages if DEFAULT_MODEL in path.parts), None)
    if example is None:
        return "add one: collabctl models add DIRECTORY; the source of collabd has packages in models/*/package"
    return f"add one: collabctl models add {example}"


def _checkout() -> Path:
    """The networks in the source, if collabd runs from its source."""
    return Path(__file__).parents[1] / "models"
