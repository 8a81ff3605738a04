"""Draws charts as SVG text, for pages that open offline and print well.

A chart takes plain numbers and gives one ``<svg>``; colours, strokes and fonts come from the page's style sheet through
class names, and every mark carries a title that a reader sees when pointing at it. No two marks of a chart differ by
colour alone: lines differ by their strokes, points by their shapes, and a legend shows the very mark that it names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Point = tuple[float, float]
Span = tuple[float, float]
Interval = tuple[float, float, float, float]
"""A predicted value, the observed one, and the interval of the observed one."""


@dataclass(frozen=True, slots=True)
class Series:
    """A line on a chart: its name, its points and the class that colours it."""

    name: str
    points: Sequence[Point]
    style: str
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Cloud:
    """Points on a chart that belong together, each with a name of its own."""

    name: str
    style: str
    points: Sequence[tuple[float, float, str]]


@dataclass(frozen=True, slots=True)
class Mover:
    """A dot that a script moves along a line: where it stands, and which figures of which sample place it."""

    at: Point
    style: str
    sample: str
    x: str
    """The name of the figure on the x axis."""
    y: str


@dataclass(frozen=True, slots=True)
class Frame:
    """A chart's size in pixels, its axes and their names."""

    x: Span
    y: Span
    x_name: str
    y_name: str
    title: str
    width: int = 460
    height: int = 300
    x_text: Callable[[float], str] = lambda value: f"{value:g}"
    y_text: Callable[[float], str] = lambda value: f"{value:g}"

    @property
    def left(self) -> int:
        """Pixels left of the plot, for the tick labels."""
        return 56

    @property
    def bottom(self) -> int:
        """Pixels below the plot, for the tick labels and the name of the axis."""
        return 44

    @property
    def floor(self) -> int:
        """The pixel of the x axis."""
        return self.height - self.bottom

    def across(self, value: float) -> float:
        """Give the pixel of a value on the x axis."""
        low, high = self.x
        return self.left + (value - low) / ((high - low) or 1) * (self.width - self.left - 12)

    def down(self, value: float) -> float:
        """Give the pixel of a value on the y axis."""
        low, high = self.y
        return self.floor - (value - low) / ((high - low) or 1) * (self.floor - 14)


def percent(value: float) -> str:
    """Write a rate as a percentage."""
    return f"{100 * value:.3g}%"


def line_chart(
    frame: Frame,
    series: Sequence[Series],
    *,
    diagonal: bool = False,
    marks: Sequence[float] = (),
    movers: Sequence[Mover] = (),
) -> str:
    """Draw lines; ``diagonal`` adds the line of no skill, ``marks`` are upright lines, ``movers`` dots that can move."""
    parts = [_axes(frame)]
    if diagonal:
        parts.append(_segment(frame, (frame.x[0], frame.y[0]), (frame.x[1], frame.y[1]), style="guide"))
    parts += [_segment(frame, (mark, frame.y[0]), (mark, frame.y[1]), style="mark") for mark in marks]
    parts += [_line(frame, each) for each in series]
    parts += [_mover(frame, each) for each in movers]
    return _svg(frame, parts) + _legend([(each.name, each.style) for each in series if each.name])


def error_chart(frame: Frame, series: Sequence[tuple[str, Sequence[Interval]]]) -> str:
    """Draw points with intervals against the line of perfect agreement; each series has the class of its name."""
    low, high = max(frame.x[0], frame.y[0]), min(frame.x[1], frame.y[1])
    parts = [_axes(frame), _segment(frame, (low, low), (high, high), style="guide")]
    for name, points in series:
        for x, y, lower, upper in points:
            told = f"{name}: {frame.x_text(x)} predicted, {frame.y_text(y)} observed"
            parts.append(_segment(frame, (x, lower), (x, min(upper, frame.y[1])), style=name))
            parts.append(_dot(frame, (x, y), style=name, told=told))
    return _svg(frame, parts) + _legend([(name, name) for name, _ in series], sample=_sample_dot)


def scatter_chart(frame: Frame, clouds: Sequence[Cloud], *, line: Series) -> str:
    """Draw points that tell their name and place, and a line among them."""
    parts = [_axes(frame), _line(frame, line)]
    for cloud in clouds:
        for x, y, name in cloud.points:
            told = f"{name}: {frame.x_name} {x:.3f}, {frame.y_name} {y:.3f}"
            parts.append(_dot(frame, (x, y), style=cloud.style, told=told))
    return _svg(frame, parts) + _legend([(cloud.name, cloud.style) for cloud in clouds], sample=_sample_dot)


