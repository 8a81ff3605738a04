"""The main job on the simulated lender, whose truth is known, and on real tapes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from obligor.bootstrap import load_card, run_tape, score_tape
from obligor.bootstrap.cards import _with_what_is_here
from obligor.core.errors import UnavailableError
from obligor.core.policy import check_policy, outcome_for, parse_policy
from obligor.core.policy_reader import compile_policy
from obligor.core.scorecard import parse_card
from obligor.core.scorer import compile_card
from obligor.files import file_sha256
from obligor.ingestion.contract_file import load_contract
from obligor.progress import Silence

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from tests.conftest import LenderRun

    from obligor.core.contract import Contract


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBLIGOR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("OBLIGOR_MLFLOW_URI", "off")


@pytest.fixture(scope="module")
def evaluation(lender_run: LenderRun) -> dict[str, Any]:
    return json.loads((lender_run.out / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def scored(lender_run: LenderRun, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Every application of the tape, scored in one batch, with its truth."""
    folder = tmp_path_factory.mktemp("scored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OBLIGOR_DATA", str(folder / "data"))
        score_tape(
            str(lender_run.tape),
            card=lender_run.out / "scorecard.json",
            out=folder / "s.parquet",
            points=True,
            progress=Silence(),
        )
    found = pq.read_table(folder / "s.parquet").to_pandas().drop_duplicates("application_id")
    return found.merge(pq.read_table(lender_run.tape / "truth.parquet").to_pandas(), on="application_id")


def test_the_evidence_is_all_there_and_its_hashes_are_listed(lender_run: LenderRun) -> None:
    manifest = json.loads((lender_run.out / "manifest.json").read_text())
    wanted = {
        "scorecard.json",
        "policy.json",
        "evaluation.json",
        "findings.json",
        "quarantine.parquet",
        "report.html",
        "model_card.md",
        "challengers/inputs.json",
        "challengers/boosted.txt",
        "challengers/additive.json",
        "challengers/search.json",
    }
    assert set(manifest["outputs"]) == wanted
    found = {path.relative_to(lender_run.out).as_posix() for path in lender_run.out.rglob("*") if path.is_file()}
    assert found == wanted | {"manifest.json"}
    for name, it in manifest["outputs"].items():
        assert file_sha256(lender_run.out / name) == it["sha256"]


def test_the_same_inputs_give_the_same_bytes(lender_run: LenderRun, contracts: Path, tmp_path: Path) -> None:
    run_tape(
        str(lender_run.tape), contract=contracts / "simulated-lender.yaml", out=tmp_path / "again", progress=Silence()
    )
    made = json.loads((lender_run.out / "manifest.json").read_text())["outputs"]
    for name in made.keys() - {"quarantine.parquet"}:
        assert (tmp_path / "again" / name).read_bytes() == (lender_run.out / name).read_bytes(), name


def test_the_policy_goes_with_its_card_and_decides_as_the_evaluation_says(
    lender_run: LenderRun, evaluation: dict[str, Any]
) -> None:
    card = parse_card((lender_run.out / "scorecard.json").read_bytes())
    policy = parse_policy((lender_run.out / "policy.json").read_bytes())
    check_policy(policy, card)
    told = evaluation["policy"]
    assert (told["sha256"], told["segment"], told["amount"]) == (policy.sha256, "channel", "loan_amount")
    assert {it.segment for it in policy.thresholds} == {"branch", "web", "broker", "partner", None}
    assert [it["cutoff"] for it in told["thresholds"]] == [it.cutoff for it in policy.thresholds]
    for sample in ("validation", "test"):
        whole = told["outcome"][sample]
        assert sum(it[sample]["rows"] for it in told["thresholds"]) == evaluation[sample]["n"]
        assert sum(it[sample]["profit"] for it in told["thresholds"]) == pytest.approx(whole["thresholds"]["profit"])
        assert whole["common"]["profit"] == pytest.approx(evaluation[sample]["at_cutoff"]["profit"])
        assert whole["common"]["expected_profit"] == pytest.approx(evaluation[sample]["at_cutoff"]["expected_profit"])
    score = card.cutoff.score
    assert outcome_for(policy, score - 3001, segment="nowhere", amount=100.0) == "decline"
    assert outcome_for(policy, score, segment="nowhere", amount=100.0) == "refer"
    assert outcome_for(policy, score + 3000, segment="nowhere", amount=100.0) == "approve"


