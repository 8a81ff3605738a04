"""Those who wait to be recorded: they come in order, bounded in number and in time, and each is answered once."""

from __future__ import annotations

import asyncio
from collections import deque
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from obligor.core.errors import InFlightError, InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from obligor.serving.acts import Recorded, Request, Submission

Key = tuple[str, str, str]
"""A request, by client, route and idempotency key."""
_QUIET_TURNS: Final = 2
"""Turns of the loop without a new act after which nobody is about to come: in one requests are read, in the next decided on."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait, and for how long."""

    waiting: int = 4096
    """Acts that may wait; more are refused at once."""
    batch: int = 512
    """Acts that are committed together at most; one submission with more goes alone."""
    few: int = 32
    """Acts that go together although more wait. Of many, half go: while they are committed, the others are made."""
    together: int = 16
    """Acts from which on a commit does not wait for others that come in the same turns of the loop."""
    gathering_s: float = 0.002
    """For how long a commit waits at most for others that come one by one."""
    expected: int = 16
    """How many are expected at most before they are called in."""
    expecting_s: float = 0.02
    """For how long anybody is expected at most."""
    ahead: int = 20
    """Acts from which on a commit follows another that is not answered yet."""
    patience_s: float = 5.0
    """How long a submission is tried."""


class Waiting(msgspec.Struct, eq=False):
    """A submission that is not answered yet."""

    submission: Submission
    key: Key | None
    """The request that it answers, where there is one."""
    answer: asyncio.Future[Recorded]
    deadline: float
    begun: bool = False
    """Whether it was taken."""
    settled: bool = False
    """Whether its request may be sent again."""

    @property
    def is_plain(self) -> bool:
        """Whether it is of decisions alone, of which none depends on another."""
        return all(act.kind == "decision" for act in self.submission.acts)


