"""One exchange over HTTP, with servers that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from collab_sdk import wire
from collab_sdk.vocabulary import BreakerState
from collabd.config import FailoverSettings
from collabd.device.companions.answers import Question
from collabd.device.companions.connection import Address, CompanionConnection, Dialler
from collabd.device.companions.connections import Connections
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.device.companions.http_exchange import HttpExchange
from collabd.http.replies import NoReply
from tests.device_parts import companion_at
from tests.patience import PATIENCE_S
from tests.peers import Serve, listening

QUESTION = Question(
    model="net",
    digest="sha256:0",
    inputs=[],
    outputs=["scores"],
    bytes_down=12,
    read=lambda found: {each.name: each.to_array() for each in found},
)


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[str]:
    """A TCP server's address; it is cut off at the end, whatever it does."""
    async with listening(serve) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def pool() -> AsyncIterator[Connections]:
    async with Connections(Dialler()) as pool:
        yield pool


async def asked(reader: asyncio.StreamReader) -> bytes:
    """The body of the next request."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.decode().splitlines() if line.lower().startswith("content-length")]
    return await reader.readexactly(int(lengths[0].split()[1]) if lengths else 0)


def reply(body: bytes, request: bytes, **headers: str) -> bytes:
    sums = {wire.CHECKSUM: wire.checksum(body), wire.REQUEST_CHECKSUM: wire.checksum(request)}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in (sums | headers).items()]
    return (
        f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n".encode() + "\r\n".join([*lines, "", ""]).encode() + body
    )


async def failure(http: HttpExchange, **options: object) -> CompanionFailure:
    with pytest.raises(CompanionFailure) as raised:
        await http.call("POST", "/", **{"data": [b"question"]} | options)  # type: ignore[arg-type]
    return raised.value


async def test_a_connection_that_was_closed_meanwhile_is_replaced(pool: Connections) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(reply(b"answer", await asked(reader)))
        # The second request on a connection gets no answer: the companion was just about to close it.
        await asked(reader)

    async with served(serve) as url:
        http = HttpExchange("pc", url, pool)
        for _ in range(3):
            assert (await http.call("POST", "/", data=[b"question"])).body == b"answer"
    assert connections == 3


async def test_who_never_answers_is_not_asked_for_ever(pool: Connections) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await asked(reader)

    async with served(serve) as url:
        assert (await failure(HttpExchange("pc", url, pool))).reason is FailureReason.UNREACHABLE
    assert connections == 2


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (0, "before an answer came"),
        (20, "before an answer came"),
        (-3, "in the middle of an answer"),
    ],
)
async def test_an_answer_that_breaks_off_is_said_in_words(pool: Connections, cut: int, said: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b"answer", await asked(reader))[:cut])
        await writer.drain()

    async with served(serve) as url:
        found = await failure(HttpExchange("pc", url, pool))
        assert found.reason is FailureReason.UNREACHABLE
        assert str(found) == f"pc at {url}: the connection was closed {said}"


async def test_a_connection_that_is_closed_before_it_is_used_gives_no_reply() -> None:
    async with served(lambda *_: asyncio.sleep(0)) as url:
        connection = await Dialler()(Address("127.0.0.1", int(url.rpartition(":")[2])))
        async with asyncio.timeout(PATIENCE_S):
            while connection.is_open:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            with pytest.raises(NoReply):
                await connection.ask(b"GET / HTTP/1.1\r\n\r\n", (), 10)


async def test_a_large_body_is_not_sent_on_after_it_was_refused(pool: Connections) -> None:
    came = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        await reader.readuntil(b"\r\n\r\n")
        body = b"{}"
        head = f"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n{wire.CHECKSUM}: {wire.checksum(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        while chunk := await reader.read(2**16):
            came += len(chunk)
            await asyncio.sleep(0.01)

    async with served(serve) as url:
        assert (await HttpExchange("pc", url, pool).call("PUT", "/", data=[bytes(2**26)])).status == 413
    assert came < 2**25


async def test_of_a_large_body_it_is_told_how_much_has_gone(pool: Connections) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b"{}", await asked(reader)))
        await writer.drain()

    body, told = [bytes(3_000_000), bytes(7)], list[int]()
    async with served(serve) as url:
        await HttpExchange("pc", url, pool).call("PUT", "/", data=body, sent=told.append)
    assert told == sorted(told)
    assert (len(told), told[-1]) == (4, 3_000_007)


async def test_an_address_where_nobody_listens(pool: Connections) -> None:
    async with served(lambda *_: asyncio.sleep(0)) as url:
        pass
    assert (await failure(HttpExchange("pc", url, pool))).reason is FailureReason.DEAD


@pytest.mark.parametrize("stated", [True, False])
async def test_a_reply_without_end_is_cut_off(pool: Connections, stated: bool) -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await asked(reader)
        length = "Content-Length: 10000000000" if stated else "Connection: close"
        writer.write(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode())
        while True:
            writer.write(bytes(2**16))
            await writer.drain()
            sent += 2**16

    async with served(serve) as url:
        found = await failure(HttpExchange("pc", url, pool), most_bytes=100_000)
    assert found.reason is FailureReason.NONSENSE
    assert "more than 100000 bytes" in str(found)
    assert sent < 50e6


async def test_a_reply_that_trickles_is_given_up(pool: Connections) -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n.")
        await reader.read()
        closed.set()

    async with served(serve) as url:
        assert (await failure(HttpExchange("pc", url, pool), timeout_s=0.1)).reason is FailureReason.LATE
        async with asyncio.timeout(PATIENCE_S):
            await closed.wait()


BODY = b"answer"
DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "another body": lambda request: reply(BODY, request).replace(b"answer", b"answes"),
    "no checksum": lambda request: reply(BODY, request).replace(b"Collab-Checksum", b"Collab-Checksun"),
    "the answer to another request": lambda _: reply(BODY, b"another question"),
    "no word of the request": lambda request: reply(BODY, request).replace(b"Collab-Request", b"Collab-Requesu"),
    "compressed on the way": lambda request: reply(BODY, request, Content_Encoding="gzip"),
}


@pytest.mark.parametrize("kind", DAMAGED)
async def test_what_is_damaged_is_no_answer_and_ends_the_connection(pool: Connections, kind: str) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        damaged = DAMAGED[kind] if connections == 1 else lambda request: reply(BODY, request)
        while True:
            writer.write(damaged(await asked(reader)))

    async with served(serve) as url:
        http = HttpExchange("pc", url, pool)
        if kind == "compressed on the way":
            # Nothing is unpacked, so nothing can be a bomb.
            assert (await http.call("POST", "/", data=[b"question"])).body == BODY
            return
        assert (await failure(http)).reason is FailureReason.CORRUPT
        assert (await http.call("POST", "/", data=[b"question"])).body == BODY
    assert connections == 2


@pytest.mark.parametrize(
    ("status", "more", "reason", "retry_after_s"),
    [
        ("500 Internal Server Error", "", FailureReason.UNREACHABLE, 0.0),  # Ray Serve, of a replica that is gone
        ("503 Service Unavailable", "", FailureReason.UNREACHABLE, 0.0),
        ("502 Bad Gateway", "", FailureReason.UNREACHABLE, 0.0),
        ("504 Gateway Time-out", "", FailureReason.UNREACHABLE, 0.0),
        ("429 Too Many Requests", "Retry-After: 7\r\n", FailureReason.BUSY, 7.0),
        ("404 Not Found", "", FailureReason.REFUSED, 0.0),
        ("413 Payload Too Large", "", FailureReason.REFUSED, 0.0),
    ],
)
async def test_what_a_balancer_refuses_is_neither_damaged_nor_the_companions_word(
    pool: Connections, status: str, more: str, reason: FailureReason, retry_after_s: float
) -> None:
    """As HAProxy says it. A companion's own 404 would make the device send the package."""
    page = b"<html><body><h1>No server is available to handle this request.</h1></body></html>\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        head = f"HTTP/1.1 {status}\r\n{more}cache-control: no-cache\r\ncontent-type: text/html\r\n"
        writer.write(f"{head}content-length: {len(page)}\r\n\r\n".encode() + page)

    async with served(serve) as url:
        found = await failure(HttpExchange("pc", url, pool))
    assert (found.reason, found.retry_after_s) == (reason, retry_after_s)
    assert str(found) == f"a server on the way to pc answered with status {status[:3]}"