def test_the_profit_best_cutoff_of_validation_is_beaten_there_by_no_other(evaluation: dict[str, Any]) -> None:
    named = {it["rule"]: it for it in evaluation["policy"]["cutoffs"]}
    best = max(row[3] for row in evaluation["validation"]["frontier"])
    assert named["profit"]["validation"]["profit"] == pytest.approx(best)
    assert named["profit"]["cutoff"] == evaluation["cutoff"]["score"]


def test_every_row_is_used_quarantined_or_excluded_with_a_reason(
    lender_run: LenderRun, evaluation: dict[str, Any]
) -> None:
    accounting = evaluation["accounting"]
    tape = pq.read_table(lender_run.tape / "applications.parquet")
    assert accounting["rows"] == tape.num_rows
    assert accounting["used"] == sum(evaluation[sample]["n"] for sample in ("train", "validation", "test"))
    settled = sum(accounting["quarantined"].values()) + sum(accounting["excluded"].values()) + accounting["used"]
    assert settled == accounting["rows"]
    kept = pq.read_table(lender_run.out / "quarantine.parquet")
    assert kept.num_rows == sum(accounting["quarantined"].values())
    assert "full_name" not in kept.column_names
    assert "national_id" not in kept.column_names


def test_the_quarantine_holds_the_dirt_that_was_put_there(lender_run: LenderRun) -> None:
    truth = pq.read_table(lender_run.tape / "truth.parquet").to_pandas()
    dirty = set(truth.loc[truth["dirt"].isin(["age", "income"]), "application_id"])
    kept = set(pq.read_table(lender_run.out / "quarantine.parquet")["application_id"].to_pylist())
    assert kept == dirty


def test_estimated_pds_agree_with_true_pds_within_sampling_error(scored: pd.DataFrame) -> None:
    """In each tenth of estimated PD, the mean true PD; the macro wave shifts a whole period, so the level is free."""
    approved = scored[scored["approved"] & (scored["dirt"] == "")]
    shift = approved["pd_12m_true"].mean() / approved["pd"].mean()
    tenth = np.argsort(np.argsort(approved["pd"].to_numpy(), kind="stable")) * 10 // len(approved)
    grouped = approved.groupby(tenth)[["pd", "pd_12m_true"]].mean()
    assert abs(shift - 1) < 0.15
    assert np.corrcoef(np.log(grouped["pd"]), np.log(grouped["pd_12m_true"]))[0, 1] > 0.98
    assert (grouped["pd_12m_true"].diff().dropna() > 0).all()
    error = np.sqrt(grouped["pd"] * (1 - grouped["pd"]) / (len(approved) / 10)) + 0.25 * grouped["pd"]
    assert ((grouped["pd"] * shift - grouped["pd_12m_true"]).abs() < 2 * error).all()


def test_the_card_ranks_unseen_declined_applicants_too(scored: pd.DataFrame) -> None:
    from obligor.measures.discrimination import auc

    declined = scored[~scored["approved"]]
    assert auc(declined["defaulted_12m"], declined["pd"]) > 0.68


def test_a_leak_a_name_or_the_incumbents_score_is_never_on_the_card(lender_run: LenderRun) -> None:
    text = (lender_run.out / "scorecard.json").read_text()
    names = ("collections_contacts", "incumbent_score", "interest_rate", "full_name", "national_id", "sex", "age_years")
    card = load_card(lender_run.out / "scorecard.json")
    assert not {it.feature for it in card.characteristics} & set(names)
    assert "collections_contacts" not in text
    assert "incumbent_score" not in card.applications.columns


