"""How groups fare under a card, what its characteristics know of them, and what else could be done: as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from obligor.measures.fairness import Applicants, Standard, compare_groups, intersections
from obligor.models.alternatives import Bench, search
from obligor.models.columns import SAMPLES
from obligor.models.proxies import find_proxies

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from numpy.typing import NDArray

    from obligor.core.clauses import Fairness, Knockout
    from obligor.measures.decisions import Economy
    from obligor.models.alternatives import Refitter
    from obligor.models.fitted import FittedCard
    from obligor.models.judged import Judged


def standard_of(clause: Fairness) -> Standard:
    """Give what a contract holds groups to."""
    return Standard(clause.fewest, clause.hard, clause.review)


def compared(judged: Judged) -> list[dict[str, Any]]:
    """Compare the groups of every protected column, and of every two together, on the test at the cut-off."""
    return _compared(judged, judged.scores >= judged.card.cutoff.score)


def ruled(judged: Judged, rules: Iterable[Knockout], fired: Mapping[str, NDArray[np.bool_]]) -> list[dict[str, Any]]:
    """Tell of every rule for how many it fires and how bad these are, and compare the groups of those that it lets pass.

    Parameters
    ----------
    fired
        By active rule, whether it fires for each row.
    """
    return [
        {"name": rule.name, "when": rule.when, "outcome": rule.outcome}
        | {name: _fired(judged, judged.rows.is_in(code), fired[rule.name]) for code, name in enumerate(SAMPLES)}
        | {"fairness": _compared(judged, ~fired[rule.name])}
        for rule in rules
        if rule.name in fired
    ]


def _fired(judged: Judged, mask: NDArray[np.bool_], fired: NDArray[np.bool_]) -> dict[str, Any]:
    rows = judged.rows
    weight = np.ones(len(fired)) if rows.weight is None else rows.weight
    whole, own = float(weight[mask].sum()), float(weight[mask & fired].sum())
    bads = float(weight[mask & fired] @ rows.bad[mask & fired])
    return {
        "rows": int((mask & fired).sum()),
        "rate": min(own / whole, 1.0) if whole else None,
        "bad_rate": min(bads / own, 1.0) if own else None,
    }


def _compared(judged: Judged, passed: NDArray[np.bool_]) -> list[dict[str, Any]]:
    rows, mask = judged.rows, judged.rows.is_in(SAMPLES.index("test"))
    applicants = Applicants(
        passed[mask],
        judged.scores[mask].astype(np.float64),
        rows.bad[mask],
        judged.pds[mask],
        None if rows.weight is None else rows.weight[mask],
    )
    found = []
    for column, groups in {**judged.protected, **intersections(judged.protected)}.items():
        reference, outcomes = compare_groups(applicants, groups.of(mask), standard=judged.standard)
        found.append({"column": column, "reference": reference, "groups": [asdict(each) for each in outcomes]})
    return found


def proxied(
    judged: Judged, clause: Fairness, *, readers: Mapping[str, Collection[str]], seed: int
) -> list[dict[str, Any]]:
    """Tell how well the characteristics of the card stand in for each protected column.

    Parameters
    ----------
    readers
        By protected column, the characteristics that are computed from it: they are no proxies, and are left out.
    """
    found = []
    for column, groups in judged.protected.items():
        codes = {name: it for name, it in judged.codes.items() if name not in readers[column]}
        told = find_proxies(codes, column, groups, fewest=clause.fewest, threshold=clause.proxy_auc, seed=seed)
        found.append(asdict(told))
    return found


def searched(
    judged: Judged,
    fitted: FittedCard,
    clause: Fairness,
    *,
    refitter: Refitter,
    economy: Economy,
    advance: Callable[[float], None],
) -> dict[str, Any]:
    """Search for cards that treat groups more alike."""
    bench = Bench(judged.rows, judged.protected, judged.standard, economy, clause.gini_cost)
    found = search(fitted, cutoff=judged.card.cutoff.score, refitter=refitter, bench=bench, advance=advance)
    return asdict(found)
