"""POST /v1/decisions, past the framework: the one route that is asked thousands of times a second.

The framework takes longer to route and to check a request than the service to decide on it. So a request that is whole, and
needs nothing but a place in the next commit, is decided on where it arrives (``prompt``). Any other goes the long way, by the
route that the framework knows, which gives the same answer; and so does one with anything wrong in it: only the long way
refuses, tells and counts it. One that finds no room is refused here, before its body is read: the long way would take the time
of those who were let in.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from obligor.core.errors import LimitedError, ObligorError, UnavailableError
from obligor.serving.card_data import refuse_card_data_in_headers
from obligor.serving.http.bodies import utf8_json
from obligor.serving.http.door import recorded_answer
from obligor.serving.http.heads import are_too_large, read_head
from obligor.serving.http.problems import FAULT, HttpProblemError, answer_of, no_seat, places
from obligor.serving.refusals import TOLD_OF

if TYPE_CHECKING:
    from obligor.serving.deciding import Recording
    from obligor.serving.http.door import Door
    from obligor.serving.http.heads import Headers
    from obligor.serving.http.problems import Answer
    from obligor.serving.people.authenticating import Sender

PATH = "/v1/decisions"
NAME = f"POST {PATH}"
MOST_BYTES = 64 << 10
"""Of a body; a longer one goes the long way."""
_KEY = b"idempotency-key"
_log = logging.getLogger("obligor.http")


class Begun(msgspec.Struct, frozen=True):
    """A decision that is made, and will be answered once it is durable."""

    recording: Recording
    client_id: str
    started: float


class Hot:
    """Decides at once on what a door is asked."""

    def __init__(self, door: Door) -> None:
        self._door = door

    @property
    def draining(self) -> bool:
        """Whether the service is about to stop."""
        return self._door.seats.draining

    def begin(self, headers: Headers, body: bytes, sender: Sender) -> Begun | Answer | None:
        """Decide on a request that is whole, or shed it; none where it must go the long way: then nothing was done."""
        started, seats = perf_counter(), self._door.seats
        if seats.draining or are_too_large(headers):
            return None
        if seats.open >= seats.most:
            self._door.meter.refused("shed")
            return self._shed(no_seat(), started)
        try:
            begun = self._begin(headers, body, started, sender)
        except Exception:  # noqa: BLE001  the long way meets it again, and tells of it
            return None
        if isinstance(begun, Begun):
            seats.open += 1
            self._door.meter.entered()
        return begun

    def _begin(self, headers: Headers, body: bytes, started: float, sender: Sender) -> Begun | Answer | None:
        door = self._door
        refuse_card_data_in_headers(headers, but=(_KEY,))  # the use case searches it, as of every door
        head = read_head(headers)
        head.check_body(most=MOST_BYTES)
        if head.authorization is None:
            return None
        caller = door.authenticator.known(head.authorization.decode("latin-1"), sender)
        if caller is None:
            return None
        key, client_id = head.key, caller.client_id
        recording = None
        try:
            door.seats.take(client_id)
        except LimitedError as error:
            door.refusals.refused(caller, route=NAME, why=TOLD_OF[HTTPStatus.TOO_MANY_REQUESTS])
            return self._shed(answer_of(error), started)
        try:
            application = utf8_json(body)
            recording = door.service.decide_at_once(caller, key=key, application=application)
        finally:
            if recording is None:
                door.seats.give_back(client_id)
        return None if recording is None else Begun(recording, client_id, started)

    def _shed(self, answer: Answer, started: float) -> Answer:
        """Count a request that finds no room."""
        meter = self._door.meter
        meter.entered()
        meter.left(NAME, answer.status, perf_counter() - started)
        return answer

    def end(self, begun: Begun) -> Answer:
        """Answer for what was recorded, or was not."""
        door, recording = self._door, begun.recording
        door.seats.open -= 1
        door.seats.give_back(begun.client_id)
        try:
            answer = recorded_answer(recording.done(recording.recorded.result()))
        except (ObligorError, HttpProblemError) as error:
            answer = answer_of(error)
        except CancelledError:
            answer = answer_of(UnavailableError("the service stopped; the same request sent again finds out"))
        except Exception as error:  # noqa: BLE001  the last that can tell the client
            _log.error("%s at %s", type(error).__name__, places(error))
            answer = answer_of(FAULT)
        door.meter.left(NAME, answer.status, perf_counter() - begun.started)
        return answer