def test_one_application_scores_as_in_the_batch(lender_run: LenderRun, scored: pd.DataFrame) -> None:
    card = load_card(lender_run.out / "scorecard.json")
    scorer = compile_card(card)
    bureau: dict[str, list[dict[str, object]]] = {}
    for line in pq.read_table(lender_run.tape / "bureau.parquet").to_pylist():
        bureau.setdefault(line["customer_id"], []).append(line)
    whole = scored.set_index("application_id")
    rows = pq.read_table(lender_run.tape / "applications.parquet").slice(0, 1500).to_pylist()
    for row in rows:
        single = scorer.score(row, histories={"bureau": bureau.get(row["customer_id"], [])})
        batch = whole.loc[row["application_id"]]
        assert single.score == batch["score_thousandths"]
        assert single.pd == batch["pd"]
        assert single.band == batch["band"]


def test_the_report_and_the_model_card_name_no_person(lender_run: LenderRun) -> None:
    people = set(pq.read_table(lender_run.tape / "applications.parquet")["national_id"].to_pylist())
    for name in ("report.html", "model_card.md", "findings.json", "evaluation.json", "manifest.json"):
        text = (lender_run.out / name).read_text()
        assert not [person for person in people if person in text]


def test_a_failed_run_leaves_nothing_behind(lender_run: LenderRun, contracts: Path, tmp_path: Path) -> None:
    from obligor.core.errors import GateError

    text = (
        (contracts / "simulated-lender.yaml")
        .read_text()
        .replace("features:", "limits: {quarantined: 0.0}\nfeatures:", 1)
    )
    (tmp_path / "strict.yaml").write_text(text)
    with pytest.raises(GateError, match="quarantined"):
        run_tape(str(lender_run.tape), contract=tmp_path / "strict.yaml", out=tmp_path / "out", progress=Silence())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "strict.yaml"]
    assert not list((tmp_path / "data" / "processed").iterdir())


def test_a_folder_with_other_files_is_never_overwritten(lender_run: LenderRun, contracts: Path, tmp_path: Path) -> None:
    from obligor.core.errors import InvalidInputError

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="not the output of a run"):
        run_tape(
            str(lender_run.tape), contract=contracts / "simulated-lender.yaml", out=tmp_path / "out", progress=Silence()
        )
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


REAL = {
    "lendingclub-2007-2011": ("lendingclub_2007_2011/LoanStats3a_2007_2011.csv.gz", 0.675, 42535),
    "give-me-some-credit": ("give_me_some_credit/cs-training.csv.gz", 0.845, 150000),
    "uci-taiwan": ("uci_taiwan_credit_card/default_of_credit_card_clients.csv.gz", 0.755, 30000),
    "german-credit": ("german_credit/german.data", 0.70, 1000),
}


@pytest.mark.parametrize("name", REAL)
def test_the_main_job_runs_on_real_tapes(name: str, datasets: Path, contracts: Path, tmp_path: Path) -> None:
    file, least, rows = REAL[name]
    summary = run_tape(
        str(datasets / file), contract=contracts / f"{name}.yaml", out=tmp_path / "out", progress=Silence()
    )
    assert summary.accounting["rows"] == rows
    assert (summary.samples["test"]["auc"] or 0) > least
    scored = score_tape(
        str(datasets / file), card=tmp_path / "out" / "scorecard.json", out=tmp_path / "s.parquet", progress=Silence()
    )
    assert scored.rows == rows


