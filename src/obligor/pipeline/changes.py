"""What the bins of a draft look like, and what an edit of them changed: tables for a person, or plain data.

Only train and validation are shown. Whoever chose bins by their bad rate on the test would have no test left.
"""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from obligor.models.edited import figures_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from obligor.pipeline.drafts import RunDraft

_WIDEST = 34
_SAMPLES = ("train", "validation")
_FIGURES = (
    ("information value", "information_value", 4),
    ("Gini, validation", "gini", 4),
    ("KS, validation", "ks", 4),
    ("log loss, validation", "log_loss", 5),
    ("approved, validation", "approval_rate", None),
    ("NPL, validation", "npl_rate", None),
    ("cut-off, points", "cutoff", 1),
    ("characteristics", "characteristics", 0),
)


@dataclass(frozen=True, slots=True)
class BinTables:
    """The bins of characteristics of a draft, with its hash."""

    card_sha256: str
    edits: int
    characteristics: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, draft: RunDraft, characteristic: str | None) -> BinTables:
        """Take the tables from the evaluation, of one characteristic or of all."""
        names = [it.feature for it in draft.card.characteristics if characteristic in (None, it.feature)]
        return cls(draft.card.sha256, len(draft.edits.edits), tuple(_table(draft, name) for name in names))

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        said = [f"draft {self.card_sha256[:12]}, {_counted(self.edits, 'edit')} by hand"]
        for it in self.characteristics:
            said += ["", _heading(it), *_bin_lines(it["bins"])]
        return said


@dataclass(frozen=True, slots=True)
class CardChange:
    """What an edit changed: the bins of its characteristic, the figures on validation, and the other characteristics."""

    characteristic: str
    what: str
    author: str
    reason: str
    note: str
    """What is to be said of the bins made by hand, such as a trend that they break."""
    before: dict[str, Any] | None
    """The table of the characteristic; None where it was not on the card."""
    after: dict[str, Any] | None
    figures: dict[str, dict[str, float | None]]
    entered: tuple[str, ...]
    left: dict[str, str]
    """Characteristics that left the card, and why."""
    moved: dict[str, float | None]
    """The others whose points changed: by how many at most, or None where their bins did."""
    card_sha256: str
    out: str

    @classmethod
    def between(cls, old: RunDraft, new: RunDraft, *, out: Path) -> CardChange:
        """Compare a draft with the one that an edit made of it."""
        edit = new.edits.edits[-1]
        name = edit.characteristic
        before, after = ({it["feature"] for it in each.evaluation["characteristics"]} for each in (old, new))
        why = {it["feature"]: f"{it['rule']}: {it['detail']}" for it in new.evaluation["dropped"]}
        return cls(
            characteristic=name,
            what=edit.what,
            author=edit.author,
            reason=edit.reason,
            note=new.evaluation["trends"].get(name, "") if name in new.edits.fixed else "",
            before=_table(old, name) if name in before else None,
            after=_table(new, name) if name in after else None,
            figures={which: _figures(each, name) for which, each in (("before", old), ("after", new))},
            entered=tuple(sorted(after - before)),
            left={each: why.get(each, "") for each in sorted(before - after)},
            moved=_moved(old, new, besides=name),
            card_sha256=new.card.sha256,
            out=str(out),
        )

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        said = [f"{self.characteristic}: {self.what}"]
        for name, table in (("before", self.before), ("after", self.after)):
            said += [
                "",
                name,
                *(["  not on the card"] if table is None else [_heading(table), *_bin_lines(table["bins"])]),
            ]
        said += [f"note: {self.note}"] if self.note else []
        said += ["", f"{'':<22}{'before':>10}{'after':>10}{'change':>10}"]
        for title, key, digits in _FIGURES:
            old, new = self.figures["before"][key], self.figures["after"][key]
            said.append(f"{title:<22}{_figure(old, digits):>10}{_figure(new, digits):>10}{_step(old, new, digits):>10}")
        said += ["", *self._others()]
        return [*said, f"draft {self.card_sha256[:12]} in {self.out}"]

    def _others(self) -> list[str]:
        said = [f"{name} came onto the card" for name in self.entered]
        said += [f"{name} left the card ({why})" for name, why in self.left.items()]
        rebinned = [name for name, most in self.moved.items() if most is None]
        said += [f"bins of others changed: {', '.join(rebinned)}"] if rebinned else []
        most = max((it for it in self.moved.values() if it is not None), default=0.0)
        if most:
            name = next(name for name, it in self.moved.items() if it == most)
            said.append(f"points of others moved by at most {most:.1f} ({name})")
        return said or ["nothing else on the card changed"]


def _table(draft: RunDraft, name: str) -> dict[str, Any]:
    told = next(it for it in draft.evaluation["characteristics"] if it["feature"] == name)
    bins = [
        {"number": number, "label": row["label"], "points": row["points"], "woe": row["woe"]}
        | {sample: {key: row[sample][key] for key in ("n", "bads", "share", "bad_rate")} for sample in _SAMPLES}
        for number, row in enumerate(told["bins"], start=1)
    ]
    return {
        "feature": name,
        "information_value": told["information_value"],
        "trend": told["trend"],
        "by_hand": name in draft.edits.fixed,
        "note": draft.evaluation["trends"].get(name, ""),
        "bins": bins,
    }


def _figures(draft: RunDraft, name: str) -> dict[str, float | None]:
    return figures_of(draft.evaluation, name).model_dump() | {"cutoff": draft.card.cutoff.score / 1000}


def _moved(old: RunDraft, new: RunDraft, *, besides: str) -> dict[str, float | None]:
    """Compare the points of the characteristics that both cards have."""
    before = {it.feature: it for it in old.card.characteristics}
    found: dict[str, float | None] = {}
    for it in new.card.characteristics:
        other = before.get(it.feature)
        if other is None or it.feature == besides or it.points == other.points:
            continue
        same = it.binning == other.binning
        found[it.feature] = (
            max(abs(one - two) for one, two in zip(it.points, other.points, strict=True)) / 1000 if same else None
        )
    return found


def _heading(table: Mapping[str, Any]) -> str:
    by_hand = ", bins by hand" if table["by_hand"] else ""
    return f"{table['feature']}: information value {table['information_value']:.4f}, {table['trend']}{by_hand}"


def _bin_lines(bins: Sequence[Mapping[str, Any]]) -> list[str]:
    said = [
        f"{'bin':>5}  {'':<{_WIDEST}}{'share':>8}{'bads':>8}{'bad rate':>10}{'validation':>12}{'WOE':>8}{'points':>8}"
    ]
    for it in bins:
        label, *more = textwrap.wrap(it["label"], _WIDEST - 2)
        train, validation = it["train"], it["validation"]
        said.append(
            f"{it['number']:>5}  {label:<{_WIDEST}}{_figure(train['share'], None):>8}{train['bads']:>8,.0f}"
            f"{_figure(train['bad_rate'], None):>10}{_figure(validation['bad_rate'], None):>12}"
            f"{it['woe']:>8.2f}{it['points'] / 1000:>8.1f}"
        )
        said += [f"{'':>7}{line}" for line in more]
    return said


def _figure(value: float | None, digits: int | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if digits is None else f"{value:.{digits}f}"


def _step(old: float | None, new: float | None, digits: int | None) -> str:
    if old is None or new is None:
        return ""
    if old == new:
        return "same"
    return f"{100 * (new - old):+.1f} pp" if digits is None else f"{new - old:+.{digits}f}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
