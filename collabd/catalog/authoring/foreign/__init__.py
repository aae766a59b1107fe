"""Graphs of other people, brought into the one form that packages are built from."""

from .read import read
from .take import Classifier, Wanted, as_classifier

__all__ = ["Classifier", "Wanted", "as_classifier", "read"]