def test_the_smooth_recipe_beats_the_classical_one_on_a_real_tape_and_shows_its_pairs(
    datasets: Path, contracts: Path, tmp_path: Path
) -> None:
    file = str(datasets / REAL["uci-taiwan"][0])
    contract = (contracts / "uci-taiwan.yaml").read_text()
    found = {}
    for recipe in ("classical", "smooth"):
        (tmp_path / f"{recipe}.yaml").write_text(f"{contract}\nmodel: {{recipe: {recipe}}}\n")
        summary = run_tape(file, contract=tmp_path / f"{recipe}.yaml", out=tmp_path / recipe, progress=Silence())
        found[recipe] = summary.samples["test"]["auc"] or 0.0
    assert found["smooth"] > found["classical"] + 0.003
    card = load_card(tmp_path / "smooth" / "scorecard.json")
    assert card.recipe == "smooth"
    assert card.pairs
    page = (tmp_path / "smooth" / "report.html").read_text()
    for pair in card.pairs:
        assert f"{pair.features[0]} and {pair.features[1]}" in page
    made = tmp_path / "smooth" / "scorecard.json"
    score_tape(file, card=made, out=tmp_path / "s.parquet", points=True, progress=Silence())
    scored = pq.read_table(tmp_path / "s.parquet").to_pandas()
    points = [name for name in scored.columns if name.startswith("points_")]
    assert len(points) == len(card.characteristics) + len(card.pairs)
    assert (scored[points].sum(axis=1) + card.base_points == scored["score_thousandths"]).all()


def test_a_batch_gives_the_reasons_of_each_application_and_none_that_is_not_real(
    lender_run: LenderRun, tmp_path: Path
) -> None:
    card = load_card(lender_run.out / "scorecard.json")
    score_tape(
        str(lender_run.tape),
        card=lender_run.out / "scorecard.json",
        out=tmp_path / "s.parquet",
        reasons=4,
        points=True,
        progress=Silence(),
    )
    scored = pq.read_table(tmp_path / "s.parquet").to_pandas().head(500)
    names = [f"reason_{place}" for place in range(1, 5)]
    references = {it.feature: it.reference or 0 for it in card.characteristics}
    for row in scored.to_dict("records"):
        short = {name: reference - row[f"points_{name}"] for name, reference in references.items()}
        wanted = sorted((name for name in short if short[name] > 0), key=lambda name: -short[name])[:4]
        assert [row[name] for name in names if isinstance(row[name], str)] == wanted


def test_groups_are_compared_at_the_cutoff_as_the_tape_and_the_scores_tell(
    lender_run: LenderRun, evaluation: dict[str, Any], scored: pd.DataFrame
) -> None:
    from sklearn.metrics import recall_score

    tape = pq.read_table(lender_run.tape / "applications.parquet").to_pandas().drop_duplicates("application_id")
    test = evaluation["test"]
    rows = scored.merge(tape[["application_id", "sex", "applied_at"]], on="application_id")
    days = rows["applied_at"].astype(str)
    known = rows["approved"] & rows["mature"] & ~rows["dirt"].isin(["age", "income"])
    rows = rows[known & (days >= test["from"]) & (days <= test["to"])]
    assert len(rows) == test["n"]
    approved = rows["score_thousandths"] >= evaluation["cutoff"]["score"]
    found = next(it for it in evaluation["fairness"] if it["column"] == "sex")
    largest = rows["sex"].value_counts().idxmax()
    assert found["reference"] == largest
    for group in found["groups"]:
        own = rows["sex"] == group["name"]
        assert group["rows"] == own.sum()
        wanted = approved[own].mean() / approved[rows["sex"] == largest].mean()
        assert group["impact_ratio"] == pytest.approx(wanted)
        goods = 1 - recall_score(~rows["defaulted_12m"][own], approved[own])
        assert group["declined_goods"] == pytest.approx(goods)
    assert {it["column"] for it in evaluation["fairness"]} == {"age_years", "sex", "age_years and sex"}


