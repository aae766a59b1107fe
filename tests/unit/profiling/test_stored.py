from __future__ import annotations

import logging
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.profiling import machine, stored
from collabd.profiling.profile import CodecTimes, CutTimes, Machine, Profile

HERE = Machine(cpu="Raspberry Pi 4", cores=4, onnxruntime="1.22.0", collabd="0.1.0")
DIGEST = "sha256:" + "a" * 64
PROFILE = Profile(
    digest=DIGEST,
    machine=HERE,
    threads=4,
    prep_ms=1.5,
    whole_ms=80.0,
    spread=1.2,
    cuts=(CutTimes("image", 0.0, 80.0, (CodecTimes("jpeg", 0.5, 0.25),)),),
)
replace = msgspec.structs.replace


def load(directory: Path, digest: str = DIGEST, here: Machine = HERE, threads: int = 4) -> Profile | None:
    return stored.load(digest, here, threads=threads, directory=directory)


def only_file(directory: Path) -> Path:
    (path,) = directory.iterdir()
    return path


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    stored.save(PROFILE, tmp_path / "profiles", threads=4)
    assert load(tmp_path / "profiles") == PROFILE


def test_nothing_saved_is_no_profile_and_no_complaint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load(tmp_path / "absent") is None
    assert caplog.records == []


def test_saving_again_replaces(tmp_path: Path) -> None:
    stored.save(PROFILE, tmp_path, threads=4)
    newer = replace(PROFILE, whole_ms=70.0)
    stored.save(newer, tmp_path, threads=4)
    assert load(tmp_path) == newer
    only_file(tmp_path)


def test_where_the_fastest_number_of_threads_was_asked_for_the_profile_tells_it(tmp_path: Path) -> None:
    stored.save(PROFILE, tmp_path, threads=0)
    assert load(tmp_path, threads=0) == PROFILE
    assert load(tmp_path, threads=4) is None


@pytest.mark.parametrize(
    "other",
    [
        replace(PROFILE, digest="sha256:" + "b" * 64),
        replace(PROFILE, threads=2),
        *(replace(PROFILE, machine=replace(HERE, **{field: value})) for field, value in [
            ("cpu", "Raspberry Pi 5"), ("cores", 2), ("onnxruntime", "1.23.0"), ("collabd", "0.2.0"),
        ]),
    ],
)  # fmt: skip
def test_another_package_or_machine_has_its_own(tmp_path: Path, other: Profile) -> None:
    stored.save(PROFILE, tmp_path, threads=4)
    assert load(tmp_path, other.digest, other.machine, other.threads) is None
    stored.save(other, tmp_path, threads=other.threads)
    assert load(tmp_path, other.digest, other.machine, other.threads) == other
    assert load(tmp_path) == PROFILE


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"digest": 5}', b"\xff\x00"])
def test_a_corrupt_file_is_not_there_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    stored.save(PROFILE, tmp_path, threads=4)
    path = only_file(tmp_path)
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert load(tmp_path) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(path) in caplog.text
    stored.save(PROFILE, tmp_path, threads=4)
    assert load(tmp_path) == PROFILE


def test_a_file_of_another_machine_is_not_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stored.save(PROFILE, tmp_path, threads=4)
    only_file(tmp_path).write_bytes(msgspec.json.encode(replace(PROFILE, threads=1)))
    assert load(tmp_path) is None
    assert "of another machine" in caplog.text


@contextmanager
def files_of_at_most(nbytes: int) -> Iterator[None]:
    """What this process writes beyond that fails, as on a full disk."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


def test_a_failed_save_leaves_the_older_one(tmp_path: Path) -> None:
    stored.save(PROFILE, tmp_path, threads=4)
    with files_of_at_most(16), pytest.raises(OSError, match="File too large"):
        stored.save(replace(PROFILE, whole_ms=1.0), tmp_path, threads=4)
    assert load(tmp_path) == PROFILE
    only_file(tmp_path)


PI = "processor\t: 0\nBogoMIPS\t: 108.00\n\nRevision\t: c03114\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
PC = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some CPU @ 2.00GHz\n\nprocessor\t: 1\nmodel name\t: Some CPU\n"


@pytest.mark.parametrize(("cpuinfo", "cpu"), [(PI, "Raspberry Pi 4 Model B Rev 1.4"), (PC, "Some CPU @ 2.00GHz")])
def test_the_machine_is_named_by_the_kernel(tmp_path: Path, cpuinfo: str, cpu: str) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert machine.describe(tmp_path).cpu == cpu


@pytest.mark.parametrize("cpuinfo", [None, "", "Model\t:\n", "garbage"])
def test_a_machine_without_name_is_its_architecture(tmp_path: Path, cpuinfo: str | None) -> None:
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert machine.describe(tmp_path).cpu in {"x86_64", "aarch64", "arm64"}


@given(text=st.text())
def test_any_cpuinfo_is_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    proc = tmp_path_factory.mktemp("proc")
    (proc / "cpuinfo").write_text(text, encoding="utf-8")
    assert machine.describe(proc).cpu


def test_the_newest_are_kept_and_nothing_half_written(tmp_path: Path) -> None:
    for number in range(stored._KEPT):
        path = tmp_path / f"{number}.json"
        path.touch()
        os.utime(path, (number, number))
    abandoned = tmp_path / ".new-abc"
    abandoned.touch()
    os.utime(abandoned, (1, 1))
    (tmp_path / ".new-other").touch()  # of another process, which is at it
    stored.save(PROFILE, tmp_path, threads=4)
    names = {path.name for path in tmp_path.iterdir()}
    assert len(names) == stored._KEPT + 1
    assert not names & {"0.json", ".new-abc"}
    assert {"1.json", ".new-other"} <= names
    assert load(tmp_path) == PROFILE
