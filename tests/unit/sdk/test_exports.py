"""What `import collab_sdk` offers and what it costs."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import collab_sdk
from collab_sdk import errors


def test_all_is_exactly_the_public_names_in_order() -> None:
    public = {name for name, value in vars(collab_sdk).items() if not name.startswith("_")}
    public -= {name for name in public if isinstance(getattr(collab_sdk, name), ModuleType)} | {"annotations"}

    assert collab_sdk.__all__ == sorted(public)


def test_every_error_is_offered() -> None:
    assert {name for name in errors.__all__ if name != "from_code"} <= set(collab_sdk.__all__)


def test_every_error_comes_back_from_its_code() -> None:
    for error in (getattr(errors, name) for name in errors.__all__ if name not in ("from_code", "CollabError")):
        assert type(errors.from_code(error.code, "why", {"a": 1})) is error
    assert type(errors.from_code("of the future", "why")) is errors.DaemonFault


def test_importing_the_sdk_is_light() -> None:
    heavy = "{'torch', 'onnx', 'onnxruntime', 'PIL', 'aiohttp', 'msgspec', 'requests', 'collabd'}"
    code = f"import sys, collab_sdk; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-I", "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
