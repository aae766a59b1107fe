"""Makes the pictures of docs/dashboard.md: both daemons, real calls, a link that changes, and a browser that looks.

python -m tests.dashboard.screenshots [FOLDER]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

from PIL import Image

from collab_sdk import AsyncClient
from collabd.simulation.relay import Relay
from collabd.simulation.slow_cpu import NoSlowCpu, SlowCpu
from collabd.simulation.testbed import COLLABD, Testbed, free_port
from tests.dashboard.browser import Browser, browsing

ROOT = Path(__file__).parents[2]
MODELS = ("efficientnet_lite0", "nanodet_g", "alexnet_cifar10", "vgg16_cifar10")
SCREENS = {"phone": (390, 844), "desktop": (1280, 800)}
# In Mbit/s: a link that is good, poor, and good again.
RATES = (40.0, 20.0, 8.0, 4.0, 10.0, 20.0)
STAGE_S = 14.0
CUT = "blocks.5.project.norm"


async def main(folder: Path) -> None:
    """Take them all."""
    with tempfile.TemporaryDirectory(prefix="collabd-dashboard-") as scratch, ExitStack() as stack:
        directory, port = Path(scratch), free_port()
        packages = directory / "shown"
        packages.mkdir()
        for name in MODELS:
            (packages / name).symlink_to(ROOT / "models" / name / "package")
        door = f'[[doors]]\nkind = "dashboard"\nlisten = "127.0.0.1:{port}"\npictures = true\n'
        try:
            command: Sequence[str] = stack.enter_context(SlowCpu(0.2)).command(COLLABD)
        except NoSlowCpu as reason:
            print(f"the device is as fast as this machine: {reason}")
            command = COLLABD
        bed = Testbed(
            packages,
            directory,
            device=command,
            settings=f"[engine]\nthreads = 1\n{door}",
            cloud_settings="dashboard = true\n",
        )
        async with bed.relay() as relay:
            relay.set_rtt(0.008)
            relay.set_rate(RATES[0] * 1e6 / 8)
            with bed:
                async with AsyncClient(bed.socket) as client:
                    await bed.until_ready(client)
                    await _look(client, relay, folder, device=port, companion=bed.cloud_port)


async def _look(client: AsyncClient, relay: Relay, folder: Path, *, device: int, companion: int) -> None:
    with browsing() as browser:
        await asyncio.to_thread(browser.open, f"http://127.0.0.1:{device}/dashboard/")
        calls = asyncio.create_task(_calls(client))
        try:
            for rate in RATES:
                relay.set_rate(rate * 1e6 / 8)
                await asyncio.sleep(STAGE_S)
            await asyncio.to_thread(_take_device, browser, folder)
            await asyncio.to_thread(browser.open, f"http://127.0.0.1:{companion}/dashboard/")
            await asyncio.sleep(4 * STAGE_S)
            await asyncio.to_thread(_take, browser, folder, "companion", screen="desktop", dark=False)
        finally:
            calls.cancel()
            await asyncio.gather(calls, return_exceptions=True)


async def _calls(client: AsyncClient) -> None:
    """A camera that is answered within a time, one whose program states the cut, and photographs for little energy."""
    objects = cycle(sorted((ROOT / "models/samples/objects").glob("*.jpg")))
    photos = cycle(sorted((ROOT / "models/samples/photos").glob("*.jpg")))
    while True:
        await client.infer(next(objects), model="nanodet_g", budget="200ms", stream="front-door")
        photo = next(photos)
        for _ in range(2):
            await client.infer(photo, model="efficientnet_lite0", cut=CUT, stream="gate")
        await client.infer(photo, model="vgg16_cifar10", budget="min-energy")
        await asyncio.sleep(0.3)


def _take_device(browser: Browser, folder: Path) -> None:
    browser.until("#decisions summary", "ms")
    browser.until("#pictures", "nanodet_g")
    # Some more pictures.
    browser.run("return new Promise(done => setTimeout(done, 12000))")
    for screen in SCREENS:
        for dark in (False, True):
            _take(browser, folder, "device", screen=screen, dark=dark)
    browser.resize(*SCREENS["desktop"])
    browser.until("#decisions summary", "ms")
    browser.until("#decisions summary", "nanodet_g")
    browser.run(
        "Array.from(document.querySelectorAll('#decisions summary'))"
        ".find(each => each.textContent.includes('nanodet_g')).click()"
    )
    _take(browser, folder, "decisions", screen="desktop", dark=False, of="#decisions-title")


def _take(browser: Browser, folder: Path, name: str, *, screen: str, dark: bool, of: str = "body") -> None:
    """Two screens from the top on; or from one place on."""
    width, height = SCREENS[screen]
    browser.resize(width, height, dark=dark, phone=screen == "phone")
    browser.run("window.scrollTo(0, 0); return new Promise(done => setTimeout(done, 1500))")
    whole = browser.run("return document.body.scrollHeight")
    top = browser.run("return document.querySelector(arguments[0]).getBoundingClientRect().top", of)
    path = folder / f"dashboard-{name}-{screen}-{'dark' if dark else 'light'}.png"
    browser.picture(path, top, min(whole - top, height * (2 if screen == "phone" else 1.5)))
    # A hundred colours are enough, and take a third of the bytes; with photographs some more.
    picture = Image.open(path).convert("RGB")
    colours, how = (128, Image.Quantize.MAXCOVERAGE) if of == "body" else (256, Image.Quantize.MEDIANCUT)
    picture.quantize(colours, how, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/images"))
