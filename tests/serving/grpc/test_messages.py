"""The bytes of a message are read once its sender is let in, and no further than they may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.grpc.test_servicer import HEADS, ID, Lender, opened
from tests.serving.http.serving import run

from obligor.core.errors import InvalidInputError, ObligorError, TooLargeError
from obligor.serving.grpc import decisions_pb2 as pb
from obligor.serving.grpc.messages import read_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EMPTY = b"\x0a\x00"
"""An application without a field, of many."""
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


@given(st.one_of(st.binary(max_size=60), st.just(pb.GetDecisionRequest(decision_id=ID).SerializeToString())))
def test_whatever_bytes_come_are_the_message_that_the_library_reads_or_a_refusal(data: bytes) -> None:
    for kind in (pb.GetDecisionRequest, pb.DecideManyRequest):
        read = read_message(kind, data)
        try:
            known: Message | None = kind.FromString(data)
        except DecodeError:
            known = None
        assert read == known or (isinstance(read, ObligorError) and (known is None or len(UnknownFieldSet(known))))
