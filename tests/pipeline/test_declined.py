"""The main job with the declined, on the simulated lender: they stand on its tape, and their truth is known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from obligor.bootstrap import run_tape
from obligor.core.errors import ContractError, TapeError
from obligor.progress import Silence

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import LenderRun

FILES = ("scorecard.json", "evaluation.json", "findings.json", "report.html", "model_card.md")


def with_rejects(contracts: Path, folder: Path, clause: str) -> Path:
    """Write the simulated lender's contract with its declined kept instead of excluded, and no other cards beside its own."""
    text = (contracts / "simulated-lender.yaml").read_text()
    text = text.replace("alternatives: true", "alternatives: false").split("challengers:")[0]
    start, end = text.index("exclude:"), text.index("features:")
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / "contract.yaml"
    path.write_text(f"{text[:start]}rejects: {clause}\n\n{text[end:]}")
    return path


def run(tape: Path, contract: Path, folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OBLIGOR_DATA", str(folder / "data"))
        patch.setenv("OBLIGOR_MLFLOW_URI", "off")
        run_tape(str(tape), contract=contract, out=folder / "out", progress=Silence())
    return folder / "out"


def read(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).read_text())
    return found


@pytest.fixture(scope="module")
def plain(lender_run: LenderRun, contracts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that keeps the declined and infers nothing."""
    folder = tmp_path_factory.mktemp("none")
    return run(lender_run.tape, with_rejects(contracts, folder, "{when: decision = 'declined'}"), folder)


@pytest.fixture(scope="module")
def inferred(lender_run: LenderRun, contracts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that parcels the declined out at one and a quarter times the odds."""
    folder = tmp_path_factory.mktemp("parcelling")
    clause = "{when: decision = 'declined', method: parcelling, uplift: 1.25}"
    return run(lender_run.tape, with_rejects(contracts, folder, clause), folder)


def test_without_inference_the_card_is_the_one_that_never_heard_of_the_declined(
    lender_run: LenderRun, plain: Path
) -> None:
    cards = [read(folder, "scorecard.json") for folder in (lender_run.out, plain)]
    for card in cards:
        del card["origin"]["contract_sha256"]
    assert cards[0] == cards[1]
    known, kept = (read(folder, "evaluation.json") for folder in (lender_run.out, plain))
    assert known["rejects"] is None
    for key in ("train", "validation", "test", "characteristics", "stability"):
        assert kept[key] == known[key]


def test_the_declined_are_counted_under_their_own_name(lender_run: LenderRun, plain: Path) -> None:
    accounting = read(plain, "evaluation.json")["accounting"]
    truth = pq.read_table(lender_run.tape / "truth.parquet").to_pandas()
    refused = ~truth["approved"] & ~truth["dirt"].isin(["age", "income"])
    assert accounting["declined"] == refused.sum()
    parts = (*accounting["quarantined"].values(), *accounting["excluded"].values())
    assert accounting["used"] + accounting["declined"] + sum(parts) == accounting["rows"]
    assert accounting["declined"] == read(plain, "findings.json")["accounting"]["declined"]
    assert "declined, without outcome" in (plain / "report.html").read_text()


def test_the_approval_rate_is_that_of_the_lender(plain: Path) -> None:
    samples = read(plain, "evaluation.json")["rejects"]["samples"]
    assert all(each["approval_rate"] == pytest.approx(0.66, abs=0.03) for each in samples.values())
    assert all(each["declined"] > 100 for each in samples.values())


def test_the_band_stands_beside_the_card_whatever_the_method(plain: Path, inferred: Path) -> None:
    for folder, uplifts in ((plain, [1, 1.5, 2, 3]), (inferred, [1, 1.25, 1.5, 2, 3])):
        found = read(folder, "evaluation.json")["rejects"]
        assert [each["uplift"] for each in found["band"]] == uplifts
        for key in ("assumed_bad_rate", "mean_pd_declined", "plain_bad_rate"):
            values = [each[key] for each in found["band"]]
            assert values == sorted(values), key
        for each in found["band"]:
            assert 0 < each["approval_rate"] <= 1
            assert each["gini_lower"] < each["gini"] < each["gini_upper"]
        page = (folder / "report.html").read_text()
        assert "Those who were declined" in page
        assert f"{100 * found['band'][0]['assumed_bad_rate']:.1f}%" in page


def test_the_inferred_card_is_the_row_of_the_band_that_the_contract_names(plain: Path, inferred: Path) -> None:
    card, evaluation = read(inferred, "scorecard.json"), read(inferred, "evaluation.json")
    (row,) = [each for each in evaluation["rejects"]["band"] if each["uplift"] == 1.25]
    assert row["cutoff"] == card["cutoff"]["score"]
    assert row["gini"] == evaluation["test"]["gini"]
    assert evaluation["rejects"]["plain"] == read(plain, "evaluation.json")["rejects"]["plain"]
    assert row["assumed_bad_rate"] > evaluation["train"]["bad_rate"]


def test_evaluation_stays_on_known_outcomes(plain: Path, inferred: Path) -> None:
    for sample in ("train", "validation", "test"):
        known, kept = (read(folder, "evaluation.json")[sample] for folder in (plain, inferred))
        assert all(known[key] == kept[key] for key in ("n", "bads", "bad_rate"))


def test_the_verdict_says_what_was_assumed(plain: Path, inferred: Path) -> None:
    for folder, words in ((plain, "fitted on the accepted alone"), (inferred, "1.25 times the odds of bad")):
        page = (folder / "report.html").read_text()
        assert words in page
        assert "nothing on the tape says how they would have turned out" in page
    assert "and on what parcelling assumes" in (inferred / "model_card.md").read_text()


def test_the_same_tape_and_contract_give_the_same_bytes(lender_run: LenderRun, inferred: Path, tmp_path: Path) -> None:
    again = run(lender_run.tape, inferred.parent / "contract.yaml", tmp_path)
    for name in FILES:
        assert (again / name).read_bytes() == (inferred / name).read_bytes(), name


@pytest.mark.parametrize(
    ("clause", "error", "words"),
    [
        ("{when: decision = 'refused'}", TapeError, "train has none; of the whole tape: none"),
        ("{when: decision = 'approved', method: fuzzy}", TapeError, "decision: outcome_of_declined"),
        ("{when: decision}", ContractError, "wanted a condition, got a text"),
        ("{when: decisoin = 'declined'}", ContractError, "decisoin"),
        ("{when: decision = 'declined', method: fuzzy, uplift: 0}", ContractError, "got 0, wanted more than 0"),
        ("{when: decision = 'declined', method: fuzzy, uplift: -2}", ContractError, "got -2, wanted more than 0"),
        ("{when: decision = 'declined', uplift: 2}", ContractError, "has no meaning where the method is none"),
        ("{when: decision = 'declined', methd: fuzzy}", ContractError, "did you mean 'method'"),
        ("{when: decision = 'declined', method: hard}", ContractError, "got 'hard'"),
    ],
)
def test_a_clause_that_cannot_be_meant_is_refused(
    lender_run: LenderRun, contracts: Path, tmp_path: Path, clause: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        run(lender_run.tape, with_rejects(contracts, tmp_path, clause), tmp_path)
    assert not (tmp_path / "out").exists()
