"""What the caller is told at once is what the daemon keeps of the call."""

from __future__ import annotations

from typing import Any

import pytest

from collab_sdk.errors import CompanionUnavailable
from collab_sdk.result import encode_result
from collabd.device.call.outcomes import EndedCall, Outcomes
from tests.integration.device.conftest import Factory

# A plan of its own, a fixed cut with a codec that loses something, the unchanged file, caps that nothing keeps, and a
# placement that is no candidate.
WISHES: list[dict[str, Any]] = [
    {},
    {"cut": "image", "codec": "jpeg", "budget": "50%"},
    {"cut": "relu1", "codec": "q8"},
    {"budget": "0.001ms,0.001mJ"},
    {"placement": "DCDC"},
]


@pytest.mark.parametrize("fails", [False, True])
async def test_responses_say_what_results_say(bench: Factory, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    ended: list[EndedCall] = []
    add = Outcomes.add

    def noted(outcomes: Outcomes, call: EndedCall) -> None:
        ended.append(call)
        add(outcomes, call)

    monkeypatch.setattr(Outcomes, "add", noted)
    async with bench() as it:
        layers = it.package.manifest.layers
        if fails:
            await it.stop_cloud()
        for wish in WISHES:
            asked = dict(wish)
            if asked.get("cut") == "relu1":
                asked["cut"] = layers[0].name
            if "placement" in asked:
                asked["placement"] = ("DC" * len(layers))[: len(layers)]
            try:
                await it.client.infer(it.images[0], **asked)
            except CompanionUnavailable:
                assert fails
    assert len(ended) == len(WISHES)
    assert any(call.answer.result().unmet for call in ended)
    assert any(call.answer.result().degraded for call in ended) == fails
    for call in ended:
        result = call.answer.result()
        kept, told = encode_result(result, "7"), call.answer.response(result.answer.on_wire(), "7")
        assert (told.model_name, told.id, told.parameters) == (kept.model_name, kept.id, kept.parameters)
