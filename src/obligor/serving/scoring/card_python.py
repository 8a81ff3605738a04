"""A card as one Python file that needs nothing: score, PD, band, bins and reasons of an application.

The file holds the very lines that `compile_card` and `compile_reasons` compile, and the text of the functions that they call:
nothing is written a second time, so nothing can differ. What an author wrote (names of columns, levels, texts of reasons)
reaches it as a literal in ASCII and never as a name, an operator or a comment. It runs on Python 3.9 or later, which old
servers have: what is copied into it keeps to that.
"""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import fields
from datetime import date
from functools import partial
from types import BuiltinMethodType, FunctionType
from typing import TYPE_CHECKING

from obligor import __version__
from obligor.core.calibration import PdTable
from obligor.core.columns import Role
from obligor.core.errors import InvalidInputError
from obligor.core.expressions import border_number, border_value, cross_border, refuse_absent
from obligor.core.reasons import MOST_REASONS, Explainer, Reason, Shortfalls, reason_source
from obligor.core.scorer import card_source
from obligor.core.syntax import LARGEST, SMALLEST
from obligor.serving.scoring import portable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from obligor.core.scorecard import Scorecard
    from obligor.core.scorer import CardSource

_WIDTH = 110
_HEAD = '''\
"""A credit scorecard that needs nothing but Python 3.9 or later.

`score(application)` takes the columns that COLUMNS names, in the contract's units, with None for what is not known, and gives
the score, the PD over CARD["horizon_months"] months, the band, the bin of each characteristic and the principal reasons
against the applicant. As a program it reads applications from standard input, a JSON object a line (or CSV with a header, after
--csv), and writes a JSON object for each.

Written by Obligor {version} from the card with the SHA-256
{sha256}.
Do not change it: write it again from its card.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from bisect import bisect_right
from datetime import date
from decimal import Decimal
from functools import partial
from numbers import Real
from typing import NamedTuple

LARGEST, SMALLEST, MOST_REASONS = {largest!r}, {smallest!r}, {most!r}
_CLASSES = {{"text": str, "date": date, "bool": bool}}


class TapeError(ValueError):
    """An application that does not fit the card."""

    @property
    def message(self):
        return self.args[0]
'''
_LEGEND = """\
# What _evaluate reads. Of COLUMNS the first one's name is c0, what lets a value of another class in is b0; q0m, q0s, q0t and
# q0r are its missing and special codes, its letters and its renamed levels. Of CHARACTERISTICS the first one's cuts are cuts0,
# the bins of its codes or levels get0, the points of its bins table0. The constants of features are k0, k1 and so on.
"""
_END = '''\
def score(application):
    """Score one application."""
    total, bins, _ = _evaluate(application)
    return {
        "score": total / 1000,
        "score_thousandths": total,
        "pd": PD.pd(total),
        "band": next(name for name, lowest in BANDS if lowest is None or total >= lowest),
        "bins": dict(zip(CHARACTERISTICS, bins)),
        "reasons": _reasons(bins),
    }


if __name__ == "__main__":
    sys.exit(score_lines(score, COLUMNS, MISSING, IDENTIFIERS, sys.argv[1:]))
'''


def card_module(card: Scorecard, *, reasons: int = MOST_REASONS) -> str:
    """Write a card as the text of one Python file.

    Parameters
    ----------
    reasons
        How many principal reasons; 0 for none.

    Raises
    ------
    InvalidInputError
        Where the card reads a history.
    CardError
        Where reasons are wanted of a card without reference means.
    """
    source = card_source(card)
    _refuse_histories(source)
    copied: tuple[Callable[..., object], ...] = (border_number, border_value, cross_border, refuse_absent)
    parts = [
        _HEAD.format(version=__version__, sha256=card.sha256, largest=LARGEST, smallest=SMALLEST, most=MOST_REASONS),
        *(inspect.getsource(each) for each in (*copied, *portable.COPIED)),
        _record(PdTable, PdTable.pd),
        _about(card, source),
        _LEGEND + _assigned(source.constants),
        _defined("_evaluate", source.lines, says="Give the score in thousandths, the bins, and the points of each."),
        _reasons(card, reasons),
        _END,
    ]
    return "\n\n".join(part if part.endswith("\n") else f"{part}\n" for part in parts)


def _refuse_histories(source: CardSource) -> None:
    for name in source.inputs:
        if name in source.features.aggregates:
            raise InvalidInputError(
                f"'{name}' reads the history '{source.features.aggregates[name].table}', which a Python file that scores "
                "applications does not read; score such a card with `obligor score`"
            )


