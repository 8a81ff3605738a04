"""`obligor users`, `roles` and `access` on a real store, and what they open at a running door."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.governance.notices.desk import PARTICULARS, approvals
from tests.screening.lists import EXAMPLE
from tests.stores import as_owner
from tests.test_docs import commands

from obligor.cli.main import cli
from obligor.core.canonical import canonical_json
from obligor.core.profile import EVERYTHING_OFF
from obligor.security.permissions import OPEN, permissions
from obligor.serving.people.proposals import PERMISSIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]

TODAY = datetime.now(UTC).date().isoformat()
PASSWORD = "a long and quiet harbour"  # noqa: S105  of nobody


@pytest.fixture
def url(postgres_url: str) -> str:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS people WITH (FORCE)")
        connection.execute("CREATE DATABASE people TEMPLATE template0 ENCODING 'UTF8'")
    return postgres_url.replace("/tests", "/people", 1)


@pytest.fixture
def call(url: str, run: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    monkeypatch.setenv("OBLIGOR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("OBLIGOR_DATABASE_URL", url)

    def called(*arguments: str, by: str = "ada", typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setenv("OBLIGOR_AUTHOR", by)
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        return run(*arguments)

    return called


@pytest.fixture
def settled(call: Call) -> Call:
    """A store whose first two administrators are ada and grace."""
    for name in ("ada", "grace"):
        did(call, "users", "add", name, typed=f"{PASSWORD}\n")
        did(call, "roles", "grant", name, "admin")
    return call


def did(call: Call, *arguments: str, **said: str) -> dict[str, Any]:
    code, out, err = call(*arguments, "--json", **said)
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def by_two(call: Call, *arguments: str, **said: str) -> dict[str, Any]:
    """What ada proposes, grace agrees to, and ada does."""
    proposed = did(call, *arguments, **said)
    assert proposed["state"] == "proposed"
    assert did(call, "proposals", "agree", proposed["proposal_id"], by="grace")["state"] == "agreed"
    return did(call, *arguments, **said)


def test_a_lender_lets_people_in_by_two_persons_and_reviews_who_may_do_what(call: Call, url: str) -> None:
    assert "nobody yet" in call("users", "list")[1]
    assert did(call, "users", "add", "ada", typed=f"{PASSWORD}\n")["signs_in"] == "here"
    assert did(call, "roles", "grant", "ada", "admin")["state"] == "granted"
    did(call, "users", "add", "grace", typed=f"{PASSWORD}\n")
    assert did(call, "roles", "grant", "grace", "admin")["state"] == "granted"
    by_two(call, "users", "add", "joan", typed=f"{PASSWORD}\n")
    assert did(call, "roles", "grant", "joan", "analyst")["state"] == "proposed"
    code, _, err = call("roles", "grant", "joan", "analyst")
    assert (code, "another person" in err) == (1, True)
    code, _, err = call("roles", "grant", "joan", "analyst", by="joan")
    assert (code, "the role admin" in err) == (1, True)
    code, _, err = call("roles", "grant", "grace", "operator", by="grace")
    assert (code, "themselves" in err) == (1, True)
    assert did(call, "roles", "grant", "joan", "analyst", by="grace")["state"] == "granted"
    code, _, err = call("roles", "grant", "joan", "auditor")
    assert (code, "not held together" in err) == (1, True)
    told = {it["user"]: it for it in did(call, "access", "review")["users"]}
    assert "decision.read (own)" in told["joan"]["may"]
    assert told["grace"]["concerns"] == ["was granted admin by ada alone"]
    assert "may decision.read (own)" in call("access", "review")[1]
    with psycopg.connect(url, autocommit=True) as connection:  # whatever came into the store, no cell is a formula
        connection.execute("INSERT INTO obligor.app_user VALUES ('=cmd|A0', '', now(), NULL, 0)")
        rows = list(csv.DictReader(io.StringIO(call("access", "review", "--csv")[1], newline="")))
        connection.execute("DELETE FROM obligor.app_user WHERE user_id = '=cmd|A0'")
    assert sorted((it["user"], it["state"]) for it in rows) == [
        (it, "enabled") for it in ("'=cmd|A0", "ada", "grace", "joan")
    ]
    assert call("access", "review", "--csv", "--json")[0] == 2
    did(call, "roles", "revoke", "joan", "analyst")
    assert did(call, "users", "disable", "joan")["state"] == "disabled"
    assert "joan   disabled  no role" in call("users", "list")[1]
    with psycopg.connect(url) as connection:
        leaves = connection.execute(
            "SELECT kind, convert_from(body, 'UTF8')::json ->> 'by' FROM obligor.leaf ORDER BY index"
        ).fetchall()
        everything = str(connection.execute("SELECT body FROM obligor.record").fetchall())
    assert leaves == [
        ("user.added", "person:ada"),
        ("role.granted", "person:ada"),
        ("user.added", "person:ada"),
        ("role.granted", "person:ada"),
        ("act.proposed", "person:ada"),
        ("act.agreed", "person:grace"),
        ("act.done", "person:ada"),
        ("user.added", "person:ada"),
        ("role.proposed", "person:ada"),
        ("refused", "person:joan"),
        ("role.granted", "person:grace"),
        ("role.revoked", "person:ada"),
        ("user.disabled", "person:ada"),
    ]
    assert PASSWORD not in everything


def test_a_short_password_and_a_name_that_is_none_are_refused(settled: Call) -> None:
    call = settled
    code, _, err = call("users", "add", "bob", typed="short\n")
    assert (code, "15 to 256" in err, "short" in err.replace("shorter", "")) == (2, True, False)
    assert call("users", "add", "b b", typed=f"{PASSWORD}\n")[0] == 2
    assert call("users", "add", "bob", typed=f"{PASSWORD}\n", by="b b")[0] == 1
    assert call("roles", "grant", "nobody", "analyst")[0] == 1
    assert by_two(call, "users", "add", "elsewhere", "--no-password")["signs_in"] == "elsewhere"


def test_who_signs_in_is_found_with_their_roles_until_they_are_disabled(settled: Call, url: str) -> None:
    call = settled
    from tests.lending import KEY

    from obligor.adapters.store.archive import PostgresArchive
    from obligor.adapters.store.people import PostgresPeople
    from obligor.adapters.store.pool import Pool
    from obligor.adapters.store.recorder import PostgresRecorder
    from obligor.core.errors import UnauthenticatedError
    from obligor.serving.people.authenticating import Authenticator
    from obligor.serving.people.roles import People
    from obligor.serving.people.signing_in import SignIn
    from obligor.serving.people.tokens import LocalTokens
    from obligor.serving.sources import live_sources

    by_two(call, "users", "add", "vera", typed=f"{PASSWORD}\n")
    did(call, "roles", "grant", "vera", "auditor")
    did(call, "roles", "grant", "vera", "auditor", by="grace")

    async def run() -> None:
        pool, sources = Pool(url), live_sources()
        archive = PostgresPeople(pool)
        async with PostgresRecorder(url) as recorder:
            people = People(archive, recorder, sources)
            signed = await SignIn(archive, people, KEY, now=sources.now).sign_in(
                json.dumps({"user": "vera", "password": PASSWORD}).encode(), peer=""
            )
            tokens = LocalTokens(KEY.verifier, archive, now=sources.now)
            door = Authenticator(PostgresArchive(pool), now=sources.now, tokens=tokens)
            caller = await door.authenticate(f"Bearer {signed.token}", peer="")
            assert (caller.by, caller.roles) == ("person:vera", {"auditor"})
            assert next(it for it in await archive.people() if it.user.user_id == "vera").seen_at
            await people.disable("vera", by="grace")
            door.forget()
            with pytest.raises(UnauthenticatedError):
                await door.authenticate(f"Bearer {signed.token}", peer="")
        await pool.close()

    asyncio.run(run())


# Who acts


def hold(call: Call, name: str, *roles: str) -> None:
    """Let somebody in, with roles that ada proposes and grace grants."""
    by_two(call, "users", "add", name, typed=f"{PASSWORD}\n")
    for role in roles:
        did(call, "roles", "grant", name, role)
        did(call, "roles", "grant", name, role, by="grace")


def test_a_person_gets_no_second_account_and_two_from_before_are_named_and_are_no_two_people(
    settled: Call, url: str
) -> None:
    call = settled
    for again in ("Ada", "GRACE"):
        code, out, err = call("users", "add", again, "--no-password")
        assert (code, out) == (1, "")
        assert f"user {again}: has an account already" in err
    hold(call, "joan@bank.example", "admin")
    with psycopg.connect(as_owner(url)) as connection:  # as a version before this one added it
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO obligor.app_user VALUES ('joan+2@bank.example', '', now(), NULL, 0)")
        connection.execute(
            "INSERT INTO obligor.user_role VALUES ('joan+2@bank.example', 'admin', 'granted', 'a', 'b', now(), 0)"
        )
    proposal = did(call, "users", "add", "lin", "--no-password", by="joan@bank.example")["proposal_id"]
    code, _, err = call("proposals", "agree", proposal, by="joan+2@bank.example")
    assert (code, "nobody agrees to what they proposed" in err) == (1, True)
    assert did(call, "proposals", "agree", proposal, by="grace")["state"] == "agreed"
    told = {it["user"]: it["concerns"] for it in did(call, "access", "review")["users"]}
    assert told["joan+2@bank.example"] == [
        "is one person with joan@bank.example, and neither agrees to what the other does"
    ]
    assert told["grace"] == ["was granted admin by ada alone"]


def test_each_reads_what_they_did_and_what_their_role_looks_after(settled: Call) -> None:
    call = settled
    hold(call, "eve", "auditor")
    hold(call, "ben", "analyst")
    hold(call, "olga", "operator")
    assert call("keys", "create", "bank", by="ben")[0] == 1  # a refusal is told with the next act
    everything = did(call, "audit", "acts", by="eve")["acts"]
    assert [it["leaf_index"] for it in everything] == [*range(len(everything))][::-1]
    own = did(call, "audit", "acts", by="ben")["acts"]
    assert [(it["kind"], it["by"]) for it in own] == [("refused", "person:ben")]
    told = {it["kind"] for it in did(call, "audit", "acts", by="grace")["acts"]}
    assert told == {"user.added", "role.granted", "role.proposed", "act.proposed", "act.agreed", "act.done", "refused"}
    assert "this needs the role" in call("audit", "acts", by="olga")[2]
    assert did(call, "audit", "acts", "--to", "2020-01-01", by="eve")["acts"] == []
    assert call("audit", "acts", "--to", "2020-01-01", by="eve")[1] == "There is no act that you may read.\n"
    assert "by person:ben" in call("audit", "acts", by="ben")[1]


def test_once_somebody_is_active_only_people_whom_the_store_knows_act_and_only_as_their_roles_allow(
    settled: Call, url: str
) -> None:
    call = settled
    hold(call, "olga", "operator")
    hold(call, "carl")
    did(call, "users", "disable", "carl")
    acts: dict[str, tuple[str, ...]] = {
        "users": ("add", "eve", "--no-password"),
        "roles": ("revoke", "olga", "operator"),
        "keys": ("create", "bank"),
        "webhooks": ("add", "bank", "http://127.0.0.1:9/hooks"),
    }
    for group, arguments in acts.items():
        for by in ("mallory", "carl", "Ada", "a da", "person:ada"):
            code, out, err = call(group, *arguments, by=by)
            assert (code, out, f"{by!r}, who acts, is nobody whom the store knows" in err) == (1, "", True), (group, by)
    for group, by in (("users", "olga"), ("roles", "olga"), ("keys", "olga"), ("webhooks", "ada")):
        code, out, err = call(group, *acts[group], by=by)
        assert (code, out, "the role" in err) == (1, "", True), (group, err)
    assert did(call, "webhooks", *acts["webhooks"], by="olga")["client"] == "bank"
    assert by_two(call, "keys", *acts["keys"])["client"] == "bank"
    assert by_two(call, "users", *acts["users"])["user"] == "eve"
    with psycopg.connect(url) as connection:
        (refused,) = connection.execute("SELECT count(*) FROM obligor.leaf WHERE kind = 'refused'").fetchone() or (0,)
        routes = connection.execute(
            "SELECT DISTINCT convert_from(record.body, 'UTF8')::json ->> 'route' FROM obligor.record "
            "JOIN obligor.leaf ON index = leaf_index WHERE kind = 'refused' ORDER BY 1"
        ).fetchall()
    assert refused == 24
    assert [it for (it,) in routes] == [
        f"command line: {it}" for it in ("key.manage", "role.revoke", "user.manage", "webhook.manage")
    ]
    assert call("audit", "verify", by="nobody")[0] == 0


def test_who_holds_roles_that_conflict_does_nothing_on_the_command_line_either(settled: Call, url: str) -> None:
    call = settled
    hold(call, "vera", "admin")
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO obligor.user_role SELECT user_id, 'auditor', state, proposed_by, by, at, 0 FROM obligor.user_role "
            "WHERE user_id = 'vera'"
        )
    code, _, err = call("users", "add", "eve", "--no-password", by="vera")
    assert (code, "held together" in err) == (1, True)


def test_the_first_user_is_made_on_an_empty_store_by_anybody_and_the_second_by_them(call: Call) -> None:
    assert did(call, "users", "add", "ada", typed=f"{PASSWORD}\n", by="whoever")["user"] == "ada"
    assert call("users", "add", "eve", "--no-password", by="whoever")[0] == 1
    code, _, err = call("users", "add", "eve", "--no-password")
    assert (code, "the role admin" in err) == (1, True)
    assert did(call, "roles", "grant", "ada", "admin")["state"] == "granted"
    assert did(call, "users", "add", "eve", "--no-password")["user"] == "eve"
    # With one administrator it is for them to name the second, and nobody else's.
    code, _, err = call("roles", "grant", "ada", "admin", by="eve")
    assert (code, "the role admin" in err) == (1, True)
    assert did(call, "roles", "grant", "eve", "admin")["state"] == "granted"


def test_where_no_two_administrators_are_left_two_people_make_another(settled: Call) -> None:
    call = settled
    hold(call, "olga")
    hold(call, "joan")
    did(call, "users", "disable", "grace")
    assert did(call, "roles", "grant", "joan", "admin")["state"] == "proposed"
    assert call("roles", "grant", "joan", "admin")[0] == 1
    assert call("roles", "grant", "joan", "admin", by="joan")[0] == 1
    assert call("roles", "grant", "joan", "admin", by="grace")[0] == 1
    assert did(call, "roles", "grant", "joan", "admin", by="olga")["state"] == "granted"
    hold_by = call("roles", "grant", "ada", "operator", by="olga")
    assert (hold_by[0], "the role admin" in hold_by[2]) == (1, True)


NOTHING = "00000000-0000-7000-8000-000000000000"
"""An id of nothing: who may act is told that there is none."""
RUN = str(files("obligor.serving") / "demo")
BECAUSE = ("--because", "case 7")
ASKS: dict[tuple[str, ...], str] = {
    ("releases", "list"): "release.read",
    ("releases", "activate", RUN): "release.activate",
    ("releases", "rollback"): "release.roll_back",
    ("releases", "recover"): "release.roll_back",
    ("profile", "show"): "profile.read",
    ("profile", "propose", "PROFILE", *BECAUSE): "profile.propose",
    ("profile", "approve", NOTHING): "profile.approve",
    ("keys", "create", "bank"): "key.manage",
    ("keys", "list"): "key.read",
    ("keys", "revoke", "0" * 12): "key.revoke",
    ("keys", "rotate", "0" * 12): "key.rotate",
    ("keys", "rotate", "--data"): "key.rotate",
    ("users", "add", "eve", "--no-password"): "user.manage",
    ("users", "list"): "user.read",
    ("users", "disable", "eve"): "user.disable",
    ("users", "disable", "--stale", "9000"): "user.disable",
    ("roles", "grant", "eve", "analyst"): "role.grant",
    ("roles", "revoke", "eve", "analyst"): "role.revoke",
    ("access", "review"): "user.read",
    ("proposals", "list"): "proposal.agree",
    ("proposals", "agree", NOTHING): "proposal.agree",
    ("proposals", "withdraw", NOTHING, *BECAUSE): "proposal.agree",
    ("webhooks", "add", "bank", "http://127.0.0.1:9/hooks"): "webhook.manage",
    ("webhooks", "list"): "webhook.manage",
    ("webhooks", "test", NOTHING): "webhook.manage",
    ("webhooks", "disable", NOTHING): "webhook.manage",
    ("webhooks", "enable", NOTHING): "webhook.manage",
    ("webhooks", "rotate", NOTHING): "webhook.manage",
    ("webhooks", "dead"): "webhook.manage",
    ("webhooks", "replay", NOTHING): "webhook.replay",
    ("audit", "acknowledge", *BECAUSE): "log.acknowledge",
    ("audit", "acknowledge", NOTHING): "log.acknowledge",
    ("audit", "export", "OUT", "--from", "2026-01-01", "--to", "2026-01-02"): "log.export",
    ("audit", "receipt", NOTHING): "decision.read",
    ("audit", "acts"): "act.read",
    ("privacy", "erase", "C-1"): "privacy.erase",
    ("privacy", "export", "C-1"): "privacy.export",
    ("privacy", "hold", "C-1", *BECAUSE): "privacy.hold",
    ("privacy", "release", "C-1"): "privacy.hold",
    ("privacy", "reveal", NOTHING, "--field", "name", "--purpose", "case 7"): "personal.reveal",
    ("replay", NOTHING): "log.read",
    ("replay", "--all"): "log.read",
    ("screen", "Oleg Korvand"): "screening.screen",
    ("lists", "load", str(EXAMPLE), "--published", TODAY): "list.load",
    ("lists", "list"): "list.load",
    ("alerts", "list"): "alert.read",
    ("alerts", "show", NOTHING): "alert.read",
    ("alerts", "clear", NOTHING, *BECAUSE): "alert.clear",
    ("alerts", "confirm", NOTHING, *BECAUSE): "alert.confirm",
    ("alerts", "reported", NOTHING, "--reference", "ORS-1"): "alert.confirm",
    ("alerts", "yearly-reported", "2025", NOTHING, "--reference", "ORS-1"): "alert.confirm",
    ("alerts", "rescreen"): "screening.screen",
    ("notice", NOTHING, "--template", "us-fed-adverse-action", "--out", "OUT"): "notice.read",
    ("reviews", "list"): "review.read",
    ("reviews", "decide", NOTHING, "--again"): "review.decide",
    ("overrides", "decide", NOTHING, "--outcome", "approve", "--reason", "x", "--rationale", "why"): "override.decide",
    ("overrides", "list"): "decision.read",
    ("overrides", "report"): "conduct.report",
    ("reviews", "report"): "conduct.report",
    ("proposals", "report"): "conduct.report",
    ("alerts", "handled"): "alert.read",
    ("notices", "due"): "notice.read",
    (*("actions", "offer", NOTHING, "--rate", "0.1"), *("--offered-on", TODAY, "--respond-by", TODAY)): "action.report",
    ("actions", "answer", NOTHING, "--accepted", "--on", TODAY): "action.report",
    ("actions", "incomplete", NOTHING, "--field", "income", "--respond-by", TODAY): "action.report",
}
"""Every command on a store that asks for a permission, and for which."""
ASKS_NOBODY = {
    "demo run simulate score sql python explain alternatives bins contract": "touch no store",
    "serve": "acts for who asks it; with a RUN that is another than the one in force it asks for release.activate",
    "audit verify, doctor": "tell what is wrong and of nobody, on copies, too, and where people can be read no more",
}


def test_every_command_asks_for_a_permission_or_says_why_not() -> None:
    named = {it for said in ASKS_NOBODY for it in said.split(", " if ", " in said else " ")}
    asked = {it[:2] for it in ASKS} | {it[:1] for it in ASKS}
    for path, _ in commands(cli):
        assert (path[:2] in asked) != (bool({path[0], " ".join(path)} & named)), path


def test_every_permission_is_asked_for_by_a_route_a_call_or_a_command() -> None:
    table = permissions()
    asked = {*table.routes.values(), *table.calls.values(), *ASKS.values(), *PERMISSIONS.values()}
    assert set(table.permissions) == asked - {OPEN}


def test_each_command_asks_for_its_permission_who_has_no_role_and_lets_do_it_who_has(
    settled: Call, url: str, tmp_path: Path
) -> None:
    call, roles = settled, ("operator", "compliance", "auditor", "risk_officer", "senior_officer", "privacy_officer")
    hold(call, "nora")
    for role in roles:
        hold(call, role, role)
    (tmp_path / "data" / "notices").mkdir(parents=True, exist_ok=True)
    for name, said in {"particulars": PARTICULARS, "approved": approvals()}.items():
        (tmp_path / "data" / "notices" / f"{name}.yaml").write_text(said.model_dump_json(by_alias=True))
    (tmp_path / "PROFILE").write_bytes(canonical_json(EVERYTHING_OFF.model_dump(mode="json", by_alias=True)))
    for command, permission in ASKS.items():
        given = [str(tmp_path / it) if it in {"PROFILE", "OUT"} else it for it in command]
        code, out, err = call(*given, by="nora", typed=PASSWORD)
        assert (code, out, f"this needs {permissions().who(permission)}" in err) == (1, "", True), (command, err)
        if command[0] != "replay":  # which works with rights to read alone
            assert refused(url)[-1] == f"command line: {permission}", command
        before = len(refused(url))
        by = next(it for it in (*roles, "admin") if permission in permissions().roles[it])
        err = call(*given, by="ada" if by == "admin" else by, typed=PASSWORD)[2]
        assert (len(refused(url)), "this needs" in err) == (before, False), (command, by, err)


def refused(url: str) -> list[str]:
    """What refused attempts were at, in the order of the log."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT convert_from(record.body, 'UTF8')::json ->> 'route' FROM obligor.record "
            "JOIN obligor.leaf ON index = leaf_index WHERE kind = 'refused' ORDER BY index"
        ).fetchall()
    return [it for (it,) in found]


