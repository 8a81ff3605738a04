"""Calls to Decide, decided on in rounds: the one call that is asked thousands of times a second.

The library brings calls one at a time, with much code of its own between two of them, so that each decision found nothing at
hand and took twice as long as over REST. So a call waits for its turn, which comes before the recorder begins a commit or when
some have come, and all are decided on one right after the other. As over REST (``http.hot``), whatever is not plain goes the
long way, which alone refuses, tells and counts it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from obligor.core.errors import UnavailableError
from obligor.serving.grpc.calls import application_in, heads_of, is_late, key_in
from obligor.serving.grpc.replies import decided

if TYPE_CHECKING:
    from obligor.serving.acts import Recorded
    from obligor.serving.deciding import DecisionService, Recording
    from obligor.serving.grpc import decisions_pb2 as pb
    from obligor.serving.grpc.calls import Context
    from obligor.serving.people.authenticating import Authenticator
    from obligor.serving.seats import Seats


class Prompt:
    """Decides at once where it can; belongs to one event loop."""

    def __init__(self, service: DecisionService, authenticator: Authenticator, seats: Seats) -> None:
        self.service, self.authenticator, self.seats = service, authenticator, seats

    async def decide(self, request: pb.DecideRequest, context: Context) -> pb.DecideResponse | None:
        """Decide on an application; none where it must go the long way: nothing was done then.

        Raises
        ------
        ObligorError
            As recording it does.
        """
        turn = _Turn(self, request, context)
        self.service.expect(turn.begin)
        try:
            return await turn.told
        except asyncio.CancelledError:
            turn.give_up()
            raise


class _Turn:
    """One call: it waits for its turn, and then for the recorder."""

    __slots__ = ("_client_id", "_context", "_door", "_recording", "_request", "told")

    def __init__(self, door: Prompt, request: pb.DecideRequest, context: Context) -> None:
        self._door, self._request, self._context = door, request, context
        self._recording: Recording | None = None
        self._client_id = ""
        self.told: asyncio.Future[pb.DecideResponse | None] = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        """Decide, unless nobody waits for it any more."""
        if self.told.done():
            return
        recording = None
        with suppress(Exception):  # the long way meets it again, and tells of it
            recording = self._recording = self._decide()
        if recording is None:
            self.told.set_result(None)
        else:
            recording.recorded.add_done_callback(partial(self._end, recording))

    def _decide(self) -> Recording | None:
        door = self._door
        heads = heads_of(self._context, keyed=True)
        caller = door.authenticator.known(heads["authorization"])
        if caller is None or is_late(self._context):
            return None
        application, key = application_in(self._request.application), key_in(heads)
        recording, client_id = None, caller.client_id
        door.seats.take(client_id)
        try:
            recording = door.service.decide_at_once(caller, key=key, application=application)
        finally:
            if recording is None:
                door.seats.give_back(client_id)
        self._client_id = client_id
        return recording

    def _end(self, recording: Recording, recorded: asyncio.Future[Recorded]) -> None:
        """Answer for what was recorded, or was not; what was recorded counts, though nobody waits for it any more."""
        self._door.seats.give_back(self._client_id)
        try:
            made = recording.done(recorded.result())
            if not self.told.done():
                self.told.set_result(decided(made))
        except asyncio.CancelledError:
            self._refuse(UnavailableError("the service stopped; the same request sent again finds out"))
        except Exception as error:  # noqa: BLE001  whoever waits tells the client
            self._refuse(error)

    def _refuse(self, error: Exception) -> None:
        if not self.told.done():
            self.told.set_exception(error)

    def give_up(self) -> None:
        """Let the recorder drop what it has not begun."""
        if self._recording is not None:
            self._door.service.give_up(self._recording)
