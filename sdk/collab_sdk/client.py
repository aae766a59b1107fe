"""The client of collabd, for threads."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from collab_sdk import wire
from collab_sdk._caller_time import CallerTime
from collab_sdk._full_size import Size, make_full_size
from collab_sdk._newest import Frame, Newest, NewestCalls, check_in_flight
from collab_sdk._reading import OF_CLASSES
from collab_sdk._shared_memory import LEAST_BYTES, Regions
from collab_sdk._template import Template, TensorsTemplate, model_url, template_of, terms_of
from collab_sdk._waiting import add_frame, add_resending, add_waiting
from collab_sdk.answers import Legend, Rgb
from collab_sdk.budget import Budget
from collab_sdk.channels import Channels, channels_of
from collab_sdk.clock import WaitingClock
from collab_sdk.control import ControlClient
from collab_sdk.errors import ProtocolError, UnknownRegion
from collab_sdk.image import Image, Tensors, as_sent, bytes_of, tensors_of
from collab_sdk.result import ReceivedAnswer, Result, decode_result
from collab_sdk.text import plain
from collab_sdk.transport import OK, DaemonReply, Transport
from collab_sdk.unix import UnixTransport
from collab_sdk.vocabulary import Fallback, OnInfeasible
from collab_sdk.wire import WireError, decode_error

__all__ = ["Client", "InferOptions"]

# Number of packages whose legend the client keeps: an application uses a few, and sometimes replaces one.
_REMEMBERED = 64


class InferOptions(TypedDict, total=False):
    """The keyword arguments of `Client.infer`; see there for their meaning."""

    channels: Channels | str | None
    model: str | None
    cut: str | None
    placement: str | None
    codec: str | None
    precision: str | None
    pin_first: int | None
    pin_last: int | None
    fallback: Fallback | str | None
    on_infeasible: OnInfeasible | str | None
    raw: bool
    stream: str | None
    timeout_s: float | None


class Client(ControlClient):
    """Talks to collabd: `infer`, and all that `ControlClient` does, with the same arguments and errors.

    ``channels``: what image arrays hold, unless `infer` says otherwise. `InvalidTensor`: there are no such channels.
    """

    def __init__(
        self,
        socket: str | os.PathLike[str] | None = None,
        timeout_s: float = 60,
        *,
        channels: Channels | str = Channels.RGB,
        transport: Transport | None = None,
        clock: WaitingClock = time,
    ) -> None:
        super().__init__(socket, timeout_s, transport=transport, clock=clock)
        self._channels = channels_of(channels)
        self._legends: dict[str, Legend] = {}
        self._caller_time = CallerTime()
        # Only the daemon behind a socket shares memory with its callers.
        self._regions = Regions(self._transport) if isinstance(self._transport, UnixTransport) else None

    def close(self) -> None:
        """Close the kept connections, and give shared memory back."""
        if self._regions:
            self._regions.close()
        super().close()

    def infer(
        self,
        image: Image | Tensors,
        budget: Budget | str | float | None = None,
        *,
        channels: Channels | str | None = None,
        model: str | None = None,
        cut: str | None = None,
        placement: str | None = None,
        codec: str | None = None,
        precision: str | None = None,
        pin_first: int | None = None,
        pin_last: int | None = None,
        fallback: Fallback | str | None = None,
        on_infeasible: OnInfeasible | str | None = None,
        raw: bool = False,
        stream: str | None = None,
        timeout_s: float | None = None,
    ) -> Result:
        """Answer one image, or the inputs of a network of the task "tensors", within a budget.

        ``image``: a path, an encoded file's bytes, a PIL image or a uint8 array. collabd turns files and PIL images
        upright as their EXIF data says. Or the inputs as arrays by name: ``{"left": array, "right": array}``.
        ``channels``: what an array holds; None: what the client was made with. "rgb", "bgr" (OpenCV, and RGB888 of
        picamera2): [height, width, 3]; "rgbx", "bgrx" (XBGR8888 and XRGB8888 of picamera2; collabd ignores the fourth
        channel): [height, width, 4]; "grey": [height, width]; "yuv420": [height * 3 / 2, width], the planes Y, U and V
        one after another without padding, in full-range BT.601 (picamera2's YUV420 in its preview and still
        configurations, if its width needs no padding).
        ``budget``: see `Budget.parse`; a number is the most that the call may cost.
        ``model``: name of a loaded model; None: the daemon's default.
        ``cut``, ``placement`` (one letter for each layer: D on the device, C on the companion), ``codec``: fix that
        part of the plan. "jpeg" is a JPEG of quality 90; "jpeg75", "jpeg95", "jpeg90-444" and so on are others.
        ``precision``: how the layers compute. "fp32" and "int8" hold for all of them, "int8/fp32" for those before the
        cut and those behind it. "bf16" is for layers on a companion: all of them, or in "fp32/bf16" those behind the
        cut. None: whatever is best, or fp32 at a cut or placement that is fixed.
        ``pin_first``, ``pin_last``: how many of the first and last layers must run on the device; the daemon's
        configuration may pin more. ``fallback``: what happens when the companion fails. "local" finishes on the device,
        "fail" raises `CompanionUnavailable`, "never-leave" sends nothing in the first place; None: what the
        configuration says for the model, by default "local". ``on_infeasible``: what happens when no plan fits the
        budget. "nearest" runs the nearest plan, "fail" raises `BudgetInfeasible`; None: "nearest". ``raw``: answer with
        the network's own outputs (`Result.outputs`), whatever the task. ``stream``: a name for the camera that took the
        image, of up to 64 letters. While the camera shows the same, calls may inherit its last answer, where that keeps
        the budget's fidelity (`Result.inherited_age_s`). ``timeout_s``: seconds, instead of the client's.

        Also raises `InvalidImage`, `InvalidTensor`, `InvalidBudget`, `InvalidPlacement`, `UnknownModel`, `Overloaded`.
        """
        began = self._clock.monotonic()
        asked: dict[str, Any] = {
            "model": model,
            "budget": budget,
            "cut": cut,
            "placement": placement,
            "codec": codec,
            "precision": precision,
            "pin_first": pin_first,
            "pin_last": pin_last,
            "fallback": fallback,
            "on_infeasible": on_infeasible,
            "raw": raw,
            "stream": stream,
        }
        template, chunks, sizes = self._prepared(image, channels, asked)
        size = sum(map(len, chunks))
        deadline = self._deadline(timeout_s)
        for _ in range(2):
            reply, waited_s = self._send(template, chunks, size, deadline=deadline)
            reply.raise_for_status()
            answer = _answer(reply)
            legend, fetches = self._legends.get(answer.digest), False
            needed = not template.raw and answer.task in OF_CLASSES
            if legend is None and needed:
                legend, fetches = self._fetch_legend(answer, deadline), True
            if legend is not None or not needed:
                result = decode_result(answer, legend if needed else None, template.budget)
                if sizes is not None:
                    make_full_size(result, *sizes)
                if waited_s:
                    add_resending(result, waited_s)
                outside_ms = add_waiting(result, self._clock.monotonic() - began)
                # A call that was sent again, or fetched its legend, is not like the next.
                if not (fetches or waited_s):
                    self._caller_time.note(outside_ms, size, pixels=template.pixels)
                return result
        name = plain(answer.model)
        raise ProtocolError(f"the model {name!r} was replaced during every try: its labels do not fit its answer")

    def stream(
        self,
        images: Iterable[Image | Tensors],
        budget: Budget | str | float | None = "max-throughput",
        *,
        in_flight: int = 4,
        latest: bool = False,
        **options: Unpack[InferOptions],
    ) -> Generator[Result, None, None]:
        """Answer a stream of images; the results come in the order of the images.

        Up to ``in_flight`` (1 or more) calls are under way at once, so the head of one image overlaps the upload of the
        image before it, and the tail of the image before that. The stream takes images no faster than its results are
        fetched. ``budget`` and the options are those of `infer`; `Result.image` is the image. An error of `infer` is
        raised in its image's turn and ends the stream. An image's latency is the time from when the stream took it
        until its answer is there, whether or not somebody has fetched the answer.

        ``latest``: for cameras. A thread reads the images as fast as they come, and a call gets the newest of them when
        there is a place for it; older ones are dropped. `Result.dropped` says how many were dropped between an image
        and the one answered before it; all are answered or counted, the last one is answered. An error of the iterator
        is raised behind the results of the images before it. When the stream is closed, the thread ends with the next
        image that it reads.
        """
        check_in_flight(in_flight)
        with ThreadPoolExecutor(in_flight, thread_name_prefix="stream") as pool:

            def ask(frame: Frame) -> Future[Result]:
                return pool.submit(self._frame, frame, budget, **options)

            try:
                answers = self._newest(images, ask, in_flight) if latest else self._each(images, ask, in_flight)
                yield from answers
            finally:
                pool.shutdown(cancel_futures=True)

    def _each(
        self, images: Iterable[Image | Tensors], ask: Callable[[Frame], Future[Result]], in_flight: int
    ) -> Iterator[Result]:
        under_way: deque[Future[Result]] = deque()
        for image in images:
            under_way.append(ask(Frame(image, self._clock.monotonic())))
            if len(under_way) == in_flight:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()

    def _newest(
        self, images: Iterable[Image | Tensors], ask: Callable[[Frame], Future[Result]], in_flight: int
    ) -> Iterator[Result]:
        changed = threading.Event()
        newest = Newest(changed.set)
        calls = NewestCalls(newest, ask, changed.set, in_flight=in_flight)
        threading.Thread(
            target=newest.read, args=(images, self._clock.monotonic), name="stream-camera", daemon=True
        ).start()
        try:
            while True:
                changed.clear()
                if (call := calls.next_answered()) is not None:
                    yield call.result()
                elif calls.are_over():
                    return
                else:
                    changed.wait()
        finally:
            newest.close()

    def _frame(self, frame: Frame, budget: Budget | str | float | None, **options: Unpack[InferOptions]) -> Result:
        result = self.infer(frame.image, budget, **options)
        add_waiting(result, self._clock.monotonic() - frame.taken)
        add_frame(result, frame)
        return result

    def _prepared(
        self, image: Image | Tensors, channels: Channels | str | None, asked: dict[str, Any]
    ) -> tuple[Template | TensorsTemplate, Sequence[bytes | memoryview], tuple[Size, Size] | None]:
        """The request without its data, the data, and for a picture that travels smaller both its sizes."""
        if channels is None:
            channels = self._channels
        given: NDArray[Any] | Sequence[bytes | memoryview]
        if isinstance(image, np.ndarray):
            given, full_size = image, None
        elif isinstance(image, Mapping):
            tensors = tensors_of(image)
            return TensorsTemplate(terms_of(**asked), tensors), [tensor.data for tensor in tensors], None
        else:
            given, channels, full_size = as_sent(image, channels)
        shape, dtype = (given.shape, given.dtype) if isinstance(given, np.ndarray) else (None, None)
        try:
            template = template_of(shape, dtype, channels, **asked)
        except TypeError:
            # An argument that cannot be a key is refused by who reads it.
            template = template_of.__wrapped__(shape, dtype, channels, **asked)
        if not isinstance(given, np.ndarray):
            return template, given, None
        sizes = None if full_size is None else ((given.shape[1], given.shape[0]), full_size)
        return template, (bytes_of(given),), sizes

    def _send(
        self,
        template: Template | TensorsTemplate,
        chunks: Sequence[bytes | memoryview],
        size: int,
        *,
        deadline: float,
    ) -> tuple[DaemonReply, float]:
        """The daemon's reply for inputs with this data, and the seconds that passed before it took the request."""
        caller_ms = self._caller_time.of(size, pixels=template.pixels)
        region, waited_s = None, 0.0
        if self._regions is not None and size >= LEAST_BYTES:
            region = self._regions.lend(size, deadline - self._clock.monotonic())
        if self._regions is not None and region is not None:
            try:
                region.hold(chunks)
                request = template.request((), size, region=region.name, caller_ms=caller_ms)
                reply, waited_s = self._resender.send(request, deadline=deadline)
            except BaseException:
                self._regions.retire(region)
                raise
            if reply.status == OK or not _is_unknown_region(reply):
                self._regions.give_back(region)
                return reply, waited_s
            self._regions.lost()
        request = template.request(chunks, size, region=None, caller_ms=caller_ms)
        return self._resender.send(request, deadline=deadline, goes_on=region is not None, waited_s=waited_s)

    def _fetch_legend(self, answer: ReceivedAnswer, deadline: float) -> Legend | None:
        """Legend of the package that answered, kept for the next answers; None: the model has changed since."""
        # The answer has arrived. If the daemon stopped since then, the call must not fail for its legend.
        metadata = self._call("GET", model_url(answer.model), deadline=deadline, goes_on=True)
        # Several threads read the dictionary, so it is replaced and never changed.
        self._legends = dict([*self._legends.items(), _legend(metadata)][-_REMEMBERED:])
        return self._legends.get(answer.digest)