# What takes two


def test_what_takes_two_is_proposed_seen_agreed_to_by_another_and_done_once(settled: Call) -> None:
    call = settled
    made = did(call, "keys", "create", "bank", "--because", "the new web shop")
    assert (made["act"], "key" in made, made["because"]) == ("key.created", False, "the new web shop")
    code, out, err = call("keys", "create", "shop")
    assert (code, out, "obligor proposals agree" in err) == (0, "", True)  # nothing that a file of a key would hold
    code, out, _ = call("proposals", "list", by="grace")
    assert (code, made["proposal_id"] in out, "the new web shop" in out) == (0, True, True)
    id_ = made["proposal_id"]
    for by, why in {"ada": "another person", "mallory": "nobody whom the store knows"}.items():
        code, _, err = call("proposals", "agree", id_, by=by)
        assert (code, why in err) == (1, True), err
    code, _, err = call("keys", "create", "bank")
    assert (code, "waits for another person" in err) == (1, True)
    assert call("proposals", "agree", id_, by="grace")[1].startswith(f"grace agreed to {id_}; ada does it")
    assert did(call, "keys", "create", "bank")["key"].startswith("obl_")
    code, _, err = call("proposals", "agree", id_, by="grace")
    assert (code, "is done" in err) == (1, True)
    rotated = by_two(call, "keys", "rotate", did(call, "keys", "list")["keys"][0]["key_id"])
    assert rotated["replaces"]["client"] == "bank"
    assert did(call, "keys", "revoke", rotated["key_id"])["client"] == "bank"  # taking away takes one
    assert call("audit", "verify")[0] == 0


