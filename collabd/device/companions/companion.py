"""One companion: how the device calls it, and what the device learns from each exchange about it and the link."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass

from collab_sdk import wire
from collab_sdk.vocabulary import BreakerState, Precision
from collabd.attention import Attention
from collabd.clock import MONOTONIC, Clock
from collabd.config import CloudSettings, FailoverSettings, LinkSettings
from collabd.device.companions.answers import Health, Question, RemoteAnswer, again_s_of, answer_of, health_of
from collabd.device.companions.breaker import Breaker
from collabd.device.companions.dates import clock_off_s
from collabd.device.companions.exchange import SLACK_BYTES, CompanionExchange, CompanionReply
from collabd.device.companions.failures import CompanionFailure, FailureReason, refusal
from collabd.device.companions.in_flight import InFlight
from collabd.device.companions.overhead import HEADER_BYTES
from collabd.device.companions.pause import Pause
from collabd.planning import CloudState
from collabd.planning.cost import exchange_cost
from collabd.profiling.profile import Profile
from collabd.sensing.estimates.speed import Speed, SpeedFactor
from collabd.sensing.link.estimate import LinkEstimate, LinkReading
from collabd.sensing.link.probe import HEADER_BYTES as PROBE_HEADER_BYTES
from collabd.sensing.link.probe import IDLE_S
from collabd.sensing.link.round_trip import RoundTrip
from collabd.sensing.link.split import split
from collabd.sensing.reading import NotMeasured

log = logging.getLogger(__name__)

# How long one request waited for others at the companion predicts how long the next will wait. The newest wait
# counts for half of the estimate. Without new waits the estimate fades: after 2 s it is at 37 %.
_QUEUE_MEMORY = 0.5
_QUEUE_FADES_S = 2.0
# A ping may take 20 times as long as usual, but at least 1 s, and at most 10 s or 3 times as long as usual.
_PING_TIMES, _PING_LEAST_TIMES = 20.0, 3.0
_PING_FLOOR_S, _ANSWER_S = 1.0, 10.0
# How often the watcher looks after the companion, and how often once nobody has called for `IDLE_S`.
_ROUND_S, _IDLE_ROUND_S = 0.5, 10.0
# How long the device leaves a busy companion alone if the companion does not say for how long.
_BUSY_S = 1.0
# A companion may ask for so long a pause between two pings at most.
_SPARES_S = 60.0
# An answer that no call needs any more keeps its connection for so long at most.
_UNNEEDED_S = 10.0


@dataclass(frozen=True)
class Lack:
    """Why a companion does not serve a package of this device.

    `why`: a predicate, to be read behind the companion's name ("refused the package"). `until`: when the device asks
    again, by the companion's clock, in seconds; 0 as long as something is done about it.
    """

    why: str
    until: float = 0.0


_NOT_YET = Lack("has not said yet whether it holds the package")


class Companion:
    """The companion that `cloud` configures. The device asks it through `exchange`."""

    def __init__(
        self,
        cloud: CloudSettings,
        link: LinkSettings,
        failover: FailoverSettings,
        *,
        exchange: CompanionExchange,
        clock: Clock = MONOTONIC,
        pause: Pause | None = None,
    ) -> None:
        self.cloud = cloud
        self.name = cloud.name
        self.exchange = exchange
        self.clock = clock
        self.link = LinkEstimate(link.memory)
        self._factor = SpeedFactor()
        self.breaker = Breaker(failures=failover.breaker_failures, open_s=failover.breaker_open_s)
        # False until its first ping has been answered.
        self.reached = False
        self.load: float | None = None
        # By how many seconds its clock is ahead of this machine's; None: it has not said.
        self.clock_off_s: float | None = None
        # Where it was found; None: it is asked at the address that is configured.
        self.found_at: str | None = None
        # The last failure, in words.
        self.problem: str | None = None
        # Goes up with each event that may make other plans better: pings, failures, answers that did not come.
        self.events = 0
        # Paid by each plan that considers this companion. While nobody calls, the watcher need not measure the link.
        self.attention = Attention(busy_s=_ROUND_S, idle_s=_IDLE_ROUND_S, quiet_s=IDLE_S, clock=clock)
        # When the device last sent a call to this companion.
        self._asked_at = -math.inf
        self._slowdown = 1.0
        self._round_trip = RoundTrip()
        self._queue = (0.0, clock())
        # By digest: the profiles of the packages that the companion holds.
        self.profiles: dict[str, Profile] = {}
        # By digest: why the companion does not serve the device's other packages.
        self.lacks: dict[str, Lack] = {}
        self._in_flight = InFlight(cloud.name)
        # The answers that no call waits for any more. Only this refers to them.
        self._unneeded: set[asyncio.Task[RemoteAnswer]] = set()
        self._busy_until = clock()
        self._ping_from = clock()
        self._pause = pause or Pause()

    @property
    def breaker_state(self) -> BreakerState:
        """The state of the breaker now."""
        return self.breaker.state(self.clock())

    @property
    def link_now(self) -> LinkReading:
        """The estimate of the link to the companion now."""
        return self.link.read(self.clock())

    @property
    def url(self) -> str:
        """Where the device asks the companion now."""
        return self.found_at or self.cloud.url

    def moved(self, found_at: str | None) -> None:
        """From now on it is asked at this URL (None: at the one that is configured)."""
        self.found_at = found_at
        self.exchange.leave()
        self.events += 1

    def is_up(self) -> bool:
        """Whether the device may send calls to the companion."""
        return self.reached and self.breaker.opened_at is None

    def awaits(self, digest: str) -> bool:
        """Whether it is up and may serve the package `digest` soon."""
        return self.is_up() and digest not in self.profiles and self.lacks.get(digest, _NOT_YET).until == 0

    def why_not(self, digest: str) -> str:
        """Why the device sends the companion no calls for the package `digest` now."""
        if not self.is_up():
            return f"{self.name} is down: {self.problem}" if self.problem else f"{self.name} has not answered yet"
        if self.is_busy:
            return f"{self.name} is busy"
        return f"{self.name} {self.lacks.get(digest, _NOT_YET).why}"

    @property
    def is_busy(self) -> bool:
        """Whether the companion said that it is busy, and the time that it asked for is not over."""
        return self.clock() < self._busy_until

    @property
    def wants_no_ping(self) -> bool:
        """Whether the companion asked to be left alone by calls, or by pings, and that time is not over."""
        return self.is_busy or self.clock() < self._ping_from

    @property
    def queue_s(self) -> float:
        """How long a request may wait in the companion's queue, in seconds."""
        seconds, since = self._queue
        return seconds * math.exp(-(self.clock() - since) / _QUEUE_FADES_S)

    @property
    def is_asked(self) -> bool:
        """Whether a call is being answered there now, or is on its way."""
        return bool(self._in_flight.exchanges)

    def state_for(self, digest: str) -> CloudState:
        """What planning needs to know of the companion, for calls of the package `digest`."""
        now = self.clock()
        reading, speed = self.link.read(now), self._speed(now)
        return CloudState(
            name=self.name,
            up=self.is_up() and digest in self.profiles and not self.is_busy,
            busy=self.is_busy,
            rtt_s=reading.rtt_s,
            up_s_per_byte=reading.up_s_per_byte,
            down_s_per_byte=reading.down_s_per_byte,
            link_spread=reading.spread,
            speed=speed.value,
            speed_spread=speed.spread,
            queue_s=self.queue_s,
            price_per_gb=self.cloud.price_per_gb,
            price_per_second=self.cloud.price_per_second,
            price_per_request=self.cloud.price_per_request,
            unasked_s=now - self._asked_at,
        )

    def cost(self, moved_bytes: int, compute_s: float) -> float:
        """The price of an exchange that moved `moved_bytes` bytes and ran for `compute_s` seconds."""
        return exchange_cost(self.cloud, moved_bytes=float(moved_bytes), run_s=compute_s, requests=1.0)

    def air_s(self, link_s: float) -> float:
        """How long the bytes of an exchange were moving, in seconds: its time on the link less one round trip."""
        return max(link_s - self.link_now.rtt_s, 0.0)

    async def infer(self, question: Question) -> RemoteAnswer:
        """Ask the companion, and tell the breaker how that ended.

        Raises `CompanionFailure` for every error, also for a programming error on the device.
        """
        try:
            return await self._asked(question)
        except CompanionFailure as failure:
            # It is kept by the task of the exchange. What led to it refers to that task and to the request, so that
            # only the garbage collector would free them.
            failure.__context__ = None
            raise failure.with_traceback(None) from None

    async def _asked(self, question: Question) -> RemoteAnswer:
        self._asked_at = self.clock()
        try:
            answer = await self._exchange(question)
        except CompanionFailure as failure:
            self.note_failure(failure)
            raise
        except asyncio.CancelledError as error:
            if _is_called_off():
                raise
            raise self._fault(error) from error
        except Exception as error:
            raise self._fault(error) from error
        self._queue = _QUEUE_MEMORY * self.queue_s + (1 - _QUEUE_MEMORY) * answer.others_s, self.clock()
        self.breaker.succeeded()
        self._pause.answered()
        return answer

    async def ping(self, size: int) -> None:
        """Send `size` bytes of padding, to see that the companion is there and to time the link.

        What shares the link with a call says nothing of it: a few bytes may wait behind megabytes. Raises
        `CompanionFailure`.
        """
        patience_s = self._ping_patience_s(size)
        # As many calls must have begun when it ends. None: one is under way already.
        begun = None if self.is_asked else self._in_flight.begun
        self.events += 1
        try:
            reply = await self.exchange.call("POST", "/collab/v1/ping", data=[bytes(size)], timeout_s=patience_s)
        except CompanionFailure as failure:
            if failure.reason is not FailureReason.LATE or not size:
                raise
            # The link is too slow now for so much padding. That is no failure: pings without padding still find out
            # whether the companion is there.
            if self._in_flight.begun == begun:
                self.link.learn_late(up_bytes=size, seconds=patience_s, now=self.clock())
            return
        if reply.status != 200:
            raise refusal(reply.status, reply.body, reply.headers)
        self.clock_off_s = clock_off_s(reply.headers.get("Date"), time.time())
        try:
            said = wire.decode_json(reply.body)
            self._note_health(health_of(said))
            self._ping_from = self.clock() + min(again_s_of(said), _SPARES_S)
        except (KeyError, ValueError) as error:
            raise CompanionFailure(
                FailureReason.NONSENSE, f"{self.name} answered a ping with nonsense: {error}"
            ) from error
        # The first exchange also sets up the connection, so its time is not that of the link.
        if self.reached and self._in_flight.begun == begun:
            if not size:
                self._round_trip.pinged(reply.seconds, reply.round_trip_s)
            self._learn_link(reply, size, reply.seconds, header_bytes=PROBE_HEADER_BYTES)
        self.reached = True
        self.events += 1

    def _ping_patience_s(self, size: int) -> float:
        """How long to wait for a ping, in seconds: short on a fast link, so that a lost ping is noticed soon.

        Examples: 1 s where a round trip takes 5 ms; 39 s for 16 kB over 10 kbit/s, which take 13 s.
        """
        reading = self.link.read(self.clock())
        if reading.age_s is None:
            return _ANSWER_S
        usual_s = reading.rtt_s + (size + HEADER_BYTES) * reading.up_s_per_byte
        return min(max(_PING_TIMES * usual_s, _PING_FLOOR_S), max(_PING_LEAST_TIMES * usual_s, _ANSWER_S))

    @property
    def needs_pings(self) -> bool:
        """Whether only pings can measure the round trip to the companion."""
        return self._round_trip.needs_pings

    @property
    def slowness(self) -> float:
        """How many times longer than in its profile a run takes there now."""
        return self._speed(self.clock()).value

    def learn_speed(self, digest: str, *, measured_s: float, profiled_s: float, precision: Precision) -> None:
        """Learn from one run of this package, which took `measured_s` seconds, and `profiled_s` in the profile."""
        profile = self.profiles.get(digest)
        self._factor.learn(
            measured_s=measured_s,
            profiled_s=profiled_s,
            whole_s=profile.whole_s(precision) if profile is not None and precision in profile.precisions else 0.0,
            now=self.clock(),
            expected=self._slowdown,
        )

    def note_failure(self, failure: CompanionFailure) -> None:
        """Note a failure. The breaker counts it, unless the companion is alive and may not be at fault.

        When the breaker opens, every exchange in flight to the companion fails at once.
        """
        now = self.clock()
        if failure.reason is FailureReason.ABANDONED:
            return  # the failure that ended this exchange has been counted already
        self.events += 1
        self.problem = str(failure)
        match failure.reason:
            case FailureReason.BUSY:
                self._busy_until = now + self._pause.after_refusal(failure.retry_after_s or _BUSY_S)
                return
            case FailureReason.UNKNOWN_PACKAGE:
                self.profiles.clear()  # the companion restarted without its packages, so ask again which ones it holds
                return
            case FailureReason.NOT_FINITE:
                return
            case FailureReason.OTHER_PACKAGE:
                self.profiles.clear()
                self.breaker.failed(now)
            case FailureReason.DEAD:
                self.breaker.trip(now)
            case _:
                self.breaker.failed(now)
        if self.breaker.state(now) is BreakerState.OPEN:
            self.exchange.leave()
            self._in_flight.end()

    def give_up(self, error: Exception) -> None:
        """Count the companion as down from now on: its watcher has failed, so nobody would notice a recovery."""
        why = f"watching it failed, so collabd does not use it until its settings change or collabd restarts: {error!r}"
        self.breaker.trip(self.clock())
        self.note_failure(CompanionFailure(FailureReason.FAULT, why))

    def _fault(self, error: BaseException) -> CompanionFailure:
        """Turn an unexpected error into a failure, which the call survives. The journal gets the traceback."""
        log.error("asking %s failed for an unexpected reason; collabd goes on without it", self.name, exc_info=error)
        failure = CompanionFailure(FailureReason.FAULT, f"asking {self.name} failed: {error!r}")
        self.exchange.leave()
        self.note_failure(failure)
        return failure

    def note_late(self, why: str, sent_bytes: int, link_s: float, *, late: bool, lost: bool) -> None:
        """Note that the device stopped waiting for an answer.

        `link_s`: how long it had waited, less the time of the tail, in seconds. The link estimate learns that the link
        is slower than expected. If the answer is `late`, its connection may be dead, and so may the other idle ones:
        all are left behind. Only an answer that is as good as `lost` counts as a failure.
        """
        self.events += 1
        self.link.learn_late(up_bytes=sent_bytes, seconds=link_s, now=self.clock())
        if late:
            self.exchange.leave()
        if lost:
            self.note_failure(CompanionFailure(FailureReason.LATE, why))

    def let_go(self, answer: asyncio.Task[RemoteAnswer], sent_bytes: int, waited_s: float) -> None:
        """No call needs this answer any more, for which `sent_bytes` bytes are on their way since `waited_s` seconds.

        To call it off closes its connection, and a new one costs a round trip. So that is done only if it frees the
        link for longer. Otherwise the exchange ends as any other, and teaches what it can; only nobody waits for it.
        None of this is the companion's fault.
        """
        reading = self.link_now
        if sent_bytes * reading.up_s_per_byte - waited_s > reading.rtt_s:
            answer.cancel()
            return
        self._unneeded.add(answer)
        asyncio.get_running_loop().call_later(_UNNEEDED_S, answer.cancel)
        answer.add_done_callback(self._forget)

    def _forget(self, answer: asyncio.Task[RemoteAnswer]) -> None:
        self._unneeded.discard(answer)
        if not answer.cancelled():
            answer.exception()  # asyncio would log one that nobody looks at

    async def _exchange(self, question: Question) -> RemoteAnswer:
        message = question.message()
        path, most_bytes = f"/v2/models/{question.model}/infer", question.bytes_down + SLACK_BYTES
        with self._in_flight.exchange():
            reply = await self.exchange.call(
                "POST",
                path,
                data=message.chunks,
                headers=message.headers,
                most_bytes=most_bytes,
                sent=question.sent,
            )
        if reply.status != 200:
            failure = refusal(reply.status, reply.body, reply.headers)
            if failure.reason is FailureReason.REFUSED and question.precision.is_reduced:
                self._no_longer_reduces(question.digest)
            raise failure
        answer = answer_of(question, reply, message.length)
        if answer.precision != question.precision:
            self._no_longer_reduces(question.digest)
        self._note_health(answer.health)
        self._learn_link(reply, message.length, answer.link_s)
        return answer

    def _no_longer_reduces(self, digest: str) -> None:
        """It does not compute the package in bf16, as its profile says. A new profile may say so again."""
        if (profile := self.profiles.get(digest)) is not None:
            log.info("%s no longer computes a package in bf16: %s", self.name, digest)
            self.profiles[digest] = profile.without_bf16
            self.events += 1

    def _speed(self, now: float) -> Speed:
        return self._factor.read(now, self._slowdown)

    def _learn_link(self, reply: CompanionReply, body_bytes: int, link_s: float, *, header_bytes: int = 0) -> None:
        now, round_trip = self.clock(), self._round_trip.of(reply.round_trip_s)
        if not isinstance(round_trip, NotMeasured):
            self.link.learn_rtt(round_trip)
        transfer = split(
            link_s,
            body_bytes=body_bytes,
            header_bytes=header_bytes,
            down_bytes=len(reply.body) + HEADER_BYTES,
            receive_s=reply.receive_s,
            round_trip_s=round_trip,
            known=self.link.read(now),
        )
        self.link.learn(transfer, now)

    def _note_health(self, health: Health) -> None:
        self.load, self._slowdown = health.load, health.slowdown


def _is_called_off() -> bool:
    """Whether this task itself was cancelled, and not only something that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
