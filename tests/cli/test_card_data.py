"""No number of a payment card enters by the command line either: what stands in a leaf stands there for ever."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING

import psycopg
import pytest

from obligor.serving.reviews.review import Finding, check_finding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]

PAN = "4111111111111111"
SPACED = "4111 1111 1111 1111"
SPOKEN = f"card {SPACED}"
HOOK = "http://127.0.0.1:9/hooks"
PERIOD = ("--from", "2020-01-01", "--to", "2036-01-01")
COMMANDS = (
    ("keys", "create", PAN),
    ("keys", "create", SPACED),
    ("keys", "create", "bank", "--name", SPOKEN),
    ("keys", "create", "bank", "--because", SPOKEN),
    ("users", "add", PAN, "--no-password"),
    ("users", "add", "bob", "--no-password", "--because", SPOKEN),
    ("roles", "grant", PAN, "admin"),
    ("webhooks", "add", PAN, HOOK),
    ("webhooks", "add", "bank", f"{HOOK}/{PAN}"),
    ("audit", "export", "acts.zip", *PERIOD, "--purpose", SPOKEN),
    ("releases", "activate", "{run}", "--because", SPOKEN),
    ("profile", "propose", "profile.json", "--because", SPOKEN),
    ("profile", "propose", "profile.json", "--because", "a rule changed"),
)


def leaves(url: str) -> int:
    with psycopg.connect(url) as connection:
        (count,) = connection.execute("SELECT count(*) FROM obligor.leaf").fetchone() or (0,)
    return int(count)


def test_what_a_person_types_holds_no_number_of_a_card_and_is_not_repeated(
    call: Call, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profile.json").write_text(json.dumps({"name": SPOKEN}))
    assert call("ada", "webhooks", "add", "bank", HOOK)[0] == 0  # makes what seals its secret
    before = leaves(url)
    for command in COMMANDS:
        code, out, err = call("ada", *(it.format(run=files("obligor.serving") / "demo") for it in command))
        assert (code, out, "payment card" in err, "1111" in err) == (2, "", True, False), (command, err)
    code, _, err = call(PAN, "keys", "create", "bank")
    assert (code, "OBLIGOR_AUTHOR" in err, "payment card" in err, "1111" in err) == (2, True, True, False)
    assert leaves(url) == before
    assert call("ada", "keys", "create", "bank", "--name", "the branch of 1111")[0] == 0


def test_a_user_who_bears_such_a_number_from_before_is_taken_away(call: Call, url: str) -> None:
    assert call("ada", "keys", "list")[0] == 0  # makes the tables
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO obligor.app_user VALUES (%s, '', now(), NULL, 0)", (PAN,))
        connection.execute("INSERT INTO obligor.app_user VALUES ('ada', '', now(), NULL, 0)")
        connection.execute("INSERT INTO obligor.user_role VALUES ('ada', 'admin', 'granted', 'ada', 'ada', now(), 0)")
    assert call("ada", "users", "disable", PAN)[0] == 0
    of_the_provider = "4012888888881881"  # whom nobody here gave that name
    assert call("ada", "users", "disable", of_the_provider, "--unknown")[0] == 0


def test_a_factor_of_a_review_holds_no_number_of_a_card() -> None:
    with pytest.raises(Exception, match="payment card") as refused:
        check_finding(Finding("decline", (SPOKEN,)))
    assert "1111" not in str(refused.value)
