"""What of a daemon's health the service manager shows in its line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collab_sdk.reports import ConditionReport
from collab_sdk.vocabulary import Severity


def errors_in(health: Sequence[ConditionReport]) -> Iterator[str]:
    """The errors that stand for themselves, each as its code and sentence."""
    for each in health:
        if each["severity"] == Severity.ERROR and each["behind"] is None:
            yield f"{each['code']}: {each['what']}"
