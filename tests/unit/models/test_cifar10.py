from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from models.cifar10 import CLASSES, Split, calibrating, checking, jpegs, load, normalised


def test_a_folder_and_a_zip_of_it_read_the_same(cifar_folder: Path, cifar_zip: Path) -> None:
    from_folder, from_zip = list(jpegs(cifar_folder, "test")), list(jpegs(cifar_zip, "test"))
    assert from_folder == from_zip
    assert [label for _, label in from_folder] == [label for label in range(10) for _ in range(3)]


def test_images_are_channels_first_with_the_label_of_their_folder(cifar_folder: Path) -> None:
    split = load(cifar_folder, "train")
    assert split.images.shape == (30, 3, 32, 32)
    assert (split.images.dtype, split.labels.dtype) == (torch.uint8, torch.int64)
    truck = Image.open(cifar_folder / "train" / "truck" / "0002.jpg")
    assert CLASSES[int(split.labels[-1])] == "truck"
    np.testing.assert_array_equal(split.images[-1].permute(1, 2, 0).numpy(), np.asarray(truck))


def test_other_files_are_left_out(cifar_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "more.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("train/cat/0000.jpg", "train/cat/0000.txt", "train/lion/0000.jpg", "test/cat/1.jpg", "cat/2.jpg"):
            archive.writestr(name, (cifar_folder / "train/cat/0000.jpg").read_bytes())
    assert [label for _, label in jpegs(path, "train")] == [CLASSES.index("cat")]


def test_the_halves_of_the_test_images_share_none_and_calibration_takes_the_first_of_the_second(tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / "test" / name).mkdir(parents=True)
        for number in range(7):
            (tmp_path / "test" / name / f"{number}.jpg").write_bytes(f"{name}{number}".encode())
    assert checking(tmp_path, 2)[:3] == [(b"airplane0", 0), (b"airplane1", 0), (b"automobile0", 1)]
    assert calibrating(tmp_path, 2)[:3] == [(b"airplane4", 0), (b"airplane5", 0), (b"automobile4", 1)]
    assert not {*calibrating(tmp_path, 7)} & {*checking(tmp_path, 7)}
    assert sorted(calibrating(tmp_path, 7) + checking(tmp_path, 7)) == sorted(jpegs(tmp_path, "test"))


def test_a_place_without_images_is_an_error_that_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no train/<class>/\*\.jpg of the classes airplane, "):
        load(tmp_path, "train")


def test_without_data_torchvision_downloads() -> None:
    class Downloaded(CIFAR10):  # type: ignore[misc]
        def __init__(self, root: Path, *, train: bool, download: bool) -> None:
            assert root.is_absolute()
            assert download
            self.data = np.full((2, 32, 32, 3), 7 if train else 9, dtype=np.uint8)
            self.data[..., 1] = 1
            self.targets = [4, 5]

    split = load(None, "test", download=Downloaded)
    assert len(split) == 2
    assert split.images[0, :, 3, 3].tolist() == [9, 1, 9]
    assert split.labels.tolist() == [4, 5]


def test_normalisation_is_by_channel() -> None:
    white = normalised(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).flatten()
    torch.testing.assert_close(
        white, torch.tensor([(1 - 0.4914) / 0.2470, (1 - 0.4822) / 0.2435, (1 - 0.4465) / 0.2616])
    )


def test_a_split_moves_as_a_whole() -> None:
    moved = Split(torch.zeros((1, 3, 2, 2), dtype=torch.uint8), torch.zeros(1)).to(torch.device("meta"))
    assert {moved.images.device.type, moved.labels.device.type} == {"meta"}
