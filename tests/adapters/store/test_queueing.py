"""Those who wait to be recorded wait for each other, but not for nobody."""

from __future__ import annotations

import asyncio
from functools import partial

from tests.stores import submission

from obligor.adapters.store.queueing import Bounds, Queue

LONG_S = 3600.0


def test_a_commit_waits_for_others_until_there_are_enough() -> None:
    async def play() -> None:
        queue = Queue(Bounds(together=3, gathering_s=LONG_S), store="the store")
        queue.add(submission("first"))
        queue.committed(1, LONG_S)
        gathering = asyncio.create_task(queue.gather())
        for key in ("second", "third"):
            for _ in range(10):
                await asyncio.sleep(0)
            assert not gathering.done()
            queue.add(submission(key))
        await asyncio.wait_for(gathering, 10)
        assert [it.key and it.key[-1] for it in queue.take(plain=True)] == ["first", "second", "third"]

    asyncio.run(play())


def test_a_commit_after_one_of_many_waits_for_nobody() -> None:
    async def play() -> None:
        queue = Queue(Bounds(together=3, gathering_s=LONG_S), store="the store")
        queue.add(submission("first"))
        queue.committed(1, LONG_S)
        queue.committed(3, LONG_S)
        gathering = asyncio.create_task(queue.gather())
        for _ in range(10):
            await asyncio.sleep(0)
        assert gathering.done()

    asyncio.run(play())


def test_a_commit_for_which_nobody_comes_goes_alone() -> None:
    async def play() -> None:
        queue = Queue(Bounds(together=3, gathering_s=LONG_S), store="the store")
        queue.add(submission("first"))
        queue.committed(1, 0.01)
        await asyncio.wait_for(queue.gather(), 10)
        assert len(queue.take(plain=True)) == 1
        assert not queue

    asyncio.run(play())


def test_those_who_are_expected_come_before_the_batch_is_taken_and_in_order() -> None:
    async def play() -> None:
        queue, came = Queue(Bounds(expecting_s=LONG_S), store="the store"), list[str]()
        for key in ("first", "second"):
            queue.expect(partial(come, queue, came, key))
        assert queue
        assert came == []
        await asyncio.wait_for(queue.gather(), 10)
        assert came == ["first", "second"]
        assert [it.key and it.key[-1] for it in queue.take(plain=True)] == ["first", "second"]
        assert not queue

    asyncio.run(play())


def test_those_who_are_expected_come_as_soon_as_they_are_enough() -> None:
    async def play() -> None:
        queue, came = Queue(Bounds(expected=3, expecting_s=LONG_S), store="the store"), list[str]()
        for key in ("first", "second"):
            queue.expect(partial(come, queue, came, key))
        assert came == []
        queue.expect(partial(come, queue, came, "third"))
        assert came == ["first", "second", "third"]

    asyncio.run(play())


def test_whoever_is_expected_comes_where_they_and_those_who_wait_are_enough_for_the_next_commit() -> None:
    async def play() -> None:
        queue, came = Queue(Bounds(expecting_s=LONG_S), store="the store"), list[str]()
        ready = asyncio.create_task(queue.wait(2))
        await asyncio.sleep(0)
        queue.add(submission("first"))
        assert not ready.done()
        queue.expect(partial(come, queue, came, "second"))
        assert came == ["second"]
        await asyncio.wait_for(ready, 10)

    asyncio.run(play())


def test_nobody_is_expected_for_longer_than_the_bound_though_no_batch_is_taken() -> None:
    async def play() -> None:
        queue, came = Queue(Bounds(expecting_s=0.01), store="the store"), list[str]()
        queue.expect(partial(come, queue, came, "first"))
        async with asyncio.timeout(10):
            while not came:
                await asyncio.sleep(0.005)
        assert queue.acts == 1

    asyncio.run(play())


def come(queue: Queue, came: list[str], key: str) -> None:
    queue.add(submission(key))
    came.append(key)
