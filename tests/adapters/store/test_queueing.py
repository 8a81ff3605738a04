"""Those who wait to be recorded wait for each other, but not for nobody."""

from __future__ import annotations

import asyncio

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
