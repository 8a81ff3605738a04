"""A lender restores an old backup: nothing is decided until two people took note of what is lost, and that is told for ever."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from tests.governance.notices.desk import PARTICULARS
from tests.lending import Lender, a_day, lending, write_key
from tests.screening.lists import EXAMPLE
from tests.stores import new_store, of_database

from obligor.bootstrap.anchors import held_up
from obligor.bootstrap.decisions import make_decisions, take_newest
from obligor.bootstrap.doors import Readiness
from obligor.bootstrap.privacy import open_sealer
from obligor.bootstrap.store import open_store
from obligor.cli.main import cli
from obligor.core.errors import ClashError, ForbiddenError, InvalidInputError, NotFoundError, UnavailableError
from obligor.governance.audit.standalone.verify import check_bundle
from obligor.serving.releases.release import Releases
from obligor.serving.telemetry.meter import NoMeter
from obligor.serving.webhooks.events import Listeners
from obligor.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obligor.security.signing import SigningKey

NO_ID = "00000000-0000-0000-0000-000000000007"


@dataclass(frozen=True)
class Restored:
    """A store that was put back to where it was in the morning, beside the anchor that knows of the whole day."""

    folder: Path
    url: str
    key: SigningKey
    lost: int
    """The leaves of the whole day."""
    kept: int

    def run(self, by: str, *command: str, anchors: str = "") -> Result:
        places = ",".join(filter(None, [str(self.folder / "anchors"), anchors]))
        environ = {"OBLIGOR_DATA": str(self.folder), "OBLIGOR_DATABASE_URL": self.url, "OBLIGOR_AUTHOR": by,
                   "OBLIGOR_ANCHORS": places}  # fmt: skip
        return CliRunner().invoke(cli, list(command), env=environ)

    def said(self, by: str, *command: str) -> Any:
        done = self.run(by, *command, "--json")
        assert done.exit_code in (0, 1), done.output + repr(done.exception)
        return json.loads(done.stdout)

    def proposal(self, by: str = "ada") -> str:
        told: str = self.said(by, "audit", "acknowledge", "--because", "the disk died at noon")["restore_id"]
        return told

    def verify(self, *more: str) -> Any:
        return self.said("ada", "audit", "verify", "--anchors", str(self.folder / "anchors"), *more)


@pytest.fixture
def restored(embedded_postgres: str, tmp_path: Path) -> Iterator[Restored]:
    key = write_key(tmp_path / "keys" / "audit-ed25519.pem")
    with new_store(embedded_postgres) as url:
        a_day(url, tmp_path / "anchors", key=key, decisions=3)
        backup = url.partition("?")[0].rpartition("/")[2] + "_backup"
        with psycopg.connect(embedded_postgres, autocommit=True) as owner:
            owner.execute(f"CREATE DATABASE {backup} TEMPLATE {backup.removesuffix('_backup')}".encode())
        old = of_database(embedded_postgres, backup)

        async def afternoon() -> None:
            async with lending(url, key=key, seed=2) as lender:
                await lender.decide(4, first=20)
                await lender.anchor(tmp_path / "anchors")
                await lender.decide(4, first=30)
                await lender.anchor(tmp_path / "anchors")

        asyncio.run(afternoon())
        kept, lost = (_size(it) for it in (old, url))
        yield Restored(tmp_path, old, key, lost, kept)
        with psycopg.connect(embedded_postgres, autocommit=True) as owner:
            owner.execute(f"DROP DATABASE {backup} WITH (FORCE)".encode())


def _size(url: str) -> int:
    with psycopg.connect(url) as connection:
        return int(connection.execute("SELECT size FROM obligor.tree_head").fetchall()[0][0])


def _raised(done: Result) -> BaseException:
    assert done.exception is not None
    return done.exception


def test_a_service_on_an_old_backup_refuses_until_two_people_took_note(
    restored: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBLIGOR_DATA", str(restored.folder))
    monkeypatch.setenv("OBLIGOR_ANCHORS", f"{restored.folder / 'anchors'},{restored.folder / 'new'}")
    settings = read_settings(os.environ)
    troubles: list[str] = []

    async def served() -> None:
        async with (
            open_store(restored.url, settings) as store,
            held_up(store, settings, meter=NoMeter(), told=lambda it: troubles.append(str(it.trouble))) as anchoring,
        ):
            releases = Releases(store.archive)
            await take_newest(store, releases, NoMeter())
            decisions = make_decisions(
                *(store, releases, NoMeter()),
                gates={},
                gate_deadline_s=1.0,
                listeners=Listeners(),
                sealer=await open_sealer(store, settings),
            )
            lender = Lender(*decisions, store.recorder, store.archive, store.log, store.sources, store.key, None)  # type: ignore[arg-type]
            ready = Readiness(store, releases)
            with pytest.raises(UnavailableError, match="two people decide: obligor audit acknowledge"):
                await lender.decide(1, first=50)
            assert (await ready.states())["log_is_that_of_its_anchors"] is False
            proposal = await asyncio.to_thread(restored.proposal)
            await anchoring.round()
            with pytest.raises(UnavailableError):
                await lender.decide(1, first=50)
            done = await asyncio.to_thread(restored.run, "bob", "audit", "acknowledge", proposal)
            assert done.stdout.splitlines()[-1].startswith("acknowledged by ada and bob, at leaf ")
            await anchoring.round()
            assert all((await ready.states()).values())
            await lender.decide(1, first=50)

    asyncio.run(served())
    assert "the log has" in troubles[0]
    assert _size(restored.url) == restored.kept + 3  # a proposal, a confirmation, a decision
    assert [it.name for it in (restored.folder / "new").glob("*.checkpoint")]


def test_what_was_acknowledged_is_told_for_ever_and_wrong_for_whoever_does_not_know_of_it(restored: Restored) -> None:
    before = restored.verify()
    assert {it["kind"] for it in before["findings"]} == {"rolled-back"}
    leaf = restored.said("bob", "audit", "acknowledge", restored.proposal())["leaf_index"]
    unknown = restored.verify()
    assert (unknown["sound"], [it["kind"] for it in unknown["findings"]]) == (False, ["rolled-back"])
    assert f"ada and bob acknowledged that at leaf {leaf}" in unknown["findings"][0]["message"]
    known = restored.verify("--acknowledged", str(leaf))
    assert (known["sound"], known["findings"]) == (True, [])
    (told,) = known["acknowledged"]
    assert (told["kind"], told["first_index"], told["times"]) == ("rolled-back", restored.kept, 2)
    assert not restored.verify("--acknowledged", str(leaf - 1))["sound"]


def test_a_bundle_of_a_log_that_was_set_back_tells_whoever_verifies_it_alone(restored: Restored) -> None:
    leaf = restored.said("bob", "audit", "acknowledge", restored.proposal())["leaf_index"]
    bundle = str(restored.folder / "acts.zip")
    period = ("--from", "2020-01-01", "--to", "2036-01-01", "--purpose", "after the restore")
    done = restored.run("ada", "audit", "export", bundle, *period)
    assert done.exit_code == 0, done.output
    told = "\n".join(check_bundle(bundle, restored.key.verifier.text()))
    assert f"note   leaf {leaf}: person:bob acknowledged that the log was set back to {restored.kept} leaves" in told


def test_the_log_that_goes_on_past_what_was_lost_still_verifies_and_a_rewrite_of_it_does_not(
    restored: Restored,
) -> None:
    leaf = restored.said("bob", "audit", "acknowledge", restored.proposal())["leaf_index"]

    async def more() -> None:
        async with lending(restored.url, key=restored.key, seed=3) as lender:
            await lender.decide(restored.lost, first=60)
            await lender.anchor(restored.folder / "anchors")

    asyncio.run(more())
    told = restored.verify("--acknowledged", str(leaf))
    assert (told["sound"], told["anchored"]) == (True, restored.kept + 2 + restored.lost)
    doctor = {it["check"]: it for it in restored.said("ada", "doctor")["checks"]}
    assert (doctor["I4"]["verdict"], doctor["I5"]["counts"]) == ("ok", {"losses acknowledged": 1})
    with psycopg.connect(restored.url) as connection:
        for table in ("leaf", "record"):
            connection.execute(f"ALTER TABLE obligor.{table} DISABLE TRIGGER ALL".encode())
        connection.execute("UPDATE obligor.record SET salt = sha256(salt) WHERE leaf_index = %s", (leaf,))
        for table in ("leaf", "record"):
            connection.execute(f"ALTER TABLE obligor.{table} ENABLE ALWAYS TRIGGER append_only".encode())
    kinds = {it["kind"] for it in restored.verify("--acknowledged", str(leaf))["findings"]}
    assert kinds == {"record-changed", "rewritten"}  # an acknowledgement that does not hold covers nothing


def test_one_person_alone_cannot_take_note_of_a_loss(restored: Restored) -> None:
    proposal = restored.proposal()
    for same in ("ada", "Ada", "ADA"):
        assert isinstance(_raised(restored.run(same, "audit", "acknowledge", proposal)), ForbiddenError)
    assert isinstance(_raised(restored.run("bob", "audit", "acknowledge", "none")), NotFoundError)
    assert isinstance(_raised(restored.run("no name!", "audit", "acknowledge", proposal)), InvalidInputError)
    assert isinstance(_raised(restored.run("ada", "audit", "acknowledge", "--because", " ")), InvalidInputError)
    assert restored.run("bob", "audit", "acknowledge").exit_code == 2
    assert restored.run("bob", "audit", "acknowledge", proposal).exit_code == 0
    assert isinstance(_raised(restored.run("eve", "audit", "acknowledge", proposal)), ClashError)
    again = _raised(restored.run("eve", "audit", "acknowledge", "--because", "once more"))
    assert "nothing to acknowledge" in str(again)


def test_where_the_store_has_users_only_they_take_note_of_a_loss(restored: Restored) -> None:
    with psycopg.connect(restored.url) as connection:
        for user, disabled in (("ada", "NULL"), ("bob", "NULL"), ("eve", "now()")):
            connection.execute(
                "INSERT INTO obligor.app_user (user_id, password, created_at, disabled_at, leaf_index)"
                f" VALUES ('{user}', '', now(), {disabled}, 0)".encode()
            )
    proposal = restored.proposal()
    for nobody in ("eve", "mallory"):
        refused = _raised(restored.run(nobody, "audit", "acknowledge", proposal))
        assert isinstance(refused, ForbiddenError)
        assert "nobody whom the store knows" in str(refused)
    assert restored.run("bob", "audit", "acknowledge", proposal).exit_code == 0


def test_a_reason_with_the_number_of_a_card_is_not_recorded(restored: Restored) -> None:
    told = str(_raised(restored.run("ada", "audit", "acknowledge", "--because", "paid by 4111 1111 1111 1111")))
    assert ("payment card" in told, "4111" in told) == (True, False)
    assert _size(restored.url) == restored.kept


def test_a_proposal_stands_for_the_loss_that_it_names(restored: Restored) -> None:
    proposal = restored.proposal()

    async def longer() -> None:
        from obligor.adapters.anchors.file import FileAnchor
        from obligor.core.checkpoints import Checkpoint

        note = restored.key.sign_note(Checkpoint(restored.key.name, restored.lost + 9, bytes(32)).text()).encode()
        FileAnchor(restored.folder / "anchors").publish(note)

    asyncio.run(longer())
    refused = _raised(restored.run("bob", "audit", "acknowledge", proposal))
    assert "another loss than was proposed" in str(refused)


WRITES = (
    ("keys", "create", "acme"),
    ("users", "add", "eve", "--no-password"),
    ("users", "disable", "eve", "--unknown"),
    ("roles", "grant", "eve", "admin"),
    ("roles", "revoke", "eve", "admin"),
    ("profile", "propose", __file__, "--because", "why"),
    ("profile", "approve", NO_ID),
    ("lists", "load", str(EXAMPLE), "--published", "2026-11-01"),
    ("alerts", "clear", NO_ID, "--because", "another birth place"),
    ("alerts", "confirm", NO_ID, "--because", "the passport says so"),
    ("alerts", "reported", NO_ID, "--reference", "ORS 17"),
    ("alerts", "yearly-reported", "2026", NO_ID, "--reference", "ORS 17"),
    ("alerts", "rescreen"),
    ("webhooks", "add", "acme", "https://los.example/events"),
    ("webhooks", "disable", "e-1"),
    ("reviews", "decide", NO_ID, "--outcome", "approve", "--factor", "Income was shown"),
    ("overrides", "decide", NO_ID, "--outcome", "approve", "--reason", "outside", "--rationale", "A payslip was shown"),
    ("actions", "offer", NO_ID, "--rate", "0.1", "--offered-on", "2026-11-01", "--respond-by", "2026-12-01"),
    ("actions", "answer", NO_ID, "--not-accepted", "--on", "2026-11-01"),
    ("actions", "incomplete", NO_ID, "--field", "income", "--respond-by", "2100-01-01"),
    ("notice", NO_ID, "--template", "us-fed-adverse-action", "--out", "notice.txt"),
    ("proposals", "agree", NO_ID),
    ("proposals", "withdraw", NO_ID, "--because", "why"),
    ("privacy", "hold", "--application", "A-1", "--because", "why"),
    ("audit", "export", "acts.zip", "--from", "2020-01-01", "--to", "2036-01-01", "--purpose", "why"),
)


def test_other_commands_write_nothing_to_a_store_that_was_set_back(restored: Restored) -> None:
    particulars = restored.folder / "notices" / "particulars.yaml"
    particulars.parent.mkdir()
    particulars.write_text(PARTICULARS.model_dump_json(by_alias=True))
    for command in WRITES:
        done = restored.run("ada", *command)
        assert "has a checkpoint of" in str(_raised(done)), command
    assert _size(restored.url) == restored.kept


def test_whoever_acknowledges_has_the_permission_while_two_have_it_and_is_anybody_active_otherwise(
    restored: Restored,
) -> None:
    with psycopg.connect(restored.url) as owner:  # while the log is not that of its anchors, no command lets them in
        for name, role in {"ada": "admin", "olga": "operator", "joan": "analyst"}.items():
            owner.execute("INSERT INTO obligor.app_user VALUES (%s, '', now(), NULL, 0)", (name,))
            owner.execute("INSERT INTO obligor.user_role VALUES (%s, %s, 'granted', 'x', 'y', now(), 0)", (name, role))
    why = ("audit", "acknowledge", "--because", "the disk died")
    for by, refusal in {"joan": "this needs the role compliance or admin or operator", "eve": "nobody whom"}.items():
        done = _raised(restored.run(by, *why))
        assert isinstance(done, ForbiddenError)
        assert refusal in str(done)
    proposal = restored.proposal()
    with psycopg.connect(restored.url) as owner:
        owner.execute("DELETE FROM obligor.user_role WHERE user_id = 'olga'")
    done = restored.run("joan", "audit", "acknowledge", proposal)
    assert done.stdout.splitlines()[-1].startswith("acknowledged by ada and joan")
