"""`obligor privacy` and `obligor keys rotate --data` on a real store: signed, recorded, refused with a reason."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.lending import lending, write_key
from tests.serving import golden_decisions as golden
from tests.serving.http.test_ordering import ANN, CREATE, ERASURES, ON, SHOP, played
from tests.stores import new_store

from obligor.serving.sources import live_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.serving.http.test_ordering import Rest

    Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def url(embedded_postgres: str) -> Iterator[str]:
    with new_store(embedded_postgres) as url:
        yield url


@pytest.fixture
def call(url: str, run: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    write_key(tmp_path / "data" / "keys" / "audit-ed25519.pem")
    for name, value in {
        "OBLIGOR_DATA": str(tmp_path / "data"),
        "OBLIGOR_DATABASE_URL": url,
        "OBLIGOR_AUTHOR": "Vera",
        "OBLIGOR_RETAIN_DAYS": "0",
    }.items():
        monkeypatch.setenv(name, value)

    return run


def decide(url: str, *names: str | None, seed: int = 1) -> list[str]:
    """Decide on one for each name, or on one whom nothing names; give the ids."""

    async def decided() -> list[str]:
        async with lending(url, seed=seed) as lender:
            made = []
            for at, name in enumerate(names):
                (given,) = golden.applications(1)
                given = {it: value for it, value in given.items() if it != "customer"}
                named = given if name is None else given | {"customer": name}
                made.append(await lender.decide_one(named, client="bank", key=f"{seed}-{at}"))
            return [it["decision_id"] for it in made]

    return asyncio.run(decided())


def test_a_person_is_told_held_released_and_erased(url: str, call: Call, tmp_path: Path) -> None:
    decide(url, "Ann", "Bob")
    code, out, _ = call("privacy", "export", "--application", "Ann")
    (subject,) = json.loads(out)["subjects"]
    assert (code, subject["decisions"][0]["input"]["customer"]) == (0, "Ann")
    code, _, err = call("privacy", "hold", "--application", "Ann", "--because", "paid by 4111 1111 1111 1111")
    assert (code, "payment card" in err, "4111" in err) == (2, True, False)
    assert call("privacy", "hold", "--application", "Ann", "--because", "case 7")[0] == 0
    code, out, err = call("privacy", "erase", "--application", "Ann")
    assert (code, out) == (1, "")
    assert "a legal hold stands; nothing was erased" in err
    assert call("privacy", "release", "--application", "Ann", "--json")[0] == 0
    file = tmp_path / "certificate.json"
    assert call("privacy", "erase", "--application", "Ann", "--out", str(file))[0] == 0
    (certificate,) = json.loads(file.read_text())["certificates"]
    assert certificate["keys_destroyed"] == 1
    assert "Ann" not in file.read_text()
    (erased,) = json.loads(call("privacy", "export", "--application", "Ann")[1])["subjects"]
    assert erased["decisions"][0]["erased"] is True
    assert "sealed" not in erased["decisions"][0]
    assert call("audit", "verify", "--quiet") == (0, "", "")


def test_who_exports_is_told_what_was_tampered_with_and_gets_the_rest(url: str, call: Call, tmp_path: Path) -> None:
    tampered, other = decide(url, "Ann", "Ann")
    with psycopg.connect(url) as connection:
        connection.execute("ALTER TABLE obligor.record DISABLE TRIGGER append_only")
        connection.execute("UPDATE obligor.record SET body = body || ' ' WHERE leaf_index = 1")
    file = tmp_path / "told.json"
    code, out, err = call("privacy", "export", "--application", "Ann", "--out", file)
    assert (code, out) == (1, "")
    assert f"decision {tampered}: what is kept otherwise than it was recorded is left out" in err
    assert "Hint: obligor audit verify" in err
    (subject,) = json.loads(file.read_text())["subjects"]
    assert [it["decision_id"] for it in subject["decisions"]] == [other]
    assert subject["broken"] == [tampered]


def test_whom_nothing_names_is_told_held_released_and_erased_by_their_decision(url: str, call: Call) -> None:
    nameless, other, ann = decide(url, None, None, "Ann")
    (subject,) = json.loads(call("privacy", "export", "--decision", nameless)[1])["subjects"]
    assert [it["decision_id"] for it in subject["decisions"]] == [nameless]
    assert subject["decisions"][0]["erased"] is False
    assert call("privacy", "hold", "--decision", nameless, "--because", "case 7")[0] == 0
    assert "a legal hold stands" in call("privacy", "erase", "--decision", nameless)[2]
    assert call("privacy", "release", "--decision", nameless)[0] == 0
    code, out, _ = call("privacy", "erase", "--decision", nameless)
    assert (code, json.loads(out)["certificates"][0]["keys_destroyed"]) == (0, 1)
    for decision, erased in ((nameless, True), (other, False), (ann, False)):
        (subject,) = json.loads(call("privacy", "export", "--decision", decision)[1])["subjects"]
        assert [it["erased"] for it in subject["decisions"]] == [erased]
    by_name = json.loads(call("privacy", "export", "--application", "Ann")[1])["subjects"][0]
    assert (by_name["subject"], by_name["decisions"][0]["decision_id"]) == (subject["subject"], ann)
    assert call("audit", "verify", "--quiet") == (0, "", "")


def test_nobody_unknown_is_erased_and_the_name_is_not_repeated(url: str, call: Call) -> None:
    decide(url, "Ann")
    code, out, err = call("privacy", "erase", "Zacharias")
    assert (code, out) == (1, "")
    assert "nothing is kept of this subject" in err
    assert "Zacharias" not in err
    assert call("privacy", "erase")[0] == 2
    assert call("privacy", "erase", "Ann", "--application", "A")[0] == 2
    some = "0197c1d2-0000-7000-8000-000000000000"
    assert "nothing is kept of this subject" in call("privacy", "erase", "--decision", some)[2]
    assert "--application or --decision" in call("privacy", "erase", "Ann", "--decision", some)[2]


def test_data_keys_turn_and_everything_is_read_as_before(url: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("obligor.bootstrap.privacy._HEARD_S", 0.0)  # no service is there that must hear of a new key
    decide(url, *(f"Ann {at}" for at in range(5)))
    code, out, _ = call("keys", "rotate", "--data", "--json")
    assert (code, json.loads(out)) == (0, {"version": 2, "wrapped": 5, "retired": [1]})
    assert json.loads(call("keys", "rotate", "--data", "--json")[1]) == {"version": 3, "wrapped": 5, "retired": [2]}
    (told,) = json.loads(call("privacy", "export", "--application", "Ann 3")[1])["subjects"]
    assert told["decisions"][0]["application_id"] == "Ann 3"
    decide(url, "Bob", seed=2)
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT version, count(*) FROM obligor.subject_key GROUP BY 1").fetchall()
        kept = connection.execute(
            "SELECT version, wrapped IS NULL FROM obligor.keyring WHERE purpose = 'data'"
        ).fetchall()
    assert rows == [(3, 6)]
    assert sorted(kept) == [(1, True), (2, True), (3, False)]
    assert call("keys", "rotate")[0] == 2
    assert call("keys", "rotate", "abc", "--data")[0] == 2


PASSWORD = "a long and quiet harbour"  # noqa: S105  of nobody


@pytest.fixture
def staffed(call: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Administrators, privacy officers (pia, paul) and compliance (cora, carl); the first argument says who acts."""

    def by(name: str, *arguments: str, typed: str = PASSWORD) -> tuple[int, str, str]:
        monkeypatch.setenv("OBLIGOR_AUTHOR", name)
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{typed}\n"))
        return call(*arguments)

    staff = {"pia": "privacy_officer", "paul": "privacy_officer", "cora": "compliance", "carl": "compliance"}
    staff |= {"sue": "senior_officer"}
    by("ada", "users", "add", "ada")
    by("ada", "roles", "grant", "ada", "admin")
    for name in ("grace", *staff):
        by("ada", "users", "add", name)
    by("ada", "roles", "grant", "grace", "admin")
    for name, role in staff.items():
        for admin in ("ada", "grace"):
            assert by(admin, "roles", "grant", name, role)[0] == 0
    return by


