"""The gRPC server: in the event loop of the service, beside its REST door, with health and reflection."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import grpc
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from obligor.core.errors import UnavailableError
from obligor.serving.grpc.decisions_pb2 import DESCRIPTOR
from obligor.serving.grpc.health import Health
from obligor.serving.grpc.messages import read_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from google.protobuf.message import Message

    from obligor.serving.grpc.servicer import Servicer

_DECISIONS = DESCRIPTOR.services_by_name["Decisions"]
SERVICE = _DECISIONS.full_name
MOST_MESSAGE_BYTES = 4 << 20
MOST_METADATA_BYTES = 16 << 10
MOST_REFLECTING = 16
_HEALTH = "grpc.health.v1.Health"
_OPTIONS = (
    ("grpc.max_receive_message_length", MOST_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MOST_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MOST_METADATA_BYTES),
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.so_reuseport", 0),  # a second server on the same port is told, not let in
    ("grpc.http2.min_ping_interval_without_data_ms", 60_000),
    ("grpc.max_connection_idle_ms", 60_000),
    ("grpc.keepalive_time_ms", 60_000),  # else who is gone without a word keeps a call open for two hours
    ("grpc.keepalive_timeout_ms", 20_000),
)


class Server:
    """The gRPC door, open from `start` to `stop`.

    Parameters
    ----------
    handshake_s
        How long a connection may take for TLS, and until it says that it speaks HTTP/2.
    connections
        How many may be open, also without having shaken hands; who comes beyond them is turned away.
    """

    def __init__(
        self,
        servicer: Servicer,
        *,
        credentials: grpc.ServerCredentials | None = None,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
        handshake_s: float = 10.0,
        connections: int = 4000,
    ) -> None:
        self._servicer, self._credentials = servicer, credentials
        options = (
            *_OPTIONS,
            ("grpc.server_handshake_timeout_ms", int(1000 * handshake_s)),
            ("grpc.max_allowed_incoming_connections", connections),
        )
        self._server = grpc.aio.server(options=options, interceptors=interceptors)
        self._health = Health(("", SERVICE))
        self.port = 0
        """Where it listens, once it does."""

    async def start(self, host: str, port: int) -> int:
        """Open the door, and give its port; port 0 takes any that is free.

        Raises
        ------
        UnavailableError
            Where the port is taken.
        """
        by_name = cast("grpc.aio.Server", _ByName(self._server))
        by_name.add_generic_rpc_handlers((_Calls(self._servicer),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, by_name)
        add_reflection: Any = reflection_pb2_grpc.add_ServerReflectionServicer_to_server
        add_reflection(_Reflection(), by_name)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if self._credentials is None:
                bound = self._server.add_insecure_port(address)
            else:
                bound = self._server.add_secure_port(address, self._credentials)
        except RuntimeError:
            raise UnavailableError(f"gRPC: cannot listen at {address}; is the port taken?") from None
        await self.tell(ready=True)
        await self._server.start()
        self.port = bound
        return bound

    async def tell(self, *, ready: bool) -> None:
        """Tell those who ask for health whether the service is ready to decide; after `drain` it never is."""
        self._health.tell(ready=ready)

    async def drain(self) -> None:
        """Tell those who ask for health that the door is about to close; calls are still answered."""
        self._health.end()

    async def stop(self, *, grace: float) -> None:
        """Let no call in any more, and give those that are open so many seconds."""
        await self.drain()
        await self._server.stop(grace)


class _ByName:
    """Lets calls be found by name: for each method that is registered the library waits anew at every call."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, *_: object) -> None:
        """Register none."""


class _Reflection:
    """Tells what the service is, to a few at a time: anybody may ask, for as long as they like and with long messages.

    Left to itself, the library would keep a thread of the service for each call, because it does not know the server's class.
    """

    def __init__(self) -> None:
        told: Any = reflection.aio.ReflectionServicer((SERVICE, _HEALTH, reflection.SERVICE_NAME))
        self._told, self._open = told, 0

    async def ServerReflectionInfo(  # noqa: N802  the protocol's name
        self, asked: AsyncIterator[Message], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Message]:
        """Answer what is asked, one after the other."""
        if self._open >= MOST_REFLECTING:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"wanted at most {MOST_REFLECTING} at a time")
        self._open += 1
        try:
            async for it in self._told.ServerReflectionInfo(asked, context):
                yield it
        finally:
            self._open -= 1


class _Calls(grpc.GenericRpcHandler):
    """Finds the handler of a call: of who is known, one that is given the message; of anybody else, one that may read it.

    A message takes up to a hundred times its bytes once it is read. So a stranger's stays on the wire until they are let in.
    """

    def __init__(self, servicer: Servicer) -> None:
        self._servicer = servicer
        self._known = _handlers(servicer, grpc.unary_unary_rpc_method_handler)
        self._strangers = _handlers(servicer, grpc.stream_unary_rpc_method_handler)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Message] | None:
        """Find the handler; none of another service."""
        known = self._known.get(handler_call_details.method)
        if known is None or self._servicer.is_known(handler_call_details.invocation_metadata or ()):
            return known
        return self._strangers[handler_call_details.method]


def _handlers(
    servicer: Servicer, made: Callable[..., grpc.RpcMethodHandler[Any, Message]]
) -> dict[str, grpc.RpcMethodHandler[Any, Message]]:
    """Make the handler of each call, by its path."""
    return {
        f"/{SERVICE}/{it.name}": made(
            getattr(servicer, it.name),
            request_deserializer=partial(read_message, GetMessageClass(it.input_type)),
            response_serializer=GetMessageClass(it.output_type).SerializeToString,
        )
        for it in _DECISIONS.methods
    }
