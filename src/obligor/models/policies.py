"""Makes the policy of a card: its cut-offs chosen on validation, and what they do there and on the test, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from obligor.core.clauses import Cutoff
from obligor.core.columns import Role
from obligor.core.errors import InvalidInputError
from obligor.core.features import condition_of
from obligor.core.policy import Evidence, Policy, Threshold, check_policy
from obligor.measures.decisions import Book, break_even_pd, earnings, expected_earnings
from obligor.measures.paired import mean_changes
from obligor.measures.swaps import bad_rate_at
from obligor.models.assembly import columns_read, histories_read
from obligor.models.columns import SAMPLES, TEST, VALIDATION
from obligor.models.evaluation import tidy
from obligor.models.judged import book_of, incumbent_risk
from obligor.models.scaling import THOUSANDTHS
from obligor.models.thresholds import cells_of, choose_cutoff, match_incumbent, mean_amount, move_cutoffs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from obligor.core.contract import Contract
    from obligor.core.features import FeatureSet
    from obligor.measures.decisions import Economy
    from obligor.measures.fairness import Groups
    from obligor.models.judged import Judged
    from obligor.models.thresholds import Cells

_MOST_LEVELS = 50
_LOOKED_AT = (VALIDATION, TEST)


@dataclass(frozen=True, slots=True)
class Made:
    """A policy, and what it does, as plain data."""

    policy: Policy
    plain: dict[str, Any]


def make_policy(
    contract: Contract,
    judged: Judged,
    *,
    segments: Groups | None,
    features: FeatureSet,
    caps: Mapping[str, tuple[float, float]],
    economy: Economy,
) -> Made:
    """Choose every cut-off on validation, and look at what they do on the test.

    Raises
    ------
    InvalidInputError
        Where the segment has more than 50 levels.
    """
    if segments is not None and len(segments.names) > _MOST_LEVELS:
        raise InvalidInputError(
            f"cutoff.segment: '{contract.cutoff.segment}' has {len(segments.names)} levels; wanted at most {_MOST_LEVELS}"
        )
    books = {code: book_of(judged, judged.rows.is_in(code)) for code in _LOOKED_AT}
    exposure = judged.rows.exposure if judged.rows.exposure is not None else np.ones(len(judged.scores))
    cells = cells_of(segments, contract.cutoff.amounts, exposure)
    parts = {code: cells.only(judged.rows.is_in(code)) for code in _LOOKED_AT}
    policy = _policy(
        contract, judged, books[VALIDATION], parts[VALIDATION], features=features, caps=caps, economy=economy
    )
    check_policy(policy, judged.card)
    plain = {
        "sha256": policy.sha256,
        "break_even_pd": break_even_pd(economy, mean_amount(books[VALIDATION])),
        "cutoffs": _cutoffs(judged, books, economy=economy),
        "incumbent": _incumbent(judged, books),
        "segment": policy.segment,
        "amount": policy.amount,
        "grey": policy.grey,
        "thresholds": _told(policy, books, parts, economy=economy),
        **_together(policy, books, parts, economy=economy, seed=contract.model.seed),
    }
    return Made(policy, tidy(plain))


def evidence(book: Book, approved: NDArray[np.bool_], *, economy: Economy) -> Evidence:
    """Give what approving some rows of a book does."""
    weight, taken = float(book.weight.sum()), float(book.weight[approved].sum())
    bads = float(book.weight[approved] @ book.bad[approved])
    plain = {
        "approval_rate": min(taken / weight, 1.0) if weight else None,
        "npl_rate": min(bads / taken, 1.0) if taken else None,
        "profit": float(earnings(book, economy=economy)[approved].sum()),
        "expected_profit": float(expected_earnings(book, economy=economy)[approved].sum()),
    }
    return Evidence(rows=len(book.bad), bads=int(book.bad.sum()), **tidy(plain))


def _policy(
    contract: Contract,
    judged: Judged,
    book: Book,
    cells: Cells,
    *,
    features: FeatureSet,
    caps: Mapping[str, tuple[float, float]],
    economy: Economy,
) -> Policy:
    """Choose the thresholds on validation, and take from the contract all that finding them for an application reads."""
    card, said = judged.card, contract.cutoff
    amount = contract.only(Role.EXPOSURE) if said.amounts else None
    parted = said.segment is not None or amount is not None
    direct = [it for it in (said.segment, amount) if it is not None]
    rules = [condition_of(rule, features).columns for rule in contract.knockouts if rule.active]
    beside = [] if contract.authority is None or contract.authority.amount is None else [contract.authority.amount]
    read = features.needed_for([*direct, *beside, *(name for names in rules for name in names)])
    return Policy(
        name=card.name,
        card_sha256=card.sha256,
        currency=contract.currency,
        economics=contract.economics,
        bands=card.bands,
        cutoff=Threshold(
            cutoff=card.cutoff.score,
            chosen_by=said.by,
            evidence=evidence(book, book.score >= card.cutoff.score, economy=economy),
        ),
        segment=said.segment,
        amount=amount,
        thresholds=_thresholds(contract, judged, book, cells, economy=economy) if parted else (),
        grey=round(said.grey_points * THOUSANDTHS),
        knockouts=contract.knockouts,
        authority=contract.authority,
        columns=columns_read(contract, features, read),
        histories=histories_read(contract, features, read),
        features={name: it for name, it in contract.features.items() if name in read},
        caps={name: it for name, it in caps.items() if name in read},
    )


def _thresholds(
    contract: Contract, judged: Judged, book: Book, cells: Cells, *, economy: Economy
) -> tuple[Threshold, ...]:
    common, min_bads = judged.card.cutoff.score, contract.cutoff.min_bads
    moved = move_cutoffs(book, cells, judged.card.pd, common=common, economy=economy, min_bads=min_bads)
    return tuple(
        Threshold(
            segment=level,
            amount_from=limits[0],
            amount_to=limits[1],
            cutoff=it.cutoff,
            chosen_by=it.chosen_by,
            risk_shift=tidy(it.risk_shift),
            evidence=_evidence_of(book, cells, row, at, it.cutoff, economy=economy),
        )
        for row, level in enumerate(cells.levels)
        for at, (limits, it) in enumerate(zip(cells.limits, moved[row], strict=True))
    )


def _evidence_of(book: Book, cells: Cells, row: int, at: int, cutoff: int, *, economy: Economy) -> Evidence:
    own = book.only(cells.holds(row, at))
    return evidence(own, own.score >= cutoff, economy=economy)


def _told(
    policy: Policy, books: Mapping[int, Book], parts: Mapping[int, Cells], *, economy: Economy
) -> list[dict[str, Any]]:
    """Tell every threshold with what it does on validation and on the test."""
    size = len(parts[TEST].cuts) + 1
    return [
        it.model_dump(exclude={"evidence"})
        | {
            SAMPLES[code]: _evidence_of(
                books[code], parts[code], *divmod(index, size), it.cutoff, economy=economy
            ).model_dump()
            for code in _LOOKED_AT
        }
        for index, it in enumerate(policy.thresholds)
    ]


def _cutoffs(judged: Judged, books: Mapping[int, Book], *, economy: Economy) -> list[dict[str, Any]]:
    """Tell the common cut-offs that are worth naming, each chosen on validation."""
    card, book = judged.card, books[VALIDATION]
    named = {"contract": card.cutoff.score}
    for by in ("profit", "break_even"):
        named[by] = choose_cutoff(book, card.pd, cutoff=Cutoff(by=by), economy=economy)
    risk = incumbent_risk(judged)[judged.rows.is_in(VALIDATION)]
    known = book.only(~np.isnan(risk))
    rate = _matched_rate(judged, known)
    if rate:
        match = match_incumbent(risk[~np.isnan(risk)], known, approval_rate=rate, economy=economy)
        named |= {"incumbent_approvals": match.same_approvals, "incumbent_npl": match.same_npl}
    return [
        {"rule": rule, "cutoff": cutoff}
        | {SAMPLES[code]: evidence(it, it.score >= cutoff, economy=economy).model_dump() for code, it in books.items()}
        for rule, cutoff in named.items()
    ]


def _incumbent(judged: Judged, books: Mapping[int, Book]) -> dict[str, Any] | None:
    """Tell what the incumbent does at the approval rate at which both are compared."""
    if judged.incumbent is None:
        return None
    found: dict[str, Any] = {"column": judged.incumbent[0]}
    for code, book in books.items():
        risk = incumbent_risk(judged)[judged.rows.is_in(code)]
        known = book.only(~np.isnan(risk))
        rate = _matched_rate(judged, known)
        npl = bad_rate_at(risk[~np.isnan(risk)], known.bad, known.weight, approval_rate=rate) if rate else None
        found[SAMPLES[code]] = {"approval_rate": rate or None, "npl_rate": npl}
    return found


def _matched_rate(judged: Judged, known: Book) -> float:
    """Give the approval rate at which card and incumbent are compared; 0 where there is none."""
    if not known.weight.sum() > 0:
        return 0.0
    approved = known.weight[known.score >= judged.card.cutoff.score].sum()
    return judged.incumbent_approval_rate or float(approved / known.weight.sum())


def _together(
    policy: Policy, books: Mapping[int, Book], parts: Mapping[int, Cells], *, economy: Economy, seed: int
) -> dict[str, Any]:
    """Tell what the thresholds do together beside the common cut-off, and how many applications are referred."""
    common = policy.cutoff.cutoff
    found: dict[str, Any] = {"outcome": {}, "gain": None}
    for code, book in books.items():
        grid = np.array([it.cutoff for it in policy.thresholds] or [common]).reshape(len(parts[code].levels), -1)
        cutoffs = parts[code].cutoffs(grid)
        approved = book.score >= cutoffs
        grey = (book.score >= cutoffs - policy.grey) & (book.score < cutoffs + policy.grey)
        found["outcome"][SAMPLES[code]] = {
            "common": evidence(book, book.score >= common, economy=economy).model_dump(),
            "thresholds": evidence(book, approved, economy=economy).model_dump(),
            "referred": float(book.weight[grey].sum() / book.weight.sum()) if book.weight.sum() else None,
        }
        if code == TEST and policy.thresholds and book.weight.sum() > 0:
            each = np.divide(
                earnings(book, economy=economy), book.weight, out=np.zeros(len(book.bad)), where=book.weight > 0
            )
            more = each * (approved.astype(float) - (book.score >= common))
            (interval,) = mean_changes(more[:, None], book.weight, seed=seed)
            found["gain"] = {"value": interval.value, "lower": interval.lower, "upper": interval.upper}
    return found
