import asyncio
import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.image import read_image
from mien.recognize import Recognizer
from mien.serve.engine import Engine, Upload, load_recognizer
from mien.serve.limits import Limits
from mien.serve.metrics import Metrics
from mien.serve.problems import ProblemError


def sample(metrics: Metrics, name: str) -> float:
    value = metrics.registry.get_sample_value(name)
    assert value is not None
    return value


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def engine(recognizer: Recognizer, metrics: Metrics) -> Iterator[Engine]:
    engine = Engine(recognizer, Limits(max_queue=6, max_files=6, max_batch=4), metrics)
    yield engine
    engine.close()


async def hold(engine: Engine, gate: threading.Event) -> asyncio.Future[bool]:
    """Keeps the reading thread busy until the gate opens; returns when it is."""
    started = threading.Event()

    def work() -> bool:
        started.set()
        return gate.wait(30)

    held = asyncio.ensure_future(engine.call(work))
    assert await asyncio.to_thread(started.wait, 30)
    return held


def test_pictures_of_many_clients_are_read_together(
    engine: Engine, metrics: Metrics, portrait: bytes
) -> None:
    async def clients() -> list[str]:
        gate = threading.Event()
        held = await hold(engine, gate)  # so that they gather
        asking = [asyncio.ensure_future(engine.read([Upload(portrait, f"{n}")])) for n in range(4)]
        async with asyncio.timeout(30):
            while len(engine._ready) < 4:
                await asyncio.sleep(0.01)
        gate.set()
        await held
        return [(await one)[0].source for one in asking]

    assert asyncio.run(clients()) == ["0", "1", "2", "3"]
    assert sample(metrics, "mien_batch_pictures_count") == 1
    assert sample(metrics, "mien_batch_pictures_sum") == 4


