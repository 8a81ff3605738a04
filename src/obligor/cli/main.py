"""The command ``obligor``: its commands, and how errors become messages and exit codes."""

from __future__ import annotations

import os
import sys

import click

from obligor import __version__
from obligor.cli import (
    actions,
    alerts,
    audit,
    bins,
    choosing,
    contracts,
    examining,
    explaining,
    keys,
    lists,
    making,
    notices,
    overrides,
    people,
    privacy,
    profiles,
    proposals,
    reviews,
    scoring,
    screening,
    serving,
    webhooks,
)
from obligor.core.errors import ObligorError

_USAGE = {"invalid", "too_large"}
_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="obligor")
def cli() -> None:
    """Credit scorecards a regulator can read, from a loan tape and one contract."""


for _command in (
    making.demo,
    making.run,
    bins.bins,
    choosing.alternatives,
    scoring.score,
    scoring.sql,
    scoring.python,
    explaining.explain,
    serving.serve,
    serving.releases,
    profiles.profile,
    keys.keys,
    people.users,
    people.roles,
    people.access,
    proposals.proposals,
    webhooks.webhooks,
    audit.audit,
    privacy.privacy,
    examining.replay,
    examining.doctor,
    screening.screen,
    lists.lists,
    alerts.alerts,
    actions.actions,
    notices.notice,
    notices.notices,
    reviews.reviews,
    overrides.overrides,
    making.simulate,
    contracts.contract,
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line, with errors as messages and exit codes."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("obligor: interrupted; nothing half-written was left", err=True)
        sys.exit(_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ObligorError as error:
        click.echo(f"obligor: {error}", err=True)
        sys.exit(2 if error.kind in _USAGE else 1)
    except ModuleNotFoundError as error:
        if os.environ.get("OBLIGOR_DEBUG"):
            raise
        click.echo(f"obligor: this needs the module {error.name}, which is not installed", err=True)
        click.echo("Hint: install obligor[all]", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if os.environ.get("OBLIGOR_DEBUG"):
            raise
        # The text of a library's error may quote the data, so that only its kind is told.
        click.echo(f"obligor: failed on a {type(error).__name__}; OBLIGOR_DEBUG=1 shows where", err=True)
        sys.exit(1)
