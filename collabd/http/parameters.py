"""What a request says besides its tensors: its parameters, and the outputs that it wants. Both daemons read it alike.

Parameters are optional in the protocol, and clients add their own (tritonclient: `priority`, `sequence_id`, ...). A
daemon ignores a parameter that it does not know. If the name is nearly one that it knows, it refuses the request: the
name is misspelt, and the caller would believe that the answer heeds it. A known parameter of the wrong type is refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from collab_sdk import wire
from collab_sdk.errors import InvalidRequest, InvalidTensor

# The protocol's extensions that both daemons speak.
EXTENSIONS = ("binary_tensor_data", "classification", "model_configuration", "parameters", "statistics")
# From this ratio of `difflib` on, two names are nearly the same: bugdet and budget have 0.83, cat and cut 0.67.
_NEARLY = 0.8
# The parameters of every request, and what each means.
ALWAYS = {
    "timeout": "the most latency in microseconds; 0: any",
    "channels": "how the pixels of an array lie: `rgb`, `bgr`, `rgbx`, `bgrx`, `grey` or `yuv420`",
    "binary_data_output": "whether outputs come as binary data",
}
_OF_OUTPUTS = ("binary_data", "classification", "shared_memory_region")
# The parameters of a class map that a device wants compressed. Only companions know them.
PACKED = {"codec": "u8"}


def check_parameters(parameters: Mapping[str, Any], known: Collection[str]) -> None:
    """Raises `InvalidRequest` for a name that is nearly one of `known`, and for wrong values of `ALWAYS`."""
    _check_names(parameters, (*known, *ALWAYS))
    _check_bool(parameters, "binary_data_output")
    _check_count(parameters, "timeout", "microseconds")


def timeout_ms(parameters: Mapping[str, Any]) -> float | None:
    """The most latency, in ms, by the parameter `timeout` of parameters that were checked; None: any."""
    return parameters.get("timeout", 0) / 1e3 or None


def check_outputs(
    outputs: Sequence[wire.RequestedOutput], classes: str | None, there: Collection[str] | None = None
) -> None:
    """Raises `InvalidRequest` for an output that is not `there`, is named twice, or is wanted in a form it has not.

    `classes`: a classifier's output of scores, the only one that may come as a classification; None: there is none.
    """
    names = [output.name for output in outputs]
    for output in outputs:
        if there is not None and output.name not in there:
            raise InvalidTensor(f"there is no output {output.name[:80]!r}, only {', '.join(there)}")
        if names.count(output.name) > 1:
            raise InvalidTensor(f"output {output.name[:80]!r} is named twice")
        _check_output(output.parameters, is_scores=output.name == classes)


def as_asked(
    tensors: Sequence[wire.Tensor], outputs: Sequence[wire.RequestedOutput], labels: Sequence[str]
) -> list[wire.Tensor]:
    """The tensors that the checked request asks for, or all; scores as a classification if it wants them so."""
    if not outputs:
        return list(tensors)
    made = {tensor.name: tensor for tensor in tensors}
    return [_form(made[output.name], output.parameters, labels) for output in outputs]


def _form(tensor: wire.Tensor, parameters: Mapping[str, Any], labels: Sequence[str]) -> wire.Tensor:
    count = parameters.get("classification")
    return _classified(tensor, count, labels) if count else tensor


def _classified(scores: wire.Tensor, count: int, labels: Sequence[str]) -> wire.Tensor:
    """BYTES [batch, count] of "score:index:label", best first, as in Triton's classification extension."""
    rows = scores.to_array()
    best = np.argsort(-rows, axis=1, kind="stable")[:, :count]
    texts = [f"{row[i]:f}:{i}:{labels[i]}".encode() for row, order in zip(rows, best, strict=True) for i in order]
    return replace(wire.Tensor.from_bytes_list(scores.name, texts), shape=best.shape)


def _check_output(parameters: Mapping[str, Any], *, is_scores: bool) -> None:
    _check_names(parameters, _OF_OUTPUTS)
    _check_bool(parameters, "binary_data")
    _check_count(parameters, "classification", "classes")
    if parameters.get("classification") and not is_scores:
        raise InvalidRequest("classification works only for the scores of a classifier")
    if "shared_memory_region" in parameters:
        raise InvalidRequest("shared_memory_region: outputs come in the answer, not in shared memory")


def _check_names(parameters: Mapping[str, Any], known: Collection[str]) -> None:
    for name in sorted(parameters.keys() - set(known)):
        folded = name.lower().replace("-", "_")
        if near := difflib.get_close_matches(folded, known, n=1, cutoff=_NEARLY):
            raise InvalidRequest(f"unknown parameter {name[:80]!r} (did you mean {near[0]!r}?)")


def _check_bool(parameters: Mapping[str, Any], name: str) -> None:
    if type(parameters.get(name, False)) is not bool:
        raise InvalidRequest(f"{name} must be true or false, not {parameters[name]!r}")


def _check_count(parameters: Mapping[str, Any], name: str, what: str) -> None:
    value = parameters.get(name, 0)
    if type(value) is not int or value < 0:  # bool is an int too
        raise InvalidRequest(f"{name} must be a number of {what}, not {value!r}")
