"""What collabd takes for granted of aiohttp's inside holds for the version that is installed, and is used in one place.

Where this fails after an upgrade of aiohttp, the message names what changed.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import collabd
from collabd.http import aiohttp_privates
from collabd.http.aiohttp_privates import Answer, HttpRunner, HttpServer, ServedConnection, end_body
from collabd.http.server import ConnectionLimits, ConnectionServer
from tests.patience import PATIENCE_S

MODULE = "collabd/http/aiohttp_privates.py"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def changed(what: str, version: str = aiohttp.__version__) -> str:
    return f"aiohttp {version} no longer has {what}: adapt {MODULE}"


def lacking(owner: object, *names: str) -> list[str]:
    """A message for each of the names that an object of aiohttp does not have."""
    kind = owner if isinstance(owner, type) else type(owner)
    return [changed(f"{kind.__name__}.{name}") for name in names if not hasattr(owner, name)]


def parameters_lacking(function: Callable[..., Any], *names: str) -> list[str]:
    """The same for the parameters of a function."""
    known = inspect.signature(function).parameters
    return [changed(f"the parameter {name} of {function.__qualname__}") for name in names if name not in known]


class TestTheNamesAreThere:
    def test_those_of_a_connection(self) -> None:
        ours = ("_waiter", "_messages", "force_close", "connection_made", "data_received")
        assert not lacking(web.RequestHandler, *ours, "pause_writing", "resume_writing", "handle_error")
        kept_open = ("_process_keepalive", "_next_keepalive_close_time", "_keepalive_timeout", "_loop")
        assert not lacking(web.RequestHandler, *kept_open, "connection_lost", "shutdown")
        assert not parameters_lacking(web.RequestHandler.handle_error, "request", "status", "exc", "message")

    def test_those_of_a_server(self) -> None:
        assert not lacking(web.Server, "__call__", "connection_made", "connections")
        assert not parameters_lacking(web.Server.__init__, "handler", "request_factory", "handler_cancellation")
        assert not parameters_lacking(web.Server.connection_made, "handler", "transport")

    async def test_those_of_a_server_once_it_is_made(self) -> None:
        assert not lacking(web.Server(serve), "request_handler", "request_factory")

    def test_those_of_a_runner(self) -> None:
        assert not lacking(web.AppRunner, "_make_server", "server")
        assert inspect.iscoroutinefunction(web.AppRunner._make_server), changed("a coroutine AppRunner._make_server")

    def test_those_of_a_body(self) -> None:
        assert not lacking(aiohttp.StreamReader, "feed_eof", "exception")

    async def test_the_settings_of_a_connection_are_all_understood(self) -> None:
        try:
            ConnectionServer(serve, web.Server(serve), limits=ConnectionLimits(), plain_answer=None)()
        except TypeError as error:
            raise AssertionError(changed(f"all settings of a RequestHandler ({error})")) from error


def test_what_is_lacking_is_said_clearly() -> None:
    class Changed:
        def start(self) -> None:
            pass

    expected = f"aiohttp {aiohttp.__version__} no longer has Changed._waiter: adapt {MODULE}"
    assert lacking(Changed, "start", "_waiter") == [expected]
    assert parameters_lacking(Changed.start, "connection")[0].startswith(
        f"aiohttp {aiohttp.__version__} no longer has the parameter connection of "
    )


async def serve(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="here")


class Watched(HttpServer):
    """Notes its connections."""

    def __init__(self, answer: Answer, inside: web.Server) -> None:
        super().__init__(answer, inside)
        self.noted: list[ServedConnection] = []

    def new_connection(self) -> ServedConnection:
        return ServedConnection(self, loop=asyncio.get_running_loop(), access_log=None)  # type: ignore[arg-type]

    def connected(self, connection: web.RequestHandler) -> None:
        assert connection in self.connections, changed("Server.connections before Server.connection_made returns")
        assert isinstance(connection, ServedConnection)
        self.noted.append(connection)


@dataclass
class House:
    """A server of which a request takes until `free`."""

    path: Path
    server: Watched
    free: asyncio.Event
    started: list[str] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        for _ in range(int(PATIENCE_S / 0.01)):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(changed(what))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with built(tmp_path / "sock") as it:
        yield it


@asynccontextmanager
async def built(path: Path) -> AsyncIterator[House]:
    free, cancelled, started = asyncio.Event(), asyncio.Event(), []

    async def slow(_: web.Request) -> web.Response:
        try:
            await free.wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return web.Response(text="here")

    async def on_startup(_: web.Application) -> None:
        started.append("the application")

    app = web.Application()
    app.add_routes([web.get("/", slow)])
    app.on_startup.append(on_startup)
    runner = HttpRunner(app, Watched, shutdown_timeout=1.0)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    assert isinstance(runner.server, Watched), changed("AppRunner._make_server, which makes the server of a runner")
    try:
        yield House(path, runner.server, free, started, cancelled)
    finally:
        free.set()
        await runner.cleanup()


class TestTheyMeanWhatTheyMeant:
    async def test_the_application_is_started_by_the_server_that_we_replace(self, house: House) -> None:
        assert house.started == ["the application"], changed("start-up of the application in AppRunner._make_server")

    async def test_a_connection_says_when_it_waits_and_what_is_ahead(self, house: House) -> None:
        waiter = "RequestHandler._waiter, set while no request is there"
        messages = "RequestHandler._messages, the requests that wait"
        reader, writer = await asyncio.open_unix_connection(house.path)
        await house.until(lambda: len(house.server.noted) == 1, "Server.connection_made for each connection")
        (connection,) = house.server.noted
        await house.until(lambda: connection.waits_for_request, waiter)
        assert connection.requests_ahead == 0, changed(messages)
        writer.write(GET * 3)
        await house.until(lambda: not connection.waits_for_request, waiter)
        await house.until(lambda: connection.requests_ahead == 2, messages)
        house.free.set()
        for _ in range(3):
            assert b"200 OK" in await reader.readuntil(b"here")
        await house.until(lambda: connection.waits_for_request, waiter)
        assert connection.requests_ahead == 0, changed(messages)
        writer.close()

    async def test_what_a_peer_that_hung_up_asked_for_is_dropped(self, house: House) -> None:
        _, writer = await asyncio.open_unix_connection(house.path)
        writer.write(GET)
        await house.until(lambda: any(not each.waits_for_request for each in house.server.noted), "a request")
        writer.close()
        await house.until(house.cancelled.is_set, "handler_cancellation of a Server")

    async def test_a_body_that_was_ended_is_at_its_end(self) -> None:
        from aiohttp.test_utils import make_mocked_request

        stream = aiohttp.StreamReader(aiohttp.base_protocol.BaseProtocol(asyncio.get_running_loop()), 2**16)
        request = make_mocked_request("POST", "/", payload=stream)
        end_body(request)
        assert stream.at_eof(), changed("StreamReader.feed_eof, after which a body is at its end")


# Of aiohttp's objects, without an underscore and yet in no documentation.
UNDOCUMENTED = frozenset({"output_size", "request_handler", "request_factory", "feed_eof", "feed_data", "writer"})
OUR_BASES = frozenset(name for name, each in vars(aiohttp_privates).items() if isinstance(each, type))


def uses(source: str) -> Iterator[str]:
    """The private names of aiohttp that a module seems to use, with their lines."""
    tree = ast.parse(source)
    if "aiohttp" not in source:
        return
    bases = {*OUR_BASES, "web", "aiohttp"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(_root(base) in bases for base in node.bases):
            bases.add(node.name)
            yield from _inherited(node)
        elif isinstance(node, ast.Attribute) and _is_foreign(node):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def _is_foreign(node: ast.Attribute) -> bool:
    """Whether this is a private part of another object."""
    return _root(node.value) not in {"self", "cls"} and (_is_private(node.attr) or node.attr in UNDOCUMENTED)


def _inherited(kind: ast.ClassDef) -> Iterator[str]:
    """What a class uses or overrides that it must have from its base."""
    own = {name for node in ast.walk(kind) for name in _assigned(node)}
    for node in ast.walk(kind):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name in THEIRS:
                yield f"line {node.lineno}: {kind.name}.{name} overrides"
            case ast.Attribute(value=ast.Name(id="self"), attr=name) if name in THEIRS or (
                _is_private(name) and name not in own
            ):
                yield f"line {node.lineno}: self.{name}"


def _assigned(node: ast.AST) -> Iterable[str]:
    """Names that a class gives itself: attributes of self that it sets, methods, slots."""
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
            return [name]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.Constant(value=str(name)):
            return [name]
    return []


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _root(node: ast.AST) -> str:
    """`a` of `a.b.c`; empty where it begins with something else."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


