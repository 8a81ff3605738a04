"""What the documentation says is so."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from obligor.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import LenderRun

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])


def commands(group: click.Group, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*prefix, name))
        else:
            yield (*prefix, name), command


@pytest.mark.parametrize(("path", "command"), list(commands(cli)), ids=lambda value: str(value)[:30])
def test_every_command_and_option_is_in_the_reference(path: tuple[str, ...], command: click.Command) -> None:
    page = (DOCS / "reference" / "cli.md").read_text()
    assert f"`obligor {' '.join(path)}" in page
    options = [option for each in command.params if isinstance(each, click.Option) for option in each.opts]
    line = next((line for line in page.splitlines() if line.startswith(f"- `{' '.join(path)}`")), "")
    assert [option for option in options if option != "--help" and option not in line] == []


def test_every_variable_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "configuration.md").read_text()
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    named = {name for path in sources for name in re.findall(r'"(OBLIGOR_[A-Z0-9_]+)"', path.read_text())}
    ours = {name for name in named if not name.startswith("OBLIGOR_TEST_")}
    assert {name for name in ours if f"`{name}`" not in page} <= {"OBLIGOR_PROPERTY_SCALE"}


def test_the_reference_of_the_contract_is_written_from_its_types() -> None:
    spec = importlib.util.spec_from_file_location("contract_reference", ROOT / "scripts" / "contract_reference.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (DOCS / "reference" / "contract.md").read_text() == script.render()
    assert (DOCS / "reference" / "contract.schema.json").read_text() == script.schema_text()


def test_every_figure_of_the_evaluation_is_in_the_reference(lender_run: LenderRun) -> None:
    page = (DOCS / "reference" / "outputs.md").read_text()
    evaluation = json.loads((lender_run.out / "evaluation.json").read_text())
    keys = {*evaluation, *evaluation["test"]}
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []
    card = json.loads((lender_run.out / "scorecard.json").read_text())
    policy = json.loads((lender_run.out / "policy.json").read_text())
    said = {**card, **policy, **policy["thresholds"][0]}
    assert [key for key in said if f"`{key}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_pages_exist(page: Path) -> None:
    known = {" ".join(path) for path, _ in commands(cli)}
    for line in re.findall(r"^(?:\$ |\s{4}uv run )obligor ([a-z ]+)", page.read_text(), flags=re.MULTILINE):
        assert any(line == name or line.startswith(f"{name} ") for name in known), line


def test_the_tables_of_the_benchmarks_are_written_from_their_results() -> None:
    sys.path.insert(0, str(ROOT))
    try:
        tables = importlib.import_module("benchmarks.tables")
    finally:
        sys.path.remove(str(ROOT))
    page = tables.PAGE.read_text()
    assert len(tables.MARK.findall(page)) == 21
    assert page == tables.written(page)
