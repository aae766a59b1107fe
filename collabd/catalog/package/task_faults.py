"""What each task wants of a network: a picture, and outputs of certain types and shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collabd.catalog.package.manifest import Classify, Detect, Manifest, Port, Segment, kind_of

# A class map is of uint8, and its last value says that the network saw nothing there.
_MOST_MAPPED = 255


def task_faults(manifest: Manifest) -> list[str]:
    """Where the package's inputs and outputs are not those of its task; empty if they are."""
    return [*_inputs(manifest), *_task(manifest)]


def _inputs(manifest: Manifest) -> Iterator[str]:
    picture, kind = manifest.picture, kind_of(manifest.task)
    if picture is not None:
        shape = (_batch(manifest), picture.height, picture.width, 3)
        yield from _differences(f"{kind} of a picture reads", (("uint8", shape),), manifest.inputs)
    elif kind != "tensors":
        yield f"{kind} needs a picture, but the package says nothing of one"


def _task(manifest: Manifest) -> Iterator[str]:
    match manifest.task:
        case Classify(labels=labels):
            if not labels:
                yield "there are no labels"
            wanted = (("float32", (_batch(manifest), len(labels))),)
            yield from _differences(f"classify with {len(labels)} labels gives", wanted, manifest.outputs)
        case Detect() as task:
            yield from _detect(task, manifest)
        case Segment() as task:
            yield from _segment(task, manifest)


def _detect(task: Detect, manifest: Manifest) -> Iterator[str]:
    yield from _classes(task.classes)
    for name, share in (("score_threshold", task.score_threshold), ("iou_threshold", task.iou_threshold)):
        if not 0 <= share <= 1:
            yield f"{name} {share} is not between 0 and 1"
    if task.most < 1:
        yield f"most {task.most} is not the number of boxes of an answer"
    batch, count = _batch(manifest), _size(manifest.outputs, axis=1)
    wanted = (("float32", (batch, count, 4)), ("float32", (batch, count)), ("int32", (batch, count)))
    yield from _differences("detect gives boxes, scores and classes:", wanted, manifest.outputs)


def _segment(task: Segment, manifest: Manifest) -> Iterator[str]:
    yield from _classes(task.classes)
    if manifest.picture is not None and manifest.picture.rule == "crop":
        yield "segment gives each pixel a class, but the rule crop keeps some from the network: stretch, or letterbox"
    if len(task.classes) > _MOST_MAPPED:
        yield f"there are {len(task.classes)} classes, but a class map tells only {_MOST_MAPPED} apart"
    if task.palette is not None and len(task.palette) != len(task.classes):
        yield f"the palette has {len(task.palette)} colours for {len(task.classes)} classes"
    if any(not 0 <= shade <= 255 for colour in task.palette or () for shade in colour):
        yield "a colour of the palette is not within 0 to 255"
    outputs = manifest.outputs
    wanted = (("uint8", (_batch(manifest), _size(outputs, axis=1), _size(outputs, axis=2))),)
    yield from _differences("segment gives a class map:", wanted, outputs)


def _classes(classes: Sequence[str]) -> Iterator[str]:
    if not classes:
        yield "there are no classes"


def _differences(
    rule: str, wanted: Sequence[tuple[str, tuple[int | str | None, ...]]], found: Sequence[Port]
) -> Iterator[str]:
    if [(dtype, shape) for dtype, shape in wanted] != [(port.dtype, port.shape) for port in found]:
        described = ", ".join(f"{dtype} {_shown(shape)}" for dtype, shape in wanted)
        yield f"{rule} {described}; the package has {', '.join(map(str, found))}"


def _shown(shape: Sequence[int | str | None]) -> str:
    return f"[{', '.join('batch' if size is None else str(size) for size in shape)}]"


def _batch(manifest: Manifest) -> int | None:
    return None if manifest.dynamic_batch else 1


def _size(outputs: Sequence[Port], *, axis: int) -> int | str:
    """The size of the first output along `axis`, which the others must share; "any" if it has none."""
    size = outputs[0].shape[axis] if outputs and len(outputs[0].shape) > axis else None
    return "any" if size is None else size
