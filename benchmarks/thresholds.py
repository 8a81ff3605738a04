"""Cut-offs by segment where the truth is known: what each way to choose them earns more than one common cut-off.

Loans of eight segments, each with its own level of risk that the card does not see. Cut-offs are chosen on so many loans of
validation; what they earn is counted with the true PDs of 100,000 others, in hundredths of a percent of the amount applied for.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from obligor.core.calibration import PdTable
from obligor.core.clauses import Cutoff
from obligor.measures.decisions import Book, Economy
from obligor.measures.fairness import Groups
from obligor.models.thresholds import cells_of, choose_cutoff, move_cutoffs

SEGMENTS, UNSEEN = 8, 100_000
SPREADS, LOANS = (0.0, 0.2, 0.5), (2_000, 10_000, 40_000)
ECONOMY = Economy(margin=0.14, lgd=0.55, cost_missed_default=5, cost_declined_good=1)
WAYS = ("own best profit, from 30 bads", "own best profit, from 100 bads", "moved by risk", "best possible")
_SCALE = 20_000 / np.log(2)  # thousandths of a point for one unit of log-odds


def run(*, quick: bool) -> dict[str, object]:
    """Average over worlds; ``quick`` takes few of them."""
    worlds = 3 if quick else 30
    print(f"{'spread':>7}{'loans':>8}" + "".join(f"{way:>32}" for way in WAYS))
    found: dict[str, object] = {}
    for spread in SPREADS:
        for loans in LOANS:
            gains = np.mean([_world(spread, loans, seed) for seed in range(worlds)], axis=0)
            found[f"{spread:g}_{loans}"] = {way: round(float(gain), 2) for way, gain in zip(WAYS, gains, strict=True)}
            print(f"{spread:>7g}{loans:>8,}" + "".join(f"{gain:>32.2f}" for gain in gains))
    return found


def _world(spread: float, loans: int, seed: int) -> list[float]:
    """Give what each way earns more than the common cut-off."""
    random = np.random.default_rng(seed)
    level, share = random.normal(0, spread, SEGMENTS), random.dirichlet(np.full(SEGMENTS, 1.5))

    def drawn(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        segment = random.choice(SEGMENTS, rows, p=share)
        score = (600_000 + 0.9 * _SCALE * random.standard_normal(rows)).round().astype(np.int64)
        return segment, score, expit(-(score - 600_000) / _SCALE - 2 + level[segment])

    segment, score, pd = drawn(loans)
    bad = (random.random(loans) < pd).astype(np.uint8)
    book = Book(score, bad, np.ones(loans), np.ones(loans))
    table = _calibrated(book)
    common = choose_cutoff(book, table, cutoff=Cutoff(), economy=ECONOMY)
    cells = cells_of(Groups(segment, tuple(map(str, range(SEGMENTS)))), (), book.exposure)
    moved = move_cutoffs(book, cells, table, common=common, economy=ECONOMY, min_bads=10)
    unseen, its_score, its_pd = drawn(UNSEEN)
    earned = ECONOMY.margin * (1 - its_pd) - ECONOMY.lgd * its_pd

    def mean(approved: np.ndarray) -> float:
        return float(earned[approved].sum()) / UNSEEN * 1e4

    ways = [_own(book, table, segment, common, fewest=fewest) for fewest in (30, 100)]
    ways.append(np.array([row[0].cutoff for row in moved[:-1]]))
    return [mean(it) - mean(its_score >= common) for it in [*(its_score >= way[unseen] for way in ways), earned > 0]]


def _own(book: Book, table: PdTable, segment: np.ndarray, common: int, *, fewest: int) -> np.ndarray:
    """Choose the best profit of each segment alone where it has so many bads."""
    parts = [book.only(segment == at) for at in range(SEGMENTS)]
    return np.array(
        [
            choose_cutoff(it, table, cutoff=Cutoff(), economy=ECONOMY) if it.bad.sum() >= fewest else common
            for it in parts
        ]
    )


def _calibrated(book: Book) -> PdTable:
    """Calibrate the score to all loans together, as a card is."""
    from sklearn.linear_model import LogisticRegression

    fit = LogisticRegression(C=np.inf).fit(book.score[:, None] / _SCALE, book.bad)
    knots = np.arange(450_000, 750_001, 500)
    pds = expit(fit.decision_function(knots[:, None] / _SCALE))
    return PdTable(tuple(knots.tolist()), tuple(np.minimum.accumulate(pds).tolist()))
