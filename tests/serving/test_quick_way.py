"""A service with everything on, from tokens to screening, decides at once on whoever it knows."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import httpx
from benchmarks.service.crashes import PATH
from benchmarks.service.everything import ON_THE_LIST, bodies
from benchmarks.service.full import Everything
from benchmarks.service.servers import HOST

AT_ONCE, LEFT = "decided at once", "left to wait"
COUNTING = f"""
import sys
from obligor.cli import main
from obligor.serving.deciding import DecisionService

decide_at_once = DecisionService.decide_at_once

def counted(self, *args, **named):
    made = decide_at_once(self, *args, **named)
    print("{LEFT}" if made is None else "{AT_ONCE}", file=sys.stderr, flush=True)
    return made

DecisionService.decide_at_once = counted
main()
"""
KNOWN = 10


def test_a_known_person_is_decided_on_at_once_with_everything_on_and_a_new_one_is_not() -> None:
    with tempfile.TemporaryDirectory(prefix="obligor-tests-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        of = Everything(Path(name) / "lender")
        of.lender = replace(of.lender, command=(sys.executable, "-c", COUNTING))
        of.server = of.lender.service(of.port, "--no-grpc")
        first, second = bodies()[ON_THE_LIST : ON_THE_LIST + 2]
        with of:
            headers = {"Authorization": f"Bearer {of.provider.token()}", "Content-Type": "application/json"}
            with httpx.Client(base_url=f"http://{HOST}:{of.port}", headers=headers, trust_env=False) as client:
                asked = [first, *[second] * (1 + KNOWN)]
                answers = [
                    client.post(PATH, content=body, headers={"Idempotency-Key": f"k-{at}"})
                    for at, body in enumerate(asked)
                ]
            told = [it for it in of.server.log.read_text().splitlines() if it in (AT_ONCE, LEFT)]
    assert {it.status_code for it in answers} == {HTTPStatus.CREATED}
    assert "hold" not in {it.json()["outcome"] for it in answers}
    assert told[0] == LEFT  # the first of all shows a token that is not known yet, and is not asked about here
    assert told.count(AT_ONCE) >= KNOWN - 2  # now and then a request looks again whether its token holds
