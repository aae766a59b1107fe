"""Whether ONNX Runtime runs here, tried for good and ill in real processes."""

from __future__ import annotations

import sys

import pytest

from collabd.ctl.doctor.runtime import TRIAL, of_machine, of_python, of_versions, try_runtime


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_it_runs_here() -> None:
    found = try_runtime(TRIAL)
    assert (found.code, found.severity) == ("onnxruntime", "ok")
    assert "runs a graph" in found.title


@pytest.mark.parametrize(
    ("name", "meaning"), [("SIGILL", "illegal instruction"), ("SIGSEGV", "segmentation fault"), ("SIGBUS", "bus error")]
)
def test_a_child_that_a_signal_ends_is_named(name: str, meaning: str) -> None:
    found = try_runtime(python(f"import os, signal; os.kill(os.getpid(), signal.{name})"))
    assert found.severity == "error"
    assert found.title == f"the signal {name} kills ONNX Runtime on this machine ({meaning})"
    assert "pip install" in found.advice


def test_a_child_that_cannot_import_it_says_why() -> None:
    found = try_runtime(python("import there_is_no_such_module"))
    assert found.severity == "error"
    assert "No module named 'there_is_no_such_module'" in found.title


def test_a_child_that_counts_wrongly_is_an_error() -> None:
    found = try_runtime(python("import sys; print('{}'); sys.exit(3)"))
    assert (found.severity, found.title) == ("error", "ONNX Runtime runs on this machine but gives wrong numbers")


@pytest.mark.parametrize(
    ("version", "severity"),
    [
        ("1.19.2", "error"),
        ("1.20.0", "ok"),
        ("1.21.0", "error"),
        ("1.21.1", "error"),
        ("1.22.0", "ok"),
        ("2.0.0", "ok"),
    ],
)
def test_versions_that_are_known_to_fail(version: str, severity: str) -> None:
    assert of_versions(version, "1.16.0").severity == severity


def test_a_32_bit_system_is_an_error() -> None:
    assert of_machine("armv7l", 32, 4096).severity == "error"
    assert of_machine("aarch64", 64, 16384).title == "aarch64, 64-bit programs, memory pages of 16 KB"


def test_an_old_python_is_an_error() -> None:
    assert of_python((3, 9, 2), "CPython").severity == "error"
    assert of_python((3, 13, 0), "CPython").severity == "ok"
