"""The daemon's own calls, and what outlives a restart."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import aiohttp
import pytest

from collab_sdk import InvalidPackage, InvalidPlacement, InvalidRequest, UnknownModel
from collabd.catalog.package.package import Package
from tests.integration.device.conftest import Factory, stored_profile
from tests.slowed import slowed


async def test_status(bench: Factory) -> None:
    async with bench() as it:
        await it.client.infer(it.images[0], cut="image")
        status = await it.client.status()
        assert status["ready"]
        assert [model["name"] for model in status["models"]] == ["tiny"]
        assert status["models"][0]["profiled"]
        nothing_else = dict.fromkeys(("failed", "degraded", "failed_over", "budget_missed", "inherited", "checked"), 0)
        assert status["requests"] == {"total": 1, "remote": 1} | nothing_else
        assert status["last"] is not None
        assert status["last"]["cut"] == "image"
        cloud = status["clouds"][0]
        assert (cloud["name"], cloud["state"], cloud["breaker"]) == ("pc", "up", "closed")
        assert cloud["packages"] == [it.package.digest]
        assert cloud["rtt_ms"] is not None
        assert status["device"]["memory_mb"] > 10


async def test_status_tells_the_calls_of_each_stream(bench: Factory) -> None:
    async with bench() as it:
        await it.client.infer(it.images[0], cut="output")
        assert it.package.manifest.cuts[1].head_layers == 2
        for image in it.images[:2]:
            await it.client.infer(image, cut=it.package.manifest.cuts[1].name, codec="q8", stream="gate")
        with pytest.raises(InvalidPlacement):
            await it.client.infer(it.images[0], cut="nowhere", stream="gate")
        gate, rest = (await it.client.status())["streams"]
        assert (gate["model"], gate["stream"], gate["kind"], gate["cloud"]) == ("tiny", "gate", "split", "pc")
        assert (gate["head_layers"], gate["layers"], gate["codec"]) == (2, len(gate["placement"]), "q8")
        assert (gate["calls"], gate["failed"], gate["kinds"]) == (3, 1, {"split": 2})
        assert gate["bytes_up"] > 0
        assert gate["cost"] == pytest.approx(0.02)
        assert gate["fidelity"] is not None
        assert gate["fidelity_pictures"] is not None
        assert 0 < gate["fidelity"] < 1 < gate["fidelity_pictures"]
        assert gate["predicted_ms"] is not None
        assert (rest["stream"], rest["kind"], rest["kinds"]) == ("", "local", {"local": 1})
        assert (rest["head_layers"], rest["fidelity"], rest["fidelity_pictures"]) == (rest["layers"], 1.0, None)


async def test_profile_has_a_row_for_each_cut_and_a_reason_for_each_codec(bench: Factory) -> None:
    async with bench() as it:
        report = await it.client.profile("tiny")
        cuts = [row["cut"] for row in report["rows"]]
        assert cuts == ["output", *(cut.name for cut in it.package.manifest.cuts)]
        verdicts = [codec["verdict"] for row in report["rows"] for codec in row["codecs"].values()]
        assert verdicts.count("chosen") == 1
        (alone,) = report["rows"][0]["codecs"].values()
        assert sum(alone["phases_ms"].values()) == pytest.approx(alone["predicted_ms"])
        for row in report["rows"][1:]:
            for codec in row["codecs"].values():
                # The device may be done before the companion is.
                assert codec["predicted_ms"] is not None
                assert codec["predicted_ms"] <= sum(codec["phases_ms"].values()) * 1.001
                assert codec["phases_ms"]["up"] > 0
        assert report["whole_ms"] is not None
        assert report["whole_ms"] > 0
        free = await it.client.profile("tiny", 0)
        remote = [codec["verdict"] for row in free["rows"][1:] for codec in row["codecs"].values()]
        assert set(remote) <= {"over-cost", "below-fidelity"}
        assert "over-cost" in remote


async def test_explain_names_a_reason_for_every_candidate(bench: Factory) -> None:
    # A companion that was not asked for a while may be tried where no plan fits, and is then "explored".
    async with bench("[planning]\nexplore_share = 0\n", **slowed(200)) as it:
        assert (await it.client.explain())["decisions"] == []
        await it.client.infer(it.images[0], 0)
        await it.client.infer(it.images[0], "1us")
        await it.client.infer(it.images[0], cut="image")
        fixed, infeasible, free = (await it.client.explain(10))["decisions"]
        assert (fixed["reason"], fixed["candidates"]) == ("fixed", [])
        verdicts = [candidate["verdict"] for candidate in infeasible["candidates"]]
        assert verdicts.count("nearest") == 1
        assert {"nearest", "over-latency", "impossible"} <= set(verdicts)
        assert infeasible["budget"] == "0.001ms"
        chosen = next(candidate for candidate in free["candidates"] if candidate["verdict"] == "chosen")
        assert (chosen["cut"], chosen["cloud"]) == ("output", None)
        assert "over-cost" in {candidate["verdict"] for candidate in free["candidates"]}
        with pytest.raises(InvalidRequest, match="last must be a number from 1 to 100"):
            await it.client.explain(1000)


async def test_layers_match_the_letters_of_a_placement(bench: Factory) -> None:
    async with bench(cloud=False) as it:
        report = await it.client.layers("tiny")
        result = await it.client.infer(it.images[0])
        assert len(report["layers"]) == len(result.plan.placement)
        assert any(layer["candidate"] for layer in report["layers"])


async def test_config(bench: Factory, tmp_path: Path) -> None:
    async with bench("[planning]\nmin_fidelity = 0.9\n", cloud=False) as it:
        report = await it.client.config()
        assert report["file"] == str(tmp_path / "collabd.toml")
        assert report["settings"]["planning.min_fidelity"] == {"value": 0.9, "origin": report["file"]}
        assert report["settings"]["link.memory"]["origin"] == "default"


async def test_models_are_added_and_removed(bench: Factory, tmp_path: Path, other_package: Package) -> None:
    async with bench(cloud=False) as it:
        added = await it.client.load_model(other_package.path)
        assert added["name"] == "other"
        assert (await it.client.infer(it.images[0], model="other")).model == "other"
        with pytest.raises(InvalidRequest, match="name a model: other, tiny are loaded"):
            await it.client.infer(it.images[0])
        await it.client.unload_model("other")
        assert [model["name"] for model in await it.client.models()] == ["tiny"]
        with pytest.raises(UnknownModel):
            await it.client.unload_model("other")


async def test_a_broken_package_is_refused_and_the_old_one_stays(
    bench: Factory, tmp_path: Path, tiny_package: Package
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_package.path, broken)
    (broken / "model.onnx").write_bytes(b"nothing of the kind")
    async with bench(cloud=False) as it:
        with pytest.raises(InvalidPackage, match="digest"):
            await it.client.load_model(broken)
        assert (await it.client.infer(it.images[0])).digest == tiny_package.digest


async def test_a_profile_outlives_a_restart(bench: Factory) -> None:
    async with bench(cloud=False) as it:
        before = (await asyncio.to_thread(stored_profile, it.profiles)).stat().st_mtime_ns
        first = await it.client.profile("tiny")
    async with bench(cloud=False) as it:
        assert stored_profile(it.profiles).stat().st_mtime_ns == before
        assert (await it.client.profile("tiny"))["whole_ms"] == first["whole_ms"]


async def test_metrics(bench: Factory, tmp_path: Path) -> None:
    async with bench(cloud=False) as it:
        await it.client.infer(it.images[0])
        connector = aiohttp.UnixConnector(str(tmp_path / "collabd.sock"))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://d/metrics") as reply,
        ):
            text = await reply.text()
        assert 'collabd_answers_total{codec="none",model="tiny",where="device"} 1.0' in text
