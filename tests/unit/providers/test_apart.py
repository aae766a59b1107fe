"""A provider is tried in a process of its own: what fails there is told, and breaks nothing here."""

from __future__ import annotations

import sys

import pytest

from collab_sdk.vocabulary import Precision, Provider
from collabd.catalog.package.manifest import Agreement
from collabd.catalog.package.package import Package
from collabd.engine import why_missing
from collabd.providers.apart import count_apart, try_apart
from tests.unit.providers.trials import trial_where

# Values that are off by so much are further off than fp32 of any provider.
_OFF = "found = {name: array + array.dtype.type(%s) * array.std() for name, array in found.items()}"


def test_a_provider_that_answers_as_the_cpus_passes(tiny_package: Package) -> None:
    assert try_apart(Provider.OPENVINO, tiny_package.path, 1, trial=trial_where()) == ""


@pytest.mark.parametrize("off", ["0.05", "float('nan')"])
def test_one_that_answers_otherwise_does_not(tiny_package: Package, off: str) -> None:
    reason = try_apart(Provider.OPENVINO, tiny_package.path, 1, trial=trial_where(ran=_OFF % off))
    assert reason == "the answers of the whole network are not those of the CPU's provider"


def test_nor_does_one_that_is_wrong_about_a_part_of_the_network_alone(tiny_package: Package) -> None:
    part = f"if outputs != ['logits'] and tuple(outputs) != ('logits',): {_OFF % '0.05'}"
    reason = try_apart(Provider.OPENVINO, tiny_package.path, 1, trial=trial_where(ran=part))
    assert reason.startswith("the tensors ")
    tail = f"if 'image' not in feeds: {_OFF % '0.05'}"
    reason = try_apart(Provider.OPENVINO, tiny_package.path, 1, trial=trial_where(ran=tail))
    assert reason.startswith("the answers behind ")


def test_one_that_cannot_be_built_says_why(tiny_package: Package) -> None:
    failing = "from collabd.engine import ProviderFailed; raise ProviderFailed('no device')"
    assert "no device" in try_apart(Provider.OPENVINO, tiny_package.path, 1, trial=trial_where(built=failing))


@pytest.mark.skipif(not why_missing(Provider.CUDA), reason="this ONNX Runtime has CUDA")
def test_one_that_the_runtime_does_not_have_fails(tiny_package: Package) -> None:
    assert "CUDAExecutionProvider" in try_apart(Provider.CUDA, tiny_package.path, 1)


def test_one_that_ends_the_process_ends_that_one(tiny_package: Package) -> None:
    reason = try_apart(Provider.OPENVINO, tiny_package.path, 1, trial=trial_where(built="os.abort()"))
    assert reason == "its trial ended with SIGABRT"


def test_one_that_does_not_end_is_ended(tiny_package: Package) -> None:
    endless = (sys.executable, "-I", "-c", "import threading; threading.Event().wait()")
    reason = try_apart(Provider.OPENVINO, tiny_package.path, 1, trial=endless, wall_s=0.2)
    assert reason == "its trial did not end within 0 s"


def test_a_program_that_is_not_there_is_no_trial(tiny_package: Package) -> None:
    assert "no process" in try_apart(Provider.OPENVINO, tiny_package.path, 1, trial=("/nowhere/python",))


def counted(package: Package, ran: str) -> Agreement | str:
    trial = trial_where(ran=ran)
    return count_apart(Provider.OPENVINO, package.path, 1, precision=Precision.BF16, trial=trial)


def test_the_answers_that_stay_in_a_reduced_precision_are_counted(tiny_package: Package) -> None:
    found = counted(tiny_package, _OFF % "0.003")
    assert isinstance(found, Agreement)
    assert found.adds_up
    assert 20 <= found.images <= 26
    assert found.agreed >= 0.9 * found.images


@pytest.mark.parametrize(
    ("ran", "why"),
    [
        ("pass", "openvino computes it in fp32 when told to compute in bf16"),
        (_OFF % "float('nan')", "in bf16 some of its values are not finite"),
        ("found = {name: -array for name, array in found.items()}", "answers of which it is sure stay"),
        ("raise ProviderFailed('no such kernel')", "no such kernel"),
        ("print('told'); os.abort()", "its trial ended with SIGABRT"),
        ("print('{}'); sys.stdout.flush(); os._exit(0)", "its trial told nothing that can be read"),
    ],
)
def test_a_reduced_precision_that_is_none_or_changes_too_much_is_refused(
    tiny_package: Package, ran: str, why: str
) -> None:
    found = counted(tiny_package, f"from collabd.engine import ProviderFailed; {ran}")
    assert isinstance(found, str)
    assert why in found
