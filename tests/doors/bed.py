"""Both daemons, doors for other programs, and a companion that dies and comes back while the programs call.

A program is a `Caller`: one picture in, what it read of the answer out. Each answer is compared with what the Unix
socket says where nothing is sent away.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from collab_sdk import AsyncClient, Client, CollabError, Detections
from collab_sdk.vocabulary import CompanionState
from collabd.simulation.testbed import Testbed, free_port

MODELS = Path(__file__).parents[2] / "models"
MODEL = "nanodet_g"
PHOTOS = tuple(sorted((MODELS / "samples/objects").glob("*.jpg")))
# To save the energy of a device that takes much when it computes, calls ask the companion, however fast the two are.
_HUNGRY = '[energy]\nboard = "custom"\nbusy_w = 20.0\nidle_w = 0.1\ntx_mw_per_mbps = 1.0\ntx_base_mw = 1.0\n'
BUDGET = "10s, min-energy"
_READY_S = 300.0
_WARM_UP = 10
# The companion stays away for so long, beside the seconds that it needs to start.
_GONE_S = 1.0
_LOOK_S = 0.1
# Bytes/s and seconds of the link between the daemons.
_RATE, _RTT_S = 4_000_000.0, 0.004


@dataclass(frozen=True)
class Found:
    """One thing that a program read: its label, its confidence 0..1, and its box in pixels of the picture."""

    label: str
    confidence: float
    xyxy: tuple[float, float, float, float]


# Asks about the file of a picture, as a program does. Raises what the program's own code raises.
Caller = Callable[[bytes], Sequence[Found]]


@dataclass
class Run:
    """What came of the calls. `late`: those beyond the deadline; `wrong`: those that read other things."""

    calls: int = 0
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    kills: int = 0
    # By the daemon's own count.
    shared: int = 0
    degraded: int = 0

    def late(self, deadline_s: float) -> int:
        """How many calls took longer, by the program's clock."""
        return sum(taken > deadline_s for taken in self.seconds)

    def __str__(self) -> str:
        ordered = sorted(self.seconds) or [0.0]
        middle, most = ordered[len(ordered) // 2], ordered[-1]
        tail = ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)]
        return (
            f"{self.calls} calls, {len(self.errors)} errors, {len(self.wrong)} wrong; median {middle * 1e3:.0f} ms, "
            f"p99 {tail * 1e3:.0f} ms, most {most * 1e3:.0f} ms; companion killed {self.kills} times, "
            f"{self.shared} calls shared, {self.degraded} finished on the device after a failure"
        )


class DoorBed:
    """Both daemons with one door for each table of `doors`, which names its `kind` and more settings.

    `addresses`: HOST:PORT of each door, in the same order. `right`: what the socket says of each of `PHOTOS`.
    """

    def __init__(self, directory: Path, doors: Sequence[Mapping[str, str | float | bool]]) -> None:
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in doors]
        tables = (
            _table({"listen": address, "model": MODEL, **door})
            for address, door in zip(self.addresses, doors, strict=True)
        )
        packages = directory / "packages"
        shutil.copytree(MODELS / MODEL / "package", packages / MODEL)
        one_thread = "[engine]\nthreads = 1\n"
        self.bed = Testbed(
            packages,
            directory,
            settings=f"{one_thread}{_HUNGRY}[failover]\nbreaker_open_s = 0.5\n{''.join(tables)}",
            cloud_settings=one_thread,
        )
        self.right: dict[bytes, Detections] = {}

    def expected(self, file: bytes, least: float, most: int | None = None) -> list[Found]:
        """What a program must read of this picture, from the surest on, if it is told of things this sure."""
        found = sorted(
            (each for each in self.right[file] if each.confidence >= least), key=lambda each: -each.confidence
        )
        return [Found(each.class_name, each.confidence, each.xyxy) for each in found[:most]]

    def join(self) -> None:
        """Wait until the companion is up, and let the device learn what asking it takes, until it does."""

        async def up() -> None:
            async with AsyncClient(self.bed.socket) as client:
                await self.bed.until_ready(client)

        asyncio.run(up())
        with Client(self.bed.socket) as client:
            # Without a latency to keep first: the device does not know yet that the link keeps one.
            for budget in (*["min-energy"] * _WARM_UP, *[BUDGET] * _WARM_UP):
                last = client.infer(PHOTOS[0], budget, model=MODEL)
        if "C" not in last.ran:
            raise AssertionError(f"calls do not ask the companion: {last}")

    def learn(self) -> None:
        """Ask the Unix socket what is right."""
        with Client(self.bed.socket) as client:
            for photo in PHOTOS:
                file = photo.read_bytes()
                self.right[file] = client.infer(file, model=MODEL, fallback="never-leave").detections