async def test_a_question_that_became_no_http_on_the_way_was_damaged(pool: Connections) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")

    async with served(serve) as url:
        assert (await failure(HttpExchange("pc", url, pool))).reason is FailureReason.CORRUPT


async def test_a_reply_that_comes_twice_answers_once(pool: Connections) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await asked(reader):
            writer.write(2 * reply(b"answer to " + request, request))

    async with served(serve) as url:
        http = HttpExchange("pc", url, pool)
        for question in (b"one", b"two", b"three", b"four"):
            try:
                found = await http.call("POST", "/", data=[question])
            except CompanionFailure as error:
                assert error.reason is FailureReason.CORRUPT  # noqa: PT017
            else:
                assert found.body == b"answer to " + question


async def test_the_breaker_takes_what_is_in_flight_with_it(pool: Connections) -> None:
    """Two calls count as failed; the third call does not have to find the failure by itself."""
    arrived = asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await asked(reader)
        arrived.release()
        await asyncio.Event().wait()

    async with served(serve) as url:
        companion = companion_at(url, pool, FailoverSettings(breaker_failures=2))
        calls = [asyncio.create_task(companion.infer(QUESTION)) for _ in range(3)]
        for _ in calls:
            await arrived.acquire()
        for call in calls[:2]:
            companion.note_late("it did not come", 10, 1.0, late=True, lost=True)
            call.cancel()
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(CompanionFailure) as ended:
                await calls[2]
        assert ended.value.reason is FailureReason.ABANDONED
        assert companion.breaker.state(asyncio.get_running_loop().time()) is BreakerState.OPEN
        await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize("first", ["call", "ping"])
