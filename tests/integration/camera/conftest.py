"""A real collabd with the networks of the box, videos of the sample pictures, and programs that are run to a point."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import IO

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from collab_sdk import Client
from tests.patience import PROGRAM_S

CHECKOUT = Path(__file__).parents[3]
SAMPLES = CHECKOUT / "models/samples"
SIZE = (640, 480)
FRAMES_PER_S = 10

Picture = NDArray[np.uint8]


@pytest.fixture(scope="package")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """That of a collabd which serves the classifier and the detector of the box, without a companion."""
    home = tmp_path_factory.mktemp("collabd")
    roots = [str(home / "models"), *(str(CHECKOUT / "models" / name) for name in ("efficientnet_lite0", "nanodet_g"))]
    settings = home / "collabd.toml"
    settings.write_text(
        f'state_dir = "{home}/state"\n[server]\nsocket = "{home}/sock"\n[models]\nroots = {roots}\n'
        "[planning]\naudit_share = 0\n"
    )
    with (home / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "collabd", "--config", settings], stdout=log, stderr=log)
        try:
            with Client(home / "sock") as client:
                client.wait(PROGRAM_S)
            yield home / "sock"
        finally:
            process.terminate()
            process.wait(PROGRAM_S)


def picture(name: str) -> Picture:
    """A sample in the order B, G, R, of the size of all videos here, on grey."""
    sample = cv2.imread(str(SAMPLES / name))
    scale = min(SIZE[0] / sample.shape[1], SIZE[1] / sample.shape[0])
    small = cv2.resize(sample, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = np.full((SIZE[1], SIZE[0], 3), 114, np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    return canvas


PERSON = picture("objects/grace_hopper.jpg")
WINE = picture("objects/wine.jpg")


@pytest.fixture(scope="package")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video, Motion JPEG: a second of a person, a second of wine, a second of the person again."""
    return video(tmp_path_factory.mktemp("film") / "film.avi", PERSON, WINE, PERSON)


def video(path: Path, *scenes: Picture, frames: int = FRAMES_PER_S) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FRAMES_PER_S, SIZE)
    for scene in scenes:
        for _ in range(frames):
            writer.write(scene)
    writer.release()
    return path


class Program:
    """A running program, whose lines can be waited for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._come: Queue[None] = Queue()
        self._threads = [self._reading(process.stdout, self.lines), self._reading(process.stderr, self.errors)]

    def until(self, is_it: Callable[[], object]) -> None:
        """Return when this holds of what was printed."""
        while not is_it():
            try:
                self._come.get(timeout=PROGRAM_S)
            except Empty:
                raise AssertionError(f"it never came: {self.lines} {self.errors}") from None
            ended = self.process.poll() is not None and not any(thread.is_alive() for thread in self._threads)
            assert not ended or is_it(), f"it ended with {self.process.returncode}: {self.lines} {self.errors}"

    def interrupt(self) -> int:
        """Press Ctrl-C; its exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        """Wait for its end; its exit status."""
        status = self.process.wait(PROGRAM_S)
        for thread in self._threads:
            thread.join(PROGRAM_S)
        return status

    def _reading(self, stream: IO[str] | None, into: list[str]) -> threading.Thread:
        assert stream is not None

        def read() -> None:
            with stream:
                for line in stream:
                    into.append(line.rstrip("\n"))
                    self._come.put(None)
            self._come.put(None)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread


@dataclass(frozen=True)
class Runner:
    """Runs programs against the daemon, in a directory of the test's own."""

    socket: Path
    directory: Path

    @contextmanager
    def example(self, name: str, *words: object, path: Path | None = None) -> Iterator[Program]:
        """One of examples/. ``path``: where further modules are."""
        with self.run(sys.executable, CHECKOUT / "examples" / f"{name}.py", *words, path=path) as program:
            yield program

    @contextmanager
    def collabctl(self, *words: object) -> Iterator[Program]:
        with self.run(sys.executable, "-m", "collabd.ctl", *words) as program:
            yield program

    @contextmanager
    def run(self, *command: object, path: Path | None = None) -> Iterator[Program]:
        environment = os.environ | {"COLLABD_SOCKET": str(self.socket), "COLUMNS": "80", "HOME": str(self.directory)}
        environment |= {} if path is None else {"PYTHONPATH": str(path)}
        process = subprocess.Popen(
            [str(each) for each in command],
            cwd=self.directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield Program(process)
        finally:
            process.kill()
            process.wait(PROGRAM_S)


@pytest.fixture
def programs(socket: Path, tmp_path: Path) -> Runner:
    return Runner(socket, tmp_path)
