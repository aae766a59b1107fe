"""Import a network from torchvision, from a PyTorch factory of the user, or from an ONNX file.

PyTorch, which comes with the extra `author`, is imported only where it is needed.
"""

from __future__ import annotations

import importlib
import re
import warnings
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import onnx

from collab_sdk.errors import InvalidRequest
from collabd.catalog.authoring.foreign import Classifier, Wanted, as_classifier, read
from collabd.catalog.authoring.pytorch.export import export
from collabd.catalog.package.manifest import Preprocessing

if TYPE_CHECKING:
    import torch

_TORCHVISION = "torchvision:"
_AUTHORING = frozenset({"torch", "torchvision", "onnxscript"})
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_UNSTATED = "not stated"


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What the user states of a network; None: as the source says, else ImageNet's normalisation and numbered labels.

    `size` is (height, width); `mean` and `std` are of RGB in 0..1. `output` is the one of an ONNX file's outputs that
    holds the scores. `weights` "random" keeps torchvision from downloading trained ones.
    """

    name: str | None = None
    labels: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None
    resize_shorter: int | None = None
    mean: tuple[float, ...] = _IMAGENET_MEAN
    std: tuple[float, ...] = _IMAGENET_STD
    licence: str | None = None
    output: str | None = None
    weights: Literal["default", "random"] = "default"

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or len(self.std) != 3 or not min(self.std) > 0:
            raise InvalidRequest(
                f"mean {self.mean} and std {self.std} must have three numbers each, and those of std must be above 0"
            )


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A network as `authoring.build.build` takes it. `notes` say what was decided for the user, a line each."""

    model: onnx.ModelProto
    name: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    licence: str
    provenance: str
    notes: tuple[str, ...] = ()


def resolve(source: str, options: ImportOptions | None = None) -> Imported:
    """Read the network that `source` names: `torchvision:NAME`, `PATH.onnx` or `PACKAGE.MODULE:FACTORY`.

    A factory takes no arguments and returns a `torch.nn.Module` from float32 [batch, 3, height, width] to scores;
    the name, size and normalisation of torchvision's networks come from torchvision.

    Raises `InvalidRequest` if it cannot be found or downloaded or needs something that is not installed, and
    `InvalidPackage` if it cannot become a graph from one image to one vector of scores.
    """
    options = options or ImportOptions()
    try:
        if source.startswith(_TORCHVISION):
            return _from_torchvision(source.removeprefix(_TORCHVISION), options)
        if source.lower().endswith(".onnx"):
            return _from_onnx(Path(source), options)
        if ":" in source:
            return _from_factory(source, options)
    except ModuleNotFoundError as error:
        hint = "pip install 'collabd[author]'" if error.name in _AUTHORING else "add its directory to PYTHONPATH"
        raise InvalidRequest(f"{source} needs the module {error.name}, which is not installed: {hint}") from error
    raise InvalidRequest(f"{source!r} names no network; give torchvision:NAME, PATH.onnx or PACKAGE.MODULE:FACTORY")


def _from_torchvision(name: str, options: ImportOptions) -> Imported:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise InvalidRequest(f"torchvision has no classifier {name!r}; it has {', '.join(known)}")
    weights = torchvision.models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    height, width = options.size or preset.crop_size * 2
    if options.weights == "default":
        module, origin = _trained(name, weights), f"weights {weights} ({weights.meta['recipe']})"
    else:
        module, origin = _untrained(name, height), "random weights"
    return Imported(
        model=export(module, height=height, width=width, mean=preset.mean, std=preset.std),
        name=options.name or name,
        labels=options.labels or tuple(weights.meta["categories"]),
        preprocessing=Preprocessing(
            height=height,
            width=width,
            resize_shorter=options.resize_shorter or preset.resize_size[0],
            interpolation=preset.interpolation.value,
        ),
        licence=options.licence or "BSD-3-Clause",
        provenance=f"torchvision {torchvision.__version__} {name}, {origin}",
    )


def _trained(name: str, weights: object) -> torch.nn.Module:
    import torchvision

    try:
        module: torch.nn.Module = torchvision.models.get_model(name, weights=weights)
    except OSError as error:
        raise InvalidRequest(
            f"torchvision cannot download the weights of {name} ({error}): connect to the internet, or build the "
            "network with random weights (--random-weights) to try how it splits"
        ) from error
    return module


def _untrained(name: str, side: int) -> torch.nn.Module:
    """The network with random weights. They are the same every time, so that equal commands build equal packages.

    A vision transformer is made for images of one size. With trained weights that is theirs; here it is `side`.
    """
    import torch
    import torchvision

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # some announce that their initialisation will change
        with torch.device("meta"):  # takes no memory, and shows whether it is made for one size
            knows_its_size = hasattr(torchvision.models.get_model(name, weights=None), "image_size")
        torch.manual_seed(0)
        sizes = {"image_size": side} if knows_its_size else {}
        module: torch.nn.Module = torchvision.models.get_model(name, weights=None, **sizes)
    return module


def _from_factory(source: str, options: ImportOptions) -> Imported:
    import torch

    module_name, _, attribute = source.partition(":")
    if options.size is None:
        raise InvalidRequest(f"{source} does not say how large its images are: state the size (--size HEIGHTxWIDTH)")
    try:
        factory = attrgetter(attribute)(importlib.import_module(module_name))
    except AttributeError as error:
        raise InvalidRequest(f"{source}: {error}") from error
    module = factory()
    if not isinstance(module, torch.nn.Module):
        raise InvalidRequest(f"{source} returns a {type(module).__name__}, not a torch.nn.Module")
    height, width = options.size
    model = export(module, height=height, width=width, mean=options.mean, std=options.std)
    return _stated(
        as_classifier(model, _wanted(options)), options, name=attribute, provenance=f"PyTorch factory {source}"
    )


def _from_onnx(path: Path, options: ImportOptions) -> Imported:
    taken = as_classifier(read(path), _wanted(options))
    return _stated(taken, options, name=path.stem, provenance=f"ONNX file {path.name}")


def _wanted(options: ImportOptions) -> Wanted:
    labels = None if options.labels is None else len(options.labels)
    return Wanted(mean=options.mean, std=options.std, size=options.size, output=options.output, labels=labels)


def _stated(taken: Classifier, options: ImportOptions, *, name: str, provenance: str) -> Imported:
    height, width = taken.size
    return Imported(
        model=taken.model,
        name=options.name or re.sub(r"[^A-Za-z0-9._-]+", "-", name),
        labels=options.labels or tuple(map(str, range(taken.classes))),
        preprocessing=Preprocessing(height=height, width=width, resize_shorter=options.resize_shorter),
        licence=options.licence or _UNSTATED,
        provenance=provenance,
        notes=taken.notes,
    )
