"""The gRPC server: in the event loop of the service, beside its REST door, with health and reflection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from obligor.core.errors import UnavailableError
from obligor.serving.grpc.decisions_pb2 import DESCRIPTOR
from obligor.serving.grpc.decisions_pb2_grpc import add_DecisionsServicer_to_server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obligor.serving.grpc.servicer import Servicer

SERVICE = DESCRIPTOR.services_by_name["Decisions"].full_name
MOST_MESSAGE_BYTES = 16 << 20
MOST_METADATA_BYTES = 16 << 10
_HEALTH = "grpc.health.v1.Health"
_OPTIONS = (
    ("grpc.max_receive_message_length", MOST_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MOST_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MOST_METADATA_BYTES),
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.so_reuseport", 0),  # a second server on the same port is told, not let in
    ("grpc.http2.min_ping_interval_without_data_ms", 60_000),
    ("grpc.max_connection_idle_ms", 300_000),
)


class Server:
    """The gRPC door, open from `start` to `stop`."""

    def __init__(
        self,
        servicer: Servicer,
        *,
        credentials: grpc.ServerCredentials | None = None,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    ) -> None:
        self._servicer, self._credentials = servicer, credentials
        self._server = grpc.aio.server(options=_OPTIONS, interceptors=interceptors)
        self._health = health.aio.HealthServicer()

    async def start(self, host: str, port: int) -> int:
        """Open the door, and give its port; port 0 takes any that is free.

        Raises
        ------
        UnavailableError
            Where the port is taken.
        """
        add_DecisionsServicer_to_server(self._servicer, self._server)  # type: ignore[no-untyped-call]  # as it is generated
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((SERVICE, _HEALTH, reflection.SERVICE_NAME), self._server)
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
        return bound

    async def tell(self, *, ready: bool) -> None:
        """Tell those who ask for health whether the service is ready to decide; after `drain` it never is."""
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", SERVICE):
            await self._health.set(name, status)

    async def drain(self) -> None:
        """Tell those who ask for health that the door is about to close; calls are still answered."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, *, grace: float) -> None:
        """Let no call in any more, and give those that are open so many seconds."""
        await self.drain()
        await self._server.stop(grace)
