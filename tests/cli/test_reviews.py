"""`obligor reviews decide --again` decides as the service does: by the profile's gates, and the client's systems are told."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from tests.serving import golden_decisions as golden

from obligor.bootstrap.decisions import open_decisions
from obligor.bootstrap.releases import Made, put_in_force
from obligor.bootstrap.reviews import open_review_service
from obligor.bootstrap.store import open_store
from obligor.serving.acts import Caller
from obligor.serving.gates.kyc import hashed
from obligor.serving.webhooks.events import Listeners
from obligor.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]

LATER = datetime(2100, 1, 1, tzinfo=UTC)
LENDER = Caller("lender", "k1", frozenset({"decide", "report"}), LATER)
APPLICATION = golden.applications(1)[0] | {"purpose": "car", "channel": "branch", "income": 100, "customer": "c-77"}


def evidence(*, status: str = "verified") -> list[dict[str, Any]]:
    """What a provider shows of the applicant, whose columns stand for the four elements."""
    now = datetime.now(UTC)
    return [
        {
            "status": status,
            "name": "car",
            "date_of_birth": APPLICATION["applied_on"],
            "address": "branch",
            "id_number_sha256": hashed("c-77"),
            "method": "passport",
            "evidence_id": "e-1",
            "verifier": "verifier/1",
            "verified_at": (now - timedelta(days=1)).isoformat(),
            "expires_at": (now + timedelta(days=30)).isoformat(),
        }
    ]


async def asked_for() -> tuple[UUID, str]:
    """Decide on an application with every gate off, and let the applicant ask for a review with a correction."""
    async with open_store(os.environ["OBLIGOR_DATABASE_URL"], read_settings(os.environ)) as store:
        card = golden.whole_card()
        await put_in_force(store, Made(card, golden.policy_of(card)))
        async with open_decisions(store, read_settings(os.environ)) as decisions:
            made = await decisions.service.decide(LENDER, key="d-1", application=APPLICATION)
            decision_id = UUID(json.loads(made.response)["decision_id"])
            asked = await open_review_service(store, decisions, listeners=Listeners()).request(
                LENDER, key="r-1", decision_id=decision_id, body={"corrections": {"income": 2900}}
            )
            return decision_id, str(json.loads(asked.response)["review_id"])


def enforced(call: Call, folder: Path) -> None:
    """Put a profile in force that enforces KYC, by two people."""
    profile = {
        "name": "us",
        "version": 2,
        "gates": {
            "kyc": {"state": "enforce"},
            "aml": {"state": "off", "elsewhere": {"system": "Screener", "reference": "POL-7"}},
            "pci": {"state": "off"},
        },
        "effective_from": (datetime.now(UTC) - timedelta(days=1)).isoformat(),
    }
    file = folder / "profile.json"
    file.write_text(json.dumps(profile))
    said = call("Carl", "profile", "propose", str(file), "--because", "A rule changed", "--json")
    assert call("Cora", "profile", "approve", json.loads(said[1])["change_id"])[0] == 0


@pytest.mark.parametrize(("status", "result"), [("verified", "pass"), ("pending", "pending"), ("failed", "fail")])
def test_a_second_decision_asks_the_gates_and_is_told_to_the_lenders_systems(
    call: Call, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, result: str
) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps(evidence(status=status)))
    monkeypatch.setenv("OBLIGOR_KYC", str(file))
    monkeypatch.setenv(
        "OBLIGOR_KYC_SUBJECT", "name=purpose,date_of_birth=applied_on,address=channel,id_number=customer"
    )
    assert call("Vera", "releases", "list")[0] == 0  # makes the tables
    monkeypatch.setenv("OBLIGOR_AUTHOR", "Vera")
    first, review_id = asyncio.run(asked_for())
    enforced(call, tmp_path)
    assert call("Olga", "webhooks", "add", "lender", "http://127.0.0.1:9/hooks")[0] == 0
    code, out, err = call("Grace", "reviews", "decide", review_id, "--again", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    with psycopg.connect(url) as connection:
        (record,) = connection.execute(
            "SELECT convert_from(body, 'UTF8')::json FROM obligor.record JOIN obligor.decision USING (leaf_index) "
            "WHERE decision_id = %s",
            (found["new_decision_id"],),
        ).fetchone() or ({},)
        events = connection.execute(
            "SELECT client_id, convert_from(payload, 'UTF8')::json FROM obligor.outbox ORDER BY leaf_index"
        ).fetchall()
    assert (record["gates"]["kyc"]["state"], record["gates"]["kyc"]["result"]) == ("enforce", result)
    assert record["pins"]["release"] == 2
    assert record["outcome"] == found["outcome"]
    if result == "pending":
        assert found["outcome"] == "hold"
    assert [(client, it["decision_id"], it["outcome"]) for client, it in events] == [
        ("lender", found["new_decision_id"], found["outcome"]),
        ("lender", str(first), found["outcome"]),
    ]
