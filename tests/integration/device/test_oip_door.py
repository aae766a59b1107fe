"""The Open Inference Protocol through a door over TCP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from aiohttp import ClientSession
from aiohttp.test_utils import unused_port

from collab_sdk import wire
from collab_sdk.image import image_tensor
from collabd.keys.tokens import line, new_token
from tests.integration.device.conftest import Factory


def door(**settings: str) -> tuple[str, str]:
    """The settings of a door, and where it will be."""
    listen = f"127.0.0.1:{unused_port()}"
    lines = [f"{name} = {value!r}\n" for name, value in {"kind": "oip", "listen": listen, **settings}.items()]
    return f"[[doors]]\n{''.join(lines)}", f"http://{listen}"


async def test_a_call_over_tcp_gets_the_same_answer(bench: Factory, tiny_images: list[np.ndarray]) -> None:
    settings, url = door()
    async with bench(settings) as it, ClientSession() as session:
        message = wire.encode_request(
            wire.InferRequest([image_tensor(tiny_images[0])], parameters={"binary_data_output": True})
        )
        path = f"{url}/v2/models/tiny/infer"
        for _ in range(2):
            async with session.post(path, data=message.body(), headers=message.headers) as reply:
                assert reply.status == 200
                answer = wire.decode_response(await reply.read(), wire.header_length(reply.headers))
            np.testing.assert_allclose(answer.outputs[0].to_array()[0], it.reference(tiny_images[0]), atol=2e-3)
        (report,) = await it.client.doors()
        assert (report["kind"], report["address"], report["calls"], report["failed"]) == ("oip", url, 2, 0)


async def test_a_door_with_keys_refuses_others_and_counts_nothing_for_them(
    bench: Factory, tmp_path: Path, tiny_images: list[np.ndarray]
) -> None:
    token = new_token()
    tokens = tmp_path / "door.tokens"
    tokens.write_text(line("frigate", token))
    tokens.chmod(0o400)
    settings, url = door(token_file=str(tokens))
    message = wire.encode_request(wire.InferRequest([image_tensor(tiny_images[0])]))
    presented = {"": 401, f"Bearer {new_token()}": 401, token: 401, f"Bearer {token}": 200}
    async with bench(settings) as it, ClientSession() as session:
        async with session.get(f"{url}/v2/health/live") as reply:
            assert reply.status == 200
        for authorization, status in presented.items():
            headers = {**message.headers, "Authorization": authorization}
            async with session.post(f"{url}/v2/models/tiny/infer", data=message.body(), headers=headers) as reply:
                assert reply.status == status, await reply.text()
        (report,) = await it.client.doors()
        assert (report["calls"], report["failed"]) == (1, 0)
