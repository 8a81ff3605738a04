"""Reject inference against hidden truth: outcomes of applications that a lender would have declined are hidden, then told.

Each world has a lender who declines some of the applications of train and of test. ``seen`` lenders decline by what the card
is offered too; ``unseen`` ones by something that it is not. The cards are fitted on train, and judged on the applications of
test by what really became of them: those that the lender declined, and all.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.metrics import log_loss

from benchmarks.data import folder, real_tapes
from benchmarks.ours import FrameColumns, predictors_of
from obligor.core.clauses import CardScale
from obligor.measures.discrimination import auc, delong_test
from obligor.models.binning import BinningRules
from obligor.models.columns import TRAIN, VALIDATION, Rows
from obligor.models.rejects import (
    Accepted,
    AugmentedColumns,
    Fuzzy,
    Parcelling,
    RejectInference,
    augment,
    score_columns,
    uplifted,
    weigh,
)
from obligor.models.scaling import log_odds_of
from obligor.models.smooth import fit_smooth_card
from obligor.models.training import Recipe, fit_card

if TYPE_CHECKING:
    from obligor.models.fitted import FittedCard

SCALE = CardScale()
DECLINED = 0.4
CONTENDERS = {"fuzzy": Fuzzy, "parcelling": Parcelling}
UPLIFTS = (1.0, 1.5, 2.0, 3.0)
FINER = Recipe(binning=BinningRules(min_share=0.01, min_bads=3, min_goods=3))
SHOWN = {
    "AUC declined": "auc_declined", "p": "p_declined", "AUC all": "auc_all", "p, all": "p_all",
    "loss declined": "log_loss_declined", "loss all": "log_loss_all", "PD - bad rate": "pd_less_bad_rate_declined",
}  # fmt: skip
_SEED = 11
# What the lender of a real tape sees: the first list stays on offer to the card, the second is taken from it.
LENDERS = {
    "taiwan": (["LIMIT_BAL", "PAY_2", "BILL_AMT1", "AGE"], ["PAY_0", "PAY_2"]),
    "gmsc": (["age", "DebtRatio", "NumberOfTime30-59DaysPastDueNotWorse"],
             ["NumberOfTimes90DaysLate", "NumberOfTime30-59DaysPastDueNotWorse"]),
    "lendingclub": (["annual_inc", "inq_last_6mths", "revol_util", "term"], ["int_rate"]),
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """Applications with their true outcomes, what the card is offered, and whom the lender declined."""

    name: str
    x: pd.DataFrame
    bad: np.ndarray
    declined: np.ndarray
    train: np.ndarray


def run(*, quick: bool) -> dict[str, object]:
    """Measure every world; ``quick`` takes a small simulated lender and one real tape, with the classical recipe."""
    found: dict[str, object] = {}
    for world in [*_simulated(8_000 if quick else 60_000), *_real(("taiwan",) if quick else tuple(LENDERS))]:
        for recipe in ("classical",) if quick else ("classical", "smooth"):
            found[f"{world.name}, {recipe}"] = _measure(world, recipe)
    return found


# --- worlds ------------------------------------------------------------------------------------------------------


def _simulated(applications: int) -> list[World]:
    """Take the simulated lender, which declines by amount to income, inquiries, time in the job, and noise."""
    from obligor.bootstrap import simulate_tape
    from obligor.progress import Silence

    with tempfile.TemporaryDirectory() as work:
        simulate_tape(Path(work), applications=applications, seed=7, progress=Silence())
        frame = duckdb.sql(
            f"""
            WITH a AS (SELECT DISTINCT ON (application_id) * FROM '{work}/applications.parquet'),
            known AS (SELECT a.application_id,
                COUNT(*) FILTER (kind = 'inquiry' AND event_at >= applied_at - 365) AS inquiries_12m,
                COUNT(*) FILTER (kind = 'delinquency' AND event_at >= applied_at - 730) AS delinquencies_24m
                FROM a JOIN '{work}/bureau.parquet' b USING (customer_id)
                WHERE event_at < applied_at AND arrived_at < applied_at GROUP BY ALL)
            SELECT a.*, loan_amount / annual_income AS loan_to_income, COALESCE(inquiries_12m, 0)::DOUBLE AS inquiries_12m,
                COALESCE(delinquencies_24m, 0)::DOUBLE AS delinquencies_24m, t.approved, t.defaulted_12m::INT AS bad
            FROM a JOIN '{work}/truth.parquet' t USING (application_id) LEFT JOIN known USING (application_id)
            WHERE t.dirt = '' ORDER BY application_id"""  # noqa: S608  a folder of our own
        ).df()
    names = ["channel", "purpose", "loan_amount", "term_months", "annual_income", "employment_status",
             "employment_months", "housing", "existing_debt_payment", "bank_balance_avg", "months_since_last_delinquency",
             "region", "loan_to_income", "inquiries_12m", "delinquencies_24m"]  # fmt: skip
    bad, declined = frame["bad"].to_numpy(np.uint8), ~frame["approved"].to_numpy(bool)
    train = np.random.default_rng(_SEED).random(len(frame)) < 0.6
    hidden = ["loan_to_income", "loan_amount", "inquiries_12m", "employment_months"]
    return [
        World("simulated, seen", frame[names], bad, declined, train),
        World("simulated, unseen", frame[names].drop(columns=hidden), bad, declined, train),
    ]


def _real(names: tuple[str, ...]) -> list[World]:
    """Give a real tape a lender: a first card on a fifth of the tape, which declines the riskier two fifths of the rest."""
    worlds = []
    for tape in real_tapes():
        if tape.name not in names:
            continue
        seen, unseen = LENDERS[tape.name]
        random = np.random.default_rng(_SEED)
        early = random.random(len(tape.bad)) < 0.2
        train = random.random(int((~early).sum())) < 0.6
        whole = tape.x.assign(**_rate(tape.name))
        for kind, columns in (("seen", seen), ("unseen", unseen)):
            first = fit_card(
                predictors_of(whole[columns]), FrameColumns(whole.loc[early, columns]), _rows(tape.bad[early])
            )
            rest = whole.loc[~early, columns]
            scores = score_columns(first, FrameColumns(rest), rows=len(rest))
            noise = random.random(len(scores))  # ties fall at random
            order = np.lexsort((noise, scores))
            declined = np.zeros(len(scores), dtype=bool)
            declined[order[: int(DECLINED * len(scores))]] = True
            offered = tape.x.loc[~early].drop(columns=columns if kind == "unseen" else [], errors="ignore")
            worlds.append(
                World(f"{tape.name}, {kind}", offered.reset_index(drop=True), tape.bad[~early], declined, train)
            )
    return worlds


def _rate(name: str) -> dict[str, np.ndarray]:
    """Give LendingClub's own price of each loan, which no card is offered."""
    if name != "lendingclub":
        return {}
    frame = pd.read_csv(folder() / "lendingclub_2007_2011" / "LoanStats3a_2007_2011.csv.gz", low_memory=False)
    frame = frame[~frame["loan_status"].str.startswith("Does not")]
    return {"int_rate": frame["int_rate"].to_numpy(np.float64)}