def test_what_was_proposed_is_taken_back_once_by_who_proposed_it(settled: Call) -> None:
    call = settled
    made = did(call, "keys", "create", "bank")
    id_, why = made["proposal_id"], ("--because", "the bank left")
    assert call("proposals", "withdraw", id_)[0] == 2
    for by, told in {"grace": "who proposed it", "mallory": "nobody whom the store knows"}.items():
        code, _, err = call("proposals", "withdraw", id_, *why, by=by)
        assert (code, told in err) == (1, True), err
    did(call, "proposals", "agree", id_, by="grace")
    assert f"ada took {id_} back" in call("proposals", "withdraw", id_, *why)[1]
    code, _, err = call("proposals", "withdraw", id_, *why)
    assert (code, "is withdrawn" in err) == (1, True)
    assert call("proposals", "agree", id_, by="grace")[0] == 1
    assert f"{id_}  withdrawn  key.created" in call("proposals", "list")[1]
    assert "taken back: the bank left" in call("proposals", "list")[1]
    assert did(call, "keys", "create", "bank")["state"] == "proposed"
    assert call("audit", "verify")[0] == 0


def test_who_lost_the_role_in_between_does_not_count(settled: Call) -> None:
    call = settled
    hold(call, "vera", "admin")
    made = did(call, "keys", "create", "bank")
    did(call, "proposals", "agree", made["proposal_id"], by="vera")
    did(call, "roles", "revoke", "vera", "admin", by="grace")
    code, _, err = call("keys", "create", "bank")
    assert (code, "vera, who was one of the two" in err) == (1, True)
    other = did(call, "keys", "create", "shop")
    code, _, err = call("proposals", "agree", other["proposal_id"], by="vera")
    assert (code, "the role" in err) == (1, True)
    did(call, "roles", "revoke", "ada", "admin", by="grace")
    code, _, err = call("proposals", "agree", other["proposal_id"], by="grace")
    assert (code, "ada, who was one of the two" in err) == (1, True)


