"""Every test of the store runs on the embedded PostgreSQL, on the machine's own, which is older, and on others that are named.

``OBLIGOR_TEST_POSTGRES`` names folders of programs, as ``scripts/fetch_postgres.py`` gives them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.conftest import lack
from tests.stores import debian_binaries, debian_postgres, new_store

if TYPE_CHECKING:
    from collections.abc import Iterator


OTHERS = [Path(each) for each in os.environ.get("OBLIGOR_TEST_POSTGRES", "").split(os.pathsep) if each]


@pytest.fixture(
    scope="session",
    params=["embedded", "debian", *OTHERS],
    ids=lambda it: it if isinstance(it, str) else f"PostgreSQL {it.parent.name}",
)
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a running PostgreSQL."""
    if request.param == "embedded":
        yield request.getfixturevalue("embedded_postgres")
        return
    binaries = request.param if isinstance(request.param, Path) else debian_binaries()
    if binaries is None:
        lack("debian-postgres", "Debian's PostgreSQL is not installed")
    with debian_postgres(binaries) as url:
        yield url


@pytest.fixture
def store_url(server: str) -> Iterator[str]:
    """A new store without an act."""
    with new_store(server) as url:
        yield url
