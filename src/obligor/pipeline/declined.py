"""Fits the card with the declined, as the contract assumes of them, and under other assumptions beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from obligor.models.columns import SAMPLES, TRAIN
from obligor.models.rejects import (
    Accepted,
    AugmentedColumns,
    augment,
    inference_of,
    score_columns,
    weigh,
)
from obligor.models.sensitivity import UPLIFTS, Assumed, Contender, sensitivity
from obligor.pipeline.preparing import DECLINED_FEATURES, FEATURES, read_declined
from obligor.preprocessing.features import FeatureColumns

if TYPE_CHECKING:
    from collections.abc import Callable

    from obligor.core.clauses import Rejects
    from obligor.core.contract import Contract
    from obligor.models.assembly import Assembled
    from obligor.models.columns import Columns, Rows
    from obligor.models.fitted import FittedCard
    from obligor.pipeline.preparing import Prepared
    from obligor.preprocessing.rejects import DeclinedCounts

    Fit = Callable[[Columns, Rows], FittedCard]
    Make = Callable[[FittedCard], Assembled]


@dataclass(frozen=True, slots=True)
class Inferred:
    """The fit that the contract asks for, and the band of assumptions as plain data."""

    fitted: FittedCard
    evidence: dict[str, Any]


def assumptions_of(said: Rejects) -> tuple[float, ...]:
    """Give the uplifts of the band, the contract's own among them."""
    return tuple(sorted({*UPLIFTS, said.uplift}))


def infer_declined(
    contract: Contract,
    prepared: Prepared,
    rows: Rows,
    plain: FittedCard,
    *,
    fit: Fit,
    make: Make,
    advance: Callable[[float], None],
) -> Inferred:
    """Fit with the declined under every assumption of the band; ``advance`` is called with 1 after each.

    Parameters
    ----------
    plain
        The fit on the accepted alone; it stays the card where the method is none, and the band is then of parcelling.
    fit, make
        Fit a card on columns and rows, and finish it.
    """
    said, counts = contract.rejects, prepared.declined
    if said is None or counts is None:  # pragma: no cover  the caller asks only where there are some
        raise AssertionError
    known, others = (FeatureColumns(prepared.tape.db, table) for table in (FEATURES, DECLINED_FEATURES))
    sample, weight = read_declined(prepared.tape, contract)
    declined = weigh(rows, sample, weight, rates=[it.approval_rate for it in counts])
    columns = AugmentedColumns(known, others, declined.sample == TRAIN)

    def contender(fitted: FittedCard) -> Contender:
        card = make(fitted).card
        scores = score_columns(fitted, others, rows=len(sample))
        return Contender(fitted.scores, scores, card.pd, card.cutoff.score)

    beside = contender(plain)
    train = rows.is_in(TRAIN)
    ones = np.ones(int(train.sum()))
    accepted = Accepted(
        plain.scores[train], rows.bad[train], ones if rows.weight is None else rows.weight[train], contract.scale
    )
    chosen, band = plain, []
    for uplift in assumptions_of(said):
        inference = inference_of("parcelling" if said.method == "none" else said.method, uplift)
        if inference is None:  # pragma: no cover  the line above names one
            raise AssertionError
        pds = inference.pds(beside.declined, accepted)
        fitted = fit(columns, augment(rows, declined, pds)).first(len(rows.bad))
        band.append(Assumed(uplift, pds, contender(fitted)))
        if said.method != "none" and uplift == said.uplift:
            chosen = fitted
        advance(1)
    evidence = {
        "method": said.method,
        "uplift": said.uplift if said.method != "none" else None,
        "band_method": "parcelling" if said.method == "none" else said.method,
        "samples": {name: _counts(it) for name, it in zip(SAMPLES, counts, strict=True)},
        **sensitivity(beside, band, rows=rows, declined=declined),
    }
    return Inferred(chosen, evidence)


def _counts(it: DeclinedCounts) -> dict[str, Any]:
    return {"declined": it.rows, "approval_rate": it.approval_rate}
