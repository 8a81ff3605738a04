"""Commands about contracts: check, draft, schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from obligor.cli.options import FILE, quiet_option, telling

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def contract() -> None:
    """Check a contract, or draft one from a tape."""


@contract.command()
@click.argument("contract_path", metavar="CONTRACT", type=FILE)
@click.option("--tape", help="A tape to hold the contract against.")
@quiet_option
def check(contract_path: Path, tape: str | None, *, quiet: bool) -> None:
    """Check CONTRACT by itself and, with --tape, against a tape."""
    from obligor.bootstrap import check_contract

    with telling(quiet=quiet) as progress:
        lines = check_contract(contract_path, tape=tape, progress=progress)
    if not quiet:
        click.echo("\n".join(lines))


@contract.command()
@click.argument("tape")
def draft(tape: str) -> None:
    """Propose a contract for TAPE, as YAML on standard output, for a person to finish."""
    from obligor.bootstrap import draft_contract

    click.echo(draft_contract(tape), nl=False)


@contract.command()
def schema() -> None:
    """Print the JSON Schema of contracts, for editors that complete and check as you type."""
    from obligor.core.contract import Contract

    click.echo(json.dumps(Contract.model_json_schema(), indent=1))
