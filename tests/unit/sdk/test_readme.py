"""The example of the SDK's README runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

TEXT = (Path(__file__).parents[3] / "sdk/README.md").read_text()


def test_the_example_of_an_applications_tests() -> None:
    (example,) = re.findall(
        r"^```python\n(from collab_sdk import BudgetInfeasible.*?)^```$", TEXT, re.MULTILINE | re.DOTALL
    )
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102  our own text
    tests = [name for name in names if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        names[test]()
