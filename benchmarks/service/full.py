"""The decision service with everything on, beside the endpoint that decides nothing and is sent the same bodies.

A token of an identity provider, personal fields that are sealed, all three gates enforced, and a webhook whose events are
written with each decision, and sent to a system in a process of its own that takes them; metrics count. Afterwards the rows
must say that all of this was so: sealed records, gates that passed, an event for each decision, and outcomes of a lender
who lends.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import httpx

from benchmarks.service import wrk
from benchmarks.service.database import Database
from benchmarks.service.everything import (
    CLIENT,
    FIELDS,
    IDENTIFIERS,
    Provider,
    bodies,
    write_evidence,
    write_list,
    write_profile,
)
from benchmarks.service.lender import write_run
from benchmarks.service.servers import HOST, Lender, free_port, noop, receiver
from benchmarks.service.turns import OURS, PATH, SLOW_FLUSH_US, Effort, Side, in_turns

if TYPE_CHECKING:
    from pathlib import Path

CONNECTIONS = (64,)
_OUTCOMES = "SELECT outcome, count(*) FROM obligor.decision GROUP BY outcome ORDER BY outcome"
_KEPT = """
    SELECT count(*), count(*) FILTER (WHERE said ->> 'schema' = 'obligor/decision/2'),
           count(*) FILTER (WHERE said #>> '{gates,kyc,result}' = 'pass'),
           count(*) FILTER (WHERE said #>> '{gates,aml,result}' = 'pass'),
           count(*) FILTER (WHERE said #>> '{gates,aml,result}' = 'fail'),
           (SELECT count(*) FROM obligor.outbox), (SELECT count(*) FROM obligor.decision)
    FROM (SELECT convert_from(record.body, 'UTF8')::jsonb AS said FROM obligor.record JOIN obligor.leaf ON leaf_index = index
          WHERE kind = 'decision' ORDER BY index DESC LIMIT 20000) AS records
"""


class Everything:
    """A lender's service with everything on, and what it talks to."""

    def __init__(self, folder: Path, *, settings: tuple[tuple[str, str], ...] = ()) -> None:
        folder.mkdir()
        folder.chmod(0o755)
        self.folder, self.provider, self.port, self.hooks = folder, Provider(), free_port(), free_port()
        self.database = Database(folder / "database")
        evidence = write_evidence(folder / "evidence.json")
        self.lender = Lender(
            folder / "data",
            write_run(folder / "run", identifiers=IDENTIFIERS),
            self.database.url,
            settings=(*self.provider.settings.items(), ("OBLIGOR_KYC", str(evidence)), *settings),
        )
        self.server = self.lender.service(self.port, "--grpc-port", free_port())
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.provider.serving())
            stack.enter_context(self.database)
            self.database.fill_log()
            stack.enter_context(receiver(self.hooks, log=self.folder / "receiver.log"))
            self._begin()
            stack.enter_context(self.server)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _begin(self) -> None:
        """Put the profile in force, load the list, and name the endpoint."""
        profile, lender = write_profile(self.folder / "profile.json"), self.lender
        lender.obligor("releases", "activate", lender.run, "--profile", profile)
        listed = write_list(self.folder / "list")
        lender.obligor("lists", "load", listed, "--published", datetime.now(UTC).date().isoformat())
        lender.obligor("webhooks", "add", CLIENT, f"http://{HOST}:{self.hooks}/events")

    def answer(self) -> bytes:
        """Give the answer of one decision that is not held."""
        headers = {"Authorization": f"Bearer {self.provider.token()}", "Content-Type": "application/json"}
        with httpx.Client(headers=headers, trust_env=False) as client:
            for at, body in enumerate(bodies()):  # each is screened once, which is what a cache needs
                given = client.post(
                    f"http://{HOST}:{self.port}{PATH}",
                    content=body.replace(wrk.SERIAL.encode(), b"%08d" % at),
                    headers={"Idempotency-Key": f"first-{at}"},
                )
                given.raise_for_status()
        return given.content

    def press(self, port: int, connections: int, seconds: int, *, aside: bool = False) -> wrk.Figures:
        """Load a port with a new token; the service stands still where it is ``aside``, for it has events to send."""
        headers = (("Authorization", f"Bearer {self.provider.token()}"),)
        load = wrk.Load(f"http://{HOST}:{port}", PATH, bodies(), headers)
        if aside:
            self.server.pause()
        try:
            return wrk.press(load, connections=connections, seconds=seconds)
        finally:
            if aside:
                self.server.resume()

    def side(self, name: str = OURS) -> Side:
        """Give the service as one that is loaded in turns."""
        return Side(name, lambda c, s: self.press(self.port, c, s), lambda: self.server.cpu_s() + self.database.cpu_s())

    def outcomes(self) -> dict[str, int]:
        """Count the outcomes, once the rows say that everything was on.

        Raises
        ------
        RuntimeError
            Where a record is not sealed, a gate was passed over, an event is missing, or hardly anything was decided.
        """
        ((records, sealed, known, passed, hits, events, decisions),) = self.database.query(_KEPT)
        found = {name: int(count) for name, count in self.database.query(_OUTCOMES)}
        held = found.get("hold", 0)
        wrong = sealed < records or known < records or passed + hits < records or not hits or events < decisions
        if wrong or held > decisions // 100 or len(found) < 3:  # approve, decline, refer
            raise RuntimeError(
                f"of {records} records {sealed} are sealed, {known} passed kyc, {passed} passed aml, {hits} hit; "
                f"{events} events for {decisions} decisions; {found}"
            )
        return found


def measured(folder: Path, effort: Effort) -> dict[str, object]:
    """Measure it on this disk and on a slow one."""
    with Everything(folder) as service:
        answer, port = service.answer(), free_port()
        with noop(port, answer=answer, log=folder / "noop.log", more=FIELDS) as server:
            anchor = Side("noop", lambda c, s: service.press(port, c, s, aside=True), server.cpu_s)
            fast = in_turns((anchor, service.side()), service.database, effort, CONNECTIONS)
            service.database.delay_flushes(SLOW_FLUSH_US)
            slow = in_turns((anchor, service.side()), service.database, effort, CONNECTIONS)
            service.database.delay_flushes(0)
        return {
            "rest_ratio_full": fast["64"]["ratio"],
            "rest_ratio_full_slow_disk": slow["64"]["ratio"],
            "rss_full_mb": round(service.server.rss_mb()),
            "full": fast,
            "full_slow_disk": slow,
            "outcomes_full": service.outcomes(),
        }
