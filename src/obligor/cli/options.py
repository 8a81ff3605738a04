"""What the commands share: their common options, how long work is told, how a summary is shown."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obligor.progress import Progress

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
quiet_option = click.option("--quiet", is_flag=True, help="Say nothing but errors.")
list_kind_option = click.option(
    "--kind",
    type=click.Choice(["sanctions", "pep"]),
    help="Of which kind the list is: of sanctions, as those of OFAC are, or of politically exposed persons.",
)
_TIMES: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])


def _in_utc(_: click.Context, __: click.Parameter, at: datetime | None) -> datetime | None:
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)


since_option = click.option(
    "--from",
    "since",
    type=_TIMES,
    callback=_in_utc,
    help="Count from here on; a day, or an instant (UTC without an offset).",
)
until_option = click.option("--to", "until", type=_TIMES, callback=_in_utc, help="Count up to here, exclusive.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")


class Summary(Protocol):
    """What a command says at the end."""

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""

    def lines(self) -> list[str]:
        """Say it in lines for a person."""


@contextmanager
def telling(*, quiet: bool) -> Iterator[Progress]:
    """Lend a way to tell of long work on standard error; silent where asked."""
    from obligor.progress import Bars, Lines, Silence

    if quiet:
        yield Silence()
    elif not sys.stderr.isatty():
        yield Lines(sys.stderr)
    else:
        from rich.console import Console

        yield Bars(Console(stderr=True))


def show(summary: Summary, *, quiet: bool, as_json: bool) -> None:
    """Print a summary: as JSON, or in lines unless quiet."""
    if as_json:
        click.echo(json.dumps(summary.to_plain()))
    elif not quiet:
        click.echo("\n".join(summary.lines()))


def password_typed(*, confirm: bool = False) -> str:
    """Ask for a password at a terminal; otherwise it is the next line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=confirm))
    return sys.stdin.readline().rstrip("\r\n")
