from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from collabd.catalog.package.package import load
from models import build, collect_samples

pytestmark = pytest.mark.slow


def test_a_cifar10_package_is_built_calibrated_and_measured(
    cifar_zip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build.main(["alexnet_cifar10", "--data", str(cifar_zip)], into=tmp_path)
    package = load(tmp_path / "alexnet_cifar10" / "package")
    accuracy = package.manifest.accuracy
    assert accuracy is not None
    assert accuracy["images"] == 30
    assert 0 <= float(accuracy["top1"]) <= 1
    counted = [each.agreement and each.agreement.images for cut in package.manifest.cuts for each in cut.codecs]
    assert set(counted) == {None, 10}
    assert package.digest in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["efficientnet_lite0", "lenet"], "lenet: no network of alexnet_cifar10, "),
        (["efficientnet_lite0", "alexnet_cifar10"], "need --data"),
        (["efficientnet_lite0"], "need --photographs"),
        (["selfie", "--photographs", "folder"], "need --human-models"),
        ([], "need --data"),
    ],
)
def test_a_usage_error_comes_before_anything_is_built(
    given: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        build.main(given, into=tmp_path)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_samples_are_copied_as_they_are(cifar_folder: Path, cifar_zip: Path, tmp_path: Path) -> None:
    collect_samples.collect_cifar10(cifar_zip, tmp_path)
    copied = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.jpg"))
    assert len(copied) == 20  # all that calibrate nothing; ten a class at most
    assert all((tmp_path / path).read_bytes() == (cifar_folder / "test" / path).read_bytes() for path in copied)


def test_parts_of_photographs_are_written_in_the_size_of_a_sample(tmp_path: Path) -> None:
    backgrounds = tmp_path / "usr/share/backgrounds"
    backgrounds.mkdir(parents=True)
    for name in ("friends_by_Aitzol_Berasategi", "Wine_by_Jakkub_Mede"):
        Image.new("RGB", (1000, 2000)).save(backgrounds / f"{name}.jpg")
    collect_samples.collect_objects(tmp_path, tmp_path / "objects")
    sizes = {}
    for path in (tmp_path / "objects").iterdir():
        with Image.open(path) as written:
            sizes[path.name] = written.size
    assert sizes == {"dogs.jpg": (492, 640), "wine.jpg": (533, 640), "grace_hopper.jpg": (512, 600)}


def test_photographs_are_written_as_jpegs(tmp_path: Path) -> None:
    collect_samples.collect_photographs(tmp_path / "photos")
    written = {path.name: path.read_bytes() for path in (tmp_path / "photos").iterdir()}
    assert set(written) == {"astronaut.jpg", "camera.jpg", "chelsea.jpg", "coffee.jpg", "rocket.jpg"}
    assert all(data.startswith(b"\xff\xd8\xff") for data in written.values())
