"""Which requests may be joined into a batch."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk.errors import InvalidTensor
from collabd.catalog.package.package import Package
from collabd.cloud.call.work import RequestLimits, work_of
from collabd.cloud.models.model import CloudModel

LIMITS = RequestLimits(batch=8, decoded_bytes=2**30)


@pytest.fixture
def model(tiny_package: Package) -> CloudModel:
    return CloudModel(tiny_package, tiny_package.networks())


def asking(model: CloudModel, *names: str, rows: int = 1) -> wire.InferRequest:
    """For the answer, from zeros for these tensors."""
    infos = [model.tensor(name) for name in names]
    zeros = [np.zeros([rows if size is None else size for size in info.shape], info.dtype) for info in infos]
    return wire.InferRequest([wire.Tensor.from_array(*pair) for pair in zip(names, zeros, strict=True)])


def test_work_joins_at_the_image_and_at_candidate_cuts_alone(model: CloudModel) -> None:
    candidates = {cut.tensors for cut in model.manifest.cuts}
    boundaries = {layer.tensors for layer in model.manifest.layers[:-1]} | {model.manifest.input_names}
    assert candidates < boundaries
    for tensors in boundaries:
        work = work_of(asking(model, *tensors), model, LIMITS)
        assert (work.group is not None) is (tensors in candidates)


def test_a_package_for_one_image_joins_nothing(tiny_package: Package) -> None:
    single = replace(tiny_package, manifest=msgspec.structs.replace(tiny_package.manifest, dynamic_batch=False))
    assert not CloudModel(single, tiny_package.networks()).joinable


def test_no_more_images_run_together_than_their_work_allows(model: CloudModel) -> None:
    assert model.most_rows > LIMITS.batch
    work = work_of(asking(model, "image", rows=8), model, LIMITS)
    assert (work.rows, work.most_rows) == (8, model.most_rows)
    model.most_rows = 3
    with pytest.raises(InvalidTensor, match="a batch of 8 is above the limit of 3"):
        work_of(asking(model, "image", rows=8), model, LIMITS)


def test_work_in_other_precisions_never_runs_together(int8_package: Package) -> None:
    model = CloudModel(int8_package, int8_package.networks())
    for cut in model.manifest.cuts:
        fp32, int8 = (
            work_of(replace(asking(model, *cut.tensors), parameters={"precision": each}), model, LIMITS)
            for each in ("fp32", "int8")
        )
        assert (fp32.key, int8.key) == tuple(model.keys.values())
        assert None not in {fp32.group, int8.group}
        assert fp32.group != int8.group