def agreed(by: Call, name: str) -> None:
    (waits,) = [it for it in json.loads(by(name, "proposals", "list", "--json")[1])["proposals"] if not it["agreed_by"]]
    assert by(name, "proposals", "agree", waits["proposal_id"])[0] == 0


def test_to_hold_to_release_and_to_erase_take_two_people(url: str, staffed: Call, tmp_path: Path) -> None:
    by, file = staffed, tmp_path / "certificate.json"
    decide(url, "Ann")
    ann = ("--application", "Ann")
    code, _, err = by("cora", "privacy", "hold", *ann, "--because", "4111-1111-1111-1111")
    assert (code, "4111" in err) == (2, False)
    code, out, _ = by("cora", "privacy", "hold", *ann, "--because", "case 7")
    assert (code, out.startswith("proposed "), "Ann" in out) == (0, True, False)
    code, out, _ = by("sue", "proposals", "list")
    assert (code, out) == (0, "Nothing waits for a second person.\n")  # and an underwriter hears of no hold
    agreed(by, "paul")  # whose role may hold, too
    assert "held" in by("cora", "privacy", "hold", *ann, "--because", "case 7")[1]
    code, _, err = by("pia", "privacy", "erase", *ann)
    assert (code, "a legal hold stands" in err) == (1, True)  # nor is it proposed
    assert by("pia", "privacy", "release", *ann)[0] == 0
    agreed(by, "cora")
    assert "released" in by("pia", "privacy", "release", *ann)[1]
    code, out, _ = by("pia", "privacy", "erase", *ann, "--out", str(file), "--because", "their wish")
    assert (code, "proposed " in out, file.exists()) == (0, True, False)
    id_ = out.split()[1].removesuffix(";")
    code, _, err = by("pia", "proposals", "agree", id_)
    assert (code, "another person" in err) == (1, True)
    code, _, err = by("cora", "proposals", "agree", id_)
    assert (code, "the role privacy_officer" in err) == (1, True)
    agreed(by, "paul")
    code, out, err = by("pia", "privacy", "erase", *ann, "--out", str(file))
    assert (code, out, err.splitlines()) == (
        0,
        "",
        [
            "erased: 1 decisions, 1 keys destroyed",
            "not told: bank has decisions on them, and no endpoint that listens to person.erased",
        ],
    )
    assert json.loads(file.read_text())["certificates"][0]["keys_destroyed"] == 1
    assert by("pia", "audit", "verify", "--quiet") == (0, "", "")