def _about(card: Scorecard, source: CardSource) -> str:
    columns = card.applications.columns
    return _assigned(
        {
            "CARD": {
                "name": card.name,
                "sha256": card.sha256,
                "contract": card.origin.contract,
                "horizon_months": card.horizon_months,
            },
            "COLUMNS": dict(source.inputs),
            "MISSING": {name: columns[name].missing for name in source.inputs if columns[name].missing},
            "IDENTIFIERS": tuple(name for name, it in columns.items() if Role.IDENTIFIER in it.role),
            "CHARACTERISTICS": tuple(it.feature for it in card.characteristics),
            "BANDS": tuple((band.name, band.score_min) for band in card.bands),
        }
    ) + _made("PD", PdTable, {"scores": card.pd.scores, "pds": card.pd.pds})


def _reasons(card: Scorecard, reasons: int) -> str:
    if not reasons:
        return "def _reasons(bins):\n    return []\n"
    source = reason_source(card)
    known = {it.name: getattr(source.shortfalls, it.name) for it in fields(Shortfalls)}
    parts = [
        inspect.getsource(Reason),
        _record(Shortfalls, Shortfalls.of),
        _record(Explainer, Explainer.explain, Explainer._worst),  # noqa: SLF001  its text is copied with the others
        _assigned(source.constants),
        _defined(
            "_ranked",
            source.lines,
            says="Rank the families that fall short: shortfall * families + place from the end.",
        ),
        _made("SHORTFALLS", Shortfalls, known)
        + _assigned({"TEXTS": source.texts, "MEMBERS": source.members})
        + "EXPLAINER = Explainer(SHORTFALLS, TEXTS, MEMBERS, _ranked)\n",
        f"def _reasons(bins):\n    return [it._asdict() for it in EXPLAINER.explain(bins, most={reasons!r})]\n",
    ]
    return "\n\n".join(parts)


# --- text --------------------------------------------------------------------------------------------------------


def _record(cls: type, *methods: Callable[..., object]) -> str:
    """Write a frozen value with some of its methods; slots of dataclasses came with Python 3.10."""
    named = "".join(f"    {it.name}: object\n" for it in fields(cls))
    texts = "\n".join(inspect.getsource(method) for method in methods)
    return f"class {cls.__name__}(NamedTuple):\n{named}\n{texts}"


def _made(name: str, cls: type, values: Mapping[str, object]) -> str:
    listed = "".join(f"    {key}={_literal(value, 4)},\n" for key, value in values.items())
    return f"{name} = {cls.__name__}(\n{listed})\n"


def _assigned(values: Mapping[str, object]) -> str:
    return "".join(f"{name} = {_literal(value)}\n" for name, value in values.items())


def _defined(name: str, lines: Iterable[str], *, says: str) -> str:
    body = textwrap.indent("\n".join(lines), "    ")
    return f'def {name}(row):\n    """{says}"""\n{body}\n'


def _literal(value: object, indent: int = 0) -> str:
    """Write a constant of the generated lines as Python; whatever is in a text, it stays within its quotes."""
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, str):
        return ascii(value)
    if isinstance(value, date):
        return f"date({value.year}, {value.month}, {value.day})"
    return _collection(value, indent) if isinstance(value, (tuple, frozenset, dict)) else _function(value, indent)


def _function(value: object, indent: int) -> str:
    """Write a class or a function by its name, with what is bound to it."""
    if isinstance(value, partial):
        return _bracketed("partial(", [_literal(it, indent + 4) for it in (value.func, *value.args)], ")", indent)
    if isinstance(value, BuiltinMethodType) and isinstance(value.__self__, dict):
        return f"{_literal(value.__self__, indent)}.{value.__name__}"
    if isinstance(value, (type, FunctionType, BuiltinMethodType)):
        return value.__name__
    raise TypeError(f"a {type(value).__name__} cannot be written as Python")


def _collection(value: tuple[object, ...] | frozenset[object] | dict[object, object], indent: int) -> str:
    if isinstance(value, dict):
        cells = [f"{_literal(key)}: {_literal(it, indent + 4)}" for key, it in value.items()]
        return _bracketed("{", cells, "}", indent)
    parts = [_literal(it, indent + 4) for it in value]
    if isinstance(value, frozenset):
        return _bracketed("frozenset([", sorted(parts), "])", indent)
    return _bracketed("(", parts, ",)" if len(parts) == 1 else ")", indent)


def _bracketed(opening: str, parts: list[str], closing: str, indent: int) -> str:
    """Put all on one line where it fits, else fill lines."""
    whole = f"{opening}{', '.join(parts)}{closing}"
    if len(whole) + indent <= _WIDTH or len(parts) < 2:  # noqa: PLR2004  one part cannot be split
        return whole
    lines, line = [], ""
    for part in parts:
        if line and (len(line) + len(part) + 2 + indent > _WIDTH or "\n" in part):
            lines.append(line)
            line = ""
        line += f"{', ' if line else ''}{part}"
    pad = " " * (indent + 4)
    inner = ",\n".join(f"{pad}{each}" for each in (*lines, line))
    return f"{opening}\n{inner},\n{' ' * indent}{closing.lstrip(',')}"
