"""The list of invented names that the tests and the documentation screen against."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from obligor.screening.ofac import read_ofac

EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "lists" / "example"
PUBLISHED = date(2026, 11, 20)
TODAY = date(2026, 11, 26)
SNAPSHOT = read_ofac(EXAMPLE, published=PUBLISHED)