def step_chart(
    frame: Frame, edges: Sequence[float], series: Sequence[tuple[str, Sequence[float]]], *, marks: Sequence[float] = ()
) -> str:
    """Draw distributions over shared edges as filled steps; each series has the class of its name."""
    parts = [_axes(frame)]
    for name, heights in series:
        corners = [(edges[0], 0.0)]
        for left, right, height in zip(edges, edges[1:], heights, strict=False):
            corners += [(left, height), (right, height)]
        corners.append((edges[-1], 0.0))
        parts.append(_tag("path", f"{name} area", told=name, d=f"M{_path(frame, corners)}Z"))
    parts += [_segment(frame, (mark, frame.y[0]), (mark, frame.y[1]), style="mark") for mark in marks]
    return _svg(frame, parts) + _legend([(name, name) for name, _ in series], sample=_sample_area)


def bin_chart(
    labels: Sequence[str], shares: Sequence[float], rates: Sequence[tuple[str, Sequence[float | None]]]
) -> str:
    """Draw the bins of a characteristic: shares as bars, bad rates of each sample as dots joined by lines."""
    top = max([rate for _, sample in rates for rate in sample if rate is not None] + [0.01]) * 1.15
    frame = Frame(
        (0, len(labels)), (0, top), "bin", "bad rate", "Bad rate and share of each bin", 520, 230, y_text=percent
    )
    tallest = max([*shares, 1e-9])
    parts = [_axes(frame, x_ticks=())]
    for index, (label, share) in enumerate(zip(labels, shares, strict=True)):
        bar = [(index + 0.12, 0.0), (index + 0.12, share), (index + 0.88, share), (index + 0.88, 0.0)]
        scaled = [(x, y / tallest * top * 0.85) for x, y in bar]
        parts.append(_tag("path", "share", told=f"{label}: {percent(share)} of train", d=f"M{_path(frame, scaled)}Z"))
        parts.append(_words(str(index + 1), frame.across(index + 0.5), frame.floor + 16, style="tick"))
    for name, sample in rates:
        points = [(index + 0.5, rate) for index, rate in enumerate(sample) if rate is not None]
        parts.append(_line(frame, Series(name, points, name, dots=True)))
    return _svg(frame, parts) + _legend([(name, name) for name, _ in rates])


def ranked_chart(title: str, rows: Sequence[tuple[str, float]], *, text: Callable[[float], str]) -> str:
    """Draw bars from zero, one under the other, each with its name and its value in words."""
    span = (0.0, max([value for _, value in rows] + [1e-9]))
    bars = [_bar(at, name, (0.0, value), span, style="test", told=text(value)) for at, (name, value) in enumerate(rows)]
    return _rows(title, bars, count=len(rows))


def waterfall_chart(
    title: str, steps: Sequence[tuple[str, float, float]], *, mark: float, text: Callable[[float], str]
) -> str:
    """Draw steps that lead from a first value to a last, rising and falling; ``mark`` is an upright line."""
    ends = [mark, *(end for _, *both in steps for end in both)]
    room = (max(ends) - min(ends)) * 0.04 or 1.0
    span = (min(ends) - room, max(ends) + room)
    bars = [
        _bar(at, name, (start, end), span, style="goods" if end >= start else "bads", told=text(end - start))
        for at, (name, start, end) in enumerate(steps)
    ]
    x = _over(mark, span)
    bars.append(_tag("path", "mark line", told=f"{mark:.4g}", d=f"M{x:.1f},4L{x:.1f},{len(steps) * _ROW + 6}"))
    return _rows(title, bars, count=len(steps))


_ROW, _NAMES, _BARS, _VALUES = 22, 214, 270, 56
_LONGEST = 36


def _bar(at: int, name: str, ends: Span, span: Span, *, style: str, told: str) -> str:
    """Draw one bar in its row, between its name and its value."""
    low, high = sorted(_over(end, span) for end in ends)
    top, right = at * _ROW + 8, max(high, low + 1)
    box = f"M{low:.1f},{top}L{right:.1f},{top}L{right:.1f},{top + 13}L{low:.1f},{top + 13}Z"
    shown = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\u2026"
    return (
        _words(shown, _NAMES - 8, top + 11, style="tick", anchor="end")
        + _tag("path", f"{style} area", told=f"{name}: {told}", d=box)
        + _words(told, _NAMES + _BARS + 8, top + 11, style="tick", anchor="start")
    )


def _over(value: float, span: Span) -> float:
    return _NAMES + (value - span[0]) / (span[1] - span[0]) * _BARS


def _rows(title: str, bars: Sequence[str], *, count: int) -> str:
    box = f'viewBox="0 0 {_NAMES + _BARS + _VALUES} {count * _ROW + 12}"'
    return f'<svg class="chart" role="img" aria-label="{escape(title)}" {box}>{"".join(bars)}</svg>'


def ticks(span: Span) -> tuple[float, ...]:
    """Give some five round values that cover a span."""
    low, high = span
    if not high > low:
        return (low,)
    raw = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(round(index * step, 12) for index in range(first, last + 1))


