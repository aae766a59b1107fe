"""What a file of torch.export may hold: tensors, and operators of PyTorch's own.

`torch.export.load` trusts its file. It unpickles weights, constants and sample inputs where the file says so, loads
compiled libraries, evaluates the text of symbolic sizes and of guards as Python, and looks up any function of torch by
name. So a file is never given to it as it is. What a network needs is checked and written into an archive of our own,
without sample inputs, guards and notes.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from collab_sdk.errors import InvalidPackage, InvalidRequest

__all__ = ["plain_archive"]

_MODEL = "models/model.json"
_SAMPLES = "data/sample_inputs/model.pt"
_WEIGHTS = "data/weights/model_weights_config.json"
_CONSTANTS = "data/constants/model_constants_config.json"
_COPIED = ("archive_format", "archive_version", "byteorder", ".data/version")
# Nothing larger becomes a graph (protobuf's limit), so nothing larger is unpacked.
_MOST_BYTES = 2**31
_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims)\.(?!from_file)\w+\.\w+"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|eq|ne|lt|le|gt|ge|getitem|and_|or_)"
    r"|math\.(ceil|floor|trunc|sqrt)"
    r"|torch\.sym_(int|float|max|min|not|sqrt|ite)"
)
_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_]\w*)|\d+(?:\.\d+)?|'\w+(?:\.\d+)?'|[-+*/(),=<>])")
# What text of a symbolic size is made of, as sympy writes it.
_NAMES = frozenset(
    {
        "Add", "And", "CeilDiv", "CeilToInt", "CleanDiv", "Equality", "False", "Float", "FloatTrueDiv", "FloorDiv",
        "FloorToInt", "GreaterThan", "Identity", "IntTrueDiv", "Integer", "LessThan", "Max", "Min", "Mod",
        "ModularIndexing", "Mul", "Not", "Or", "Pow", "PowByNatural", "PythonMod", "Rational", "RoundToInt",
        "StrictGreaterThan", "StrictLessThan", "Symbol", "ToFloat", "True", "TruncToFloat", "TruncToInt", "Unequality",
        "Where", "evaluate", "false", "integer", "nonnegative", "positive", "precision", "real", "true",
    }
)  # fmt: skip
_CONTAINERS = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"})


def plain_archive(path: Path) -> bytes:
    """The network in `path`, a file that `torch.export.save` wrote, as an archive in which nothing is code.

    Raises `InvalidRequest` if it is no such file, `InvalidPackage` if it holds what could run code when it is loaded.
    """
    try:
        entries = _entries(path)
        program, *tables = (json.loads(entries[name]) for name in (_MODEL, _WEIGHTS, _CONSTANTS))
        files = [*_files(tables[0], "data/weights"), *_files(tables[1], "data/constants")]
        _require_plain(program, entries)
        kept = {name: entries[name] for name in (*_COPIED, _WEIGHTS, _CONSTANTS, *files)}
    except InvalidPackage as error:
        raise InvalidPackage(f"{path}: {error}") from error
    except (OSError, zipfile.BadZipFile, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InvalidRequest(
            f"{path} is no network that torch.export.save of a recent PyTorch wrote: {type(error).__name__}: {error}"
        ) from error
    return _written({**kept, _MODEL: json.dumps(program).encode(), _SAMPLES: b""})


def _entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
            raise InvalidPackage("it unpacks to more than 2.1 GB, and no ONNX graph holds so much")
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def _files(table: Any, folder: str) -> Iterator[str]:
    """The files with the tensors of a table."""
    for name, payload in table["config"].items():
        if payload["use_pickle"] or not payload["path_name"].startswith(("weight_", "tensor_")):
            raise InvalidPackage(
                f"it keeps {name[:80]!r} as a pickled object, and reading that could run any code: save the network "
                "again with its weights and constants as plain tensors"
            )
        yield f"{folder}/{payload['path_name']}"


def _require_plain(program: Any, entries: dict[str, bytes]) -> None:
    """Raise `InvalidPackage` if something in `program` could run code, and take out of it what nobody needs."""
    if any(name.startswith("data/aotinductor/") for name in entries):
        raise InvalidPackage("it holds compiled code, which collabd does not run: save it with torch.export.save")
    program["guards_code"] = []
    for part in _parts(program):
        if "metadata" in part:
            stack = part["metadata"].get("nn_module_stack")
            part["metadata"] = {} if stack is None else {"nn_module_stack": stack}
        _require_known(part)


def _require_known(part: dict[str, Any]) -> None:
    for key in ("target", "as_operator"):
        if isinstance(name := part.get(key), str) and not _OPERATOR.fullmatch(name):
            raise InvalidPackage(f"it calls {name[:80]!r}, which is not one of PyTorch's own operators for tensors")
    if isinstance(text := part.get("expr_str"), str) and not _is_arithmetic(text):
        raise InvalidPackage(f"it states a size as {text[:80]!r}, which is not plain arithmetic")
    for key in ("in_spec", "out_spec"):
        if isinstance(text := part.get(key), str) and text:
            for branch in _parts(json.loads(text)):
                if branch.get("type") not in _CONTAINERS:
                    raise InvalidPackage(
                        f"it takes or returns a {str(branch['type'])[:80]}: use tuples, lists and dicts"
                    )
    for key in ("as_custom_obj", "custom_obj_values", "treespec_namedtuple_fields"):
        if part.get(key):
            raise InvalidPackage("it holds objects of classes of its own: a network may hold tensors and numbers alone")


def _is_arithmetic(text: str) -> bool:
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None or (token["name"] or "Symbol") not in _NAMES:
            return False
        place = token.end()
    return True


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON document, from the outside in."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _parts(part)


def _written(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in entries.items():
            archive.writestr(f"model/{name}", data)
    return buffer.getvalue()
