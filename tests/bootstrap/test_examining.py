"""The commands doctor and replay, on a real store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner, Result
from tests.lending import a_day, write_key
from tests.stores import as_auditor, new_store

from obligor.cli.main import cli
from obligor.core.errors import ForbiddenError, InvalidInputError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def day(embedded_postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, list[str]]]:
    """The folder of a deployment after a day of lending, its store, and the ids of its decisions."""
    folder = tmp_path_factory.mktemp("deployment")
    key = write_key(folder / "keys" / "audit-ed25519.pem")
    with new_store(embedded_postgres) as url:
        yield folder, url, [answer["decision_id"] for answer in a_day(url, folder / "anchors", key=key)]


@pytest.fixture
def decisions(day: tuple[Path, str, list[str]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the decisions in the store that the environment names, for somebody who may only read it."""
    folder, url, ids = day
    monkeypatch.setenv("OBLIGOR_DATA", str(folder))
    monkeypatch.setenv("OBLIGOR_DATABASE_URL", as_auditor(url))
    for name in ("OBLIGOR_ANCHORS", "OBLIGOR_AUDIT_KEY", "OBLIGOR_ENV"):
        monkeypatch.delenv(name, raising=False)
    return ids


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def _checks(done: Result) -> dict[str, dict[str, Any]]:
    return {check["check"]: check for check in json.loads(done.stdout)["checks"]}


@pytest.mark.usefixtures("decisions")
def test_the_doctor_says_a_line_for_each_check_and_exits_0() -> None:
    done = _run("doctor", "--strict")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[-1] == "sound"
    assert [line.split()[1] for line in lines[:-1]] == [
        *("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8"),
        *("schema", "queues", "guards", "artefacts", "release", "durable", "key", "clocks"),
        *("proposals", "accounts", "roles", "reports", "late", "authority"),
    ]
    assert _run("doctor", "--quiet").stdout == ""


@pytest.mark.usefixtures("decisions")
def test_a_signing_key_that_others_may_read_is_one_broken_check_among_all(day: tuple[Path, str, list[str]]) -> None:
    path = day[0] / "keys" / "audit-ed25519.pem"
    path.chmod(0o644)
    try:
        checks = _checks(done := _run("doctor", "--json"))
    finally:
        path.chmod(0o600)
    assert done.exit_code == 1
    assert [name for name, it in checks.items() if it["verdict"] == "broken"] == ["key"]
    assert "others may read this key" in json.dumps(checks["key"])


@pytest.mark.usefixtures("decisions")
def test_the_doctor_says_the_same_as_json() -> None:
    done = _run("doctor", "--json")
    assert done.exit_code == 0
    checks = _checks(done)
    assert checks["I2"]["counts"] == {"decisions": 15, "made again": 15}
    assert checks["I5"]["verdict"] == "not applicable"
    assert checks["release"]["why"].startswith("release 1, card ")


@pytest.mark.usefixtures("decisions")
def test_the_doctor_exits_1_where_something_is_broken_and_says_so_even_when_quiet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OBLIGOR_ANCHORS", "off")
    done = _run("doctor", "--quiet")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1] == "NOT SOUND: I4"


@pytest.mark.usefixtures("decisions")
def test_an_anchor_that_is_down_is_a_finding_and_no_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where a folder should be")
    monkeypatch.setenv("OBLIGOR_ANCHORS", str(tmp_path / "file"))
    assert "the folder did not do its part" in _checks(_run("doctor", "--json"))["I4"]["why"]


def test_a_folder_of_the_key_that_others_may_write_is_told(
    decisions: list[str], day: tuple[Path, str, list[str]]
) -> None:
    keys = day[0] / "keys"
    keys.chmod(0o777)
    try:
        check = _checks(_run("doctor", "--json"))["key"]
    finally:
        keys.chmod(0o700)
    assert check["verdict"] == "broken"
    assert "others may write here (mode 0777), and replace the key" in check["why"]


