"""What `import collab_sdk` offers and what it costs."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest

import collab_sdk
from collab_sdk import errors
from tests.patience import PROGRAM_S


def test_all_is_exactly_the_public_names_in_order() -> None:
    public = {name for name in dir(collab_sdk) if not name.startswith("_")} - {"annotations", "TYPE_CHECKING"}
    public -= {name for name in public if isinstance(getattr(collab_sdk, name), ModuleType)}

    assert collab_sdk.__all__ == sorted(public)


def test_every_error_is_offered() -> None:
    assert {name for name in errors.__all__ if name != "from_code"} <= set(collab_sdk.__all__)


def test_every_error_comes_back_from_its_code() -> None:
    for error in (getattr(errors, name) for name in errors.__all__ if name not in ("from_code", "CollabError")):
        assert type(errors.from_code(error.code, "why", {"a": 1})) is error
    assert type(errors.from_code("of the future", "why")) is errors.DaemonFault


def test_a_name_that_comes_late_is_its_modules() -> None:
    assert collab_sdk._HOMES.keys() <= set(collab_sdk.__all__)
    for name, home in collab_sdk._HOMES.items():
        assert getattr(collab_sdk, name) is getattr(importlib.import_module(f"collab_sdk.{home}"), name)


def test_a_name_that_there_is_not() -> None:
    with pytest.raises(AttributeError, match="module 'collab_sdk' has no attribute 'infre'"):
        _ = collab_sdk.infre  # type: ignore[attr-defined]


def callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every function, method and constructor of the SDK, the private ones too."""
    for found in pkgutil.iter_modules(collab_sdk.__path__, "collab_sdk."):
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) != found.name:
                continue
            if isinstance(value, FunctionType):
                yield f"{found.name}.{name}", value
            elif isinstance(value, type):
                yield from ((f"{found.name}.{name}.{part}", each) for part, each in functions_of(value))


def functions_of(kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, value in vars(kind).items():
        unbound = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        # Those that Python itself calls have its order of parameters.
        if not isinstance(unbound, FunctionType) or unbound.__module__ != kind.__module__:
            continue
        if name == "__init__" or not name.startswith("__"):
            yield name, unbound


def test_more_than_three_parameters_in_a_row_have_names() -> None:
    too_many = {}
    for name, function in callables():
        parameters = inspect.signature(function).parameters.values()
        in_a_row = [each.name for each in parameters if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}]
        if len([each for each in in_a_row if each not in {"self", "cls"}]) > 3:
            too_many[name] = in_a_row
    assert too_many == {}


def fresh(code: str) -> list[str]:
    """What the code prints in an interpreter that has imported nothing yet."""
    command = [sys.executable, "-I", "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PROGRAM_S).stdout.split()


def test_all_names_are_seen_before_they_are_used() -> None:
    assert set(collab_sdk.__all__) <= set(fresh("import collab_sdk; print(*dir(collab_sdk))"))
    assert fresh("from collab_sdk import *; print(infer.__module__)") == ["collab_sdk._default"]


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("import collab_sdk", set()),
        ("import collab_sdk.budget, collab_sdk.control, collab_sdk.errors, collab_sdk.reports", set()),
        ("from collab_sdk import Budget, ControlClient, NotReady", set()),
        ("from collab_sdk import Fallback, Reason, Transport, UnixTransport", set()),
        ("import collab_sdk.wire", {"numpy"}),
        ("from collab_sdk import Client, MockTransport, Result, infer", {"numpy"}),
        ("from collab_sdk import AsyncClient", {"numpy", "asyncio"}),
    ],
)
def test_an_import_brings_what_it_needs_and_no_more(code: str, needed: set[str]) -> None:
    heavy = {"aiohttp", "asyncio", "collabd", "msgspec", "numpy", "onnx", "onnxruntime", "PIL", "requests", "torch"}
    assert set(fresh(f"import sys; {code}; print(*{heavy} & sys.modules.keys())")) == needed
