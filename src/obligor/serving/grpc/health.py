"""Health over gRPC, as its protocol has it, and held up by nobody who asks.

The library's own servicer writes to one watcher while it keeps the others, and whoever sets the status, waiting: a client that
takes no answer froze what was told, and kept the service from stopping.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    Context = grpc.aio.ServicerContext[Any, Any]

MOST_WATCHING = 1000
"""Anybody may watch for as long as they like, and each takes some memory."""
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health(health_pb2_grpc.HealthServicer):
    """Tells whether services are ready; belongs to one event loop."""

    def __init__(self, services: Collection[str]) -> None:
        self._services = services
        self._status: int = _SERVING
        self._is_over = False
        self._turned = asyncio.Event()
        self._watching = 0

    def tell(self, *, ready: bool) -> None:
        """Tell it to whoever watches; once it is over, nothing is ready any more."""
        status = _SERVING if ready and not self._is_over else _NOT_SERVING
        if status != self._status:
            self._status = status
            turned, self._turned = self._turned, asyncio.Event()
            turned.set()

    def end(self) -> None:
        """Be ready no more."""
        self._is_over = True
        self.tell(ready=False)

    async def Check(  # noqa: N802  the protocol's name
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Tell how a service is."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return health_pb2.HealthCheckResponse(status=self._status)

    async def Watch(  # noqa: N802  the protocol's name
        self,
        request: health_pb2.HealthCheckRequest,
        context: Context,
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Tell how a service is, and again whenever that turns, until it is over."""
        if self._watching >= MOST_WATCHING:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"wanted at most {MOST_WATCHING} at a time")
        self._watching += 1
        try:
            async for status in self._turns(request.service):
                yield health_pb2.HealthCheckResponse(status=status)
        finally:
            self._watching -= 1

    async def _turns(self, service: str) -> AsyncIterator[int]:
        last = None
        while True:
            turned, status = self._turned, self._status if service in self._services else _UNKNOWN
            if status != last:
                last = status
                yield status
            elif self._is_over:
                return
            else:
                await turned.wait()
