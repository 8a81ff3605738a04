"""How long work tells a person where it stands."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from rich.console import Console


class Progress(Protocol):
    """Where long work says which step it is on, and how far it has come."""

    def step(self, title: str, *, total: float | None = None) -> AbstractContextManager[Callable[[float], None]]:
        """Begin a step; the function it lends moves it on by a number of units of ``total``."""
        ...


class Silence:
    """Says nothing."""

    @contextmanager
    def step(self, title: str, *, total: float | None = None) -> Iterator[Callable[[float], None]]:  # noqa: ARG002  the protocol's shape
        """Begin a step that nobody sees."""
        yield lambda _: None


class Lines:
    """Says each step in one line: where there is no terminal, as of a service, nothing is loaded to draw on one."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    @contextmanager
    def step(self, title: str, *, total: float | None = None) -> Iterator[Callable[[float], None]]:  # noqa: ARG002  the protocol's shape
        """Begin a step, and say so."""
        print(f"{title} ...", file=self._out, flush=True)
        yield lambda _: None


class Bars:
    """Draws a bar for each step on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, title: str, *, total: float | None = None) -> Iterator[Callable[[float], None]]:
        """Begin a step with a bar of its own."""
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        columns = (SpinnerColumn(), TextColumn("{task.description:<34}"), BarColumn(), TimeElapsedColumn())
        with RichProgress(*columns, console=self._console) as bars:
            task = bars.add_task(title, total=total)
            yield lambda amount: bars.advance(task, amount)
            bars.update(task, total=total or 1, completed=total or 1)
