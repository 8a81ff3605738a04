"""Builds the decision service and runs it."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from obligor.bootstrap.asides import asides, go_on
from obligor.bootstrap.certificates import Certificates
from obligor.bootstrap.decisions import begin, begin_keys
from obligor.bootstrap.doors import Doors, greet, load_doors, open_door, open_grpc, open_rest, read_proxies
from obligor.bootstrap.open_files import Connections, fit_connections
from obligor.bootstrap.parts import open_parts
from obligor.bootstrap.releases import read_run
from obligor.bootstrap.store import database, service_settings
from obligor.bootstrap.telemetry import open_telemetry
from obligor.settings import read_tls_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from obligor.bootstrap.releases import Made
    from obligor.progress import Progress
    from obligor.serving.grpc.server import Server
    from obligor.serving.http import Seats
    from obligor.serving.http.door import Readiness
    from obligor.settings import Settings

_LOOK_SECONDS = 1.0
_GRACE_SECONDS = 26.0


def serve_decisions(run: Path | None, *, doors: Doors, say: Callable[[str], None], progress: Progress) -> None:
    """Serve decisions until told to stop; the run is put in force first where one is given.

    Raises
    ------
    UnavailableError
        Where the store does not answer, or a port is taken.
    IntegrityError
        Where the release in force is not what was signed.
    """
    import uvloop

    # Read where gRPC is loaded: its core writes to standard error, past the journal, of every handshake that fails.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash writes no keys and no names of people to a disk
    settings = service_settings()
    doors = replace(doors, tls=read_tls_settings(os.environ), proxies=read_proxies(os.environ))
    made = None if run is None else read_run(run)
    with progress.step("opening the store"):
        opened = database(settings, meanwhile=partial(load_doors, doors))
        url = opened.__enter__()
    try:
        uvloop.run(_serve(url, settings, made, doors, say))
    finally:
        opened.__exit__(None, None, None)


async def _serve(url: str, settings: Settings, made: Made | None, doors: Doors, say: Callable[[str], None]) -> None:
    certificates = Certificates(doors.tls)
    async with AsyncExitStack() as stack:
        telemetry = stack.enter_context(open_telemetry(os.environ, stream=sys.stderr.buffer))
        parts = await open_parts(stack, url, settings, telemetry, beginning=partial(begin, made=made, say=say))
        door = open_door(parts, telemetry)
        wanted = Connections() if doors.grpc_port is not None else Connections(grpc=0)
        most = fit_connections(telemetry.journal, wanted)
        grpc = await open_grpc(door, doors, telemetry.tracing, certificates=certificates, connections=most.grpc)
        if grpc is not None:
            doors = replace(doors, grpc_port=grpc.port)

        async def listening(port: int) -> None:
            await begin_keys(parts.store, say)
            greet(say, telemetry.journal, doors, parts.releases, port)

        server = open_rest(
            door, doors, telemetry.tracing, encryption=certificates.encryption, most=most, listening=listening
        )
        going_on = [*asides(url, settings, parts, telemetry)]
        if certificates.encryption is not None:
            going_on.append(partial(certificates.run, telemetry.journal))
        running_on = [asyncio.create_task(go_on(it, telemetry.journal)) for it in going_on]
        running = None if grpc is None else partial(_run_beside, grpc, door.readiness, door.seats)
        beside = None if running is None else asyncio.create_task(go_on(running, telemetry.journal))
        try:
            await server.serve()
        finally:
            if grpc is not None and beside is not None:
                if server.force_exit or not door.seats.draining:
                    beside.cancel()
                await asyncio.gather(beside, return_exceptions=True)
                await grpc.stop(grace=0.0)
            for aside in running_on:
                aside.cancel()
            await asyncio.gather(*running_on, return_exceptions=True)
            telemetry.journal.tell("stopped")


async def _run_beside(grpc: Server, readiness: Readiness, seats: Seats) -> None:
    """Tell gRPC's health what REST's says; when the service is to stop, give notice and close the door, as REST does."""
    from obligor.serving.http import RunLimits

    while not seats.draining:
        await grpc.tell(ready=all((await readiness.states()).values()))
        await asyncio.sleep(_LOOK_SECONDS)
    await grpc.drain()
    await asyncio.sleep(RunLimits().notice_seconds)
    await grpc.stop(grace=_GRACE_SECONDS)