@contextmanager
def door_bed(directory: Path, doors: Sequence[Mapping[str, str | float | bool]]) -> Iterator[DoorBed]:
    """Both daemons, ready and joined. `directory`: short, for the path of a Unix socket."""
    made = DoorBed(directory, doors)

    with _relayed(made.bed), made.bed:
        made.join()
        made.learn()
        yield made


def storm(bed: DoorBed, call: Caller, calls: int, *, least: float, most: int | None = None, every: int = 15) -> Run:
    """Let a program make its calls while the companion is killed in one of `every` calls that come while it is up."""
    bed.join()
    run, done = Run(), threading.Event()
    before = _counts(bed)
    killer = threading.Thread(target=_kill, args=(bed.bed, run, done, every))
    killer.start()
    files = list(bed.right)
    try:
        for number in range(calls):
            file = files[number % len(files)]
            began = time.perf_counter()
            run.calls += 1
            try:
                read = call(file)
            except Exception as error:  # noqa: BLE001  whatever it is, it is what the run has found
                run.errors.append(f"call {number}: {type(error).__name__}: {error}")
                continue
            run.seconds.append(time.perf_counter() - began)
            if (problem := difference(read, bed.expected(file, least, most))) is not None:
                run.wrong.append(f"call {number}: {problem}")
    finally:
        done.set()
        killer.join()
    after = _counts(bed)
    run.shared, run.degraded = (now - then for now, then in zip(after, before, strict=True))
    return run


# Two runs of the same network may differ so much where a codec rounds features.
_CONFIDENCE, _OVERLAP = 0.08, 0.8


def difference(read: Sequence[Found], right: Sequence[Found]) -> str | None:
    """Why the things read are not the right ones; None: they are.

    A lossy plan may find a thing of which it is just sure enough, or just not: those near the limit may miss.
    """
    left = list(read)
    for thing in right:
        same = next((each for each in left if _same(each, thing)), None)
        if same is not None:
            left.remove(same)
        elif thing.confidence > min(each.confidence for each in right) + _CONFIDENCE:
            return f"{thing} is missing among {list(read)}"
    surplus = [each for each in left if right and each.confidence > right[-1].confidence + _CONFIDENCE]
    return f"{surplus} are not there" if surplus else None


def _same(one: Found, other: Found) -> bool:
    near = abs(one.confidence - other.confidence) <= _CONFIDENCE
    return one.label == other.label and near and overlap(one.xyxy, other.xyxy) >= _OVERLAP


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """The intersection over union of two boxes (x1, y1, x2, y2)."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (area - shared) if area > shared else 0.0


def _kill(bed: Testbed, run: Run, done: threading.Event, every: int) -> None:
    try:
        with Client(bed.socket) as client:
            while not done.is_set():
                # While a call is under way: it was counted as it began.
                at = run.calls + every
                while run.calls < at and not done.wait(_LOOK_S / 10):
                    pass
                bed.kill_cloud()
                run.kills += 1
                done.wait(_GONE_S)
                bed.start_cloud()
                while client.status()["clouds"][0]["state"] != CompanionState.UP and not done.wait(_LOOK_S):
                    pass
    except CollabError as error:
        run.errors.append(f"the device does not tell of its companion: {error}")


def _counts(bed: DoorBed) -> tuple[int, int]:
    """How many calls the companion answered in part, and how many ended otherwise than planned."""
    with Client(bed.bed.socket) as client:
        calls = client.status()["requests"]
    return calls["remote"], calls["degraded"]


def _table(settings: Mapping[str, str | float | bool]) -> str:
    return "[[doors]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


@contextmanager
def _relayed(bed: Testbed) -> Iterator[None]:
    """The link between the daemons, in a thread: programs block this one."""
    loop, up, done = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def relay() -> None:
        async with bed.relay() as link:
            link.set_rate(_RATE)
            link.set_rtt(_RTT_S)
            up.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(relay(),))
    thread.start()
    try:
        if not up.wait(_READY_S):
            raise TimeoutError("the link between the daemons does not open")
        yield
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()
