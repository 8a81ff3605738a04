"""Writes the evidence of a run: the card, every figure, the checks, the report, and a manifest of it all."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from obligor import __version__
from obligor.core.canonical import readable_json
from obligor.files import MANIFEST, file_sha256
from obligor.governance.model_card import render_model_card
from obligor.governance.report import render_report
from obligor.governance.tracking import RunRecord, metrics_of
from obligor.preprocessing.cleaning import write_quarantine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from obligor.core.contract import Contract
    from obligor.core.edits import Edits
    from obligor.core.policy import Policy
    from obligor.core.scorecard import Scorecard
    from obligor.core.snapshot import Snapshot
    from obligor.pipeline.preparing import Prepared

CARD, EVALUATION, FINDINGS, QUARANTINE = "scorecard.json", "evaluation.json", "findings.json", "quarantine.parquet"
POLICY = "policy.json"
REPORT, MODEL_CARD, EDITS = "report.html", "model_card.md", "edits.json"
_LIBRARIES = ("numpy", "scipy", "duckdb", "pyarrow", "numba", "scikit-learn", "pydantic", "great-expectations")
_GROWERS = ("lightgbm", "optuna")


def write_edits(folder: Path, edits: Edits) -> None:
    """Write the edits of bins by hand, where there are any."""
    if edits.edits:
        (folder / EDITS).write_bytes(edits.to_json())


def write_evidence(
    folder: Path,
    contract: Contract,
    prepared: Prepared,
    *,
    card: Scorecard,
    policy: Policy,
    evaluation: Mapping[str, Any],
    snapshot: Snapshot,
) -> None:
    """Write every file of the evidence into a folder, the manifest last."""
    findings = prepared.findings.to_plain() | {"accounting": prepared.accounting.to_plain()}
    making = _making(contract, card, snapshot)
    (folder / CARD).write_bytes(card.to_json())
    (folder / POLICY).write_bytes(policy.to_json())
    (folder / EVALUATION).write_bytes(readable_json(evaluation))
    (folder / FINDINGS).write_bytes(readable_json(findings))
    write_quarantine(prepared.tape, contract, folder / QUARANTINE)
    page = render_report(contract, card=card, evaluation=evaluation, findings=findings["findings"], making=making)
    (folder / REPORT).write_text(page, encoding="utf-8")
    text = render_model_card(contract, card=card, evaluation=evaluation, making=making)
    (folder / MODEL_CARD).write_text(text, encoding="utf-8")
    (folder / MANIFEST).write_bytes(readable_json(_manifest(folder, contract, card, snapshot)))


def run_record(
    folder: Path, contract: Contract, card: Scorecard, evaluation: Mapping[str, Any], *, snapshot: Snapshot
) -> RunRecord:
    """Give what the tracker keeps of a run."""
    said = contract.model.model_dump(mode="json")
    return RunRecord(
        experiment=contract.name,
        parameters={name: str(value) for name, value in said.items()}
        | {
            "characteristics": str(len(card.characteristics)),
            "calibration_chosen": evaluation["calibration"]["method"],
        },
        metrics=metrics_of(evaluation),
        tags={
            "card_sha256": card.sha256,
            "contract_sha256": contract.sha256,
            "snapshot_sha256": snapshot.sha256,
            "obligor": __version__,
        }
        | ({"edits_sha256": card.origin.edits_sha256} if card.origin.edits_sha256 else {}),
        folder=folder,
        card_file=CARD,
    )


def _making(contract: Contract, card: Scorecard, snapshot: Snapshot) -> list[tuple[str, str]]:
    return [
        ("contract", f"{contract.name}, SHA-256 {contract.sha256}"),
        ("data", f"SHA-256 {snapshot.sha256}"),
        ("card", f"SHA-256 {card.sha256}"),
        *([("edits by hand", f"SHA-256 {card.origin.edits_sha256}")] if card.origin.edits_sha256 else []),
        ("seed", str(contract.model.seed)),
        ("software", f"Obligor {__version__}"),
    ]


def _manifest(folder: Path, contract: Contract, card: Scorecard, snapshot: Snapshot) -> dict[str, Any]:
    """List the hashes of all that went in and came out, and what made it."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    outputs = {name: path for name, path in sorted(found.items()) if name != MANIFEST and not path.name.startswith(".")}
    return {
        "schema": "obligor/manifest/1",
        "inputs": {
            "source": snapshot.source,
            "snapshot_sha256": snapshot.sha256,
            "files": [{"table": file.table, "bytes": file.bytes, "sha256": file.sha256} for file in snapshot.files],
            "contract_sha256": contract.sha256,
            **({"edits_sha256": card.origin.edits_sha256} if card.origin.edits_sha256 else {}),
        },
        "outputs": {
            name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)} for name, path in outputs.items()
        },
        "versions": {"obligor": __version__, "python": platform.python_version()}
        | {name: version(name) for name in (*_LIBRARIES, *(_GROWERS if contract.challengers.models else ()))},
        "seed": contract.model.seed,
        "contract": json.loads(contract.model_dump_json(by_alias=True)),
    }
