"""How a service greets whoever started it."""

from __future__ import annotations

from tests.serving.http.fakes import house

from obligor.bootstrap.service import Doors, _greet
from obligor.serving.telemetry.journal import NoJournal


def test_the_port_that_is_told_is_the_one_that_the_service_got() -> None:
    said: list[str] = []
    _greet(said.append, NoJournal(), Doors("127.0.0.1", 0, None), house().releases, 4711)
    assert "http://127.0.0.1:4711 " in said[0]
    assert ":0" not in said[0]


def test_an_address_of_ipv6_is_told_as_one_that_can_be_opened() -> None:
    said: list[str] = []
    _greet(said.append, NoJournal(), Doors("::1", 0, 50051), house().releases, 4711)
    assert "http://[::1]:4711/docs" in said[0]
    assert "gRPC  [::1]:50051" in said[0]