# --- cards -------------------------------------------------------------------------------------------------------


def _measure(world: World, recipe: str) -> dict[str, object]:
    known = np.flatnonzero(world.train & ~world.declined)
    hidden = np.flatnonzero(world.train & world.declined)
    x, others = world.x.iloc[known], FrameColumns(world.x.iloc[hidden])
    rows = _rows(world.bad[known])
    plain = _fit(recipe, world, FrameColumns(x), rows)
    mine = rows.is_in(TRAIN)
    accepted = Accepted(plain.scores[mine], rows.bad[mine], np.ones(int(mine.sum())), SCALE)
    declined_scores = score_columns(plain, others, rows=len(hidden))
    rate = len(known) / (len(known) + len(hidden))
    declined = weigh(rows, np.full(len(hidden), TRAIN, dtype=np.uint8), np.ones(len(hidden)), rates=[rate])
    columns = AugmentedColumns(FrameColumns(x), others, np.ones(len(hidden), dtype=bool))

    def inferred(inference: RejectInference) -> FittedCard:
        augmented = augment(rows, declined, inference.pds(declined_scores, accepted))
        return _fit(recipe, world, columns, augmented, known=len(known))

    cards = {"none": plain}
    if recipe == "classical":
        cards["none, finer bins"] = fit_card(predictors_of(world.x), FrameColumns(x), rows, recipe=FINER)
    truth = float(world.bad[hidden].mean())
    right = {}
    for name, kind in CONTENDERS.items():
        for uplift in UPLIFTS if recipe == "classical" else (1.0, 2.0):
            cards[f"{name} x{uplift:g}"] = inferred(kind(uplift))
        right[name] = _right(kind(1.0).pds(declined_scores, accepted), truth)
        if recipe == "classical":
            cards[f"{name} at the true rate"] = inferred(kind(right[name]))
    every = np.concatenate([known, hidden])
    together = Rows(world.bad[every], np.concatenate([rows.sample, np.full(len(hidden), TRAIN, dtype=np.uint8)]))
    cards["all outcomes"] = _fit(recipe, world, FrameColumns(world.x.iloc[every]), together)
    told = {
        "train": {"accepted": len(known), "declined": len(hidden)},
        "bad_rate": {"accepted": float(rows.bad.mean()), "declined": truth},
        "true_uplift": right,
    }
    print(
        f"\n{world.name}, {recipe}: {len(known):,} accepted, {len(hidden):,} declined in train; bad rates "
        f"{rows.bad.mean():.1%} and {truth:.1%}; true uplift {right['fuzzy']:.2f} of PDs, {right['parcelling']:.2f} of bands"
    )
    return told | {"cards": _judged(world, cards)}