def test_a_store_apart_from_its_key_is_examined_by_the_public_one(
    decisions: list[str], day: tuple[Path, str, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from obligor.security.signing import read_signing_key

    public = read_signing_key(day[0] / "keys" / "audit-ed25519.pem").verifier.text()
    monkeypatch.setenv("OBLIGOR_AUDIT_KEY", str(tmp_path / "none"))
    assert isinstance(_run("doctor").exception, InvalidInputError)
    done = _run("doctor", "--key", public, "--json")
    assert done.exit_code == 0
    assert _checks(done)["key"]["verdict"] == "not applicable"


@pytest.mark.usefixtures("decisions")
def test_canaries_are_read_from_a_file_and_found_by_their_number(tmp_path: Path) -> None:
    canaries = tmp_path / "canaries.txt"
    canaries.write_text("nowhere at all\n\nyacht\n")
    assert _checks(_run("doctor", "--canary", str(canaries), "--json"))["I6"]["verdict"] == "ok"
    canaries.write_text("nowhere at all\nbroker\n")
    check = _checks(_run("doctor", "--canary", str(canaries), "--json"))["I6"]
    assert check["verdict"] == "broken"
    assert "canary 2 stands in decision.client_id, in 3 rows" in check["why"]


@pytest.mark.usefixtures("decisions")
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no such file; wanted one canary in each line"),
        (b"\n \n", "got 0 canaries"),
        (b"long enough\nabc\n", "line 2: wanted at least 4 characters"),
        (b"\xff\xfe\n", "is not UTF-8"),
    ],
)
def test_a_file_of_canaries_that_cannot_be_meant_is_told(tmp_path: Path, content: bytes | None, told: str) -> None:
    canaries = tmp_path / "canaries.txt"
    if content is not None:
        canaries.write_bytes(content)
    done = _run("doctor", "--canary", str(canaries))
    assert isinstance(done.exception, InvalidInputError)
    assert told in str(done.exception)


def test_a_decision_is_made_again_to_the_last_bit(decisions: list[str]) -> None:
    done = _run("replay", decisions[0])
    assert (done.exit_code, done.stdout) == (0, "1 of 1 decisions follow to the last bit\n")


@pytest.mark.usefixtures("decisions")
def test_all_decisions_are_made_again() -> None:
    done = _run("replay", "--all", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"decisions": 15, "same": True, "unlike": [], "erased": 0}


def test_a_decision_whose_card_was_changed_by_a_byte_is_refused_by_the_hash(
    decisions: list[str], day: tuple[Path, str, list[str]]
) -> None:
    change = "UPDATE obligor.artefact SET body = set_byte(body, 900, get_byte(body, 900) {} 1) WHERE kind = 'card'"
    with psycopg.connect(day[1], autocommit=True) as connection:
        connection.execute(change.format("+"))
        try:
            done = _run("replay", decisions[0])
        finally:
            connection.execute(change.format("-"))
    assert done.exit_code == 1
    assert "card: pinned is" in done.stdout
    assert "the bytes that are kept have the hash" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 of 1 decisions follow to the last bit"


@pytest.mark.usefixtures("decisions")
def test_a_decision_that_is_not_there_is_told() -> None:
    unknown = str(uuid4())
    done = _run("replay", unknown)
    assert isinstance(done.exception, NotFoundError)
    assert unknown in str(done.exception)


@pytest.mark.usefixtures("decisions")
@pytest.mark.parametrize("arguments", [[], ["--all", str(uuid4())], ["no-id"]])
def test_replay_wants_one_decision_or_all(arguments: list[str]) -> None:
    assert _run("replay", *arguments).exit_code == 2


def test_who_only_looks_makes_no_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OBLIGOR_DATA", str(tmp_path))
    monkeypatch.delenv("OBLIGOR_DATABASE_URL", raising=False)
    done = _run("replay", "--all")
    assert isinstance(done.exception, NotFoundError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("decisions")
def test_a_store_that_does_not_answer_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBLIGOR_DATABASE_URL", "postgresql://ada:hush@127.0.0.1:1/none?connect_timeout=1")
    done = _run("doctor")
    assert isinstance(done.exception, UnavailableError)
    assert "hush" not in str(done.exception)


def test_who_replays_may_read_the_log_once_the_store_knows_people(
    decisions: list[str], day: tuple[Path, str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(day[1]) as owner:
        for name, role in {"vera": "auditor", "joan": "analyst"}.items():
            owner.execute("INSERT INTO obligor.app_user VALUES (%s, '', now(), NULL, 0)", (name,))
            owner.execute("INSERT INTO obligor.user_role VALUES (%s, %s, 'granted', 'x', 'y', now(), 0)", (name, role))
    try:
        for by, refusal in {"joan": "this needs", "eve": "nobody whom the store knows"}.items():
            monkeypatch.setenv("OBLIGOR_AUTHOR", by)
            for what in (decisions[0], "--all"):
                done = _run("replay", what)
                assert isinstance(done.exception, ForbiddenError)
                assert refusal in str(done.exception)
        monkeypatch.setenv("OBLIGOR_AUTHOR", "vera")
        assert _run("replay", decisions[0]).exit_code == 0
    finally:
        with psycopg.connect(day[1]) as owner:
            owner.execute("DELETE FROM obligor.user_role")
            owner.execute("DELETE FROM obligor.app_user")
