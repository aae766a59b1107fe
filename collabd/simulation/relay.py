"""A TCP relay that makes the connection between two processes behave like a radio link: its rate, delay and faults.

All connections share one queue for each direction, as they would share a modem. Rates count the bytes that TCP carries
and leave out the headers. A new connection waits for one round trip, the time that its handshake would take.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import click

from collabd.simulation.damage import Damage
from collabd.simulation.pipe import Direction, End
from collabd.simulation.traces import Trace, TraceError, load

Address = tuple[str, int]
Rate = float | Trace

# 1 Gbit/s in bytes/s. Two processes on one machine do not notice this limit.
UNSHAPED = 125_000_000.0


class Relay:
    """Listens, and forwards every connection to the target over a shaped link. Use it as an async context manager.

    `up` is the rate towards the target, `down` the rate back (None: the same as `up`). A rate is a number of bytes/s,
    or a Trace that begins when the relay starts. `rtt_s` is the round trip in seconds, half of it each way (None: the
    round trip of the trace, or 0 if it states none). `seed` seeds the random changes that `flip` makes.
    """

    def __init__(
        self,
        listen: Address,
        to: Address,
        *,
        up: Rate = UNSHAPED,
        down: Rate | None = None,
        rtt_s: float | None = None,
        seed: int = 0,
    ) -> None:
        self._random = Random(seed)  # noqa: S311
        self._listen = listen
        self._to = to
        self._rates = _rates(up, down)
        self._delay_s = None if rtt_s is None else rtt_s / 2
        self._directions: tuple[Direction, ...] = ()
        self._connecting: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    @property
    def address(self) -> Address:
        """The address that the relay listens on. If port 0 was asked for, this has the real port."""
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def __aenter__(self) -> Self:
        self._directions = tuple(Direction(rate, self._delay_s, Damage(self._random)) for rate in self._rates)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: End(self._directions[0], self._accepted), *self._listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening and reset every connection."""
        self._server.close()
        self.reset()
        for direction in self._directions:
            direction.close()
        await self._server.wait_closed()

    def set_rate(self, up: Rate, down: Rate | None = None) -> None:
        """Set new rates from now on, given as in the constructor. A trace begins now."""
        now = asyncio.get_running_loop().time()
        for direction, rate in zip(self._directions, _rates(up, down), strict=True):
            direction.link.set_rate(now, rate)
            direction.schedule()

    def set_rtt(self, rtt_s: float | None) -> None:
        """Set the round-trip time of the bytes that are sent from now on."""
        for direction in self._directions:
            direction.link.set_delay(None if rtt_s is None else rtt_s / 2)

    def black_hole(self) -> None:
        """Let nothing through until `heal`, and tell neither side. New connections still seem to work."""
        for direction in self._directions:
            direction.link.stop(asyncio.get_running_loop().time())
            direction.schedule()

    def heal(self) -> None:
        """End a black hole. The waiting bytes go through, because TCP would send them again."""
        for direction in self._directions:
            direction.link.resume(asyncio.get_running_loop().time())
            direction.schedule()

    def flip(self, share: float) -> None:
        """From now on change one byte in this share of all packets, in both directions, in headers and bodies alike."""
        for direction in self._directions:
            direction.damage.flip_share = share

    def truncate(self, after: int | None) -> None:
        """From now on end each reply, and its connection, after this many bytes. None: end no reply."""
        self._directions[1].damage.cut_after = after

    def redirect(self, to: Address) -> None:
        """Forward new connections to another target."""
        self._to = to

    def silence(self) -> None:
        """Lose every connection and tell neither side, as a NAT does that has forgotten them. New connections work."""
        for direction in self._directions:
            for end in direction.sources:
                end.silence()

    def reset(self) -> None:
        """Break every connection. New connections work."""
        for task in self._connecting:
            task.cancel()
        for direction in self._directions:
            for end in tuple(direction.sources):
                end.reset()

    def _accepted(self, near: End) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(near))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, near: End) -> None:
        loop = asyncio.get_running_loop()
        opened_s = loop.time() + sum(direction.link.delay(loop.time()) for direction in self._directions)
        try:
            _, far = await loop.create_connection(lambda: End(self._directions[1], lambda _: None), *self._to)
        except OSError:
            near.reset()
            return
        await asyncio.sleep(opened_s - loop.time())
        near.join(far)
        far.join(near)


def _rates(up: Rate, down: Rate | None) -> tuple[Trace, Trace]:
    up_trace = up if isinstance(up, Trace) else Trace.constant(up)
    return up_trace, up_trace if down is None else down if isinstance(down, Trace) else Trace.constant(down)


def _address(_ctx: click.Context, _param: click.Parameter, value: str) -> Address:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise click.BadParameter(f"{value!r} is not HOST:PORT, for example 127.0.0.1:8000")
    return host.strip("[]"), int(port)


def _trace(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Trace | None:
    try:
        return None if value is None else load(value)
    except (TraceError, OSError) as error:
        raise click.BadParameter(f"{value}: {error}") from None


@click.command()
@click.option(
    "--listen",
    callback=_address,
    required=True,
    help="The address that the device connects to; port 0 takes any free port.",
)
@click.option("--to", callback=_address, required=True, help="The address that the companion listens on.")
@click.option("--rate-mbit", type=click.FloatRange(0, min_open=True), help="Rate of each direction, in Mbit/s.")
@click.option("--rtt-ms", type=click.FloatRange(0), help="Round-trip time in ms (default: from the trace, else 0).")
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    callback=_trace,
    help="A file with the rate over time: mahimahi, .json or .csv. "
    "With --rate-mbit, the file gives only the rate towards --to.",
)
def main(*, listen: Address, to: Address, rate_mbit: float | None, rtt_ms: float | None, trace: Trace | None) -> None:
    """Relay TCP over a link of the given rate and distance, until interrupted."""
    rate = None if rate_mbit is None else rate_mbit * 125_000
    relay = Relay(listen, to, up=trace or rate or UNSHAPED, down=rate, rtt_s=None if rtt_ms is None else rtt_ms / 1000)
    asyncio.run(_serve(relay))


async def _serve(relay: Relay) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with relay:
        click.echo("listening on {}:{}".format(*relay.address))
        await stop.wait()


if __name__ == "__main__":
    main()