def test_what_was_proposed_over_rest_is_agreed_to_and_done_on_the_command_line(url: str, staffed: Call) -> None:
    by, asked = staffed, []

    async def propose(service: Rest) -> None:
        for path, who, said in ((ERASURES, "pia!", ON), (CREATE, "grace", SHOP)):
            asked.append((await service.ask(path, who, said)).json()["proposal_id"])

    played(url, propose, clock=live_sources().now)
    for id_, other in zip(asked, ("paul", "ada"), strict=True):
        assert by(other, "proposals", "agree", id_)[0] == 0
    code, out, _ = by("pia", "privacy", "erase", "--application", ANN)
    assert (code, json.loads(out)["certificates"][0]["keys_destroyed"]) == (0, 1)
    code, out, _ = by(
        *("grace", "keys", "create", SHOP["client"], "--name", SHOP["name"], "--days", str(SHOP["days"])),
        *(part for it in SHOP["scopes"] for part in ("--scope", it)),
    )
    assert (code, out.startswith("obl_")) == (0, True)
    assert json.loads(by("ada", "proposals", "list", "--json")[1]) == {"proposals": []}
    assert by("pia", "audit", "verify", "--quiet") == (0, "", "")


def test_data_keys_turn_once_another_has_agreed(url: str, staffed: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("obligor.bootstrap.privacy._HEARD_S", 0.0)
    decide(url, "Ann")
    assert "proposed " in staffed("ada", "keys", "rotate", "--data")[1]
    agreed(staffed, "grace")
    assert json.loads(staffed("ada", "keys", "rotate", "--data", "--json")[1])["version"] == 2
    assert "proposed " in staffed("ada", "keys", "rotate", "--data")[1]


def test_a_field_is_shown_to_who_may_see_it_for_a_purpose_and_with_their_password(url: str, staffed: Call) -> None:
    by = staffed
    decide(url, "Ann")
    with psycopg.connect(url) as connection:
        (decision,) = connection.execute("SELECT decision_id::text FROM obligor.decision").fetchone() or ("",)
    asked = ("privacy", "reveal", decision, "--field", "customer", "--purpose", "case 7")
    assert by("pia", *asked) == (0, 'customer: "Ann"\n', "")
    code, out, err = by("pia", *asked, typed="another password")
    assert (code, out, "the password is another" in err) == (1, "", True)
    assert by("ada", *asked)[0] == 1
    assert by("pia", "privacy", "reveal", "no-id", "--field", "customer", "--purpose", "case 7")[0] == 2
    code, out, _ = by("cora", *asked)
    assert (code, "Ann" in out, out.startswith("proposed ")) == (0, False, True)
    agreed(by, "carl")
    assert by("cora", *asked)[1] == 'customer: "Ann"\n'
    with psycopg.connect(url) as connection:
        kinds = [it for (it,) in connection.execute("SELECT kind FROM obligor.leaf ORDER BY index DESC LIMIT 4")]
    assert kinds == ["revealed", "act.done", "act.agreed", "act.proposed"]
    assert by("pia", "audit", "verify", "--quiet") == (0, "", "")


def test_before_anybody_is_known_a_field_is_shown_for_the_purpose_that_is_asked(url: str, call: Call) -> None:
    decide(url, "Ann")
    with psycopg.connect(url) as connection:
        (decision,) = connection.execute("SELECT decision_id::text FROM obligor.decision").fetchone() or ("",)
    code, out, _ = call("privacy", "reveal", decision, "--field", "customer", "--purpose", "case 7", "--json")
    assert (code, json.loads(out)["values"]) == (0, {"customer": "Ann"})
