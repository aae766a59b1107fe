"""The words that calls, answers and reports choose from."""

from __future__ import annotations

import json
from enum import StrEnum

import pytest

from collab_sdk import vocabulary
from collab_sdk.vocabulary import Fallback, Reason, known_or_text

KINDS = [kind for name in vocabulary.__all__ if isinstance(kind := getattr(vocabulary, name), type)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_is_its_text(kind: type[StrEnum]) -> None:
    for word in kind:
        assert word == str(word) == f"{word}" == word.value
        assert json.dumps(word) == f'"{word.value}"'
        assert {word.value: 1}[word] == 1


def test_a_text_that_is_known_becomes_its_word() -> None:
    assert known_or_text(Reason, "fixed") is Reason.FIXED
    assert known_or_text(Fallback, "fixed") == "fixed"
