"""`collabctl simulate` over the tiny package, a trace and a profile in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from collabd.catalog.package.package import Package
from collabd.ctl.__main__ import main
from collabd.ctl.simulate import KINDS, POLICIES
from collabd.profiling.profile import CodecTimes, CutTimes, Machine, Profile
from collabd.simulation import compare, kinds

TRACE = [
    {"duration_ms": 4000, "bandwidth_kbps": 8000, "latency_ms": 20},
    {"duration_ms": 3000, "bandwidth_kbps": 20, "latency_ms": 20},
]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(TRACE))
    return path


@pytest.fixture
def profile(tmp_path: Path, tiny_package: Package) -> Path:
    cuts = tuple(
        CutTimes(cut.name, 10.0, 10.0, tuple(CodecTimes(figures.codec, 0.1, 0.1) for figures in cut.codecs))
        for cut in tiny_package.manifest.cuts
    )
    path = tmp_path / "profile.json"
    path.write_bytes(msgspec.json.encode(Profile("x", Machine("none", 1, "0", "0"), 1, 0.1, 20.0, 1.0, cuts)))
    return path


def simulate(package: Package, trace: Path, profile: Path, *more: str) -> Any:
    common = ["simulate", "--model", str(package.path), "--trace", str(trace), "--profile", str(profile)]
    return CliRunner().invoke(main, [*common, "--min-fidelity", "0", *more])


def test_json_has_every_policy(tiny_package: Package, trace: Path, profile: Path) -> None:
    result = simulate(tiny_package, trace, profile, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["requests"] == 28  # one round of the trace
    assert list(report["policies"]) == [name for name in POLICIES if name != "local_int8"]
    for one in report["policies"].values():
        assert 0 < one["p50_ms"] <= one["p95_ms"]
        assert one["mean_ms"] > 0
        assert one["energy_mj"] > 0
        assert one["bytes"] >= 0
    assert report["policies"]["oracle"]["vs_oracle"] == 1.0
    assert report["policies"]["local"]["local"] == 28


def test_the_same_seed_prints_the_same(tiny_package: Package, trace: Path, profile: Path) -> None:
    first, second, other = (simulate(tiny_package, trace, profile, "--seed", seed).output for seed in ("5", "5", "6"))
    assert first == second != other


def test_only_the_policies_asked_for(tiny_package: Package, trace: Path, profile: Path) -> None:
    result = simulate(tiny_package, trace, profile, "--policy", "local", "--policy", "collabd", "--requests", "5")
    assert "collabd" in result.output
    assert "neurosurgeon" not in result.output


def test_settings_are_the_daemons(tiny_package: Package, trace: Path, profile: Path, tmp_path: Path) -> None:
    config = tmp_path / "collabd.toml"
    config.write_text("[failover]\nhedge_price = 0.0\n[planning]\nexplore_share = 0.0\n")
    always, usual = (
        json.loads(simulate(tiny_package, trace, profile, "--policy", "collabd", "--json", *more).stdout)
        for more in (("--config", str(config)), ())
    )
    ours = always["policies"]["collabd"]
    # The device starts every tail at once.
    assert ours["hedged"] == 28 - ours["local"]
    assert ours["hedged"] > usual["policies"]["collabd"]["hedged"]


def test_it_draws(tiny_package: Package, trace: Path, profile: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    result = simulate(tiny_package, trace, profile, "--plot", str(picture))
    assert result.exit_code == 0, result.output
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_pictures_tell_what_fidelity_is_realised(
    tiny_package: Package,
    profile: Path,
    tmp_path: Path,
    tiny_images: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    (folder := tmp_path / "pictures").mkdir()
    for index, image in enumerate(tiny_images):
        Image.fromarray(image).save(folder / f"{index}.png")
    arguments = ["simulate", "--model", str(tiny_package.path), "--mbit-s", "5", "--profile", str(profile)]
    more = ["--requests", "20", "--policy", "local", "--policy", "remote_jpeg", "--pictures", str(folder)]
    report = json.loads(CliRunner().invoke(main, [*arguments, *more, "--parked", "0.5", "--json"]).stdout)
    assert (report["trace"], report["pictures"], report["distinct"]) == ("5 Mbit/s", "pictures", 60)
    local, jpeg = (report["policies"][name]["realised"] for name in ("local", "remote_jpeg"))
    assert local == {"mean": 1, "least": 1}
    assert 0 < jpeg["least"] <= jpeg["mean"] < 1
    shown = CliRunner().invoke(main, [*arguments, *more]).output
    assert "100 % (100 %)" in shown


def test_the_link_is_a_trace_or_steady(tiny_package: Package, trace: Path, profile: Path) -> None:
    both = simulate(tiny_package, trace, profile, "--mbit-s", "5")
    assert both.exit_code == 2
    assert "give --trace or --mbit-s" in both.output


def test_what_cannot_be_used_is_one_line(tiny_package: Package, trace: Path, profile: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("[]")
    unknown = tmp_path / "unknown.toml"
    unknown.write_text("[failover]\npatience = 1.5\n")
    dead = tmp_path / "dead.csv"
    dead.write_text("duration_ms,bandwidth_kbps\n1000,0\n")
    for result, said in (
        (simulate(tiny_package, broken, profile), "not a list"),
        (simulate(tiny_package, dead, profile), "lets nothing through"),
        (simulate(tiny_package, trace, broken), "is not a profile"),
        (simulate(tiny_package, trace, profile, "--config", str(unknown)), "failover.patience: unknown key"),
        (simulate(tiny_package, trace, profile, "--plot", str(tmp_path / "x.unknown")), "x.unknown"),
        (simulate(tiny_package, trace, broken, "--plot", str(tmp_path / "none/x.png")), "no directory"),
    ):
        assert result.exit_code == 1
        assert said in result.output
        assert len(result.output.splitlines()) == 1


def test_every_policy_is_explained() -> None:
    assert tuple(POLICIES) == compare.POLICIES


def test_every_kind_is_explained() -> None:
    assert [*KINDS] == [*kinds.KINDS]
