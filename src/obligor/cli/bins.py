"""Commands that edit the bins of a card draft by hand: show, merge, split, move, undo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from obligor.cli.options import FOLDER, json_option, quiet_option, show, telling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_OPTIONS = (
    click.option("--because", required=True, help="Why: it stands in the report."),
    click.option("--author", help="Who; by default OBLIGOR_AUTHOR, or the user of the machine."),
    click.option(
        "--draft", default="", help="Refuse any draft but the one whose hash begins so, as `bins show` tells it."
    ),
    click.option("--out", type=FOLDER, help="Where the new run goes; by default it takes the place of RUN."),
    quiet_option,
    json_option,
)


def _edit(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what every edit takes: the run, the characteristic, author and reason."""
    for option in reversed(_OPTIONS):
        command = option(command)
    command = click.argument("characteristic")(command)
    return click.argument("run", type=FOLDER)(command)


@click.group()
def bins() -> None:
    """Edit the bins of a card draft by hand; RUN is the folder of a run."""


@bins.command(name="show")
@click.argument("run", type=FOLDER)
@click.argument("characteristic", required=False)
@json_option
def show_(run: Path, characteristic: str | None, *, as_json: bool) -> None:
    """Show the bins of RUN, of one CHARACTERISTIC or of all, on train and validation."""
    from obligor.bootstrap import show_bins

    show(show_bins(run, characteristic), quiet=False, as_json=as_json)


@bins.command()
@_edit
@click.argument("numbers", metavar="BINS...", nargs=-1, required=True, type=int)
def merge(run: Path, characteristic: str, numbers: tuple[int, ...], **said: Any) -> None:
    """Join the BINS of a CHARACTERISTIC, by their numbers: neighbours where they are intervals."""
    _do(run, characteristic, {"kind": "merge", "bins": numbers}, **said)


@bins.command()
@_edit
@click.option("--at", "cut", type=float, help="Where to cut the interval that holds it.")
@click.option("--level", "levels", multiple=True, help="A level that gets a bin of its own; several go together.")
def split(run: Path, characteristic: str, cut: float | None, levels: tuple[str, ...], **said: Any) -> None:
    """Split a bin of a CHARACTERISTIC: an interval at a number, or levels off a group."""
    if (cut is None) == (not levels):
        raise click.UsageError("wanted either --at or --level")
    at: dict[str, object] = {"kind": "split", "at": cut}
    off: dict[str, object] = {"kind": "split_levels", "levels": levels}
    _do(run, characteristic, off if levels else at, **said)


@bins.command()
@_edit
@click.option("--cut", type=float, help="The cut to move, as the bins show it.")
@click.option("--to", "target", type=float, help="Where the cut goes.")
@click.option("--level", help="The level to move.")
@click.option("--to-bin", "to_bin", type=int, help="The number of the bin that the level goes to.")
def move(
    run: Path,
    characteristic: str,
    *,
    cut: float | None,
    target: float | None,
    level: str | None,
    to_bin: int | None,
    **said: Any,
) -> None:
    """Move a cut of a CHARACTERISTIC, or a level to another bin."""
    change: dict[str, object]
    match cut, target, level, to_bin:
        case float(), float(), None, None:
            change = {"kind": "move_cut", "cut": cut, "to": target}
        case None, None, str(), int():
            change = {"kind": "move_level", "level": level, "bin": to_bin}
        case _:
            raise click.UsageError("wanted either --cut with --to, or --level with --to-bin")
    _do(run, characteristic, change, **said)


@bins.command()
@_edit
def undo(run: Path, characteristic: str, **said: Any) -> None:
    """Take back the last edit of a CHARACTERISTIC; that is an edit too."""
    _do(run, characteristic, {"kind": "undo"}, **said)


def _do(
    run: Path,
    characteristic: str,
    change: dict[str, object],
    *,
    because: str,
    author: str | None,
    draft: str,
    out: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    from obligor.bootstrap import edit_bins

    with telling(quiet=quiet or as_json) as progress:
        found = edit_bins(
            run, characteristic, change, author=author, reason=because, draft=draft, out=out, progress=progress
        )
    show(found, quiet=quiet, as_json=as_json)