def _is_unknown_region(reply: DaemonReply) -> bool:
    return reply.status == UnknownRegion.http_status and isinstance(
        decode_error(reply.status, reply.body), UnknownRegion
    )


def _answer(reply: DaemonReply) -> ReceivedAnswer:
    try:
        return ReceivedAnswer(reply.body, wire.header_length(reply.headers))
    except WireError as error:
        raise ProtocolError(f"cannot read the daemon's answer: {error}") from error


def _legend(metadata: Mapping[str, Any]) -> tuple[str, Legend]:
    """The digest and the legend in a model's metadata."""
    match metadata:
        case {"parameters": {"digest": str(digest), "labels": [*labels], **more}} if set(map(type, labels)) <= {str}:
            return digest, Legend(tuple(map(plain, labels)), _palette(more.get("palette")))
    raise ProtocolError("the model's metadata has no digest and labels: does this socket belong to collabd?")


def _palette(colours: Any) -> tuple[Rgb, ...] | None:
    """The colours in a model's metadata; None: there are none. `ProtocolError`."""
    match colours:
        case None:
            return None
        case [*colours] if all(map(_is_rgb, colours)):
            return tuple((red, green, blue) for red, green, blue in colours)
    raise ProtocolError("the palette in the model's metadata is no list of [red, green, blue], each 0 to 255")


def _is_rgb(colour: Any) -> bool:
    match colour:
        case [int(), int(), int()]:
            return all(0 <= part <= 255 for part in colour)
    return False
