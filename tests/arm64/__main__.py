"""`python -m tests.arm64 ROOT SOURCE`: one line a check of what was installed into an arm64 root; exits 1 if one fails.

The daemons of the root run under emulation, in the network namespace of this process. What they answer is compared with
what this checkout answers on this machine, from the very packages that were installed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from collab_sdk import Client
from tests.arm64 import pair
from tests.arm64.calls import SPLIT, WHOLE, Answers, Case, answers
from tests.arm64.daemons import Daemons, Root
from tests.arm64.machine import compared

_ANSWERS = "tests/arm64/answers.py"


def main() -> None:
    """Run all checks; the first that fails ends it, since the later ones need it."""
    root = Root(Path(sys.argv[1]), sys.argv[2])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)  # noqa: S607
    with tempfile.TemporaryDirectory(prefix="collabd-arm64-") as scratch, Daemons(root.path.parent) as daemons:
        try:
            _checks(root, Path(scratch), daemons)
        except (AssertionError, subprocess.CalledProcessError, RuntimeError) as error:
            print(f"FAIL  {error}\n      the daemons' logs: {root.path.parent}/*.log", flush=True)
            sys.exit(1)


def _checks(root: Root, scratch: Path, daemons: Daemons) -> None:
    _check("the machine", lambda: (compared(root), None))
    expected: Answers = _check("this machine's answers", lambda: _reference(root, scratch, daemons))
    _check("collabd, from its unit", lambda: (pair.start_device(root, daemons), None))
    _check("collabctl status", lambda: _status(root))
    for cases, cloud in ((WHOLE, None), (SPLIT, "x86-64")):
        _compare(root, cases, cloud, expected)
    _check("collab-cloudd, from its unit", lambda: (pair.start_cloud(root, daemons), None))
    _compare(root, [case for case in SPLIT if case.model == pair.PROFILED], "arm64", expected)
    _check("a call without a cut", lambda: _planned(root, expected))
    _check("written to /var/lib", lambda: _written(root))


def _check(name: str, work: Callable[[], tuple[str, Any]]) -> Any:
    """Do one piece of work, and say what came of it; returns what else it returns."""
    started = time.monotonic()
    said, value = work()
    print(f"ok    {name}: {said} ({time.monotonic() - started:.0f} s)", flush=True)
    return value


def _reference(root: Root, scratch: Path, daemons: Daemons) -> tuple[str, Answers]:
    socket = pair.start_native(root, scratch, daemons)
    expected = answers([sys.executable, _ANSWERS, str(socket)], (*WHOLE, *SPLIT))
    return f"{sum(map(len, expected.values()))} calls, whole and split, {len(WHOLE)} networks", expected


def _status(root: Root) -> tuple[str, None]:
    shown = root.output("collabctl", "status")
    missing = [word for word in (*pair.MODELS, *pair.CLOUDS, "ready") if word not in shown]
    assert not missing, f"collabctl status lacks {', '.join(missing)}:\n{shown}"
    return f"ready, {len(pair.MODELS)} models, {len(pair.CLOUDS)} companions", None


def _compare(root: Root, cases: Sequence[Case], cloud: str | None, expected: Answers) -> None:
    """The root's client and device, the companion `cloud`: the same top-1, and scores within the case's tolerance."""
    for case in cases:
        where = f"{case.name}, companion on {cloud}" if cloud else case.name
        _check(where, partial(_one, root, case, cloud, expected[case.name]))


def _one(root: Root, case: Case, cloud: str | None, expected: list[dict[str, Any]]) -> tuple[str, None]:
    got = answers(root.command(root.python(), "-I", _ANSWERS, f"/{pair.SOCKET}"), [case])[case.name]
    apart = 0.0
    for image, one, other in zip(case.images, got, expected, strict=True):
        assert one["cloud"] == cloud, f"{case.name}, {image}: the companion was {one['cloud']}"
        assert ("C" in one["ran"]) == (cloud is not None), f"{case.name}, {image}: ran {one['ran']}"
        assert one["ran"] == other["ran"], f"{case.name}, {image}: ran {one['ran']}, {other['ran']} on this machine"
        assert one["label"] == other["label"], f"{case.name}, {image}: {one['label']}, {other['label']} on this machine"
        apart = max(apart, *(abs(a - b) for a, b in zip(one["scores"], other["scores"], strict=True)))
    assert apart <= case.tolerance, f"{case.name}: a score is {apart:.1e} apart, {case.tolerance:g} is allowed"
    labels = ", ".join(answer["label"] for answer in got)
    return f"top-1 equal for {len(got)} of {len(got)} ({labels}), scores within {apart:.0e} of {case.tolerance:g}", None


def _planned(root: Root, expected: Answers) -> tuple[str, None]:
    """The planner chooses, from what was measured on either side."""
    case = next(case for case in WHOLE if case.model == pair.PROFILED)
    pair.until_profiled(root)
    with Client(root.path / pair.SOCKET) as client:
        result = client.infer(case.images[0], model=case.model)
    label = expected[case.name][0]["label"]
    assert result.label == label, f"{case.model}, {case.images[0]}: {result.label}, {label} on this machine"
    plan = result.plan
    went = f"{plan.cut} as {plan.codec} to {plan.cloud}" if plan.cloud else "all on the device"
    return f"profiled; {went} ({plan.reason}), top-1 equal ({label})", None


def _written(root: Root) -> tuple[str, None]:
    """A card wears out, and what a library keeps in its home directory goes unseen."""
    state = [root.path / "var/lib" / name for name in ("collabd", "collab-cloudd")]
    kept = [path for folder in state for path in folder.rglob("*") if path.is_file()]
    other = [str(path) for path in kept if path.parent.name != "profiles"]
    assert not other, f"more than profiles was written: {', '.join(other)}"
    return f"{len(kept)} profiles of {sum(path.stat().st_size for path in kept)} bytes in all, and nothing else", None


if __name__ == "__main__":
    main()
