"""`obligor keys` on a real store: shown once, kept as a hash, recorded in the log."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from obligor import cli
from obligor.adapters.store.archive import PostgresArchive
from obligor.adapters.store.pool import Pool
from obligor.core.errors import UnauthenticatedError
from obligor.security.api_keys import SCOPES, parse_key
from obligor.serving.people.authenticating import Authenticator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def url(postgres_url: str) -> str:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS keys WITH (FORCE)")
        connection.execute("CREATE DATABASE keys TEMPLATE template0 ENCODING 'UTF8'")
    return postgres_url.replace("/tests", "/keys", 1)


@pytest.fixture
def call(url: str, run: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    monkeypatch.setenv("OBLIGOR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("OBLIGOR_DATABASE_URL", url)
    monkeypatch.setenv("OBLIGOR_AUTHOR", "Vera")

    return partial(run, "keys")


def made(call: Call, *arguments: str) -> dict[str, Any]:
    code, out, err = call(*arguments, "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def asked(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def opens(url: str, *texts: str) -> list[str | None]:
    """The client that each key opens the door for."""

    async def run() -> list[str | None]:
        pool = Pool(url)
        door = Authenticator(PostgresArchive(pool), now=lambda: datetime.now(UTC))
        found: list[str | None] = []
        for text in texts:
            try:
                found.append((await door.authenticate(f"Bearer {text}", peer="192.0.2.1")).client_id)
            except UnauthenticatedError:
                found.append(None)
        await pool.close()
        return found

    return asyncio.run(run())


def test_a_key_is_printed_once_alone_and_its_hash_is_all_that_is_kept(call: Call, url: str) -> None:
    code, out, err = call("create", "branch-7", "--name", "the web shop", "--scope", "decide", "--scope", "read")
    shown = parse_key(out.removesuffix("\n"))
    assert code == 0
    assert shown is not None
    assert f"key {shown.key_id} of client branch-7 opens decide, read until" in err
    assert shown.secret not in err
    hashes = asked(url, f"SELECT secret_sha256, name, scopes FROM obligor.api_key WHERE key_id = '{shown.key_id}'")
    assert hashes == [(sha256(shown.secret.encode()).digest(), "the web shop", ["decide", "read"])]
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'obligor'").fetchall()
        held = [str(connection.execute(f"SELECT * FROM obligor.{name}").fetchall()) for (name,) in tables]
    assert [shown.secret in text or shown.secret.encode().hex() in text for text in held] == [False] * len(held)
    assert opens(url, out.strip()) == ["branch-7"]


def test_every_act_on_a_key_is_a_leaf_of_the_person_who_did_it(call: Call, url: str) -> None:
    first = made(call, "create", "branch-8")
    second = made(call, "rotate", first["key_id"], "--overlap", "0")
    made(call, "revoke", second["key_id"])
    found = asked(url, "SELECT convert_from(body, 'UTF8') FROM obligor.leaf ORDER BY index DESC LIMIT 4")
    leaves = [json.loads(body) for (body,) in reversed(found)]
    assert [(it["kind"], it["by"], it["subject"]) for it in leaves] == [
        ("key.created", "person:Vera", first["key_id"]), ("key.rotated", "person:Vera", first["key_id"]),
        ("key.created", "person:Vera", second["key_id"]), ("key.revoked", "person:Vera", second["key_id"]),
    ]  # fmt: skip
    assert opens(url, first["key"], second["key"]) == [None, None]
    assert second["replaces"]["key_id"] == first["key_id"]


def test_an_old_key_opens_beside_its_successor_for_the_overlap(call: Call, url: str) -> None:
    first = made(call, "create", "branch-9", "--days", "3")
    code, out, err = call("rotate", first["key_id"], "--overlap", "2")
    assert code == 0
    assert f"key {first['key_id']}, whose place it takes, opens until" in err
    assert opens(url, first["key"], out.strip()) == ["branch-9", "branch-9"]


def test_the_list_says_of_each_key_whether_it_opens(call: Call) -> None:
    one, other = made(call, "create", "branch-10"), made(call, "create", "branch-10", "--scope", "metrics")
    made(call, "revoke", one["key_id"])
    code, out, _ = call("list")
    lines = {line.split()[0]: line.split()[1:3] for line in out.splitlines()}
    assert code == 0
    assert (lines[one["key_id"]], lines[other["key_id"]]) == (["branch-10", "revoked"], ["branch-10", "opens"])
    states = {it["key_id"]: it["state"] for it in made(call, "list")["keys"]}
    assert (states[one["key_id"]], states[other["key_id"]]) == ("revoked", "opens")
    assert "obl_" not in out
    assert all("key" not in it for it in made(call, "list")["keys"])


def test_a_key_is_bound_to_networks_and_so_is_its_successor(call: Call, url: str) -> None:
    bound = ("--network", "2001:db8::/32", "--network", "192.0.2.0/24")
    first, other = made(call, "create", "branch-11", *bound), made(call, "create", "branch-11", "--network", "10.0.0.1")
    second = made(call, "rotate", first["key_id"])
    assert first["networks"] == second["networks"] == ["192.0.2.0/24", "2001:db8::/32"]
    assert opens(url, first["key"], other["key"], second["key"]) == ["branch-11", None, "branch-11"]
    listed = {it["key_id"]: it["networks"] for it in made(call, "list")["keys"] if it["client"] == "branch-11"}
    assert listed == {it["key_id"]: it["networks"] for it in (first, second, other)}
    code, out, err = call("create", "branch-11", *bound)
    assert (code, "from 192.0.2.0/24, 2001:db8::/32 alone" in err) == (0, True)
    line = next(it for it in call("list")[1].splitlines() if it.startswith(out[4:16]))
    assert line.endswith("  from 192.0.2.0/24,2001:db8::/32")
    (record,) = asked(
        url,
        "SELECT convert_from(record.body, 'UTF8') FROM obligor.record JOIN obligor.leaf ON leaf_index = index "
        f"WHERE convert_from(leaf.body, 'UTF8')::json->>'subject' = '{second['key_id']}'",
    )
    assert json.loads(record[0])["networks"] == ["192.0.2.0/24", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("create", "Branch 7"), 2, "client: got 'Branch 7'; wanted up to 64 small letters"),
        (("create", "b", "--scope", "root"), 2, "'root' is not one of"),
        (("create", "b", "--days", "0"), 2, "0 is not in the range"),
        (("create", "b", "--name", "two\nlines"), 2, "printable characters"),
        (
            ("create", "b", "--network", "10.0.0.0/33"),
            2,
            "network 1: got '10.0.0.0/33'; wanted an address or a network",
        ),
        (
            ("create", "b", "--network", "192.0.2.7", "--network", "10.0.0.1/8"),
            2,
            "network 2: got '10.0.0.1/8'; wanted",
        ),
        (("revoke", "0123456789ab"), 1, "there is no API key of this id"),
        (("rotate", "0123456789ab"), 1, "there is no API key of this id"),
        (("revoke", "no-id"), 2, "wanted the 12 characters between the underscores"),
        (("revoke", f"obl_0123456789ab_{'A' * 43}"), 2, "got a whole key; wanted its id alone, 0123456789ab"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(call: Call, arguments: tuple[str, ...], code: int, told: str) -> None:
    found, out, err = call(*arguments)
    assert (found, out) == (code, "")
    assert told in err
    assert "A" * 43 not in err


def test_a_store_that_is_down_is_told_and_no_key_is_shown(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBLIGOR_DATABASE_URL", "postgresql://u:secret@127.0.0.1:9/none")
    code, out, err = call("create", "branch-7")
    assert (code, out) == (1, "")
    assert err.startswith("obligor: ")
    assert "secret" not in err


def test_the_scopes_of_the_command_are_those_of_the_service() -> None:
    option = next(it for it in cli.cli.commands["keys"].commands["create"].params if it.name == "scopes")
    assert tuple(option.type.choices) == SCOPES
    assert set(option.default) < set(SCOPES)
