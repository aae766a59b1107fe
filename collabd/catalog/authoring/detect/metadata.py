"""What YOLO's exporters write beside the graph: the names of the classes, and what the network is for."""

from __future__ import annotations

import ast

import onnx

# The names of a thousand classes take a fifth of it.
_LONGEST = 100_000


def class_names(model: onnx.ModelProto) -> tuple[str, ...] | None:
    """The names of the classes, by number, which are kept as a Python dictionary or list; None if there are none."""
    names = _value(model, "names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or set(names) != set(range(len(names))):
        return None
    return tuple(str(names[number]) for number in range(len(names))) or None


def image_size(model: onnx.ModelProto) -> tuple[int, int] | None:
    """Height and width of the pictures that the network was trained for; None if the file does not say."""
    match _value(model, "imgsz"):
        case [int(height), int(width)] if height > 0 and width > 0:
            return height, width
    return None


def task_of(model: onnx.ModelProto) -> str | None:
    """`detect`, `segment`, `pose`, `obb` or `classify`; None if the file does not say."""
    return _entry(model, "task")


def _value(model: onnx.ModelProto, key: str) -> object:
    """The Python literal that is kept under `key`; None if there is none."""
    text = _entry(model, key)
    if text is None or len(text) > _LONGEST:
        return None
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return value


def _entry(model: onnx.ModelProto, key: str) -> str | None:
    return next((entry.value for entry in model.metadata_props if entry.key == key), None)
