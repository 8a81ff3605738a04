"""How many connections a service may hold, by how many files the machine lets it open."""

from __future__ import annotations

import resource
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import Self

    from obligor.serving.telemetry.journal import Telling

_OWN: Final = 1000
"""For the store, receivers of events, anchors, lists, logs, and who was accepted and is not counted yet."""


@dataclass(frozen=True, slots=True)
class Connections:
    """How many there may be at each door, and how many that shake hands for TLS with that of REST."""

    rest: int = 4000
    handshakes: int = 1000
    grpc: int = 4000

    @property
    def files(self) -> int:
        """How many open files they take, with those that the service needs besides."""
        return self.rest + self.handshakes + self.grpc + _OWN

    def within(self, files: int) -> Self:
        """Give as many, or as fit where no more files may be open: each as much fewer as the others."""
        own = min(_OWN, files // 2)
        share = min(1.0, (files - own) / (self.files - _OWN))
        fewer = (max(1, int(it * share)) for it in (self.rest, self.handshakes, self.grpc))
        return replace(self, **dict(zip(("rest", "handshakes", "grpc"), fewer, strict=True)))


def fit_connections(journal: Telling, wanted: Connections) -> Connections:
    """Let the process open as many files as the machine allows it, and give how many connections they are enough for.

    Whoever was accepted without a file to spare is not answered, nor is the store; so fewer are let in, and that is told.
    """
    with suppress(ValueError, OSError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    got, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if got == resource.RLIM_INFINITY or got >= wanted.files:
        return wanted
    journal.tell("open_files_few", level="warning", got=got, wanted=wanted.files)
    return wanted.within(got)