def test_the_rules_of_the_contract_are_told_compared_and_decide_in_the_policy(
    lender_run: LenderRun, evaluation: dict[str, Any]
) -> None:
    policy = parse_policy((lender_run.out / "policy.json").read_bytes())
    check_policy(policy, load_card(lender_run.out / "scorecard.json"))
    reader = compile_policy(policy)
    columns = [it["column"] for it in evaluation["fairness"]]
    assert [it["name"] for it in evaluation["knockouts"]] == [it.name for it in policy.knockouts]
    assert all([it["column"] for it in rule["fairness"]] == columns for rule in evaluation["knockouts"])
    tape = {it["application_id"]: it for it in pq.read_table(lender_run.tape / "applications.parquet").to_pylist()}
    bureau: dict[str, list[dict[str, object]]] = {}
    for line in pq.read_table(lender_run.tape / "bureau.parquet").to_pylist():
        bureau.setdefault(line["customer_id"], []).append(line)
    test = evaluation["test"]
    truth = pq.read_table(lender_run.tape / "truth.parquet").to_pylist()
    used = [it for it in truth if it["approved"] and it["mature"] and it["dirt"] not in ("age", "income")]
    rows = [tape[name] for name in dict.fromkeys(it["application_id"] for it in used)]
    rows = [it for it in rows if test["from"] <= str(it["applied_at"]) <= test["to"]]
    assert len(rows) == test["n"]
    fired = [reader.read(it, histories={"bureau": bureau.get(it["customer_id"], [])}).fired for it in rows]
    for rule in evaluation["knockouts"]:
        own = sum(any(it.name == rule["name"] for it in each) for each in fired)
        assert own > 0
        assert rule["test"]["rows"] == own
        assert rule["test"]["rate"] == pytest.approx(own / test["n"])
    page = (lender_run.out / "report.html").read_text()
    assert page.count("<h3>Rules that decide whatever the score</h3>") == 2


def test_the_run_searches_for_alternatives_and_judges_them_by_the_tape(
    lender_run: LenderRun, evaluation: dict[str, Any]
) -> None:
    found = evaluation["alternatives"]
    card, *others = found["alternatives"]
    assert card["name"] == "the card"
    assert card["test"]["gini"] == evaluation["test"]["gini"]
    assert card["test"]["approval_rate"] == evaluation["test"]["at_cutoff"]["approval_rate"]
    for column in evaluation["proxies"]:
        compared = next(it for it in evaluation["fairness"] if it["column"] == column["column"])
        ratios = [it["impact_ratio"] for it in compared["groups"] if it["impact_ratio"]]
        worst = min(min(it, 1 / it) for it in ratios)
        assert card["test"]["impact_ratios"][column["column"]] == pytest.approx(worst)
    assert {it["kind"] for it in others} >= {"drop", "bins"}
    on_card = {it["feature"] for it in evaluation["characteristics"]}
    assert on_card == {it["feature"] for it in evaluation["proxies"][0]["characteristics"]}
    page = (lender_run.out / "report.html").read_text()
    assert f"{len(others)} other cards" in page


def test_challengers_stand_beside_the_card_on_the_same_test(evaluation: dict[str, Any], contracts: Path) -> None:
    contract = load_contract(contracts / "simulated-lender.yaml")
    stated = {name for name in contract.predictors if trend_of(contract, name) in ("ascending", "descending")}
    assert [it["name"] for it in evaluation["challengers"]] == ["boosted", "additive"]
    for it in evaluation["challengers"]:
        assert it["card"]["auc"] == evaluation["test"]["auc"]
        assert it["card"]["brier"] == evaluation["test"]["brier"]
        assert it["against_card"]["auc"]["value"] == pytest.approx(it["test"]["auc"] - it["card"]["auc"], abs=1e-9)
        assert set(it["held_trends"]) == stated
        assert it["trials"] == contract.challengers.trials
        assert abs(it["against_card"]["auc"]["value"]) < 0.05


def trend_of(contract: Contract, name: str) -> str:
    return (contract.columns.get(name) or contract.features[name]).trend


def test_a_run_whose_challengers_cannot_be_grown_stops_before_it_begins(
    lender_run: LenderRun, contracts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obligor.models.challenger_trees", None)
    with pytest.raises(UnavailableError, match=r"install obligor\[challenge\]"):
        run_tape(
            str(lender_run.tape), contract=contracts / "simulated-lender.yaml", out=tmp_path / "out", progress=Silence()
        )
    assert not (tmp_path / "out").exists()


def test_the_demo_goes_without_challengers_that_cannot_be_grown(
    contracts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = load_contract(contracts / "simulated-lender.yaml")
    assert _with_what_is_here(contract, Silence()) is contract
    monkeypatch.setitem(sys.modules, "obligor.models.challenger_trees", None)
    assert _with_what_is_here(contract, Silence()).challengers.models == ()
