"""Load over gRPC from processes of their own: ``press``; each runs ``python -m benchmarks.service.grpc_load`` with its part.

Requests are serialised once and answers are not read, so that the client takes as little of the machine as Python can.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid

import grpc

from benchmarks.service.lender import applications
from benchmarks.service.servers import HOST, ROOT
from benchmarks.service.wrk import Figures

METHOD = "/obligor.v1.Decisions/Decide"
_PROCESSES = 2
_PATIENCE_S = 30


def requests() -> list[bytes]:
    """Give the applications as messages."""
    from obligor.serving.grpc import decisions_pb2 as messages

    made = []
    for application in applications():
        request = messages.DecideRequest()
        request.application.update(application)
        made.append(request.SerializeToString())
    return made


def press(port: int, *, key: str, calls: int, seconds: int) -> Figures:
    """Load with so many calls at a time for some seconds; a call that fails is an error."""
    parts = [calls // _PROCESSES] * _PROCESSES if calls >= _PROCESSES else [calls]
    command = [sys.executable, "-m", "benchmarks.service.grpc_load", str(port), key, str(seconds)]
    running = [
        subprocess.Popen([*command, str(part)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True)
        for part in parts
    ]
    taken: list[float] = []
    per_s = 0.0
    for process in running:
        said, wrong = process.communicate()
        if process.returncode:
            raise RuntimeError(f"the load over gRPC failed: {wrong[-2000:]}")
        it = json.loads(said)
        taken += it["taken"]
        per_s += len(it["taken"]) / it["seconds"]
    taken.sort()
    p50, p99, most = (1000 * taken[min(len(taken) - 1, int(part * len(taken)))] for part in (0.5, 0.99, 1))
    return Figures(len(taken), per_s, p50, p99, most, refused=0, broken=0)


async def _load(port: int, key: str, seconds: int, calls: int) -> None:
    made = requests()
    taken: list[float] = []
    run = uuid.uuid4().hex

    async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
        decide: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        await asyncio.wait_for(channel.channel_ready(), _PATIENCE_S)
        end = time.perf_counter() + seconds

        async def caller(number: int) -> None:
            at = 0
            while (began := time.perf_counter()) < end:
                at += 1
                told = (("authorization", f"Bearer {key}"), ("idempotency-key", f"{run}-{number}-{at}"))
                await decide(made[at % len(made)], metadata=told, timeout=_PATIENCE_S)
                taken.append(round(time.perf_counter() - began, 6))

        began = time.perf_counter()
        await asyncio.gather(*map(caller, range(calls)))
        print(json.dumps({"taken": taken, "seconds": time.perf_counter() - began}), flush=True)
        os._exit(0)  # closing the channel of a busy client now and then takes half a minute


if __name__ == "__main__":
    import uvloop

    given_port, given_key, given_seconds, given_calls = sys.argv[1:]
    uvloop.run(_load(int(given_port), given_key, int(given_seconds), int(given_calls)))