def _right(pds: np.ndarray, truth: float) -> float:
    """Give the uplift at which the declined are on the whole as bad as they really are: nobody could know it."""
    return float(np.exp(brentq(lambda log: uplifted(pds, float(np.exp(log))).mean() - truth, -4, 4)))


def _rows(bad: np.ndarray) -> Rows:
    """Let a tenth of the goods and of the bads validate."""
    sample = np.full(len(bad), TRAIN, dtype=np.uint8)
    random = np.random.default_rng(42)
    for outcome in (0, 1):
        own = np.flatnonzero(bad == outcome)
        sample[random.permutation(own)[: len(own) // 10]] = VALIDATION
    return Rows(bad, sample)


def _fit(recipe: str, world: World, columns: object, rows: Rows, *, known: int | None = None) -> FittedCard:
    if recipe == "smooth":
        return fit_smooth_card(predictors_of(world.x), columns, rows)
    return fit_card(predictors_of(world.x), columns, rows, known=known)


def _judged(world: World, cards: dict[str, FittedCard]) -> dict[str, dict[str, float]]:
    test = ~world.train
    x, bad, declined = world.x[test], world.bad[test], world.declined[test]
    pds = {
        name: expit(-log_odds_of(score_columns(card, FrameColumns(x), rows=len(x)), scale=SCALE))
        for name, card in cards.items()
    }
    print(" " * 30 + "".join(f"{name:>15}" for name in SHOWN))
    found = {}
    for name, pd_ in pds.items():
        found[name] = it = {
            "auc_declined": auc(bad[declined], pd_[declined]),
            "auc_all": auc(bad, pd_),
            "auc_accepted": auc(bad[~declined], pd_[~declined]),
            "log_loss_declined": float(log_loss(bad[declined], pd_[declined])),
            "log_loss_all": float(log_loss(bad, pd_)),
            "pd_less_bad_rate_declined": float(pd_[declined].mean() - bad[declined].mean()),
            "p_declined": delong_test(bad[declined], pd_[declined], pds["none"][declined]).p,
            "p_all": delong_test(bad, pd_, pds["none"]).p,
        }
        print(f"{name:<30}" + "".join(f"{it[key]:>15.4f}" for key in SHOWN.values()), flush=True)
    return found
