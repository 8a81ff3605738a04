"""`obligor screen`: what a name hits, why, and against which list."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.screening.lists import EXAMPLE, PUBLISHED, SNAPSHOT

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[..., tuple[int, str, str]]

TODAY = datetime.now(UTC).date().isoformat()


@pytest.fixture
def call(run: Call) -> Call:
    return partial(run, "screen")


def test_a_hit_is_told_with_its_reasons_and_its_list(call: Call) -> None:
    code, out, err = call("Oleg Korvnad", "--born", "1952-12-03", "--list", str(EXAMPLE), "--published", TODAY)
    hit, why, against, rules = out.splitlines()
    assert (code, err) == (1, "")
    assert hit == "HIT 0.8842 1001 individual [INVENTED-1] KORVAND, Oleg Petrovich"
    assert why == "    names 0.84 (oleg = oleg 1.00, korvnad = korvand 0.86); birth date swapped +0.04"
    assert against.startswith(f"list OFAC SDN of {TODAY}: 8 entries, ")
    assert rules.startswith("threshold 0.86, rules ")


def test_nobody_is_cleared_by_a_list_that_is_too_old_or_of_no_known_day(call: Call) -> None:
    assert call("Jane Example", "--list", str(EXAMPLE), "--published", TODAY)[0] == 0
    code, out, _ = call("Jane Example", "--list", str(EXAMPLE), "--published", "2021-04-15")
    assert (code, out.splitlines()[0]) == (1, "no hit")
    assert "of 2021-04-15, too old to rely on" in out
    code, out, _ = call("Jane Example", "--list", str(EXAMPLE))
    assert (code, "of no known day, too old to rely on" in out) == (1, True)


def test_a_weak_alias_and_a_company_say_so(call: Call) -> None:
    out = call("El Martillo", "--list", str(EXAMPLE / "sdn.csv"))[1]
    assert "EL MARTILLO, a weak alias" in out
    assert "weak alias -0.10" in out
    out = call("Harbour Star Logistics", "--list", str(EXAMPLE), "--threshold", "0.8")[1]
    assert "1004 entity" in out
    assert "threshold 0.8," in out
    out = call("Harbour Star Logistics", "--list", str(EXAMPLE), "--threshold", "0.8", "--born", "1970")[1]
    assert "a company, and a birth date was given -0.10" in out


def test_a_name_is_read_from_standard_input(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Oleg Korvand\n"))
    assert call("-", "--list", str(EXAMPLE))[1].startswith("HIT 0.9091 1001 ")


def test_a_screening_in_json_pins_the_list_and_the_rules(call: Call) -> None:
    code, out, _ = call("Aleg Korwandt", "--list", str(EXAMPLE), "--published", PUBLISHED.isoformat(), "--json")
    told = json.loads(out)
    assert code == 1
    assert told["list"]["sha256"] == SNAPSHOT.sha256
    assert told["hits"][0]["name"] == {"text": "KORWANDT, Aleg", "strength": "strong"}
    assert told["hits"][0]["pairs"][0] == {"given": "aleg", "listed": "aleg", "alike": 1.0}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["---", "--list", str(EXAMPLE)], "no such option|holds no letter"),
        (["🙂", "--list", str(EXAMPLE)], "holds no letter or digit"),
        (["Jane", "--born", "1.2.70", "--list", str(EXAMPLE)], "born: is no date"),
        (["Jane", "--list", "nowhere"], "nowhere: there is no such file or folder"),
        (["Jane", "--list", str(EXAMPLE.parent)], "holds 0 lists"),
        (["Jane", "--list", str(EXAMPLE), "--threshold", "0"], "threshold"),
    ],
    ids=ascii,
)
def test_what_cannot_be_screened_ends_with_one_message(
    call: Call, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert any(it in err.lower() or it in err for it in told.split("|"))
