"""The reference of telemetry names what the code tells, all of it and in its words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.infra.running import working_service

from obligor.serving.telemetry.journal import FIELDS
from obligor.serving.telemetry.meter import LINKS, REFUSALS, RESEMBLANCES, STAGES
from obligor.serving.telemetry.metrics import OUTCOMES
from obligor.serving.telemetry.tracing import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "telemetry.md"
_SUFFIXES = {"counter": "_total", "info": "_info"}


def metric_rows() -> Iterator[str]:
    """The line of each metric, as it stands in the reference."""
    for metric in sorted(working_service().collect(), key=lambda it: it.name):
        if metric.name.startswith("obligor_"):
            labels = sorted({label for sample in metric.samples for label in sample.labels} - {"le"})
            named = ", ".join(f"`{label}`" for label in labels)
            yield f"| `{metric.name}{_SUFFIXES.get(metric.type, '')}` | {named} | {metric.documentation.rstrip('.')} |"


def field_rows() -> Iterator[str]:
    """The line of each field of the journal."""
    return (f"| `{name}` | {field.meaning} |" for name, field in FIELDS.items())


def test_the_reference_has_every_metric_and_every_field_and_no_other() -> None:
    page = PAGE.read_text()
    wanted = [*metric_rows(), *field_rows()]
    assert [row for row in wanted if row not in page] == []
    named = set(re.findall(r"^\| `(obligor_\w+)`", page, re.MULTILINE))
    assert named == {row.split("`")[1] for row in metric_rows()}


def test_the_reference_has_every_value_of_a_label_and_every_attribute() -> None:
    page = PAGE.read_text()
    assert [
        it for it in (*STAGES, *OUTCOMES, *REFUSALS, *LINKS, *RESEMBLANCES, *ATTRIBUTES) if f"`{it}`" not in page
    ] == []