def test_what_is_more_than_fits_is_refused_at_once_and_taken_again_later(
    engine: Engine, metrics: Metrics, portrait: bytes
) -> None:
    async def clients() -> None:
        gate = threading.Event()
        held = await hold(engine, gate)
        asking = [asyncio.ensure_future(engine.read([Upload(portrait, "a")] * 3)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ProblemError, match="6 pictures are waiting: try again in") as caught:
            await engine.read([Upload(portrait, "b")])
        assert caught.value.status == 503
        assert int(caught.value.headers["Retry-After"]) >= 1
        gate.set()
        await asyncio.gather(held, *asking)
        (faces,) = await engine.read([Upload(portrait, "c")])
        assert len(faces) == 1

    asyncio.run(clients())
    assert metrics.registry.get_sample_value("mien_refused_total", {"full": "queue"}) == 1
    assert sample(metrics, "mien_queue_pictures") == 0


def test_one_that_cannot_be_read_spoils_no_other(engine: Engine, portrait: bytes) -> None:
    uploads = [Upload(portrait, "good.jpg"), Upload(b"junk", "bad\n.jpg"), Upload(portrait[:2000], "cut.jpg")]
    good, bad, cut = asyncio.run(engine.read(uploads))
    assert (good.error, len(good), good.source) == (None, 1, "good.jpg")
    assert bad.error is not None
    assert bad.error.startswith("'bad\\n.jpg': is not a JPEG")
    assert cut.error is not None
    assert cut.error.startswith("cut.jpg: is damaged or cut short")


def test_nothing_to_read_is_nothing_wrong(engine: Engine) -> None:
    assert asyncio.run(engine.read([])) == []


def test_the_surest_faces_are_kept(engine: Engine, recognizer: Recognizer, examples: Path) -> None:
    content = (examples / "together.jpg").read_bytes()  # four faces; the recogniser here keeps three
    (faces,) = asyncio.run(engine.read([Upload(content, "together.jpg")]))
    assert len(faces) == 3
    scores = [face.detection_score for face in faces]
    assert scores == sorted(scores, reverse=True)


def test_who_went_away_is_passed_over(engine: Engine, metrics: Metrics, portrait: bytes) -> None:
    async def clients() -> None:
        gate = threading.Event()
        held = await hold(engine, gate)
        gone = asyncio.ensure_future(engine.read([Upload(portrait, "gone")]))
        async with asyncio.timeout(30):
            while not engine._ready:
                await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        gate.set()
        await held
        await engine.read([Upload(portrait, "here")])

    asyncio.run(clients())
    assert sample(metrics, "mien_batch_pictures_sum") == 1
    assert sample(metrics, "mien_queue_pictures") == 0


def test_who_went_away_leaves_nothing_behind(engine: Engine, portrait: bytes) -> None:
    """Neither an upload that waits to be decoded, nor work and pixels that wait for the recogniser."""

    async def clients() -> list[int]:
        gate = threading.Event()
        busy = [await hold(engine, gate)]
        reading = asyncio.ensure_future(engine.read([Upload(portrait, "decoded")]))
        async with asyncio.timeout(30):
            while not engine._ready:
                await asyncio.sleep(0.01)
        pixels = weakref.ref(engine._ready[0].content)
        busy += [asyncio.ensure_future(engine.aside(lambda: gate.wait(30))) for _ in range(2)]  # all decoders
        content = bytes(portrait[:-1])
        before = sys.getrefcount(content)
        uploads = asyncio.ensure_future(engine.read([Upload(content, "a"), Upload(content, "b")]))
        calls = asyncio.ensure_future(engine.call(lambda: len(content)))
        await asyncio.sleep(0.1)
        assert sys.getrefcount(content) > before
        for task in (reading, uploads, calls):
            task.cancel()
        await asyncio.wait([reading, uploads, calls])
        assert engine._admitted == 0
        del reading, uploads, calls, task
        left = [sys.getrefcount(content) - before, int(pixels() is not None)]
        gate.set()
        await asyncio.gather(*busy)
        return left

    gc.disable()  # it must be gone at once, and not when the rubbish is collected
    try:
        assert asyncio.run(clients()) == [0, 0]
    finally:
        gc.enable()


@pytest.mark.parametrize("where", ["decode", "read", "call"])
def test_who_goes_away_while_worked_for_keeps_the_place_until_that_ends(
    engine: Engine, portrait: bytes, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, gate = threading.Event(), threading.Event()

    def slowly(real: Callable[..., Any], *args: Any, **options: Any) -> Any:
        began.set()
        gate.wait(30)
        return real(*args, **options)

    if where == "decode":
        monkeypatch.setattr("mien.serve.engine.read_image", partial(slowly, read_image))
    elif where == "read":
        monkeypatch.setattr(
            engine.recognizer, "predict_many", partial(slowly, engine.recognizer.predict_many)
        )

    async def call() -> None:
        with engine.room(1):
            await engine.call(partial(slowly, int))

    async def clients() -> None:
        work = call() if where == "call" else engine.read([Upload(portrait, "gone")])
        going = asyncio.ensure_future(work)
        assert await asyncio.to_thread(began.wait, 30)
        going.cancel()
        await asyncio.sleep(0.1)
        assert (engine._admitted, going.done()) == (1, False)
        gate.set()
        await asyncio.wait([going])
        assert (engine._admitted, going.cancelled()) == (0, True)

    asyncio.run(clients())


def test_an_upload_that_cannot_be_read_is_let_go(engine: Engine, portrait: bytes) -> None:
    content = portrait[:-300]
    before = sys.getrefcount(content)
    gc.disable()
    try:
        (faces,) = asyncio.run(engine.read([Upload(content, "cut.jpg")]))
        assert faces.error is not None
        deadline = time.monotonic() + 30  # the thread that decoded it lets go of it a little later
        while sys.getrefcount(content) > before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sys.getrefcount(content) == before
    finally:
        gc.enable()


def test_an_error_in_work_comes_to_who_asked_and_stops_nobody(engine: Engine, portrait: bytes) -> None:
    async def clients() -> None:
        with pytest.raises(ZeroDivisionError):
            await engine.call(lambda: 1 / 0)
        assert len((await engine.read([Upload(portrait, "a")]))[0]) == 1

    asyncio.run(clients())


def test_what_was_taken_is_finished_before_the_end(engine: Engine, portrait: bytes) -> None:
    async def clients() -> None:
        asking = asyncio.ensure_future(engine.read([Upload(portrait, "a")]))
        await asyncio.sleep(0)
        engine.refuse_new()
        assert not engine.ready
        with pytest.raises(ProblemError, match="is being stopped"):
            await engine.read([Upload(portrait, "b")])
        assert len((await asking)[0]) == 1

    asyncio.run(clients())
    engine.close()
    assert not engine._thread.is_alive()


def test_a_prior_moves_the_answers():
    usual, even = (
        load_recognizer("nano", max_faces=4, max_pixels=25_000_000, prior=prior) for prior in (None, "even")
    )
    crop = np.random.default_rng(0).integers(0, 256, (1, 48, 48), np.uint8)
    assert not np.allclose(usual.classify(crop).probabilities, even.classify(crop).probabilities, atol=1e-3)


def test_a_model_of_other_classes_is_refused(own_model: Path):
    with pytest.raises(ConfigError, match="the service needs the seven expressions"):
        load_recognizer(str(own_model), max_faces=4, max_pixels=25_000_000)