def test_a_user_whom_nobody_added_is_disabled_only_where_one_says_so(settled: Call) -> None:
    code, out, err = settled("users", "disable", "typo")
    assert (code, out, "user typo: there is none" in err) == (1, "", True)
    assert did(settled, "users", "disable", "typo", "--unknown")["state"] == "disabled"


def test_who_did_not_sign_in_for_days_is_disabled_in_one_go(settled: Call, url: str) -> None:
    hold(settled, "joan", "analyst")
    assert settled("users", "disable", "--stale", "90")[1] == "nobody is stale\n"
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")  # past what keeps an id from being another's
        owner.execute(
            "UPDATE obligor.app_user SET created_at = created_at - interval '91 days' WHERE user_id <> 'grace'"
        )
    assert [it["user"] for it in did(settled, "users", "disable", "--stale", "90")["users"]] == ["joan"]
    states = {it["user"]: it["state"] for it in did(settled, "users", "list")["users"]}
    assert states == {"ada": "enabled", "grace": "enabled", "joan": "disabled"}
    for wrong in ((), ("joan", "--stale", "90"), ("--unknown", "--stale", "90"), ("--stale", "0")):
        assert settled("users", "disable", *wrong)[0] == 2, wrong


def test_a_card_comes_into_force_once_another_risk_officer_has_agreed(settled: Call) -> None:
    for name in ("rita", "raul"):
        hold(settled, name, "risk_officer")
    run = str(files("obligor.serving") / "demo")
    made = did(settled, "releases", "activate", run, by="rita")
    assert (made["act"], did(settled, "releases", "list", by="rita")["releases"]) == ("release", [])
    did(settled, "proposals", "agree", made["proposal_id"], by="raul")
    assert did(settled, "releases", "activate", run, by="rita")["release"] == 1


def test_a_service_goes_on_with_the_release_before_while_another_waits_to_be_agreed_to(
    settled: Call, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from obligor.bootstrap.decisions import begin
    from obligor.bootstrap.releases import demonstration
    from obligor.bootstrap.store import open_store, service_settings

    for name in ("rita", "raul"):
        hold(settled, name, "risk_officer")
    by_two(settled, "keys", "create", "bank")
    run = str(files("obligor.serving") / "demo")
    made = did(settled, "releases", "activate", run, by="rita")
    did(settled, "proposals", "agree", made["proposal_id"], by="raul")
    did(settled, "releases", "activate", run, by="rita")
    monkeypatch.setenv("OBLIGOR_AUTHOR", "rita")

    async def begun() -> list[str]:
        told: list[str] = []
        other = replace(demonstration(), policy=demonstration().policy.model_copy(update={"grey": 1}))
        async with open_store(url, service_settings()) as store:
            for _ in range(2):
                await begin(store, other, told.append)
        return told

    proposed, waiting = asyncio.run(begun())
    assert "obligor proposals agree" in proposed
    assert "waits for another person" in waiting
    assert len(did(settled, "releases", "list", by="rita")["releases"]) == 1
