"""Commands that make cards: the demo, a run on a tape, the simulated lender."""

from __future__ import annotations

from pathlib import Path

import click

from obligor.cli.options import FILE, FOLDER, json_option, quiet_option, show, telling


@click.command()
@click.option("--out", type=FOLDER, default=Path("runs/demo"), show_default=True, help="Where the evidence goes.")
@click.option("--applications", type=click.IntRange(min=5000), default=40000, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
@quiet_option
@json_option
def demo(out: Path, applications: int, seed: int, *, quiet: bool, as_json: bool) -> None:
    """Run the main job on the simulated lender: a card with its evidence, from nothing."""
    from obligor.bootstrap import run_demo

    with telling(quiet=quiet or as_json) as progress:
        summary = run_demo(out, applications=applications, seed=seed, progress=progress)
    show(summary, quiet=quiet, as_json=as_json)


@click.command()
@click.argument("tape")
@click.option("--contract", "contract_path", type=FILE, required=True, help="The contract of the portfolio.")
@click.option("--out", type=FOLDER, required=True, help="Where the evidence goes.")
@click.option("--edits", type=FILE, help="The edits.json of a run whose bins were edited by hand.")
@click.option("--carry-edits", is_flag=True, help="Take edits that were made on another contract or tape.")
@quiet_option
@json_option
def run(
    tape: str, contract_path: Path, out: Path, edits: Path | None, *, carry_edits: bool, quiet: bool, as_json: bool
) -> None:
    """Make a scorecard with its evidence from TAPE.

    TAPE is a file (CSV, CSV.gz, CSV.zst, Parquet), a folder of them, s3://bucket/key, or postgresql://host/db?table=t.
    """
    from obligor.bootstrap import run_tape

    with telling(quiet=quiet or as_json) as progress:
        summary = run_tape(
            tape, contract=contract_path, out=out, edits=edits, carry_edits=carry_edits, progress=progress
        )
    show(summary, quiet=quiet, as_json=as_json)


@click.command()
@click.option("--out", type=FOLDER, required=True, help="The folder to write the tape to.")
@click.option("--applications", type=click.IntRange(min=1), default=20000, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
@quiet_option
def simulate(out: Path, applications: int, seed: int, *, quiet: bool) -> None:
    """Write the tape of a simulated lender whose true PDs are known."""
    from obligor.bootstrap import simulate_tape

    with telling(quiet=quiet) as progress:
        written = simulate_tape(out, applications=applications, seed=seed, progress=progress)
    if not quiet:
        click.echo("\n".join(str(path) for path in written))
