"""Draw docs/images/plot-*.png: `python -m tests.screenshots.plots [DIRECTORY]`.

Three are of recorded reports (`record`), the last one of a simulated link that tunnels interrupt.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image

from collabd.catalog.package.package import Package, load
from collabd.plots import simulation
from collabd.plots.explain import picture as explain
from collabd.plots.profile import picture as profile
from collabd.profiling.profile import CodecTimes, CutTimes, Machine, Profile, VariantTimes
from collabd.simulation.compare import Scenario, compare
from collabd.simulation.traces import Trace, TraceStep
from collabd.simulation.workload import Workload
from tests.bench.shipped import MODELS
from tests.screenshots.record import REPORTS

IMAGES = Path(__file__).parents[2] / "docs/images"
_COLOURS = 255
# Seconds and Mbit/s: on the way, at a station, on the way again, and in a tunnel.
_JOURNEY = ((60, 4.0), (20, 40.0), (40, 8.0), (15, 1.0), (30, 15.0), (10, 0.0), (45, 6.0))
# Times of the network on the companion, and of its parts by their share of the layers; the device takes ten times that.
_WHOLE_MS, _WHOLE_INT8_MS, _CODEC_MS, _SLOWDOWN = 11.0, 7.0, 0.3, 10.0


def draw(into: Path) -> list[Path]:
    """Draw all four; returns their files."""
    paths = [into / f"plot-{name}.png" for name in ("profile", "explain", "calls", "simulation")]
    one, several = recorded("explain-one"), recorded("explain-several")
    profile.plot(recorded("profile-pair"), paths[0])
    explain.plot(one, paths[1])
    explain.plot(several, paths[2])
    _simulation(paths[3])
    for path in paths:
        _smaller(path)
    return paths


def recorded(name: str) -> Any:
    """A report that a daemon has given."""
    return msgspec.json.decode((REPORTS / f"{name}.json").read_bytes())


def _simulation(path: Path) -> None:
    package = load(MODELS / "efficientnet_lite0" / "package")
    workload = Workload(package, _profile(package), slowdown=_SLOWDOWN, requests=880, seed=0, without=())
    trace = Trace([TraceStep(seconds, mbit * 1e6 / 8, 0.03) for seconds, mbit in _JOURNEY])
    runs = compare(workload, Scenario(trace=trace, every_s=0.25, rtt_s=None, min_fidelity=0.99))
    simulation.plot(runs, trace, path, title="EfficientNet-Lite0 on a made-up link")


def _profile(package: Package) -> Profile:
    """One that is the same on every machine."""
    layers = len(package.manifest.layers)
    return Profile(
        digest=package.digest,
        machine=Machine("made up", 1, "0", "0"),
        threads=1,
        prep_ms=1.0,
        whole_ms=_WHOLE_MS,
        spread=1.0,
        cuts=tuple(
            CutTimes(
                cut.name,
                _WHOLE_MS * cut.head_layers / layers,
                _WHOLE_MS * (1 - cut.head_layers / layers),
                tuple(CodecTimes(codec, _CODEC_MS, _CODEC_MS) for codec in {each.codec: None for each in cut.codecs}),
                VariantTimes(
                    _WHOLE_INT8_MS * cut.head_layers / layers, _WHOLE_INT8_MS * (1 - cut.head_layers / layers)
                ),
            )
            for cut in package.manifest.cuts
        ),
        whole_int8_ms=_WHOLE_INT8_MS,
    )


def _smaller(path: Path) -> None:
    """Fewer colours take less room in the repository."""
    with Image.open(path) as drawn:
        few = drawn.convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for drawn in draw(Path(sys.argv[1]) if sys.argv[1:] else IMAGES):
        print(f"{drawn}: {drawn.stat().st_size / 1e3:.0f} kB")