class Queue:
    """The queue of one recorder; ``store`` is what it is called where it is behind."""

    def __init__(self, bounds: Bounds, *, store: str) -> None:
        self._bounds, self._store = bounds, store
        self._waiting: deque[Waiting] = deque()
        self._expected: list[Callable[[], None]] = []
        """Those who submit once they are called."""
        self._bell: asyncio.TimerHandle | None = None
        """Rings for those who are expected."""
        self._under_way: set[Key] = set()
        """Requests that came and are not answered."""
        self._stirred = asyncio.Event()
        self._wanted = 1
        self._gathering_s = 0.0
        """For how long a commit waits for others at most."""
        self.acts = 0
        """How many wait."""

    def __bool__(self) -> bool:
        return bool(self._waiting or self._expected)

    @property
    def near(self) -> int:
        """How many acts wait or are expected."""
        return self.acts + len(self._expected)

    @property
    def is_plain(self) -> bool:
        """Whether whoever waits longest is of decisions alone."""
        return self._waiting[0].is_plain

    def add(self, submission: Submission) -> Waiting:
        """Let a submission wait.

        Raises
        ------
        InvalidInputError, InFlightError, UnavailableError
            Where it is none, the same request is under way, or too many wait.
        """
        count = len(submission.acts)
        if not count:
            raise InvalidInputError("a submission without an act; wanted one or more")
        if self.acts and self.acts + count > self._bounds.waiting:
            raise UnavailableError(f"{self.acts} acts wait to be recorded, which is all that may")
        key = _key(submission.request)
        if key is not None:
            self._begin(key)
        loop = asyncio.get_running_loop()
        waiting = Waiting(submission, key, loop.create_future(), loop.time() + self._bounds.patience_s)
        self._waiting.append(waiting)
        self.acts += count
        if self.acts >= self._wanted:
            self._stirred.set()
        return waiting

    def drop(self, answer: asyncio.Future[Recorded]) -> None:
        """Let a submission wait no more, unless it was taken."""
        for waiting in self._waiting:
            if waiting.answer is answer:
                answer.cancel()
                self.forget(waiting)

    def expect(self, come: Callable[[], None]) -> None:
        """Expect somebody who submits once ``come`` is called: with others, and before the next batch is taken."""
        if not self._expected:
            self._bell = asyncio.get_running_loop().call_later(self._bounds.expecting_s, self.call_in)
        self._expected.append(come)
        if len(self._expected) >= self._bounds.expected or 1 < self._wanted <= self.near:
            self.call_in()
        elif self._wanted == 1:  # nothing is under way
            self.stir()

    def call_in(self) -> None:
        """Call all who are expected, one right after the other."""
        expected, self._expected = self._expected, []
        if self._bell is not None:
            self._bell.cancel()
        for come in expected:
            come()

    def _begin(self, key: Key) -> None:
        """Note that a request is under way."""
        if key in self._under_way:
            raise InFlightError("the same request is being recorded; send it again soon")
        try:
            "".join(key).encode()
        except UnicodeEncodeError:
            raise InvalidInputError("the idempotency key holds half of a character") from None
        self._under_way.add(key)

    # Taking

    def stir(self) -> None:
        """Wake whoever takes from it."""
        self._stirred.set()

    async def wait(self, acts: int) -> None:
        """Wait until so many acts wait, or somebody stirs."""
        self._wanted = acts
        self._stirred.clear()
        await self._stirred.wait()

    async def gather(self) -> None:
        """Let those come along who are about to: a commit costs nearly the same for thirty as for three."""
        quiet = 0
        while quiet < _QUIET_TURNS and self.near < self._bounds.together:
            before = self.near
            await asyncio.sleep(0)
            quiet = quiet + 1 if self.near == before else 0
        if self._gathering_s and self.near < self._bounds.together:
            bell = asyncio.get_running_loop().call_later(self._gathering_s, self.stir)
            await self.wait(self._bounds.together)
            bell.cancel()
        self.call_in()

    def committed(self, acts: int, took_s: float) -> None:
        """Know what a commit was like: after few acts, where more wait, they come one by one, never in the same turns."""
        one_by_one = acts < self._bounds.together and bool(self)
        self._gathering_s = min(took_s / 2, self._bounds.gathering_s) if one_by_one else 0.0

    def take(self, *, plain: bool) -> list[Waiting]:
        """Take what fits into a batch, and at least one; where it is to be ``plain``, decisions alone."""
        batch: list[Waiting] = []
        room = min(max(self.acts // 2, self._bounds.few), self._bounds.batch)
        latest = asyncio.get_running_loop().time() + self._bounds.patience_s / 5
        while self._waiting and (not batch or len(self._waiting[0].submission.acts) <= room):
            if plain and not self.is_plain:
                break
            waiting = self._waiting.popleft()
            count = len(waiting.submission.acts)
            room -= count
            self.acts -= count
            if waiting.answer.done():  # nobody waits for it any more, and nothing was begun
                self.forget(waiting)
            elif waiting.deadline < latest:  # too late to begin: the store is slow, or was away
                self.refuse([waiting], UnavailableError(f"{self._store} is behind with recording"))
            else:
                waiting.begun = True
                batch.append(waiting)
        return batch

    # Answers

    def tell(self, answers: Sequence[tuple[Waiting, Recorded]]) -> None:
        """Answer for what is durable."""
        for waiting, recorded in answers:
            self.forget(waiting)
            if not waiting.answer.done():
                waiting.answer.set_result(recorded)

    def refuse(self, batch: Sequence[Waiting], error: Exception) -> None:
        """Tell all who were not answered why not."""
        for waiting in batch:
            self.forget(waiting)
            if not waiting.answer.done():
                waiting.answer.set_exception(error if len(batch) == 1 else copy(error))  # each raises its own

    def forget(self, waiting: Waiting) -> None:
        """Let the request be sent again; once, for it may be here again by then."""
        if waiting.key is not None and not waiting.settled:
            self._under_way.discard(waiting.key)
        waiting.settled = True


def _key(request: Request | None) -> Key | None:
    return None if request is None else (request.client_id, request.route, request.key)
