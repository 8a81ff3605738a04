"""What a run leaves in the experiment tracker, and the port to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A finished run: what went in, what came out, and the folder of its evidence."""

    experiment: str
    """The name of the contract."""
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    folder: Path
    """The evidence; every file in it becomes an artefact."""
    card_file: str
    """The file in the folder that is the card: JSON, the payload of the registered version."""


class Tracker(Protocol):
    """Where runs are kept and cards are registered."""

    def record(self, run: RunRecord) -> str:
        """Keep a run and register its card as a new version; give the name of the version."""
        ...


class NoTracker:
    """Keeps nothing."""

    def record(self, run: RunRecord) -> str:  # noqa: ARG002  the protocol's shape
        """Keep nothing."""
        return ""


def metrics_of(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Flatten the figures of each sample into names such as ``test.auc``."""
    return {
        f"{sample}.{name}": value
        for sample in ("train", "validation", "test")
        for name, value in _figures(evaluation[sample])
    }


def _figures(sample: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in sample.items():
        if isinstance(value, int | float):
            yield name, float(value)
    for name, value in sample["at_cutoff"].items():
        if isinstance(value, int | float):
            yield f"at_cutoff.{name}", float(value)