# All private names of the classes that ours inherit from, those set on instances too.
THEIRS = frozenset(
    name
    for kind in (web.RequestHandler, web.Server, web.AppRunner, web.Application)
    for each in kind.__mro__[:-1]
    for node in ast.walk(ast.parse(inspect.getsource(inspect.getmodule(each) or aiohttp)))
    for name in _assigned(node)
    if _is_private(name)
)


def test_no_other_module_uses_them() -> None:
    root = Path(collabd.__file__).parent
    found = {
        str(path.relative_to(root.parent)): used
        for path in root.rglob("*.py")
        if str(path.relative_to(root.parent)) != MODULE and (used := list(uses(path.read_text())))
    }
    assert found == {}


@pytest.mark.parametrize(
    "sin",
    [
        "def f(request):\n    return request.writer.output_size",
        "def f(server):\n    server.request_handler = None",
        "def f(app):\n    return app._make_handler()",
        "def f(request):\n    request.content.feed_eof()",
        "class C(web.RequestHandler):\n    def idle(self):\n        return self._waiter is None",
        "class C(HttpServer):\n    def __call__(self):\n        return self._kwargs",
        "class C(web.AppRunner):\n    async def _make_server(self):\n        pass",
        "class C(web.Server):\n    pass\nclass D(C):\n    def f(self):\n        self._connections = {}",
    ],
)
def test_a_module_that_does_is_found(sin: str) -> None:
    assert list(uses(f"from aiohttp import web\n{sin}\n"))


def test_names_of_ones_own_are_not_meant() -> None:
    source = "class C(web.Server):\n    def f(self):\n        self._ours = self._hers = 1\n        return self._ours\n"
    assert not list(uses(f"from aiohttp import web\n{source}"))
