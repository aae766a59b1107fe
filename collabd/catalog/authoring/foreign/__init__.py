"""Graphs of other people, brought into the one form that packages are built from."""

from .opened import Opened, Wanted, opened
from .read import read
from .take import Classifier, TensorNetwork, as_classifier, as_tensors, is_classifier

__all__ = [
    "Classifier",
    "Opened",
    "TensorNetwork",
    "Wanted",
    "as_classifier",
    "as_tensors",
    "is_classifier",
    "opened",
    "read",
]
