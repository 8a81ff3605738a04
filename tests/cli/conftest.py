"""Commands as people give them, on a store of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def url(store_url: str) -> str:
    """The store that commands work on."""
    return store_url


@pytest.fixture
def call(url: str, run: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Run `obligor` on the store, as the person who is named first."""
    monkeypatch.setenv("OBLIGOR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("OBLIGOR_DATABASE_URL", url)

    def called(by: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("OBLIGOR_AUTHOR", by)
        return run(*arguments)

    return called
