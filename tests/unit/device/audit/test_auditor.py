"""The audit of one picture after the other: a real network, under a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import msgspec
import numpy as np
import pytest

from collabd.catalog.package.manifest import Agreement
from collabd.catalog.package.package import GRAPHS, Package
from collabd.device.audit.auditor import Asks, Auditor
from collabd.device.audit.pace import AuditPace, Taken
from collabd.device.audit.pictures import RecentPictures
from collabd.device.companions.answers import Tensors
from collabd.device.fidelity.figures import reduced_row
from collabd.device.fidelity.ledger import Crossed, Ledger
from collabd.device.fidelity.question import RowQuestion
from collabd.device.fidelity.row import WHOLE_INT8, Row
from collabd.device.fidelity.tally import Evidence
from collabd.device.job.image import CallImage
from collabd.device.lane.lane import ComputeThread, Lane
from collabd.device.models.model import DeviceModel
from collabd.engine import Engine
from collabd.profiling.calibrate import there_and_back
from collabd.profiling.profile import Profile
from collabd.simulation import virtual_time
from tests.bf16_stand_in import in_bf16
from tests.pair_networks import paired_in_both_precisions, pictures
from tests.task_networks import package_of

T = TypeVar("T")
F16 = Row("pool1", "f16")
FRAME = CallImage(np.zeros((16, 16, 3), np.uint8), 256)
PIECE_S = 0.1


def profile_of(model: DeviceModel) -> Profile:
    assert model.profile is not None
    return model.profile


class VirtualThread(ComputeThread):
    """Each piece of work takes a tenth of a second."""

    async def prepare(self, work: Callable[[], T]) -> T:
        await asyncio.sleep(PIECE_S)
        return work()


class Audit:
    """An audit that runs, and the calls that show it pictures."""

    def __init__(
        self, model: DeviceModel, *questions: RowQuestion, share: float, little: DeviceModel | None = None
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.model = model
        self.lane, self.pictures = Lane(VirtualThread(), clock=self.loop.time), RecentPictures()
        self.ledger, self.taken = Ledger(None), Taken()
        self.changes: list[Crossed] = []
        self.may_leave = False
        # What companions answer in a reduced precision, and the rows about which they were asked.
        self.there: Callable[[np.ndarray], Tensors | None] = lambda _: None
        self.asked: list[Row] = []
        self.auditor = Auditor(
            [model] if little is None else [model, little],
            self.pictures,
            engine=Engine(threads=1, cache_bytes=2**27),
            lane=self.lane,
            ledger=self.ledger,
            asks=Asks(
                questions=lambda _: questions,
                caps=lambda _: {0.9},
                little=lambda _: little,
                reduced=self._there,
                changed=lambda _, crossed: self.changes.append(crossed),
            ),
            pace=AuditPace(share, self.taken, allowed=lambda: True, clock=self.loop.time),
            taken=self.taken,
            clock=self.loop.time,
        )

    async def _there(self, _: DeviceModel, row: Row, pixels: np.ndarray) -> Tensors | None:
        self.asked.append(row)
        return self.there(pixels)

    def call(self, image: np.ndarray) -> None:
        self.pictures.saw(self.model, FRAME, image[np.newaxis], may_leave=self.may_leave)

    async def of(self, images: Iterable[np.ndarray]) -> None:
        """A call with each picture, long after the one before."""
        for image in images:
            self.call(image)
            await asyncio.sleep(1000)

    def evidence(self, row: Row = F16) -> Evidence:
        return self.ledger.of(self.model.digest, self.model.manifest).evidence[row]


def audited(
    model: DeviceModel,
    during: Callable[[Audit], Awaitable[None]],
    *questions: RowQuestion,
    share: float = 0.5,
    little: DeviceModel | None = None,
) -> Audit:
    """The audit after this has happened."""

    async def main() -> Audit:
        audit = Audit(model, *questions, share=share, little=little)
        task = asyncio.create_task(audit.auditor.run())
        await during(audit)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        audit.lane.close()
        return audit

    return virtual_time.run(main())


@pytest.fixture(scope="module")
def probabilities(tiny_package: Package, tiny_images: list[np.ndarray]) -> np.ndarray:
    engine = Engine(threads=1, cache_bytes=2**24)
    engine.add("tiny", tiny_package.network())
    exponents = np.exp(engine.run("tiny", {"image": np.stack(tiny_images)}, ["logits"])["logits"])
    return np.asarray((exponents / exponents.sum(axis=1, keepdims=True)).max(axis=1))


@pytest.fixture(autouse=True)
def threads_take_no_virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions are built at once: the virtual clock would not wait for a thread."""

    async def at_once(work: Callable[..., object], *given: object) -> object:
        return work(*given)

    monkeypatch.setattr(asyncio, "to_thread", at_once)


