"""The anchor over gRPC: the same messages, no decision. ``python -m benchmarks.service.noop_grpc PORT``, with NOOP_ANSWER."""

from __future__ import annotations

import os
import sys

import grpc
import uvloop
from google.protobuf.json_format import Parse

from obligor.serving.grpc import decisions_pb2 as messages
from obligor.serving.grpc import decisions_pb2_grpc as services

ANSWER = Parse(os.environ["NOOP_ANSWER"], messages.DecideResponse())


class Decisions(services.DecisionsServicer):
    async def Decide(self, request: object, context: object) -> object:  # noqa: N802, ARG002 - gRPC's name and arguments
        return ANSWER


async def serve(port: str) -> None:
    server = grpc.aio.server()
    services.add_DecisionsServicer_to_server(Decisions(), server)  # type: ignore[no-untyped-call]  # written by grpcio-tools
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
