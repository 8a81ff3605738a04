"""Every test of the store runs on the embedded PostgreSQL, and on the machine's own, which is older."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.conftest import lack
from tests.stores import debian_binaries, debian_postgres, new_store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", params=["embedded", "debian"])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a running PostgreSQL."""
    if request.param == "embedded":
        yield request.getfixturevalue("embedded_postgres")
        return
    binaries = debian_binaries()
    if binaries is None:
        lack("debian-postgres", "Debian's PostgreSQL is not installed")
    with debian_postgres(binaries) as url:
        yield url


@pytest.fixture
def store_url(server: str) -> Iterator[str]:
    """A new store without an act."""
    with new_store(server) as url:
        yield url