@pytest.fixture
def sure(probabilities: np.ndarray, tiny_images: list[np.ndarray]) -> list[np.ndarray]:
    """The pictures of which the tiny network is sure."""
    return [image for image, most in zip(tiny_images, probabilities, strict=True) if most >= 0.5]


@pytest.fixture
def unsure(probabilities: np.ndarray, tiny_images: list[np.ndarray]) -> list[np.ndarray]:
    return [image for image, most in zip(tiny_images, probabilities, strict=True) if most < 0.5]


def test_a_row_in_question_is_counted_with_every_picture_and_others_in_turn(
    model: DeviceModel, sure: list[np.ndarray]
) -> None:
    audit = audited(model, lambda audit: audit.of(sure[:10]), RowQuestion(F16, 0.9))
    assert audit.taken.pictures == 10
    fidelities = audit.ledger.of(model.digest, model.manifest)
    assert audit.evidence().here == pytest.approx(10, abs=0.1)
    others = sum(each.here for row, each in fidelities.evidence.items() if row != F16)
    assert others == pytest.approx(10, abs=0.5)


def test_it_counts_what_the_lossy_answer_really_is(model: DeviceModel, sure: list[np.ndarray]) -> None:
    row, engine = Row("image", "jpeg75"), Engine(threads=1, cache_bytes=2**24)
    engine.add("tiny", model.network)
    agreed = 0
    for image in sure[:12]:
        sent = image[np.newaxis]
        came, _ = there_and_back(sent, row.codec, None)
        whole, lossy = (engine.run("tiny", {"image": each}, ["logits"])["logits"] for each in (sent, came))
        agreed += int(whole.argmax() == lossy.argmax())
    packaged = next(each.agreement for each in model.manifest.cuts[0].codecs if each.codec == row.codec)
    assert packaged is not None
    found = audited(model, lambda audit: audit.of(sure[:12]), RowQuestion(row, 0.0)).evidence(row)
    share = packaged.sure_agreed / packaged.sure_images
    assert found.agreed - share * found.packaged == pytest.approx(agreed, abs=0.2)


@pytest.mark.parametrize("may_leave", [True, False])
def test_a_reduced_precision_is_counted_by_asking_its_companion_about_pictures_that_may_leave(
    model: DeviceModel, sure: list[np.ndarray], may_leave: bool
) -> None:
    engine, there = Engine(threads=1, cache_bytes=2**24), in_bf16(profile_of(model))
    engine.add("tiny", model.network)
    row, none = reduced_row(there), Agreement(agreed=0, images=0, sure_agreed=0, sure_images=0)
    there = msgspec.structs.replace(there, bf16_agreement=none)

    async def during(audit: Audit) -> None:
        # Nothing is known of the row before a companion is there, and nothing is asked.
        audit.may_leave = may_leave
        await audit.of(sure[:1])
        assert audit.ledger.of(model.digest, model.manifest, [there]).of_reduced(there) == 0.0
        answers = iter([1, 1, -1, None, 1])

        def answer(pixels: np.ndarray) -> Tensors | None:
            sign = next(answers)
            found = engine.run("tiny", {"image": pixels}, ["logits"])["logits"]
            return None if sign is None else {"logits": sign * found}

        audit.there = answer
        await audit.of(sure[1:6])

    audit = audited(model, during, RowQuestion(row, 0.9))
    if may_leave:
        assert audit.asked == [row] * 5
        assert audit.evidence(row).here == pytest.approx(4, abs=0.1)
        assert audit.evidence(row).agreed == pytest.approx(3, abs=0.1)
    else:
        assert audit.asked == []
        assert audit.evidence(row).here == 0


def test_copies_add_nothing(model: DeviceModel, sure: list[np.ndarray]) -> None:
    noisy = [np.clip(sure[0].astype(int) + add, 0, 255).astype(np.uint8) for add in (0, 1, -1, 2)]
    audit = audited(model, lambda audit: audit.of(noisy), RowQuestion(F16, 0.9))
    assert (audit.taken.pictures, audit.taken.copies) == (1, 3)


def test_pictures_of_which_the_network_is_not_sure_tell_nothing(model: DeviceModel, unsure: list[np.ndarray]) -> None:
    audit = audited(model, lambda audit: audit.of(unsure[:3]), RowQuestion(F16, 0.9))
    assert (audit.taken.pictures, audit.evidence().here) == (0, 0)
    assert audit.taken.core_s > 0


