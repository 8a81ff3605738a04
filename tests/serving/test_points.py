"""A writer that is killed at each named point around its commit loses nothing, decides nothing twice, and tells no untruth."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from benchmarks.service.points import POINTS, Ground, Killed, kill_at_every_point

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = 3
"""``python -m benchmarks torture --points 1000`` kills more often."""


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with tempfile.TemporaryDirectory(prefix="obligor-tests-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        with Ground(Path(name)) as it:
            yield it


@pytest.fixture(scope="module")
def killed(ground: Ground) -> dict[str, Killed]:
    return kill_at_every_point(ground, TIMES)


@pytest.mark.parametrize("point", POINTS)
def test_who_sends_again_after_a_kill_is_given_the_one_decision(killed: dict[str, Killed], point: str) -> None:
    assert (killed[point].kills, killed[point].wrong) == (TIMES, [])


def test_a_decision_is_there_exactly_from_its_commit_on(killed: dict[str, Killed]) -> None:
    assert [killed[point].committed for point in POINTS[:2]] == [0, 0]
    assert [killed[point].committed for point in POINTS[3:]] == [TIMES] * 3


def test_the_store_that_is_left_is_sound_and_the_client_s_system_heard_of_every_decision(
    ground: Ground, killed: dict[str, Killed]
) -> None:
    assert ground.verdict() == []
    assert len(set(ground.heard)) == len(killed) * TIMES
