"""Fitting 50 columns: the classical card beside OptBinning's, the smooth one beside LightGBM; these two on a real tape."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.data import gmsc, synthetic
from benchmarks.measuring import measure

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, QUICK_ROWS = 1_000_000, 100_000


def run(*, quick: bool) -> dict[str, object]:
    """Measure both in processes of their own; ``quick`` takes a tenth of the rows."""
    rows = QUICK_ROWS if quick else ROWS
    ours = measure(partial(_prepare_ours, rows), _ours)
    theirs = measure(partial(_prepare_theirs, rows), _theirs)
    smooth = measure(partial(_prepare_smooth, partial(synthetic, rows)), _smooth)
    boosted = measure(partial(synthetic, rows), _boosted)
    smooth_real, boosted_real = measure(partial(_prepare_smooth, gmsc), _smooth), measure(gmsc, _boosted)
    data_mb = synthetic(rows)[0].memory_usage(deep=True).sum() / 1e6
    print(f"{rows:,} rows x 50 columns, {data_mb:.0f} MB as a frame")
    for name, it in (("classical", ours), ("optbinning", theirs), ("smooth", smooth), ("lightgbm", boosted)):
        print(f"{name:<12}{it.seconds:>9.2f} s{it.extra_mb:>10.0f} MB above the data")
    print("Give Me Some Credit, 150,000 rows x 10 columns")
    for name, it in (("smooth", smooth_real), ("lightgbm", boosted_real)):
        print(f"{name:<12}{it.seconds:>9.2f} s{it.extra_mb:>10.0f} MB above the data")
    return {
        "rows": rows,
        "ours_s": round(ours.seconds, 3),
        "optbinning_s": round(theirs.seconds, 3),
        "ratio_vs_optbinning": round(theirs.seconds / ours.seconds, 2),
        "data_mb": round(data_mb, 1),
        "extra_memory_ratio": round(ours.extra_mb / data_mb, 3),
        "optbinning_extra_memory_ratio": round(theirs.extra_mb / data_mb, 3),
        "smooth_s": round(smooth.seconds, 3),
        "lightgbm_s": round(boosted.seconds, 3),
        "smooth_ratio_vs_lightgbm": round(boosted.seconds / smooth.seconds, 2),
        "smooth_extra_memory_ratio": round(smooth.extra_mb / data_mb, 3),
        "lightgbm_extra_memory_ratio": round(boosted.extra_mb / data_mb, 3),
        "gmsc_smooth_s": round(smooth_real.seconds, 3),
        "gmsc_lightgbm_s": round(boosted_real.seconds, 3),
        "gmsc_smooth_ratio_vs_lightgbm": round(boosted_real.seconds / smooth_real.seconds, 2),
    }


def _prepare_ours(rows: int) -> object:
    from benchmarks.ours import fit_ours

    small, bad = synthetic(3000)
    fit_ours(small, bad, np.arange(3000))  # compiles
    return synthetic(rows)


def _ours(given: object) -> None:
    from benchmarks.ours import fit_ours

    x, bad = given
    fit_ours(x, bad, np.arange(len(bad)))


def _prepare_theirs(rows: int) -> object:
    from benchmarks.peers import optbinning_card

    small, bad = synthetic(3000)
    optbinning_card(small, bad)
    return synthetic(rows)


def _theirs(given: object) -> None:
    from benchmarks.peers import optbinning_card

    optbinning_card(*given)


def _prepare_smooth(read: Callable[[], object]) -> object:
    from benchmarks.ours import fit_smooth

    small, bad = synthetic(3000)
    fit_smooth(small, bad, np.arange(3000))  # compiles
    return read()


def _smooth(given: object) -> None:
    from benchmarks.ours import fit_smooth

    x, bad = given
    fit_smooth(x, bad, np.arange(len(bad)))


def _boosted(given: object) -> None:
    from benchmarks.peers import lightgbm

    x, bad = given
    lightgbm(x, bad, x.head(1))
