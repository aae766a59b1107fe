"""`collabctl watch`: what a camera sees, told whenever it changes."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from collabd.ctl.command import Command, chosen_socket, given_transport

if TYPE_CHECKING:
    from collab_sdk import CameraUnavailable, Result
    from collab_sdk.camera import Camera
    from collab_sdk.mjpeg import MjpegServer
    from collab_sdk.mqtt import HomeAssistant
    from collab_sdk.seen import Scene

_CAMERA = "camera"
_DROPPED = "dropped"
# Letters of a line before and behind what was seen: the time; the place and the milliseconds.
_BEFORE = 10
_BEHIND = 22
_WHERE_WIDTH = 10


class ThingReport(TypedDict):
    """A class that was seen: how many, and how sure the surest is (0..1; of a mask the share of the picture)."""

    name: str
    count: int
    sureness: float


class SightReport(TypedDict):
    """What was seen in a picture. ``at``: local time. ``where``: the companion's name, "device" or "inherited"."""

    at: str
    seen: list[ThingReport]
    model: str
    where: str
    latency_ms: float | None
    budget_met: bool
    degraded: bool


@click.command(cls=Command)
@click.argument("source")
@click.option("--model", metavar="NAME", help="The model to ask (default: the daemon's).")
@click.option(
    "--budget",
    metavar="TEXT",
    default="max-throughput",
    show_default=True,
    help="Caps and an objective for each picture, such as '80ms,99%'.",
)
@click.option(
    "--stream",
    metavar="NAME",
    help="A name for the camera: a picture like its last one may then inherit the answer. Home Assistant shows it.",
)
@click.option(
    "--mqtt",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Tell Home Assistant through the MQTT broker that this TOML file describes.",
)
@click.option(
    "--mjpeg",
    metavar="LISTEN",
    help="Show browsers the pictures with the answers drawn on them: at PORT of this machine's own address, or at "
    "HOST:PORT. Whoever reaches it can look.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each change.")
def watch(
    source: str,
    *,
    model: str | None,
    budget: str,
    stream: str | None,
    mqtt: Path | None,
    mjpeg: str | None,
    as_json: bool,
) -> None:
    """Watch a camera, and print a line whenever what it sees changes.

    SOURCE is the number or device of a V4L2 camera (0, /dev/video0), picamera2 for a camera at the ribbon cable of a
    Raspberry Pi, the URL of a camera (rtsp://..., http://...), or a video file. A camera that is lost is waited for.

    A line has the time, what is seen and how sure that is, where it was computed, and the latency. A change counts when
    three pictures in a row show it. Ctrl-C ends the command, with a count of the pictures.
    """
    from collab_sdk import Budget, Client
    from collab_sdk.camera import Camera
    from collab_sdk.seen import Steady, seen_in, where_ran

    wanted, steady = Budget.parse(budget), Steady()
    with ExitStack() as opened:
        window = opened.enter_context(_window(mjpeg, stream or _CAMERA)) if mjpeg else None
        camera = opened.enter_context(Camera(source, on_change=lambda lost: _tell(lost, home)))
        home = opened.enter_context(_home(mqtt, stream or _CAMERA)) if mqtt else None
        client = opened.enter_context(Client(chosen_socket(), channels="bgr", transport=given_transport()))
        tally = opened.enter_context(_tallied(camera))
        answers = client.stream(camera, wanted, latest=camera.is_live, model=model, stream=stream)
        for result in opened.enter_context(closing(answers)):
            tally.update({where_ran(result): 1, _DROPPED: result.dropped})
            if steady.is_changed_by(seen_in(result)):
                report = _report(result, steady.seen)
                click.echo(json.dumps(report) if as_json else _line(report))
            if window is not None and window.is_watched:
                window.show(result.draw(channels="bgr"))
            if home is not None:
                home.publish(result)


def _window(listen: str, name: str) -> MjpegServer:
    """What browsers look at. `MissingDependency`: nothing can draw."""
    from collab_sdk.mjpeg import MjpegServer

    window = MjpegServer(listen, name)
    _say(f"the pictures are at {window.url}")
    return window


def _home(broker: Path, camera: str) -> HomeAssistant:
    from collab_sdk.mqtt import Broker, HomeAssistant

    return HomeAssistant(Broker.read(broker), camera)


def _tell(lost: CameraUnavailable | None, home: HomeAssistant | None) -> None:
    """Say that the camera was lost, or is back."""
    _say("the camera is back" if lost is None else f"{lost}; waiting for it")
    if home is not None:
        home.set_available(lost is None)


@contextmanager
def _tallied(camera: Camera) -> Iterator[Counter[str]]:
    """Counts pictures by where they were answered, until Ctrl-C or SIGTERM, and says at last how many there were."""
    tally: Counter[str] = Counter()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield tally
    except KeyboardInterrupt:
        click.echo(err=True)
    finally:
        signal.signal(signal.SIGTERM, before)
        camera.close()
        _say(_summary(tally))


def _summary(tally: Counter[str]) -> str:
    """Such as: 312 pictures: 118 answered on the device, 20 with pc, 4 inherited, 170 dropped."""
    from collab_sdk.seen import DEVICE, INHERITED

    special = {DEVICE: "answered on the device", INHERITED: "inherited", _DROPPED: "dropped"}
    companions = sorted(tally.keys() - special.keys())
    parts = [f"{tally[DEVICE]} {special[DEVICE]}", *(f"{tally[name]} with {name}" for name in companions)]
    parts += [f"{tally[name]} {special[name]}" for name in (INHERITED, _DROPPED)]
    total = tally.total()
    return f"{total} picture{'s' * (total != 1)}: {', '.join(parts)}"


def _report(result: Result, seen: Scene) -> SightReport:
    from collab_sdk.seen import where_ran

    return SightReport(
        at=datetime.now().astimezone().isoformat(timespec="milliseconds"),
        seen=[ThingReport(name=each.name, count=each.count, sureness=round(each.sureness, 4)) for each in seen.things],
        model=result.model,
        where=where_ran(result),
        latency_ms=result.measured.latency_ms,
        budget_met=result.budget_met,
        degraded=result.degraded,
    )


def _line(report: SightReport) -> str:
    """The report in a line, as wide as the terminal; in a pipe it is never cut."""
    from collab_sdk.seen import Scene, SeenThing

    width = shutil.get_terminal_size().columns - _BEFORE - _BEHIND
    seen = str(Scene(tuple(SeenThing(each["name"], each["count"], each["sureness"]) for each in report["seen"])))
    if len(seen) > width and sys.stdout.isatty():
        seen = f"{seen[: width - 1]}…"
    clock = datetime.fromisoformat(report["at"]).strftime("%H:%M:%S")
    latency = "-" if report["latency_ms"] is None else f"{report['latency_ms']:.0f} ms"
    return f"{clock}  {seen:{max(width, 1)}}  {report['where']:{_WHERE_WIDTH}}  {latency:>8}"


def _say(words: str) -> None:
    """To who looks, and not into the lines that another program reads."""
    click.echo(f"collabctl: {words}", err=True)