async def test_a_ping_beside_a_call_says_nothing_of_the_link(pool: Connections, first: str) -> None:
    """It may have waited behind what the call sends."""
    pings = asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = await asked(reader)
            if not body.startswith(b"{"):
                pings.release()
                await asyncio.sleep(0.05)
                writer.write(reply(b'{"load": 0.1, "slowdown": 1}', body))

    async with served(serve) as url:
        companion = companion_at(url, pool)
        await companion.ping(0)  # sets up the connection
        await pings.acquire()
        call = asyncio.create_task(companion.infer(QUESTION)) if first == "call" else None
        await asyncio.sleep(0)
        assert companion.is_asked == (first == "call")
        ping = asyncio.create_task(companion.ping(1000))
        await pings.acquire()
        call = call or asyncio.create_task(companion.infer(QUESTION))
        await ping
        assert companion.link.read(0.0).age_s is None
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await companion.ping(1000)
        assert companion.link.read(0.0).age_s is not None


FAULTS = [RuntimeError("Session is closed"), ValueError("a bug"), MemoryError(), asyncio.CancelledError()]


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
async def test_whatever_goes_wrong_is_a_failure_of_the_companion(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def connect(_: Address) -> CompanionConnection:
        raise error

    async with Connections(connect) as broken:
        companion = companion_at("http://pc", broken, FailoverSettings(breaker_failures=2))
        companion.reached = True
        for _ in range(2):
            with pytest.raises(CompanionFailure, match="asking pc failed") as raised:
                await companion.infer(QUESTION)
            assert raised.value.reason is FailureReason.FAULT
        assert not companion.is_up()
    # Each with its trace, once.
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error] * 2


async def test_who_calls_an_exchange_off_does_not_blame_the_companion(pool: Connections) -> None:
    arrived = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await asked(reader)
        arrived.set()
        await asyncio.Event().wait()

    async with served(serve) as url:
        companion = companion_at(url, pool, FailoverSettings(breaker_failures=1))
        companion.reached = True
        call = asyncio.create_task(companion.infer(QUESTION))
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert companion.is_up()
        assert companion.problem is None
