"""Commands for what people may ask of their data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from obligor.cli.options import FILE, json_option, password_typed, show
from obligor.cli.proposals import because_option

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

_application = click.option("--application", help="What the client calls an application, instead of SUBJECT.")
_decision = click.option("--decision", type=click.UUID, help="The id of a decision, instead of SUBJECT.")


def _about(command: Callable[..., None]) -> Callable[..., None]:
    return click.argument("subject", required=False)(_application(_decision(command)))


@click.group()
def privacy() -> None:
    """Do what people may ask of their data; each is recorded in the audit log.

    SUBJECT is the identifier of a person, as the applications give it.
    """


@privacy.command()
@_about
@click.option(
    "--account-closed",
    type=click.DateTime(["%Y-%m-%d"]),
    help="When their account was closed, where a rule keeps evidence of identity from then.",
)
@because_option
@click.option("--out", type=FILE, help="A file for the signed certificate, instead of printing it.")
def erase(
    subject: str | None,
    *,
    application: str | None,
    decision: UUID | None,
    account_closed: datetime | None,
    because: str,
    out: Path | None,
) -> None:
    """Destroy the keys of SUBJECT, so that nobody reads what is kept of it, and print a signed certificate.

    It takes two people once there are two administrators: the first time it is proposed.
    """
    from obligor.bootstrap.privacy import erase as erased

    closed = None if account_closed is None else account_closed.date()
    told = erased(subject, application=application, decision=decision, account_closed=closed, because=because)
    if "proposals" in told.plain:
        show(told, quiet=False, as_json=False)
    else:
        _write(told.encode(), out)
        for line in told.lines():
            click.echo(line, err=True)


@privacy.command()
@_about
@click.option("--out", type=FILE, help="A file to write it to, instead of printing it.")
def export(subject: str | None, *, application: str | None, decision: UUID | None, out: Path | None) -> None:
    """Print all that is kept of SUBJECT, in the clear, for the person whom it is about.

    What is kept otherwise than it was recorded is left out, and told at the end with exit code 1.
    """
    from obligor.bootstrap.privacy import export as exported
    from obligor.core.errors import IntegrityError

    told = exported(subject, application=application, decision=decision)
    _write(told.encode(), out)
    if told.lines():
        raise IntegrityError("\n".join(told.lines()), hint="obligor audit verify")


@privacy.command()
@_about
@click.option("--because", required=True, help="Why, such as the number of a case; name nobody.")
@json_option
def hold(subject: str | None, *, application: str | None, decision: UUID | None, because: str, as_json: bool) -> None:
    """Place a legal hold: SUBJECT is not erased until it is released.

    It takes two people once there are two administrators, and so does releasing it.
    """
    from obligor.bootstrap.privacy import hold as held

    show(held(subject, application=application, decision=decision, because=because), quiet=False, as_json=as_json)


@privacy.command()
@_about
@because_option
@json_option
def release(
    subject: str | None, *, application: str | None, decision: UUID | None, because: str, as_json: bool
) -> None:
    """Release the legal hold on SUBJECT."""
    from obligor.bootstrap.privacy import release as released

    show(released(subject, application=application, decision=decision, because=because), quiet=False, as_json=as_json)


@privacy.command()
@click.argument("decision_id")
@click.option(
    "--field", "fields", multiple=True, required=True, help="A field of the application; may be given several times."
)
@click.option(
    "--purpose",
    prompt="Purpose",
    help="What it is needed for, such as the number of a case; it is asked for where it is missing.",
)
@json_option
def reveal(decision_id: str, *, fields: tuple[str, ...], purpose: str, as_json: bool) -> None:
    """Show fields of the application of DECISION_ID in the clear; who, which and why is recorded before.

    Who signs in with a password is asked for it, or gives it as the one line of standard input. With the role compliance
    it takes two people.
    """
    from obligor.bootstrap.revealing import reveal as revealed

    shown = revealed(decision_id, fields=fields, purpose=purpose, password=password_typed)
    show(shown, quiet=False, as_json=as_json)


def _write(text: bytes, out: Path | None) -> None:
    from obligor.files import whole_file

    if out is None:
        click.echo(text, nl=False)
        return
    with whole_file(out.absolute()) as partial:
        partial.write_bytes(text)
