"""The relay between real sockets: what comes out, in which order, and how it ends. Never how fast."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from collabd.simulation.relay import Relay, main
from collabd.simulation.traces import Trace, TraceStep
from tests.patience import PATIENCE_S

HERE = ("127.0.0.1", 0)
CHECKOUT = Path(__file__).parents[3]
FAST = 50e6
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back what comes until it ends, then ends."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def relayed(handler: Handler = echo, **shape: Any) -> AsyncIterator[Relay]:
    server = await asyncio.start_server(handler, *HERE)
    # A relay that forgets a byte would let the test wait for ever.
    relay = Relay(HERE, server.sockets[0].getsockname(), **{"up": FAST} | shape)
    async with asyncio.timeout(PATIENCE_S), server, relay:
        yield relay


async def exchange(relay: Relay, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*relay.address)
    writer.write(data)
    writer.write_eof()
    back = await reader.read()
    writer.close()
    return back


@pytest.mark.parametrize("size", [0, 1, 1460, 1461, 3_000_000])
async def test_every_byte_comes_through_and_so_does_the_end(size: int) -> None:
    data = os.urandom(size)
    async with relayed(rtt_s=0.002) as relay:
        assert await exchange(relay, data) == data


async def test_connections_share_the_link_without_mixing() -> None:
    chunks = [os.urandom(200_000) for _ in range(8)]
    async with relayed() as relay:
        assert await asyncio.gather(*(exchange(relay, chunk) for chunk in chunks)) == chunks


async def test_a_half_closed_connection_still_answers() -> None:
    async def answer_after_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.read()
        writer.write(b"you said " + question)
        writer.close()

    async with relayed(answer_after_the_end) as relay:
        assert await exchange(relay, b"hello") == b"you said hello"


async def test_the_target_may_speak_first_and_hang_up() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")
        writer.close()

    async with relayed(greet) as relay:
        reader, writer = await asyncio.open_connection(*relay.address)
        assert await reader.read() == b"welcome"
        writer.close()


async def test_a_sender_is_held_back_and_memory_stays_bounded() -> None:
    async with relayed(up=1000.0) as relay:
        _, writer = await asyncio.open_connection(*relay.address)
        writer.write(bytes(50_000_000))
        up = relay._directions[0]
        while not up.full:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.001)
        for _ in range(100):
            await asyncio.sleep(0)  # and takes no more
        assert 256 * 1024 <= up.link.queued_bytes < 300_000
        assert writer.transport.get_write_buffer_size() > 0
        writer.transport.abort()


async def test_a_receiver_that_does_not_read_holds_back_only_its_own_sender() -> None:
    release = asyncio.Event()

    async def stubborn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(1) == b"s":
            await release.wait()
        await echo(reader, writer)

    async with relayed(stubborn) as relay:
        _, slow = await asyncio.open_connection(*relay.address)
        slow.write(b"s" + bytes(30_000_000))
        assert await exchange(relay, b"q" + bytes(500_000)) == bytes(500_000)
        assert slow.transport.get_write_buffer_size() > 0
        release.set()
        slow.transport.abort()


async def test_a_target_that_refuses_is_a_reset() -> None:
    with socket.socket() as nobody:
        # Nobody listens at its port, and it is kept: otherwise the relay might get it, and connect to itself for ever.
        nobody.bind(HERE)
        async with Relay(HERE, nobody.getsockname()) as relay:
            with pytest.raises(ConnectionError):
                await exchange(relay, b"anyone?")


async def test_a_target_that_breaks_is_a_reset() -> None:
    read = asyncio.Event()

    async def crash(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"partial")
        await read.wait()
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with relayed(crash) as relay:
        reader, writer = await asyncio.open_connection(*relay.address)
        assert await reader.readexactly(7) == b"partial"
        read.set()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_caller_that_breaks_is_a_reset_for_the_target() -> None:
    broken = asyncio.get_running_loop().create_future()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        try:
            await reader.read()
        except ConnectionError as error:
            broken.set_result(error)
        writer.close()

    async with relayed(watch) as relay:
        reader, writer = await asyncio.open_connection(*relay.address)
        await reader.readexactly(5)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        assert isinstance(await broken, ConnectionResetError)


async def test_reset_breaks_what_is_open_and_nothing_else() -> None:
    async with relayed() as relay:
        reader, writer = await asyncio.open_connection(*relay.address)
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        relay.reset()
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
        assert await exchange(relay, b"again") == b"again"


async def test_a_black_hole_is_silent_until_it_heals() -> None:
    async with relayed(rtt_s=0.002) as relay:
        reader, writer = await asyncio.open_connection(*relay.address)
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        relay.black_hole()
        writer.write(b"pong")
        late = asyncio.create_task(exchange(relay, b"new"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        assert not late.done()
        relay.heal()
        assert await reader.readexactly(4) == b"pong"
        assert await late == b"new"
        writer.close()


async def test_silenced_connections_stay_silent_and_new_ones_work() -> None:
    async with relayed(rtt_s=0.002) as relay:
        reader, writer = await asyncio.open_connection(*relay.address)
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        writer.write(b"under way")
        relay.silence()
        writer.write(b"lost")
        assert await exchange(relay, b"new") == b"new"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        # Whoever gives up tells nobody either: the other side keeps its end.
        writer.close()
        assert await exchange(relay, b"newer") == b"newer"


async def test_a_dead_rate_lives_again_when_it_is_set() -> None:
    async with relayed(up=0.0) as relay:
        waiting = asyncio.create_task(exchange(relay, b"hello"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        relay.set_rate(FAST)
        relay.set_rtt(0.001)
        assert await waiting == b"hello"


async def test_a_trace_shapes_the_link() -> None:
    trace = Trace([TraceStep(0.05, 0, 0.004), TraceStep(0.05, FAST, 0.004)])
    async with relayed(up=trace, down=FAST) as relay:
        assert await exchange(relay, bytes(100_000)) == bytes(100_000)


async def test_closing_leaves_no_connection_and_no_listener() -> None:
    async with relayed() as relay:
        address = relay.address
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"ping")
        await reader.readexactly(4)
        await relay.close()
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)


async def test_it_runs_under_uvloop_too() -> None:
    code = (
        "import asyncio, uvloop, tests.unit.simulation.test_relay as t\n"
        "async def run():\n"
        "    async with t.relayed(rtt_s=0.002) as relay:\n"
        "        assert await t.exchange(relay, b'x' * 500_000) == b'x' * 500_000\n"
        "        relay.reset()\n"
        "uvloop.run(run())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=CHECKOUT)
    assert await process.wait() == 0


async def test_the_command_relays_until_it_is_told_to_stop(tmp_path: Path) -> None:
    trace = tmp_path / "link.csv"
    trace.write_text("duration_ms,bandwidth_kbps,latency_ms\n1000,100000,2\n")
    server = await asyncio.start_server(echo, *HERE)
    to = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    options = ("--listen", "127.0.0.1:0", "--to", to, "--rate-mbit", "80", "--rtt-ms", "1", "--trace", str(trace))
    async with server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "collabd.simulation.relay", *options, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        greeting = (await process.stdout.readline()).decode()
        host, _, port = greeting.removeprefix("listening on ").strip().rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "127.0.0.1"], "not HOST:PORT"),
        (["--to", "127.0.0.1:99999"], "not HOST:PORT"),
        (["--to", ":80"], "not HOST:PORT"),
        (["--rate-mbit", "0"], "--rate-mbit"),
        (["--rate-mbit", "-1"], "--rate-mbit"),
        (["--rtt-ms", "-1"], "--rtt-ms"),
        (["--trace", "/nowhere"], "No such file"),
        (["--trace", __file__], "line 1"),
    ],
)
def test_a_bad_option_is_refused_with_its_reason(options: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", *options])
    assert result.exit_code == 2
    assert message in result.output


async def test_flipped_bytes_come_through_changed_and_all_others_as_they_were() -> None:
    data = os.urandom(300_000)
    async with relayed(seed=3) as relay:
        relay.flip(0.05)
        back = await exchange(relay, data)
        relay.flip(0.0)
        assert await exchange(relay, data) == data
    changed = sum(one != other for one, other in zip(data, back, strict=True))
    # 206 packets each way, a byte in one of twenty.
    assert 0 < changed <= 2 * 206


async def test_a_reply_is_truncated_behind_so_many_bytes_whichever_it_is_on_its_connection() -> None:
    async with relayed() as relay:
        reader, writer = await asyncio.open_connection(*relay.address)
        writer.write(b"whole")
        assert await reader.readexactly(5) == b"whole"
        relay.truncate(7)
        for _ in range(3):
            writer.write(b"short")
            assert await reader.readexactly(5) == b"short"
        writer.write(b"far too long")
        assert await reader.read() == b"far too"
        writer.close()
        relay.truncate(None)
        assert await exchange(relay, b"as long as you like") == b"as long as you like"


async def test_a_truncated_reply_breaks_the_connection_behind_it_too() -> None:
    ended = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readexactly(1)
                writer.write(b"a long reply")
        except (ConnectionError, asyncio.IncompleteReadError):
            ended.set()
            writer.close()

    async with relayed(talk) as relay:
        relay.truncate(3)
        reader, writer = await asyncio.open_connection(*relay.address)
        writer.write(b"?")
        assert await reader.read() == b"a l"
        await ended.wait()
        writer.close()


async def test_new_connections_can_be_led_elsewhere() -> None:
    async def stranger(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"somebody else")
        writer.close()

    other = await asyncio.start_server(stranger, *HERE)
    async with other, relayed() as relay:
        reader, writer = await asyncio.open_connection(*relay.address)
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        relay.redirect(other.sockets[0].getsockname())
        writer.write(b"pong")
        assert await reader.readexactly(4) == b"pong"
        writer.close()
        assert await exchange(relay, b"") == b"somebody else"
