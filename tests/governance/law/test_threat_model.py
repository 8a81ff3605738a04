"""The boundaries of trust are drawn as the code has them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "explanation" / "threat-model.md"


def drawing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("trust_boundaries", ROOT / "scripts" / "trust_boundaries.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_picture_is_drawn_from_the_code() -> None:
    kept = (ROOT / "docs" / "diagrams" / "trust-boundaries.mmd").read_text()
    assert kept == drawing().picture(), "python scripts/trust_boundaries.py > docs/diagrams/trust-boundaries.mmd"


def test_the_page_tells_what_is_checked_at_every_boundary_of_the_picture() -> None:
    section = PAGE.read_text().partition("## Where trust ends")[2].partition("\n## ")[0]
    assert [it for it in sorted(set(drawing().OUTSIDE.values())) if it not in section] == []
