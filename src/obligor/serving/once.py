"""Acts that come over a door: done once for an idempotency key, and answered with the same bytes however often it is sent."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from obligor.core.errors import ClashError, KeyReusedError
from obligor.serving.acts import Recorded
from obligor.serving.answers import with_receipt
from obligor.serving.encoding import encode_in_order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from obligor.serving.acts import Recorder, Request, Submission

_FOUND = 200
_CREATED = 201


class Answers(Protocol):
    """Where the answers of requests are found again."""

    async def answer(self, request: Request) -> tuple[bytes, Recorded] | None:
        """Give the hash of the payload and the answer that a request was given, where it was recorded."""
        ...


class ForRequest:
    """A recorder for one request: what a use case records is recorded under its key.

    It is answered with what ``told`` gives, and without that as the use case answers.
    """

    def __init__(
        self, recorder: Recorder, request: Request, told: Callable[[Submission], dict[str, Any]] | None
    ) -> None:
        self._recorder, self._request, self._told = recorder, request, told
        self.recorded: Recorded | None = None

    async def record(self, submission: Submission) -> Recorded:
        """Record acts as :class:`obligor.serving.acts.Recorder` does."""
        respond = submission.respond
        if self._told is not None:
            respond = partial(with_receipt, encode_in_order(self._told(submission)))
        status = max(submission.status, _CREATED)
        mine = msgspec.structs.replace(submission, request=self._request, respond=respond, status=status)
        self.recorded = await self._recorder.record(mine)
        return self.recorded


async def once(
    answers: Answers,
    recorder: Recorder,
    request: Request,
    act: Callable[[ForRequest], Awaitable[object]],
    *,
    told: Callable[[Submission], dict[str, Any]] | None = None,
) -> Recorded:
    """Do what a request asks, by the recorder that ``act`` is given; a request that was answered is answered again.

    Where ``act`` finds that all was done before, it records nothing, and what it gives is the answer, which is kept nowhere.

    Raises
    ------
    KeyReusedError
        Where the key was used for another request.
    ClashError
        Where ``act`` neither recorded nor gave anything.
    """
    if (known := await answers.answer(request)) is not None:
        payload, recorded = known
        if payload != request.payload_sha256:
            raise KeyReusedError("the idempotency key was used for another request")
        return msgspec.structs.replace(recorded, replayed=True)
    recorder_of_request = ForRequest(recorder, request, told)
    given = await act(recorder_of_request)
    if recorder_of_request.recorded is not None:
        return recorder_of_request.recorded
    if not isinstance(given, dict):
        raise ClashError("there is nothing left to do; nothing was recorded")
    return Recorded(encode_in_order(given), _FOUND, replayed=False, leaf_index=-1)


def shown_beside(recorded: Recorded, values: Mapping[str, Any]) -> Recorded:
    """Add to an answer what is shown with it, and is in none that is kept."""
    return msgspec.structs.replace(recorded, response=b"%b,%b" % (recorded.response[:-1], encode_in_order(values)[1:]))
