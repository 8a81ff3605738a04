"""A lender of the benchmarks: a card of 20 characteristics with its policy as a run, and applications of about 496 bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.service.fields import LEVELS, NUMBERS
from benchmarks.single import card_of
from obligor.core.clauses import Economics
from obligor.core.columns import Column
from obligor.core.policy import Evidence, Policy, Threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from obligor.core.scorecard import Characteristic, Scorecard

_ROWS = 4000
PERSONAL = {
    "customer_id": Column(type="text", role=["identifier"], privacy="direct", required=True),
    "application_id": Column(type="text", role=["identifier"], required=True, unique=True),
    "born_on": Column(type="date", role=["input"], privacy="quasi"),
}


def tape(*, seed: int = 7) -> tuple[pd.DataFrame, np.ndarray]:
    """Make applications and their outcomes; the same seed gives the same."""
    random = np.random.default_rng(seed)
    odds = np.full(_ROWS, -2.0)
    columns: dict[str, object] = {}
    for place, name in enumerate(NUMBERS):
        values = random.standard_normal(_ROWS)
        odds += 0.3 * np.cos(place) * values
        columns[name] = np.round(np.exp(6 + values), 3) if place % 2 else np.round(40 + 10 * values, 2)
    for name, size in LEVELS.items():
        codes = random.integers(0, size, _ROWS)
        odds += 0.2 * np.cos(codes)
        columns[name] = np.array([f"level_{code}" for code in range(size)], object)[codes]
    return pd.DataFrame(columns), (random.random(_ROWS) < 1 / (1 + np.exp(-odds))).astype(np.uint8)


def applications(count: int = 64) -> list[dict[str, Any]]:
    """Give the first applications as plain data."""
    return [{str(name): value for name, value in it.items()} for it in tape()[0].head(count).to_dict("records")]


def bodies(count: int = 64) -> list[bytes]:
    """Give the first applications as bodies of requests."""
    return [json.dumps(application, separators=(",", ":")).encode() for application in applications(count)]


def personal_bodies() -> Callable[[int], bytes]:
    """Give bodies for the card with personal fields, by number: each of another person."""
    given = [body[:-1] for body in bodies()]

    def body(number: int) -> bytes:
        said = b',"customer_id":"C-%08d","application_id":"A-%08d","born_on":"1970-05-01"}' % (number, number)
        return given[number % len(given)] + said

    return body


def write_run(folder: Path, *, cutoff: int = 506_000, identifiers: Mapping[str, Column] | None = None) -> Path:
    """Write a run with a card and a policy; another cut-off is another release. The card may name its applications."""
    card = _worded(card_of(tape()[0]), cutoff)
    if identifiers:
        table = card.applications
        columns = {**table.columns, **identifiers}
        card = card.model_copy(update={"applications": table.model_copy(update={"columns": columns})})
    folder.mkdir(parents=True)
    (folder / "scorecard.json").write_bytes(card.to_json())
    (folder / "policy.json").write_bytes(_policy(card).to_json())
    return folder


def _worded(card: Scorecard, cutoff: int) -> Scorecard:
    """Give every characteristic its reasons, and move the cut-off."""
    return card.model_copy(
        update={
            "characteristics": tuple(_reasoned(it) for it in card.characteristics),
            "bands": tuple(
                band.model_copy(update={"score_min": None if band.score_min is None else cutoff}) for band in card.bands
            ),
            "cutoff": card.cutoff.model_copy(update={"score": cutoff}),
        }
    )


def _reasoned(it: Characteristic) -> Characteristic:
    words = it.feature.replace("_", " ")
    return it.model_copy(
        update={
            "reference": 50 * len(it.bins),
            "reason": f"The {words} of the applicant",
            "reason_missing": f"The {words} is not known",
        }
    )


def _policy(card: Scorecard) -> Policy:
    evidence = Evidence(rows=0, bads=0, approval_rate=None, npl_rate=None, profit=0.0, expected_profit=0.0)
    return Policy(
        name=card.name,
        card_sha256=card.sha256,
        economics=Economics(),
        bands=card.bands,
        cutoff=Threshold(cutoff=card.cutoff.score, chosen_by="profit", evidence=evidence),
    )
