"""One application in, one explanation out: by the command, as lines, as JSON and as a page."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from tests.core.test_explanation import lender

from obligor.bootstrap import load_card, score_tape
from obligor.progress import Silence
from obligor.serving.scoring.explaining import explain_application

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import LenderRun

    Call = Callable[..., tuple[int, str, str]]

PLAIN = {"income": 1.5, "amount": 4711.5, "purpose": "Jane Doe"}


@pytest.fixture
def call(run: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    def called(*arguments: object, said: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said)))
        return run("explain", *arguments)

    return called


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "scorecard.json"
    path.write_bytes(lender().to_json())
    return path


def test_a_decline_is_told_with_its_sum_its_reasons_and_its_changes(call: Call, card: Path, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(PLAIN))
    code, out, err = call(tmp_path / "one.json", "--card", card)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "score 18.0, PD 10.00% within 12 months, band all: declined at the cut-off of 40.0"
    assert "1. too low (amount, 8.6 points short)" in lines
    assert any(line.startswith("- income: ") and line.endswith("points)") for line in lines)
    assert "4711" not in out
    assert "Jane" not in out


def test_json_holds_all_of_it_and_standard_input_is_read(call: Call, card: Path) -> None:
    code, out, _ = call(
        "-", "--card", card, "--json", "--changes", "0", "--reasons", "1", said=json.dumps(PLAIN).encode()
    )
    assert code == 0
    told = json.loads(out)
    points = sum(it["points"] for it in (*told["contributions"], *told["pairs"]))
    assert told["base_points"] + points == pytest.approx(told["score"]) == 18.0  # 1 + 12 + 6 - 1
    assert told["mean"] + sum(it["shap"] for it in told["contributions"]) == pytest.approx(told["score"])
    assert told["waterfall"][-1]["end"] == pytest.approx(told["score"])
    assert told["counterfactuals"] == []
    assert len(told["reasons"]) == 1
    assert told["reason_texts_lacking"] == []
    assert not told["approved"]


def test_the_page_opens_without_a_script_and_names_bins_only(call: Call, card: Path, tmp_path: Path) -> None:
    code, _, err = call("-", "--card", card, "--html", tmp_path / "one.html", said=json.dumps(PLAIN).encode())
    assert (code, err) == (0, "")
    page = (tmp_path / "one.html").read_text()
    assert "Declined at the cut-off of 40.0 points" in page
    assert "default-src 'none'" in page
    assert page.count("<svg") == 1
    assert "<script" not in page
    assert "4711" not in page
    assert "Jane" not in page


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b'{"income": "4711", "amount": 1, "purpose": null}', "the field 'income': got a text, wanted a number"),
        (b'{"income": 1, "amount": 1, "purpose": null, "colour": 4711}', "'colour' is not known to the card"),
        (b'{"income": 4711, "income": 4711}', "the key 'income' stands twice"),
        (b'{"income": NaN, "amount": 4711}', "NaN is not a number"),
        (b'{"income": 4711}', "lacks 'amount'"),
        (b"4711 Jane", "is not JSON"),
    ],
)
def test_a_wrong_application_exits_with_two_and_leaves_no_page(
    said: bytes, message: str, call: Call, card: Path, tmp_path: Path
) -> None:
    code, out, err = call("-", "--card", card, "--html", tmp_path / "one.html", said=said)
    assert (code, out) == (2, "")
    assert message in err
    assert "4711" not in err
    assert "Jane" not in err
    assert not (tmp_path / "one.html").exists()


def test_what_is_not_there_or_no_card_exits_with_two(call: Call, card: Path, tmp_path: Path) -> None:
    assert call(tmp_path / "gone.json", "--card", card)[::2][0] == 2
    assert "there is no such file" in call(tmp_path / "gone.json", "--card", card)[2]
    assert "cannot be read" in call(tmp_path, "--card", card)[2]
    assert call("-", "--card", card, "--changes", "4", said=b"{}")[0] == 2
    plain = json.loads(card.read_text())
    plain["characteristics"][0]["reference"] = None
    card.write_text(json.dumps(plain))
    code, _, err = call("-", "--card", card, said=json.dumps(PLAIN).encode())
    assert (code, "'income' has no reference mean" in err) == (2, True)


def test_bins_without_a_text_are_named(call: Call, card: Path) -> None:
    plain = json.loads(card.read_text())
    plain["characteristics"][1] |= {"reason": "", "reason_missing": ""}
    card.write_text(json.dumps(plain))
    code, out, _ = call("-", "--card", card, said=json.dumps(PLAIN).encode())
    assert code == 0
    assert "1. (no text) (amount, 8.6 points short)" in out
    assert "This card has no reason text for 2 bins that can be a reason:" in out
    assert "- amount: 0; 4000" in out.splitlines()


def test_a_decline_without_a_reason_goes_to_a_person(card: Path) -> None:
    parts = (it.model_copy(update={"reference": min(it.points)}) for it in lender().characteristics)
    low = lender().model_copy(update={"characteristics": tuple(parts), "pairs": ()})
    told = explain_application(json.dumps(PLAIN).encode(), low, most_reasons=4, most_changes=0).lines()
    assert any(line.endswith("A person must decide.") for line in told)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "de_DE.UTF-8", "tr_TR.UTF-8"])
def test_the_locale_and_the_order_of_the_fields_change_nothing(locale: str, card: Path) -> None:
    """In a process of its own, with every variable that a locale is read from."""
    code = "from obligor.cli import main; import sys; sys.argv = ['obligor', *sys.argv[1:]]; main()"

    def said(plain: dict[str, Any], **environ: str) -> bytes:
        done = subprocess.run(
            [sys.executable, "-c", code, "explain", "-", "--card", str(card)],
            input=json.dumps(plain).encode(), env={**os.environ, **environ}, capture_output=True, check=True,
        )  # fmt: skip
        return done.stdout

    turned = dict(reversed(PLAIN.items()))
    assert said(turned, LC_ALL=locale, LANG=locale) == said(PLAIN, LC_ALL="C.UTF-8", LANG="C.UTF-8")


def test_the_command_says_of_applications_what_the_batch_says(lender_run: LenderRun, tmp_path: Path) -> None:
    path = lender_run.out / "scorecard.json"
    card = load_card(path)
    score_tape(str(lender_run.tape), card=path, out=tmp_path / "s.parquet", reasons=4, progress=Silence())
    batch = pq.read_table(tmp_path / "s.parquet").to_pandas().set_index("application_id")
    bureau: dict[str, list[dict[str, object]]] = {}
    for line in pq.read_table(lender_run.tape / "bureau.parquet").to_pylist():
        row = {name: line[name] for name in card.histories["bureau"].columns}
        bureau.setdefault(line["customer_id"], []).append(row)
    for row in pq.read_table(lender_run.tape / "applications.parquet").slice(0, 25).to_pylist():
        plain = {name: row[name] for name in card.applications.columns} | {"bureau": bureau.get(row["customer_id"], [])}
        told = explain_application(json.dumps(plain, default=str).encode(), card, most_reasons=4, most_changes=2)
        wanted = batch.loc[row["application_id"]]
        assert told.explanation.score == wanted["score_thousandths"]
        assert told.explanation.pd == wanted["pd"]
        names = [wanted[f"reason_{place}"] for place in range(1, 5)]
        assert [it.code for it in told.explanation.reasons] == [name for name in names if isinstance(name, str)]
        for way in told.explanation.counterfactuals:
            assert way.score >= card.cutoff.score
        assert row["full_name"] not in "\n".join(told.lines())
