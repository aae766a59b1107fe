"""The errors that calls may raise, from the SDK's tree."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from collab_sdk import errors as tree
from collab_sdk.errors import CollabError
from handbook.markdown import table


def errors(root: type[CollabError] = CollabError, depth: int = 0) -> Iterator[tuple[int, type[CollabError]]]:
    """Each error that callers know by its name, with its depth in the tree, parents first."""
    yield depth, root
    for child in sorted(root.__subclasses__(), key=lambda each: each.__name__):
        if child.__name__ in tree.__all__:
            yield from errors(child, depth + 1)


def page() -> str:
    """The table of all errors."""
    rows = [
        (
            f'<span id="{error.code}"></span>' + "&emsp;" * max(depth - 1, 0) + f"`{error.__name__}`",
            f"`{error.code}`",
            str(error.http_status),
            inspect.cleandoc(error.__doc__ or ""),
        )
        for depth, error in errors()
        if depth
    ]
    return table(("class", "code", "status", "what happened"), rows)
