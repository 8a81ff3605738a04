"""Which card is used is a person's choice, with a reason, and stays on record."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from obligor.cli import cli
from obligor.core.errors import InvalidInputError
from obligor.files import file_sha256
from obligor.governance.choices import lines_of, record_choice, searched_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import LenderRun

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def names(run: LenderRun) -> list[str]:
    return [it["name"] for it in searched_in(run.out)["alternatives"]["alternatives"]]


def choose(run: LenderRun, record: Path, name: str, *, by: str = "R. Officer", because: str = "no price") -> dict:
    return record_choice(run.out, name=name, by=by, because=because, at=AT, record=record)


def test_a_choice_names_its_evidence_and_those_before_it_stay(lender_run: LenderRun, tmp_path: Path) -> None:
    record = tmp_path / "choices.json"
    first = choose(lender_run, record, names(lender_run)[1])
    second = choose(lender_run, record, "the card", because="the other card fails on the test")
    assert json.loads(record.read_text()) == [first, second]
    assert first["evaluation_sha256"] == file_sha256(lender_run.out / "evaluation.json")
    assert first["at"] == "2026-03-01T12:30:00+00:00"
    assert list(first["figures"]) == ["the card", first["chosen"]]
    assert list(second["figures"]) == ["the card"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "the crd"}, "did you mean 'the card'"),
        ({"because": "  "}, "because: is empty"),
        ({"by": ""}, "by: is empty"),
    ],
)
def test_a_choice_of_no_card_or_without_a_reason_or_a_name_is_refused(
    lender_run: LenderRun, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    said = {"name": "the card", "by": "R. Officer", "because": "it is fair"} | change
    with pytest.raises(InvalidInputError, match=message):
        record_choice(lender_run.out, at=AT, record=tmp_path / "choices.json", **said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{}", "[1]", "not json", '[{"schema": "else/1"}]'])
def test_a_file_that_holds_something_else_is_left_as_it_is(lender_run: LenderRun, tmp_path: Path, text: str) -> None:
    record = tmp_path / "choices.json"
    record.write_text(text)
    with pytest.raises(InvalidInputError, match="not a record of choices"):
        choose(lender_run, record, "the card")
    assert record.read_text() == text


def test_a_record_in_the_folder_of_the_run_is_refused(lender_run: LenderRun) -> None:
    with pytest.raises(InvalidInputError, match="which the next run replaces"):
        choose(lender_run, lender_run.out / "choices.json", "the card")


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "holds no evaluation"), ("{", "cannot be read"), ('{"alternatives": null}', "no search for alternatives")],
)
def test_a_folder_without_a_search_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        searched_in(tmp_path)


def test_the_list_shows_the_card_first_and_every_card_of_a_frontier(lender_run: LenderRun) -> None:
    evaluation = searched_in(lender_run.out)
    shown = [it for it in evaluation["alternatives"]["alternatives"] if it["test"]]
    said = lines_of(evaluation)
    assert said[3].startswith("the card")
    assert [line.split("  ")[0] for line in said[3 : 3 + len(shown)]] == [it["name"] for it in shown]
    evaluation["alternatives"]["proposals"] = [{"column": "sex", "alternative": "without region", "holds": False}]
    assert lines_of(evaluation)[-1] == "put forward for sex: without region, which the test does not bear out"


def test_the_command_lists_and_records(lender_run: LenderRun, tmp_path: Path) -> None:
    run = CliRunner()
    listed = run.invoke(cli, ["alternatives", str(lender_run.out)])
    assert listed.exit_code == 0
    assert "other cards were tried" in listed.output
    record = str(tmp_path / "choices.json")
    given = ["alternatives", str(lender_run.out), "--record", record, "--choose", "the card", "--by", "R. Officer"]
    assert run.invoke(cli, given).exit_code == 2
    done = run.invoke(cli, [*given, "--because", "no group is flagged"])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "choices.json").read_text())[0]["by"] == "R. Officer"