def test_a_row_that_crosses_what_calls_ask_for_is_told(model: DeviceModel, sure: list[np.ndarray]) -> None:
    before = Ledger(None).of(model.digest, model.manifest)
    audit = audited(model, lambda audit: audit.of(sure[:16]), RowQuestion(F16, 0.9))
    after = audit.ledger.of(model.digest, model.manifest)
    told = {row for change in audit.changes for row in change.rows}
    assert told >= {row for row in after.evidence if (before.promised(row) >= 0.9) != (after.promised(row) >= 0.9)}


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_however_many_calls_come_audits_take_their_share_of_a_core(
    model: DeviceModel, sure: list[np.ndarray], share: float
) -> None:
    async def calls(audit: Audit) -> None:
        for second in range(3600):
            audit.call(sure[second % len(sure)])
            await asyncio.sleep(1)

    taken = audited(model, calls, RowQuestion(F16, 0.9), share=share).taken
    assert 0.5 * share * 3600 < taken.core_s <= share * 3600 + PIECE_S


def test_while_a_call_is_under_way_nothing_is_audited_and_what_was_begun_is_stopped(
    model: DeviceModel, sure: list[np.ndarray]
) -> None:
    async def calls(audit: Audit) -> None:
        audit.call(sure[0])
        # In the middle of a piece of work, whichever that is.
        await asyncio.sleep(PIECE_S / 2)
        with audit.lane.claimed(None, 1.0):
            await asyncio.sleep(2 * PIECE_S)
            taken_s = audit.taken.core_s
            await asyncio.sleep(1000)
            assert audit.taken.core_s == taken_s
            assert audit.taken.pictures == 0
        await asyncio.sleep(1000)
        assert audit.taken.pictures == 1

    audited(model, calls, RowQuestion(F16, 0.9))


def test_a_stopped_run_is_run_again(model: DeviceModel, sure: list[np.ndarray]) -> None:
    async def calls(audit: Audit) -> None:
        audit.call(sure[0])
        for _ in range(40):
            await asyncio.sleep(1.7 * PIECE_S)
            with audit.lane.claimed(None, 1.0):
                await asyncio.sleep(PIECE_S / 3)
        await asyncio.sleep(1000)

    audit = audited(model, calls, RowQuestion(F16, 0.9))
    assert audit.taken.pictures == 1
    assert audit.evidence().here == pytest.approx(1)


def test_a_picture_that_the_network_refuses_stops_nothing(
    model: DeviceModel, sure: list[np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    async def calls(audit: Audit) -> None:
        # Of one that fails a minute the journal hears now and then.
        for _ in range(10):
            audit.call(sure[0][:3])
            await asyncio.sleep(60)
        assert caplog.text.count("a picture could not be audited") == 1
        await asyncio.sleep(1000)
        await audit.of(sure[:1])

    audit = audited(model, calls, RowQuestion(F16, 0.9))
    assert audit.taken.pictures == 1


@pytest.mark.parametrize("kind", ["detect", "segment"])
def test_detectors_and_segmenters_are_audited_too(
    kind: str, profile: Profile, tmp_path_factory: pytest.TempPathFactory
) -> None:
    package = package_of(kind, tmp_path_factory.mktemp(kind) / "tiny")
    model, picture = DeviceModel(package, package.networks()), package.manifest.require_picture()
    # Any will do: only models that have been measured are audited.
    model.take_profile(profile)
    row = Row(package.manifest.cuts[-1].name, "f16")
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (6, picture.height, picture.width, 3), dtype=np.uint8)
    audit = audited(model, lambda audit: audit.of(images), RowQuestion(row, 0.0))
    assert audit.taken.pictures == 6
    found = audit.evidence(row)
    assert found.here == pytest.approx(6, abs=0.1)
    assert 0.8 * found.here < found.agreed <= found.here


def test_both_precisions_are_audited(int8_package: Package, profile: Profile, sure: list[np.ndarray]) -> None:
    """Against the unsplit fp32 network: the whole in int8, and a head in one precision with a tail in the other."""
    model = DeviceModel(int8_package, int8_package.networks())
    model.take_profile(profile)
    rows = [row for row in Ledger(None).of(model.digest, model.manifest).evidence if row.tail != row.head]
    asked = [RowQuestion(row, 0.0) for row in (WHOLE_INT8, *rows[:2])]
    audit = audited(model, lambda audit: audit.of(sure[:10]), *asked)
    for question in asked:
        # The last pictures change the promise too little to be told yet.
        assert 5 < audit.evidence(question.row).here <= 10


def test_a_little_network_is_audited_in_each_precision(
    profile: Profile, tmp_path_factory: pytest.TempPathFactory
) -> None:
    big, little = (
        DeviceModel(package, package.networks())
        for package in paired_in_both_precisions(tmp_path_factory.mktemp("pair"))
    )
    big.take_profile(profile)
    audit = audited(big, lambda audit: audit.of(pictures(12, seed=3)[::2]), little=little)
    stated = big.manifest.little
    assert stated is not None
    assert [ladder.precision for ladder in stated.ladders] == list(GRAPHS)
    for ladder in stated.ladders:
        rows = [Row.of_threshold(ladder.precision, each.least) for each in ladder.thresholds]
        assert all(audit.evidence(row).here > 4 for row in rows)
