"""What is believed of packages, and kept over restarts."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import msgspec
import pytest

from collabd.catalog.package.manifest import NO_IMAGES, Manifest
from collabd.catalog.package.package import Package
from collabd.device.fidelity.figures import Fidelities, reduced_row
from collabd.device.fidelity.ledger import Crossed, Ledger
from collabd.device.fidelity.row import Row
from collabd.profiling.profile import Machine, Profile
from collabd.simulation import virtual_time
from tests.bf16_stand_in import COUNTED, in_bf16

F16 = Row("pool1", "f16")
CAPS = (0.99,)
OTHER = Machine("another", 4, "1.22.0", "0.1.0")
# As it is stored, but for how many pictures agreed.
ROW = (
    b'{"digest": "sha256:0", "classes": {}, "rows": [{"row": {"cut": "pool1", "codec": "f16"}, "agreed": %b, '
    b'"images": 3, "packaged": 1}]}'
)


@pytest.fixture
def manifest(tiny_package: Package) -> Manifest:
    """That of the tiny network, as if no images had calibrated it."""
    cuts = tuple(
        msgspec.structs.replace(
            cut,
            codecs=tuple(msgspec.structs.replace(each, agreement=each.agreement and NO_IMAGES) for each in cut.codecs),
        )
        for cut in tiny_package.manifest.cuts
    )
    return msgspec.structs.replace(tiny_package.manifest, cuts=cuts)


def learn(ledger: Ledger, manifest: Manifest, share: float, times: int = 1) -> list[Crossed]:
    return [
        crossed
        for seen in range(times)
        for crossed in ledger.take_in("sha256:0", manifest, {F16: share}, decided=seen % 3, caps=CAPS)
    ]


def believed(ledger: Ledger, manifest: Manifest) -> Fidelities:
    return ledger.of("sha256:0", manifest)


def test_what_is_not_counted_is_as_the_package_says(tiny_package: Package) -> None:
    manifest = tiny_package.manifest
    fidelities = Ledger(None).of(tiny_package.digest, manifest)
    for cut in manifest.cuts:
        for figures in cut.codecs:
            assert fidelities.of(cut, figures) == figures.fidelity


def test_a_row_is_allowed_once_and_dropped_once(manifest: Manifest) -> None:
    ledger = Ledger(None)
    (allowed,) = learn(ledger, manifest, 1.0, times=300)
    assert (allowed.least, list(allowed.rows)) == (0.99, [F16])
    assert allowed.rows[F16] >= 0.99
    (dropped,) = learn(ledger, manifest, 0.0, times=10)
    assert dropped.rows[F16] < 0.99
    assert believed(ledger, manifest).promised(F16) < 0.99


def test_beliefs_are_the_same_object_until_there_is_something_to_tell(manifest: Manifest) -> None:
    ledger = Ledger(None)
    learn(ledger, manifest, 1.0, times=2000)
    before = believed(ledger, manifest)
    learn(ledger, manifest, 1.0)
    assert believed(ledger, manifest) is before
    learn(ledger, manifest, 0.0)
    assert believed(ledger, manifest) is not before


def test_what_was_learned_outlives_a_restart(manifest: Manifest, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "fidelity")
    learn(ledger, manifest, 1.0, times=50)
    ledger.save()
    (file,) = (tmp_path / "fidelity").iterdir()
    assert file.stat().st_size < 4096
    again = believed(Ledger(tmp_path / "fidelity"), manifest)
    assert again.promised(F16) == pytest.approx(50 / 51, abs=1e-3)


def test_counts_alone_are_written(manifest: Manifest, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    learn(ledger, manifest, 1.0, times=50)
    ledger.save()
    (file,) = tmp_path.iterdir()
    stored = json.loads(file.read_bytes())
    assert stored.keys() == {"digest", "rows", "classes"}
    assert all(row.keys() == {"row", "agreed", "images", "packaged"} for row in stored["rows"])
    assert all(isinstance(count, float) for count in stored["classes"].values())
    assert file.stat().st_mode & 0o777 == 0o600


def test_it_is_written_now_and_then(manifest: Manifest, tmp_path: Path) -> None:
    async def written_after(seconds: float) -> int:
        loop = asyncio.get_running_loop()
        ledger = Ledger(tmp_path, clock=loop.time)
        learn(ledger, manifest, 1.0)
        await asyncio.sleep(seconds)
        await ledger.save_sometimes()
        return len(list(tmp_path.iterdir()))  # noqa: ASYNC240

    assert virtual_time.run(written_after(10)) == 0
    assert virtual_time.run(written_after(600)) == 1


def ruined(ledger: Path) -> Path:
    (file,) = ledger.iterdir()
    return file


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff" * 9,
        b"x" * 2**21,
        ROW % b"9",  # more agreed than there were
        ROW % b"-9",
        ROW % b"1e999",
    ],
)
def test_a_broken_file_is_named_and_counting_starts_anew(
    manifest: Manifest, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(tmp_path)
    learn(ledger, manifest, 1.0, times=50)
    ledger.save()
    file = ruined(tmp_path)
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        again = Ledger(tmp_path)
        assert believed(again, manifest).promised(F16) == 0.0
    assert str(file) in caplog.text
    learn(again, manifest, 1.0)
    again.save()
    assert believed(Ledger(tmp_path), manifest).promised(F16) == 0.5


def test_a_disk_that_takes_nothing_is_told_and_what_was_learned_is_used(
    manifest: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    ledger = Ledger(tmp_path / "file" / "fidelity")
    learn(ledger, manifest, 1.0, times=50)
    ledger.save()
    assert "what was learned of fidelity" in caplog.text
    assert believed(ledger, manifest).promised(F16) > 0.97


def test_of_many_packages_the_oldest_files_go(manifest: Manifest, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for package in range(130):
        ledger.take_in(f"sha256:{package}", manifest, {F16: 1.0}, decided=None, caps=CAPS)
    ledger.save()
    assert len(list(tmp_path.iterdir())) == 100
    assert Ledger(tmp_path).of("sha256:129", manifest).promised(F16) == 0.5


def test_a_companions_count_of_bf16_is_what_there_is_to_begin_with(
    tmp_path: Path, profile: Profile, manifest: Manifest
) -> None:
    there, other = in_bf16(profile), in_bf16(msgspec.structs.replace(profile, machine=OTHER))
    ledger, row = Ledger(tmp_path), reduced_row(there)
    assert believed(ledger, manifest).of_reduced(there) == 0.0
    found = ledger.of("sha256:0", manifest, [None, profile, there])
    assert found.of_reduced(there) == pytest.approx(COUNTED.fidelity)
    assert found is ledger.of("sha256:0", manifest, [there])
    # What one kind of machines makes of it says nothing of another.
    assert found.of_reduced(other) == 0.0
    for seen in range(40):
        ledger.take_in("sha256:0", manifest, {row: 0.0}, decided=seen % 3, caps=CAPS)
    low = ledger.of("sha256:0", manifest, [there]).of_reduced(there)
    assert low < 0.4
    # A companion that begins anew with its count does not bring back what was seen to be wrong.
    ledger.save()
    again = Ledger(tmp_path)
    believed(again, manifest)
    assert again.of("sha256:0", manifest, [there]).of_reduced(there) == pytest.approx(low)
