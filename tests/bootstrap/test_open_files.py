"""A service holds no more connections than it may open files, and says so where they are few."""

from __future__ import annotations

import inspect
import json
import resource
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.bootstrap.open_files import Connections
from obligor.serving.grpc.server import Server
from obligor.serving.http import RunLimits

FITTING = """
import json, resource, sys
from obligor.bootstrap.open_files import Connections, fit_connections
from obligor.serving.telemetry.journal import Journal

soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
with Journal(sys.stderr.buffer, strict=True) as journal:
    most = fit_connections(journal, Connections())
print(json.dumps([most.rest, most.handshakes, most.grpc, resource.getrlimit(resource.RLIMIT_NOFILE)[0]]))
"""
_, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)


def fitted(soft: int, hard: int) -> tuple[list[int], str]:
    """Fit a process of its own to its limits; give what it may hold, with its soft limit, and what it told."""
    done = subprocess.run(
        [sys.executable, "-c", FITTING, str(soft), str(hard)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout), done.stderr


def test_the_doors_hold_what_they_are_made_for_where_there_are_files_enough() -> None:
    made, whole = RunLimits(), Connections()
    grpc = inspect.signature(Server).parameters["connections"].default
    assert (whole.rest, whole.handshakes, whole.grpc) == (made.wire.connections, made.handshakes, grpc)
    assert whole.within(whole.files) == whole.within(10**6) == whole
    assert whole.files == 10_000


@given(st.integers(64, 20_000), st.sampled_from([Connections(), Connections(grpc=0)]))
def test_fewer_files_leave_room_for_fewer_connections_and_for_what_else_the_service_opens(
    files: int, whole: Connections
) -> None:
    few = whole.within(files)
    assert few.rest + few.handshakes + few.grpc + min(1000, files // 2) <= files + (not whole.grpc)
    assert 1 <= few.rest <= whole.rest
    assert 1 <= few.handshakes <= few.rest


@pytest.mark.skipif(0 <= HARD < 10_000, reason="this machine lets a process open fewer files")
def test_a_service_raises_its_own_limit_and_says_nothing_where_that_is_enough() -> None:
    assert fitted(256, 10_000) == ([4000, 1000, 4000, 10_000], "")


def test_a_service_that_may_open_few_files_says_so_in_one_line_and_lets_fewer_in() -> None:
    (rest, handshakes, grpc, soft), line = fitted(256, 1024)
    assert (rest, handshakes, grpc, soft) == (227, 56, 227, 1024)
    told = json.loads(line)
    assert (told["event"], told["level"], told["got"], told["wanted"]) == ("open_files_few", "warning", 1024, 10_000)
