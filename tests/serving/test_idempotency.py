"""What binds a request to the one that it repeats."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest
from tests.keyrings import a_keyring

from obligor.core.errors import InvalidInputError
from obligor.serving.acts import Caller
from obligor.serving.idempotency import check_key, request_of, request_saying

CALLER = Caller("lender", "k1", frozenset(), datetime(2100, 1, 1, tzinfo=UTC))


def test_a_key_is_of_printable_characters_without_blanks_and_holds_no_card() -> None:
    for good in ("k", "k" * 255, "loan-4711/2026!~"):
        check_key(good)
    for bad in ("", "k" * 256, "a b", "a\n", "a\x7f", "\u00e9", " a"):
        with pytest.raises(InvalidInputError, match="wanted 1 to 255 printable ASCII characters without blanks"):
            check_key(bad)
    with pytest.raises(InvalidInputError) as refused:
        check_key("4111111111111111")
    assert "4111" not in str(refused.value)


def test_what_is_said_is_bound_to_its_key_its_route_and_its_client() -> None:
    one = request_saying(CALLER, route="r", key="k", said={"b": 1, "a": 2})
    assert one == request_saying(CALLER, route="r", key="k", said={"a": 2, "b": 1})
    assert one != request_saying(CALLER, route="r", key="k", said={"a": 2, "b": 2})
    assert (one.client_id, one.route, one.key) == ("lender", "r", "k")
    with pytest.raises(InvalidInputError):
        request_saying(CALLER, route="r", key="a b", said={})


def test_where_keys_are_sealed_neither_the_key_nor_what_was_said_can_be_tried() -> None:
    sealer: Any = SimpleNamespace(keyring=a_keyring())
    payload = sha256(b"said").digest()
    plain, sealed = request_of(None, CALLER, "r", "k", payload), request_of(sealer, CALLER, "r", "k", payload)
    assert (plain.key, plain.payload_sha256) == ("k", payload)
    assert sealed == request_of(sealer, CALLER, "r", "k", payload)
    assert sealed.key.startswith("tag:")
    assert sealed.payload_sha256 != payload
