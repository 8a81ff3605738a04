"""Commands that verify the audit log and hand parts of it out."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from obligor.cli.options import FILE, json_option, quiet_option, show, since_option, telling, until_option

if TYPE_CHECKING:
    from uuid import UUID

anchors_option = click.option(
    "--anchors",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A folder or file of checkpoints that was kept outside the database; may be given several times.",
)

acknowledged_option = click.option(
    "--acknowledged",
    "known",
    multiple=True,
    type=click.IntRange(min=0),
    metavar="LEAF",
    help="A leaf by which two people acknowledged that the log was set back, and of which you know.",
)


def _time(ctx: click.Context, param: click.Parameter, value: str) -> datetime:  # noqa: ARG001  click's shape
    """Read a day, which begins at midnight UTC, or a time with its offset from UTC."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"got '{value}', wanted a day as 2026-11-26, or a time as 2026-11-26T12:00:00Z"
        ) from None
    if found.tzinfo is None and len(value) > len("2026-11-26"):
        raise click.BadParameter(f"got '{value}', wanted a time with its offset, as 2026-11-26T12:00:00Z")
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


@click.group()
def audit() -> None:
    """Verify the audit log of the decision service, and hand out what it holds."""


@audit.command()
@anchors_option
@click.option("--key", help="The public key of the log, name+id+base64; by default that of this deployment.")
@acknowledged_option
@quiet_option
@json_option
def verify(*, anchors: tuple[Path, ...], key: str | None, known: tuple[int, ...], quiet: bool, as_json: bool) -> None:
    """Verify the whole log, everything kept beside it, and its anchors; exit 1 where anything is wrong."""
    from obligor.bootstrap.audit import verify_audit

    with telling(quiet=quiet or as_json) as progress:
        verdict = verify_audit(anchors=anchors, key=key, known=known, progress=progress)
    show(verdict, quiet=quiet and verdict.sound, as_json=as_json)
    if not verdict.sound:
        sys.exit(1)


@audit.command()
@click.argument("restore_id", metavar="[ID]", required=False)
@click.option("--because", help="Why the log goes on without what is lost; it stands in the audit log's record.")
@json_option
def acknowledge(restore_id: str | None, *, because: str | None, as_json: bool) -> None:
    """Take note that the log was set back: propose to go on without what is lost, or confirm the proposal ID of another.

    Where an anchor keeps a longer log than the store, or another one, the service records nothing until two people have.
    """
    if (restore_id is None) == (because is None):
        raise click.UsageError("wanted --because TEXT, to propose, or an ID, to confirm")
    from obligor.bootstrap.audit import acknowledge_restore

    show(acknowledge_restore(restore_id, because=because or ""), quiet=False, as_json=as_json)


@audit.command()
@click.argument("bundle", type=FILE)
@click.option("--from", "since", callback=_time, required=True, help="The first day, or time, of the period.")
@click.option("--to", "until", callback=_time, required=True, help="The first day, or time, after it.")
@click.option("--purpose", default="", help="What it is for; kept in the log.")
@anchors_option
@quiet_option
@json_option
def export(
    bundle: Path,
    *,
    since: datetime,
    until: datetime,
    purpose: str,
    anchors: tuple[Path, ...],
    quiet: bool,
    as_json: bool,
) -> None:
    """Write BUNDLE, a zip of all acts of a period, with their records, which a regulator can verify offline.

    The export is an act itself, and is recorded first. Personal fields are in it as they are kept: sealed.
    """
    from obligor.bootstrap.audit import export_audit

    with telling(quiet=quiet or as_json) as progress:
        told = export_audit(bundle, since=since, until=until, purpose=purpose, anchors=anchors, progress=progress)
    show(told, quiet=quiet, as_json=as_json)


@audit.command()
@since_option
@until_option
@json_option
def acts(*, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """Show who did what and when, the newest 200 acts that you may read; never what was done.

    Everybody reads their own, some roles those of their area, compliance and auditors all. OBLIGOR_AUTHOR names you.
    """
    from obligor.bootstrap.audit import list_acts

    show(list_acts(since=since, until=until), quiet=False, as_json=as_json)


@audit.command()
@click.argument("decision_id", type=click.UUID)
@click.option("--public", is_flag=True, help="Leave out the record and its salt: nothing private is in it then.")
@click.option("--out", type=FILE, help="A file to write it to, instead of printing it.")
def receipt(decision_id: UUID, *, public: bool, out: Path | None) -> None:
    """Prove that DECISION_ID is in the log: print a receipt that verify.py of a bundle checks offline."""
    from obligor.bootstrap.audit import decision_receipt
    from obligor.files import whole_file

    text = decision_receipt(decision_id, private=not public).encode()
    if out is None:
        click.echo(text, nl=False)
        return
    with whole_file(out.absolute()) as partial:
        partial.write_bytes(text)
