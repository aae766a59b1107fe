"""All networks of torchvision: each is imported, cut everywhere, and checked as a companion does.

`python -m tests.bench.torchvision_sweep [NAME…]` takes hours. What is done already stands in the file of `--json` and
is not done again. Each network has a process of its own, bounded in time and memory. The weights are random. `--write`
puts the table into docs/torchvision.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torchvision

from collab_sdk.errors import CollabError
from collabd.catalog.authoring.batch_size import localise
from collabd.catalog.authoring.optimise import fix_batch, halve_weights, optimise
from collabd.catalog.authoring.pytorch.torchvision_networks import TorchvisionNetwork, torchvision_network
from collabd.catalog.graph.effort import require_bounded, unfollowed
from collabd.catalog.graph.probe_images import UNLIKE, probe_images
from collabd.catalog.package.manifest import kind_of
from collabd.catalog.trial.plain_graph import read_plain
from collabd.engine import Engine, EngineError
from collabd.partition import CutSpec, Network, PartitionError, candidate_cuts, layers, order
from tests.bench.table import table

# Head and tail add their numbers in another order than the whole network: this part of the largest number.
EQUAL = 1e-4
# They take the most memory.
LARGEST = ("resnext101_64x4d", "swin_v2_b", "vit_l_32", "vit_l_16", "regnet_y_128gf", "vit_h_14")
# Segmenters and large detectors take minutes at their own sizes. Their cuts are at the same layers at these.
SIZES = {"segment": (256, 320), "detect": (320, 416), "video": (112, 112), "flow": (128, 192)}
DOCUMENT = Path("docs/torchvision.md")
_BEGIN, _END = "<!-- sweep -->\n", "<!-- end of sweep -->\n"
_CACHE_BYTES = 1 << 26
_GIB = 1 << 30

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Row:
    """`error`: the largest at any candidate cut (see `difference`); None: not found out.

    `why`: what refused the network, the importer or (if it is `imported`) the companion's checks.
    """

    name: str
    task: str = ""
    size: str = ""
    imported: bool = False
    batch: bool = False
    cuts: int = 0
    error: float | None = None
    accepted: bool = False
    why: str = ""

    @property
    def sound(self) -> bool:
        """Whether the network is equal at every cut, and a companion takes it."""
        return self.accepted and self.error is not None and self.error <= EQUAL


def examine(name: str) -> Row:
    """All of one network, in this process."""
    row = Row(name)
    try:
        row, stored = _imported(row)
        row = _cut(row, stored)
        require_bounded(read_plain(stored.SerializeToString()))
        return replace(row, accepted=True)
    except (CollabError, EngineError, PartitionError) as error:
        return replace(row, why=str(error))


def _imported(row: Row) -> tuple[Row, onnx.ModelProto]:
    found = torchvision_network(row.name, size=_size(row.name), trained=False)
    model = found.export()
    stored, batch = _stored(model)
    row = replace(row, task=kind_of(found.task), size=_shown_size(found, model), imported=True, batch=batch)
    return row, stored


def _cut(row: Row, stored: onnx.ModelProto) -> Row:
    network = Network.from_proto(stored)
    cuts = candidate_cuts(network, layers(network))
    return replace(row, cuts=len(cuts), error=cut_error(network, cuts))


def _size(name: str) -> tuple[int, int] | None:
    maker = torchvision.models.get_model_builder(name).__module__.split(".")[2]
    room = {"segmentation": "segment", "detection": "detect", "video": "video", "optical_flow": "flow"}.get(maker, "")
    return None if name.startswith(("ssd", "mvit", "s3d", "swin3d")) else SIZES.get(room)


def _shown_size(found: TorchvisionNetwork, model: onnx.ModelProto) -> str:
    if found.picture is not None:
        return f"{found.picture.height}x{found.picture.width}"
    dims = (value.type.tensor_type.shape.dim[1:] for value in model.graph.input)
    return " + ".join("x".join(str(dim.dim_value) for dim in sizes) for sizes in dims)


def _stored(model: onnx.ModelProto) -> tuple[onnx.ModelProto, bool]:
    """The graph as a package keeps it, and whether it takes several images."""
    takes_several = not model.graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value")
    if takes_several:
        stored = halve_weights(order(localise(optimise(model))))
        if unfollowed(stored) is None:
            return stored, True
    return halve_weights(order(fix_batch(model))), False


def cut_error(network: Network, cuts: Sequence[CutSpec]) -> float:
    """The largest difference that cutting makes, at any of `cuts`, for two unlike inputs."""
    engine = Engine(threads=2, cache_bytes=_CACHE_BYTES)
    engine.add("whole", network)
    outputs = [info.name for info in network.outputs]
    worst = 0.0
    for number in UNLIKE[1:]:
        source = _source(network, number)
        expected = _run(engine, network, source, outputs)
        for cut in cuts[1:]:
            features = _run(engine, network, source, cut.tensors)
            worst = max(worst, difference(expected, _run(engine, network, features, outputs)))
    return worst


def _run(engine: Engine, network: Network, given: Tensors, outputs: Sequence[str]) -> dict[str, np.ndarray]:
    """`outputs` computed from `given`; what is among these is passed on."""
    left = [name for name in outputs if name not in given]
    feeds = {name: given[name] for name in network.needed(given, left)}
    made = engine.run("whole", feeds, left) if left else {}
    return {name: given[name] if name in given else made[name] for name in outputs}


def _source(network: Network, number: int) -> dict[str, np.ndarray]:
    def made(index: int, shape: Sequence[int | None], dtype: np.dtype) -> np.ndarray:
        if dtype == np.uint8:
            return probe_images(shape[1] or 1, shape[2] or 1)[number : number + 1]
        sizes = [size or 1 for size in shape]
        return np.random.default_rng([number, index]).standard_normal(sizes).astype(dtype)

    return {info.name: made(index, info.shape, info.dtype) for index, info in enumerate(network.inputs)}


def difference(expected: Tensors, found: Tensors) -> float:
    """The largest of all outputs: of numbers as a part of the largest one, of classes the part that differ.

    Boxes are compared with those of the same class: among equal scores, the order is left to rounding.
    """
    if "boxes" in expected:
        apart = _boxes_apart(expected, found)
        return max(apart, _of_largest(expected["scores"], found["scores"]))
    return max(
        _of_largest(expected[name], found[name])
        if expected[name].dtype.kind == "f"
        else float((expected[name] != found[name]).mean())
        for name in expected
    )


def _of_largest(expected: np.ndarray, found: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny))


def _boxes_apart(expected: Tensors, found: Tensors) -> float:
    """How far the nearest box of the same class and score is off, as a part of the largest coordinate.

    Left out are boxes with the last score: which of several such boxes are among the best is left to rounding too.
    """
    span = np.abs(expected["boxes"]).max()
    last = expected["scores"].min() * (1 + EQUAL)
    worst = 0.0
    for image in range(len(expected["boxes"])):
        for box, score, kind in zip(*(expected[name][image] for name in ("boxes", "scores", "classes")), strict=True):
            alike = (found["classes"][image] == kind) & np.isclose(found["scores"][image], score, rtol=EQUAL)
            distances = np.abs(found["boxes"][image][alike] - box).max(axis=1, initial=0)
            if score > last:
                worst = max(worst, float(distances.min(initial=span) / span))
    return worst


def _in_a_process(name: str, *, seconds: float, gib: float) -> Row:
    command = [sys.executable, "-m", "tests.bench.torchvision_sweep", "--one", name, "--gib", str(gib)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        return Row(name, why=f"not examined: it took more than {seconds:.0f} s")
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2][-200:]
        return Row(name, why=f"not examined within {gib:g} GiB: ended with {done.returncode}: {last}")
    return Row(**json.loads(done.stdout.splitlines()[-1]))


def names() -> tuple[str, ...]:
    """All of them, the largest last."""
    known = torchvision.models.list_models()
    sizes = {name: torchvision.models.get_model_weights(name).DEFAULT.meta["_ops"] for name in known}
    return tuple(sorted(known, key=lambda name: (name in LARGEST, sizes[name])))


def show(rows: Iterable[Row]) -> str:
    """As a table of Markdown."""
    heads = ("network", "task", "input", "batch", "cuts", "error", "companion")
    lines = [f"| {' | '.join(heads)} |", "| --- | --- | --- | --- | --: | --: | --- |"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    error = "" if row.error is None else f"{row.error:.1e}"
    reason = row.why.partition(":")[0].removeprefix(f"{row.name} ")
    verdict = "accepts" if row.accepted else f"refuses: {row.why}" if row.error is not None else reason
    cuts = str(row.cuts) if row.cuts else ""
    return (row.name, row.task, row.size, "yes" if row.batch else "no" if row.cuts else "", cuts, error, verdict)


def _write(rows: Sequence[Row]) -> None:
    before, _, rest = DOCUMENT.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    sections = [summary(rows), show(sorted(rows, key=lambda row: row.name))]
    DOCUMENT.write_text(before + _BEGIN + "\n" + "\n".join(sections) + "\n" + _END + after)


def summary(rows: Sequence[Row]) -> str:
    """How many networks are sound, and which are not swept yet."""
    imported = [row for row in rows if row.imported]
    worst = max((row.error for row in imported if row.error is not None), default=0.0)
    sound = sum(row.sound for row in rows)
    lines = [
        f"{len(rows)} networks: {len(imported)} import; {sound} are equal at every cut (error {worst:.1e}), accepted.",
    ]
    if left := sorted(set(names()) - {row.name for row in rows}):
        lines.append(f"Not swept yet: {', '.join(left)}.")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Examine what is not examined yet, and show all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.torchvision_sweep", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="torchvision's names (default: all)")
    parser.add_argument("--json", type=Path, default=Path("build/sweep.json"), help="the results so far")
    parser.add_argument("--gib", type=float, default=14.0, help="the most memory of one network")
    parser.add_argument("--seconds", type=float, default=1200.0, help="the most time of one network")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT}")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        limit = int(given.gib * _GIB)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        print(json.dumps(asdict(examine(given.names[0]))))
        return 0
    given.json.parent.mkdir(parents=True, exist_ok=True)
    rows = [Row(**row) for row in json.loads(given.json.read_text())] if given.json.exists() else []
    for name in given.names or names():
        if name not in {row.name for row in rows}:
            rows.append(_in_a_process(name, seconds=given.seconds, gib=given.gib))
            given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
            print(rows[-1], flush=True)
    if given.write:
        _write(rows)
    print(table(("network", "task", "error", "why"), [(row.name, row.task, str(row.error), row.why) for row in rows]))
    return not all(row.sound for row in rows)


if __name__ == "__main__":
    sys.exit(main())
