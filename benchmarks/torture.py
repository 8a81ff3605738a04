"""Kills the decision service and its database under load, again and again, and counts what was lost or done twice.

Each round: clients load with idempotency keys; at a random moment the service, PostgreSQL (every process of it) or both are
killed with SIGKILL; they start again, and every request whose answer was not seen is sent again. Then every answer ever seen
must be kept with its very bytes, and no key may have two decisions. `obligor audit verify` and `obligor doctor --strict` run
now and then, and at the end. A killed process is not a power cut: what the disk itself forgets is not tried.

With ``--points`` a writer dies instead at each named point around its commit, so many times each (``service.points``).
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.service.crashes import Victim, torment
from benchmarks.service.points import Ground, counted, kill_at_every_point

ROUNDS, QUICK_ROUNDS = 200, 10
SEED = 20261126
_CHECKED_EVERY = 20


def run(*, quick: bool, rounds: int | None = None, seed: int = SEED, points: int | None = None) -> dict[str, object]:
    """Run the rounds; the same seed draws the same kills, though not the same moments of the machine."""
    if points is not None:
        return _run_points(points)
    rounds = rounds or (QUICK_ROUNDS if quick else ROUNDS)
    chance = random.Random(seed)  # noqa: S311 - it draws moments, not secrets
    killed: Counter[str] = Counter()
    verify = doctor = True
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="obligor-torture-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the database runs as a user of its own where this one is root
        with Victim(folder) as victim:
            for number in range(1, rounds + 1):
                killed[asyncio.run(torment(victim, chance=chance))] += 1
                if number % _CHECKED_EVERY and number != rounds:
                    continue
                found = victim.verdict()
                verify &= victim.green("audit", "verify")
                doctor &= victim.green("doctor", "--strict")
                print(f"round {number}: {found.acknowledged:,} acknowledged, {found.lost} lost, {found.duplicated} twice; "
                      f"verify {verify}, doctor {doctor}", flush=True)  # fmt: skip
                for wrong in found.wrong:
                    print(wrong, flush=True)
    return {
        "rounds": rounds,
        "seed": seed,
        "killed": dict(sorted(killed.items())),
        "acknowledged": found.acknowledged,
        "recovered": victim.seen.recovered,
        "lost": found.lost,
        "duplicated": found.duplicated,
        "consistent": not found.wrong,
        "verify": verify,
        "doctor": doctor,
    }


def _run_points(times: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="obligor-torture-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Ground(folder) as ground:
            found = kill_at_every_point(ground, times)
            wrong = [each for killed in found.values() for each in killed.wrong] + ground.verdict()
    for each in wrong[:20]:
        print(each, flush=True)
    return {"points": counted(found), "wrong": len(wrong)}
