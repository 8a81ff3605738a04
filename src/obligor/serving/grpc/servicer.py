"""The five calls: each translates, asks the one use case, and translates back.

A call whose deadline has passed is not started. Where the deadline passes, or the client leaves, while a decision waits to be
recorded, the recorder drops it, unless it has begun: then the decision stands, and the same idempotency key finds it.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

import grpc
from google.protobuf.message import Message

from obligor.core.errors import (
    ForbiddenError,
    InvalidInputError,
    ObligorError,
    UnavailableError,
)
from obligor.security.networks import NOWHERE, sender_of
from obligor.serving.encoding import encode_in_order
from obligor.serving.errors import ANSWERS
from obligor.serving.grpc import decisions_pb2 as pb
from obligor.serving.grpc.calls import application_in, applications_in, decision_id_in, heads_of, holds, is_late, key_in
from obligor.serving.grpc.decisions_pb2_grpc import DecisionsServicer
from obligor.serving.grpc.messages import Many
from obligor.serving.grpc.prompt import Prompt
from obligor.serving.grpc.refusals import DETAILS, INTERNAL, refusal_of
from obligor.serving.grpc.replies import decided, decided_many, found, simulated
from obligor.serving.people.authenticating import network_of
from obligor.serving.refusals import TOLD_OF, NoRefusals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from google.rpc.status_pb2 import Status

    from obligor.security.networks import Networks
    from obligor.serving.acts import Caller
    from obligor.serving.deciding import DecisionService
    from obligor.serving.grpc.calls import Context
    from obligor.serving.people.authenticating import Authenticator
    from obligor.serving.refusals import Refuses
    from obligor.serving.register import Register
    from obligor.serving.seats import Seats
    from obligor.serving.telemetry.meter import Meter

_DONE, _GONE, _FAILED = 200, 499, 500
_MESSAGE_SECONDS = 30.0
_ROUTES = {name: f"grpc/{name}" for name in ("Decide", "DecideMany", "Simulate", "GetDecision", "GetReceipt")}
"""What each call is counted as."""
_FORWARDED = "x-forwarded-for"
_UNTOLD = NoRefusals()
_CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""Who was let in, of the call at work."""
_log = logging.getLogger("obligor.grpc")

Ask = TypeVar("Ask", bound=Message | Many)
Told = TypeVar("Told")


