"""The templates of what people read, with one way to write numbers."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template

NOTHING = "\u2013"


def template(name: str) -> Template:
    """Load a template; pages are escaped, Markdown is not."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=".html" in name, undefined=StrictUndefined, trim_blocks=True)  # noqa: S701  see above
    environment.filters |= {
        "pct": rate,
        "num": number,
        "p": p_value,
        "points": points,
        "count": count,
        "amount": amount,
    }
    return environment.from_string(text(name))


def text(name: str) -> str:
    """Read a file that stands beside the templates."""
    return (files("obligor.governance") / "templates" / name).read_text(encoding="utf-8")


def rate(value: float | None) -> str:
    """Write a rate as a percentage."""
    return NOTHING if value is None else f"{100 * value:.1f}%"


def number(value: float | None, digits: int = 4) -> str:
    """Write a number with a fixed count of digits."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def p_value(value: float | None) -> str:
    """Write a p-value; one that rounds to nothing is below the least that is shown, and never nothing."""
    return NOTHING if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"  # noqa: PLR2004


def amount(value: float | None, sign: str = "") -> str:
    """Write an amount of money: with cents, or with three digits where it is a small part of one."""
    if value is None:
        return NOTHING
    return f"{value:{sign},.2f}" if value == 0 or abs(value) >= 1 else f"{value:{sign}.3g}"


def points(value: int | None, digits: int = 0) -> str:
    """Write thousandths as points."""
    return NOTHING if value is None else f"{round(value / 1000, digits) + 0.0:.{digits}f}"


def count(value: float) -> str:
    """Write a whole number with its thousands parted."""
    return f"{value:,.0f}"
