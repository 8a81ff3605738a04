"""Whether groups of applicants fare alike at a cut-off.

The adverse impact ratio is a group's approval rate over that of the reference group; below 0.80, the four-fifths rule of the
Uniform Guidelines (29 CFR 1607.4 D), it is a hard flag, below 0.90 one to review. Its interval is that of the log of a ratio
of two proportions (Katz and others 1978, Biometrics 34), its p-value Fisher's exact one. The standardised mean difference
is the difference of mean scores over the pooled standard deviation. A group that is too small is told as such, without a
rate: chance would speak, and a person could be known by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.stats import fisher_exact, norm

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

HARD, REVIEW = 0.80, 0.90
FEWEST = 30
_MOST_GROUPS = 50
_Z = float(norm.ppf(0.975))

Flag = Literal["", "review", "hard", "insufficient"]


@dataclass(frozen=True, slots=True)
class Groups:
    """Who belongs where: ``names[codes[i]]`` is the group of row i; a code of -1 is not known."""

    codes: NDArray[np.int64]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupOutcome:
    """How one group fares beside the reference group; None where a figure cannot be told."""

    name: str
    rows: int
    approval_rate: float | None
    impact_ratio: float | None
    impact_lower: float | None
    impact_upper: float | None
    p: float | None
    score_difference: float | None
    """The standardised mean difference of the score: below 0 where the group scores lower."""
    bad_rate: float | None
    pd_mean: float | None
    declined_goods: float | None
    """The share of its good loans that are declined."""
    approved_bads: float | None
    """The share of its bad loans that are approved."""
    flag: Flag


@dataclass(frozen=True, slots=True)
class Applicants:
    """What is known of each application beside its group."""

    approved: NDArray[np.bool_]
    score: NDArray[np.float64]
    bad: NDArray[np.uint8]
    pd: NDArray[np.float64]

    def __post_init__(self) -> None:
        sizes = {len(self.approved), len(self.score), len(self.bad), len(self.pd)}
        if len(sizes) != 1:
            raise InvalidInputError(f"fairness: columns of {sorted(sizes)} applications; wanted as many of each")


def compare_groups(applicants: Applicants, groups: Groups, *, fewest: int = FEWEST) -> tuple[str, list[GroupOutcome]]:
    """Compare every group with the largest: give the name of that, and each group's outcome in the order of the names.

    Of many groups only the largest fifty are told apart; the rest stand together as one at the end.
    """
    if len(groups.codes) != len(applicants.approved):
        raise InvalidInputError(
            f"fairness: groups of {len(groups.codes)} applications; wanted {len(applicants.approved)}"
        )
    groups = _foremost(groups)
    sizes = np.bincount(groups.codes[groups.codes >= 0], minlength=len(groups.names))
    if not sizes.any():
        return "", []
    reference = int(np.argmax(sizes[:_MOST_GROUPS]))
    others = groups.codes == reference
    return groups.names[reference], [
        _outcome(name, applicants, groups.codes == code, others)
        if sizes[code] >= fewest
        else GroupOutcome(name, int(sizes[code]), *(None,) * 10, "insufficient")
        for code, name in enumerate(groups.names)
        if sizes[code]
    ]


def _foremost(groups: Groups) -> Groups:
    if len(groups.names) <= _MOST_GROUPS:
        return groups
    sizes = np.bincount(groups.codes[groups.codes >= 0], minlength=len(groups.names))
    kept = np.sort(np.argsort(-sizes, kind="stable")[:_MOST_GROUPS])
    kept = kept[sizes[kept] > 0]
    places = np.full(len(groups.names) + 1, len(kept), dtype=np.int64)
    places[kept] = np.arange(len(kept))
    places[-1] = -1  # where a code of -1 lands
    rest = int(np.count_nonzero(sizes)) - len(kept)
    return Groups(places[groups.codes], (*(groups.names[at] for at in kept), f"{rest} smaller groups together"))


def intersections(columns: Mapping[str, Groups]) -> dict[str, Groups]:
    """Give the groups that two protected columns make together, for every two of them: those that occur."""
    found = {}
    for (one, first), (other, second) in combinations(columns.items(), 2):
        known = (first.codes >= 0) & (second.codes >= 0)
        seen, codes = np.unique(first.codes * len(second.names) + second.codes, return_inverse=True)
        whole = np.unique(codes[known])
        places = np.full(len(seen), -1, dtype=np.int64)
        places[whole] = np.arange(len(whole))
        names = tuple(
            f"{first.names[left]} and {second.names[right]}"
            for left, right in (divmod(int(seen[at]), len(second.names)) for at in whole)
        )
        found[f"{one} and {other}"] = Groups(np.where(known, places[codes], -1), names)
    return found


def impact_ratio(group: tuple[int, int], reference: tuple[int, int]) -> tuple[float, float, float] | None:
    """Give the ratio of two approval rates, each told as (approved, rows), and its 95% interval.

    None where the reference group has no approvals. Where the group has none the ratio is 0 and the interval ends at the
    ratio that half an approval more on either side would reach.
    """
    (approved, rows), (others, all_others) = group, reference
    if not others:
        return None
    ratio = (approved / rows) / (others / all_others)
    shift = 0.0 if approved else 0.5
    a, b = approved + shift, others + shift
    spread = math.sqrt(max(1 / a - 1 / (rows + shift) + 1 / b - 1 / (all_others + shift), 0.0))
    centre = (a / (rows + shift)) / (b / (all_others + shift))
    upper = centre * math.exp(_Z * spread)
    return ratio, centre * math.exp(-_Z * spread) if approved else 0.0, upper


def _outcome(name: str, applicants: Applicants, mask: NDArray[np.bool_], reference: NDArray[np.bool_]) -> GroupOutcome:
    own, others = ((int(applicants.approved[it].sum()), int(it.sum())) for it in (mask, reference))
    found = impact_ratio(own, others)
    table = [[own[0], own[1] - own[0]], [others[0], others[1] - others[0]]]
    bad = applicants.bad[mask] == 1
    approved = applicants.approved[mask]
    ratio, lower, upper = found or (None, None, None)
    return GroupOutcome(
        name,
        own[1],
        own[0] / own[1],
        ratio,
        lower,
        upper,
        float(fisher_exact(table).pvalue) if found else None,
        _difference(applicants.score[mask], applicants.score[reference]),
        float(bad.mean()),
        float(applicants.pd[mask].mean()),
        float((~approved[~bad]).mean()) if (~bad).any() else None,
        float(approved[bad].mean()) if bad.any() else None,
        _flag(ratio),
    )


def _difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    freedom = len(one) + len(other) - 2
    pooled = ((one - one.mean()) ** 2).sum() + ((other - other.mean()) ** 2).sum()
    return float((one.mean() - other.mean()) / math.sqrt(pooled / freedom)) if pooled > 0 else None


def _flag(ratio: float | None) -> Flag:
    if ratio is None:
        return ""
    return "hard" if ratio < HARD else "review" if ratio < REVIEW else ""
