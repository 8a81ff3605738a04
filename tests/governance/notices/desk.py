"""A lender's desk, from which notices are written in tests."""

from __future__ import annotations

from datetime import date
from typing import Any

from obligor.governance.law.rules import the_law
from obligor.governance.notices.catalogue import Approval, Approvals, Catalogue
from obligor.governance.notices.factors import Codes, Standing
from obligor.governance.notices.particulars import Bureau, OwnScore, Particulars, Party, ScoreUsed
from obligor.governance.notices.writing import Stationery

TODAY = date(2026, 11, 26)
CREDITOR = Party(name="Lender & Sons", address=("1 Main Street", "Springfield"), telephone="+1 555 0100")
AGENCY = Party(name="Bureau of Consumer Financial Protection", address=("1700 G Street NW", "Washington DC 20006"))
BUREAUS = tuple(
    Bureau(id=it, name=f"Bureau {it.title()}", address=(f"{it} road",), telephone="800 555 0199")
    for it in ("one", "two")
)
PARTICULARS = Particulars(
    schema="obligor/particulars/1", creditor=CREDITOR, agency=AGENCY, reviews=CREDITOR, language="en", bureaus=BUREAUS
)
OWN = PARTICULARS.model_copy(update={"own_score": OwnScore(lowest=300, highest=850, inquiries="inquiries")})
SCORE = ScoreUsed(
    schema="obligor/score-used/1", bureau="one", score=587, lowest=300, highest=850, made_on=date(2026, 11, 20),
    key_factors=("Serious delinquency", "Time since delinquency is short", "Balances are high", "Few accounts paid as agreed"),
    inquiries="Number of recent inquiries on credit report",
)  # fmt: skip
CODES = Codes(frozenset({"inquiries", "debt", "tenure", "utilisation"}), {"too-young": "age", "recent": "bankruptcy"})


def approvals(catalogue: Catalogue | None = None) -> Approvals:
    known = catalogue or Catalogue()
    return Approvals(
        schema="obligor/approvals/1",
        templates=tuple(
            Approval(
                template=it.id, language=it.language, sha256=known.sha256(it), approved_by=("Ada", "Ben"), approved_on=TODAY
            )
            for it in known.templates
        ),
    )  # fmt: skip


def stationery(**changed: Any) -> Stationery:
    return Stationery(
        **({"catalogue": Catalogue(), "approvals": approvals(), "particulars": PARTICULARS, "law": the_law()} | changed)
    )


def reason(code: str, text: str = "", *, shortfall: float = 1.0) -> dict[str, Any]:
    return {"code": code, "feature": code, "shortfall": shortfall, "text": text or f"the factor of {code}"}


def declined(*reasons: dict[str, Any], because: str = "score", outcome: str = "decline") -> Standing:
    return Standing(outcome, because, list(reasons), ("too-young", "recent"), "2026-11-26T12:00:00Z")


def by_the_score() -> Standing:
    return declined(reason("inquiries", "Many recent inquiries"), reason("debt", "Debt is high for the income"))
