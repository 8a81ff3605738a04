"""`obligor privacy` and `obligor keys rotate --data` on a real store: signed, recorded, refused with a reason."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.lending import lending, write_key
from tests.serving import golden_decisions as golden
from tests.stores import new_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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


def decide(url: str, *names: str, seed: int = 1) -> None:
    async def decided() -> None:
        async with lending(url, seed=seed) as lender:
            for at, name in enumerate(names):
                (given,) = golden.applications(1)
                await lender.decide_one(given | {"customer": name}, client="bank", key=f"{seed}-{at}")

    asyncio.run(decided())


def test_a_person_is_told_held_released_and_erased(url: str, call: Call, tmp_path: Path) -> None:
    decide(url, "Ann", "Bob")
    code, out, _ = call("privacy", "export", "--application", "Ann")
    (subject,) = json.loads(out)["subjects"]
    assert (code, subject["decisions"][0]["input"]["customer"]) == (0, "Ann")
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


def test_nobody_unknown_is_erased_and_the_name_is_not_repeated(url: str, call: Call) -> None:
    decide(url, "Ann")
    code, out, err = call("privacy", "erase", "Zacharias")
    assert (code, out) == (1, "")
    assert "nothing is kept of this subject" in err
    assert "Zacharias" not in err
    assert call("privacy", "erase")[0] == 2
    assert call("privacy", "erase", "Ann", "--application", "A")[0] == 2


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