def _axes(frame: Frame, *, x_ticks: Sequence[float] | None = None) -> str:
    parts = []
    for value in ticks(frame.y):
        parts.append(_segment(frame, (frame.x[0], value), (frame.x[1], value), style="grid"))
        parts.append(_words(frame.y_text(value), frame.left - 6, frame.down(value) + 4, style="tick", anchor="end"))
    shown = ticks(frame.x) if x_ticks is None else x_ticks
    parts += [_words(frame.x_text(value), frame.across(value), frame.floor + 16, style="tick") for value in shown]
    parts.append(_segment(frame, (frame.x[0], frame.y[0]), (frame.x[1], frame.y[0]), style="axis"))
    parts.append(_words(frame.x_name, (frame.left + frame.width) / 2, frame.height - 6, style="name"))
    turned = f"translate(13 {frame.floor / 2 + 7:.0f}) rotate(-90)"
    parts.append(_tag("text", "name", text=frame.y_name, transform=turned, **{"text-anchor": "middle"}))
    return "".join(parts)


def _line(frame: Frame, series: Series) -> str:
    if not series.points:
        return ""
    drawn = _tag("path", f"{series.style} line", told=series.name, d=f"M{_path(frame, series.points)}")
    if not series.dots:
        return drawn
    dots = (
        _dot(frame, point, style=series.style, told=f"{series.name}: {frame.y_text(point[1])}")
        for point in series.points
    )
    return drawn + "".join(dots)


def _path(frame: Frame, points: Sequence[Point]) -> str:
    return "L".join(f"{frame.across(x):.1f},{frame.down(y):.1f}" for x, y in points)


def _segment(frame: Frame, start: Point, end: Point, *, style: str) -> str:
    return _tag("path", f"{style} line", d=f"M{_path(frame, (start, end))}")


_CORNERS: Mapping[str, Sequence[Point]] = {
    "p1": ((-3, -3), (3, -3), (3, 3), (-3, 3)),
    "p2": ((0, -4), (3.6, 3), (-3.6, 3)),
    "p3": ((0, -4.4), (4.4, 0), (0, 4.4), (-4.4, 0)),
}


def _dot(frame: Frame, point: Point, *, style: str, told: str) -> str:
    return _shape(frame.across(point[0]), frame.down(point[1]), style=style, told=told)


def _shape(x: float, y: float, *, style: str, told: str = "") -> str:
    """Draw a point: round, or by the corners of its style."""
    if style not in _CORNERS:
        return _tag("circle", f"{style} dot", told=told, cx=f"{x:.1f}", cy=f"{y:.1f}", r="3.2")
    corners = "L".join(f"{x + across:.1f},{y + down:.1f}" for across, down in _CORNERS[style])
    return _tag("path", f"{style} dot", told=told, d=f"M{corners}Z")


def _mover(frame: Frame, it: Mover) -> str:
    """Draw a dot that says for itself how its figures become pixels."""
    origin = (frame.across(0), frame.down(0))
    scale = (origin[0], frame.across(1) - origin[0], origin[1], frame.down(1) - origin[1])
    return _tag(
        "circle",
        f"{it.style} here",
        cx=f"{frame.across(it.at[0]):.1f}",
        cy=f"{frame.down(it.at[1]):.1f}",
        r="6",
        **{
            "data-sample": it.sample,
            "data-x": it.x,
            "data-y": it.y,
            "data-scale": " ".join(f"{each:.9g}" for each in scale),
        },
    )


def _words(text: str, x: float, y: float, *, style: str, anchor: str = "middle") -> str:
    return _tag("text", style, text=text, x=f"{x:.1f}", y=f"{y:.1f}", **{"text-anchor": anchor})


def _tag(name: str, style: str, *, text: str = "", told: str = "", **attributes: str) -> str:
    listed = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    title = f"<title>{escape(told)}</title>" if told else ""
    return f'<{name} class="{style}"{listed}>{title}{escape(text)}</{name}>'


def _svg(frame: Frame, parts: Sequence[str]) -> str:
    box = f'viewBox="0 0 {frame.width} {frame.height}"'
    return f'<svg class="chart" role="img" aria-label="{escape(frame.title)}" {box}>{"".join(parts)}</svg>'


def _sample_line(style: str) -> str:
    return _tag("path", f"{style} line", d="M0,6L36,6")


def _sample_area(style: str) -> str:
    return _tag("path", f"{style} area", d="M6,1L30,1L30,11L6,11Z")


def _sample_dot(style: str) -> str:
    return _shape(18, 6, style=style)


def _legend(entries: Sequence[tuple[str, str]], *, sample: Callable[[str], str] = _sample_line) -> str:
    """Name each series beside a sample of its mark."""
    drawn = (
        (f'<svg class="swatch" aria-hidden="true" viewBox="0 0 36 12">{sample(style)}</svg>', name)
        for name, style in entries
    )
    return f'<ul class="legend">{"".join(f"<li>{swatch}{escape(name)}</li>" for swatch, name in drawn)}</ul>'