class Servicer(DecisionsServicer):
    """Answers the calls of `decisions.proto`; belongs to one event loop, and shares its seats with the REST door."""

    def __init__(
        self,
        service: DecisionService,
        register: Register,
        authenticator: Authenticator,
        *,
        seats: Seats,
        meter: Meter,
        refusals: Refuses = _UNTOLD,
        proxies: Networks = NOWHERE,
    ) -> None:
        self._proxies = proxies
        self._service, self._register = service, register
        self._authenticator, self._refusals = authenticator, refusals
        self._seats, self._meter = seats, meter
        self._prompt = Prompt(service, authenticator, seats)

    async def Decide(self, request: pb.DecideRequest, context: Context) -> pb.DecideResponse:
        """Decide on one application and record the decision."""
        return await self._answer("Decide", self._decide, request, context)

    async def DecideMany(self, request: Many, context: Context) -> pb.DecideManyResponse:
        """Decide on many applications, each by itself."""
        return await self._answer("DecideMany", self._decide_many, request, context)

    async def Simulate(self, request: pb.SimulateRequest, context: Context) -> pb.SimulateResponse:
        """Tell how an application would be decided."""
        return await self._answer("Simulate", self._simulate, request, context)

    async def GetDecision(self, request: pb.GetDecisionRequest, context: Context) -> pb.GetDecisionResponse:
        """Find a decision."""
        return await self._answer("GetDecision", self._get_decision, request, context)

    async def GetReceipt(self, request: pb.GetReceiptRequest, context: Context) -> pb.GetReceiptResponse:
        """Prove that a decision stands in the audit log."""
        return await self._answer("GetReceipt", self._get_receipt, request, context)

    async def _decide(self, request: pb.DecideRequest, context: Context) -> pb.DecideResponse:
        return await self._prompt.decide(request, context) or await self._decide_at_length(request, context)

    async def _decide_at_length(self, request: pb.DecideRequest, context: Context) -> pb.DecideResponse:
        heads = heads_of(context)
        caller = await self._caller(heads, context)
        with self._seats.of(caller.client_id):
            application, key = application_in(request.application), key_in(heads)
            return decided(await self._service.decide(caller, key=key, application=application))

    async def _decide_many(self, request: Many, context: Context) -> pb.DecideManyResponse:
        heads = heads_of(context)
        caller = await self._caller(heads, context)
        with self._seats.of(caller.client_id):
            applications = await applications_in(request.applications)
            return await decided_many(
                await self._service.decide_many(caller, key=key_in(heads), applications=applications)
            )

    async def _simulate(self, request: pb.SimulateRequest, context: Context) -> pb.SimulateResponse:
        caller = await self._caller(heads_of(context), context)
        with self._seats.of(caller.client_id):
            return simulated(self._service.simulate(caller, application_in(request.application)))

    async def _get_decision(self, request: pb.GetDecisionRequest, context: Context) -> pb.GetDecisionResponse:
        caller = await self._caller(heads_of(context), context)
        return found(await self._register.decision(caller, decision_id_in(request.decision_id)))

    async def _get_receipt(self, request: pb.GetReceiptRequest, context: Context) -> pb.GetReceiptResponse:
        caller = await self._caller(heads_of(context), context)
        receipt = await self._register.receipt(caller, decision_id_in(request.decision_id))
        return pb.GetReceiptResponse(receipt=encode_in_order(receipt).decode())

    def is_known(self, metadata: Iterable[tuple[str, str | bytes]]) -> bool:
        """Tell whether metadata shows who was let in a moment ago."""
        shown = [value for name, value in metadata if name == "authorization"]
        return len(shown) == 1 and self._authenticator.known(str(shown[0])) is not None

    async def _answer(
        self,
        name: str,
        work: Callable[[Ask, Context], Awaitable[Told]],
        request: Ask | ObligorError | AsyncIterator[Ask | ObligorError],
        context: Context,
    ) -> Told:
        """Do the work of a call, and tell what went wrong; one that is still to come is read once its sender is let in."""
        begun, status, seats = perf_counter(), _GONE, self._seats
        _CALLER.set(None)
        self._meter.entered()
        try:
            asked = _readable(
                request if isinstance(request, Message | Many | ObligorError) else await self._first(request, context)
            )
            self._need_seat()
            seats.open += 1
            try:
                told = await work(asked, context)
            finally:
                seats.open -= 1
        except ObligorError as error:
            status = ANSWERS[error.kind].status
            if isinstance(error, ForbiddenError):
                self._meter.refused("scope")
            if status in TOLD_OF:
                network = network_of(self._sender(context))
                self._refusals.refused(_CALLER.get(), route=f"grpc/{name}", why=TOLD_OF[status], network=network)
            if isinstance(request, Many):
                request.applications.clear()  # the library keeps a refusal, and with it all that its frames hold, for a while
            await refuse(context, refusal_of(error.alone()))
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001  the last one who can tell the client
            status = _FAILED
            _tell_of(error)
            await refuse(context, INTERNAL)
        else:
            status = _DONE
            return told
        finally:
            self._meter.left(_ROUTES[name], status, perf_counter() - begun)
        raise AssertionError  # a refusal does not return

    async def _first(self, coming: AsyncIterator[Ask | ObligorError], context: Context) -> Ask | ObligorError:
        heads = heads_of(context)
        _CALLER.set(await self._authenticate(heads.get("authorization"), context))
        with suppress(TimeoutError):
            async with asyncio.timeout(_MESSAGE_SECONDS):
                async for it in coming:
                    return it
        return InvalidInputError("the request brings no message")

    def _need_seat(self) -> None:
        if self._seats.open >= self._seats.most:
            self._meter.refused("shed")
            raise UnavailableError("too many requests are open; nothing was recorded", told=True)

    async def _caller(self, heads: dict[str, str], context: Context) -> Caller:
        shown = heads.get("authorization")
        caller = _CALLER.get() or (None if shown is None else self._authenticator.known(shown))
        if caller is None:
            caller = await self._authenticate(shown, context)
        _CALLER.set(caller)
        if is_late(context):
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the call was begun")
        return caller

    async def _authenticate(self, shown: str | None, context: Context) -> Caller:
        return await self._authenticator.authenticate(shown, peer=self._sender(context), holds=partial(holds, context))

    def _sender(self, context: Context) -> str:
        forwarded = [str(value) for name, value in context.invocation_metadata() or () if name == _FORWARDED]
        return sender_of(context.peer(), forwarded, self._proxies)


async def refuse(context: Context, status: Status) -> None:
    """End a call with a status and its details."""
    code = next(it for it in grpc.StatusCode if it.value[0] == status.code)
    await context.abort(code, status.message, ((DETAILS, status.SerializeToString()),))


def _readable(request: Ask | ObligorError) -> Ask:
    if isinstance(request, ObligorError):
        raise request
    return request


def _tell_of(error: BaseException) -> None:
    """Write where something failed: the kind and the places, not the message, which may hold a person's value."""
    places = traceback.extract_tb(error.__traceback__)[-5:]
    where = " < ".join(f"{it.name}:{it.lineno}" for it in reversed(places))
    _log.error("%s at %s", type(error).__name__, where)
