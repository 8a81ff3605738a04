"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder of real credit data; a test that asks for it is skipped where the folder is absent."""
    named = os.environ.get("OBLIGOR_DATASETS")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "INDEX.md").is_file():
        pytest.skip(f"real credit data not found at {folder}; set OBLIGOR_DATASETS")
    return folder
