"""The bytes of a message are read once its sender is let in, and no further than they may go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.message import DecodeError, Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.grpc.test_servicer import HEADS, ID, Lender, application, opened, servicer
from tests.serving.http.serving import run

from obligor.core.errors import InvalidInputError, ObligorError, TooLargeError
from obligor.serving.grpc import decisions_pb2 as pb
from obligor.serving.grpc.calls import applications_in
from obligor.serving.grpc.messages import Many, read_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EMPTY = b"\x0a\x00"
"""An application without a field, of many."""
FIELD = pb.DecideManyRequest(applications=[application(a=1)]).SerializeToString()
"""One with a field."""
NOBODY = (("authorization", "Bearer nobody"), ("idempotency-key", "loan-17"))


@pytest.mark.parametrize("call", ["Decide", "DecideMany", "Simulate", "GetDecision", "GetReceipt"])
def test_nothing_is_read_of_who_is_not_let_in(call: str) -> None:
    """What is no message is told to whoever was let in; to anybody else, that they were not."""

    async def main() -> None:
        async with opened(Lender()) as door:
            asked = door.channel.unary_unary(f"/obligor.v1.Decisions/{call}")
            for heads, code in ((NOBODY, "UNAUTHENTICATED"), ((), "UNAUTHENTICATED"), (HEADS, "INVALID_ARGUMENT")):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await asked(b"\xff", metadata=heads, timeout=10)
                assert refused.value.code().name == code

    run(main())


def test_a_call_without_a_message_is_refused() -> None:
    async def nothing() -> AsyncIterator[bytes]:
        for it in ():
            yield it

    async def main() -> None:
        async with opened(Lender()) as door:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await door.channel.stream_unary("/obligor.v1.Decisions/Decide")(nothing(), metadata=HEADS, timeout=10)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    run(main())


def test_too_many_applications_and_one_that_is_too_long_are_not_read() -> None:
    for kind, data in (
        (pb.DecideManyRequest, EMPTY * 1001),
        (pb.DecideManyRequest, EMPTY * 2_000_000),
        (pb.DecideManyRequest, b"\x10\x00" * 1001),  # of a field that is not known
        (pb.DecideRequest, EMPTY * (1 << 20)),
        (pb.GetDecisionRequest, EMPTY * (1 << 20)),
    ):
        assert isinstance(read_message(kind, data), TooLargeError)
    assert len(read_message(pb.DecideManyRequest, EMPTY * 1000).applications) == 1000  # type: ignore[union-attr]
    assert isinstance(read_message(pb.DecideManyRequest, b"\x80" * (1 << 20)), InvalidInputError)


@given(
    st.one_of(
        st.binary(max_size=60),
        st.lists(st.sampled_from([EMPTY, FIELD, FIELD[:-1], b"\x10\x01", b"\x0a\x80\x80"])).map(b"".join),
        st.just(pb.GetDecisionRequest(decision_id=ID).SerializeToString()),
    )
)
def test_whatever_bytes_come_are_the_message_that_the_library_reads_or_a_refusal(data: bytes) -> None:
    for kind in (pb.GetDecisionRequest, pb.DecideManyRequest):
        try:
            read: Message | ObligorError = _read(kind, data)
        except DecodeError:  # of an application, once it is its turn
            read = InvalidInputError("no message")
        try:
            known: Message | None = kind.FromString(data)
        except DecodeError:
            known = None
        may_refuse = known is None or len(UnknownFieldSet(known)) > 0
        if isinstance(known, pb.DecideManyRequest):
            known.DiscardUnknownFields()
        assert read == known or (isinstance(read, ObligorError) and may_refuse)


def _read(kind: type[Message], data: bytes) -> Message | ObligorError:
    read = read_message(kind, data)
    return pb.DecideManyRequest(applications=map(Struct.FromString, read[0])) if isinstance(read, Many) else read


def test_an_application_is_read_when_its_turn_comes_and_its_bytes_are_given_back() -> None:
    """So many bytes of messages take up to a hundred times as many once they are read."""

    async def main() -> None:
        many = read_message(pb.DecideManyRequest, FIELD * 3)
        assert isinstance(many, Many)
        reading = asyncio.ensure_future(applications_in(many.applications))
        left = []
        while not reading.done():
            await asyncio.sleep(0)
            left.append(len(many.applications))
        assert left[:3] == [2, 1, 0]
        assert await reading == [b'{"a":1.0}'] * 3

    asyncio.run(main())


@pytest.mark.parametrize("value", [b"\x0a\x02\xff\xff", b"\x0a\x05\x0a\x03\x0a\x01\xff"])
def test_an_application_that_is_no_message_refuses_all_of_them(value: bytes) -> None:
    many = read_message(pb.DecideManyRequest, FIELD + value)
    assert isinstance(many, Many)
    with pytest.raises(InvalidInputError, match=r"decisions\.proto"):
        asyncio.run(applications_in(many.applications))


def test_a_call_that_was_refused_keeps_nothing_of_its_message() -> None:
    """The library keeps a refusal with its frames until the garbage is collected: megabytes of each call."""
    many = read_message(pb.DecideManyRequest, FIELD * 3)
    assert isinstance(many, Many)
    with pytest.raises(grpc.aio.AbortError) as refused:
        asyncio.run(servicer(Lender()).DecideMany(many, Stranger()))  # type: ignore[arg-type]  # what a call asks of its context
    assert not many.applications
    assert refused.value.__context__ is not None
    assert refused.value.__context__.__traceback__ is None


class Stranger:
    """The context of a call by somebody who is not known."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return NOBODY

    def peer(self) -> str:
        return "ipv4:192.0.2.1:7"

    def time_remaining(self) -> None:
        return None

    async def abort(self, *_: object) -> None:
        raise grpc.aio.AbortError
