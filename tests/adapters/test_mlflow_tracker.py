"""A run is kept with its files, and its card becomes a version whose payload is JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from obligor.adapters.mlflow_tracker import MlflowTracker
from obligor.core.errors import UnavailableError
from obligor.governance.tracking import RunRecord, metrics_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import LenderRun

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow and its libraries warn of one another


def record(lender_run: LenderRun) -> RunRecord:
    evaluation = json.loads((lender_run.out / "evaluation.json").read_text())
    return RunRecord(
        "lender", {"max_bins": "8"}, metrics_of(evaluation), {"card_sha256": "x"}, lender_run.out, "scorecard.json"
    )


def test_two_runs_are_two_versions_of_one_model(lender_run: LenderRun, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = MlflowTracker(uri, artifacts=tmp_path / "kept")
    assert tracker.record(record(lender_run)) == "lender/1"
    assert tracker.record(record(lender_run)) == "lender/2"
    client = MlflowClient(uri)
    version = client.get_model_version("lender", "2")
    run = client.get_run(version.run_id)
    assert version.tags["payload"] == "scorecard.json"
    assert run.data.params == {"max_bins": "8"}
    assert run.data.metrics["test.auc"] == pytest.approx(record(lender_run).metrics["test.auc"])
    names = {it.path for it in client.list_artifacts(version.run_id)}
    assert names == {path.name for path in lender_run.out.iterdir()}
    assert not [path for path in (tmp_path / "kept").rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]


def test_a_server_that_does_not_answer_is_named(
    lender_run: LenderRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracker = MlflowTracker("http://127.0.0.1:9", artifacts=tmp_path)
    with pytest.raises(UnavailableError, match="experiment tracker"):
        tracker.record(record(lender_run))
