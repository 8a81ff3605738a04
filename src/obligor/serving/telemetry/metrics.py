"""The counts of the service as Prometheus reads them.

What is counted at every decision is kept as plain numbers of one thread, and becomes the library's metrics only when they are
told: the library's own counters take a lock for each, which for the dozen of a decision would cost more than its score.
Labels are few and known beforehand: routes, statuses, outcomes, bands, characteristics, hashes. What is not known is counted
as ``other``. No label is ever a client's, an applicant's or a key's.
"""

from __future__ import annotations

import platform
from bisect import bisect_right
from itertools import compress
from math import fsum
from operator import eq
from typing import TYPE_CHECKING

from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from obligor import __version__
from obligor.core.profile import GATES, RECORDS, SCREENING
from obligor.serving.telemetry.meter import (
    DELIVERIES,
    LINKS,
    REFUSALS,
    RESEMBLANCES,
    STAGES,
    Delivery,
    InForce,
    Reading,
    Resemblance,
    Stage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from obligor.core.decision import Decision
    from obligor.core.profile import GateName, GateRecord
    from obligor.core.scorecard import Scorecard
    from obligor.core.scorer import Score

OTHER = "other"
SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
GROUPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
OUTCOMES = ("approve", "refer", "decline", "hold")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_RESEMBLING = "Applications that the gate pci found to hold what all but is the number of a payment card."
_OVERRIDES = (("low_side", "approve"), ("high_side", "decline"), ("none", "approve"), ("none", "decline"))
_SCORE_BUCKETS = 20
_MOST_UNCOUNTED = 512
_MOST_LABELS = 500
_CARDS_KEPT = 2

_READINGS: Mapping[Reading, tuple[str, str]] = {
    "audit_queue": ("obligor_audit_queue", "Acts that wait to be recorded."),
    "tree_size": ("obligor_audit_tree_size", "Leaves of the audit log."),
    "unanchored_leaves": ("obligor_audit_unanchored_leaves", "Leaves that no anchored checkpoint covers yet."),
    "anchored_age_seconds": ("obligor_audit_anchored_age_seconds", "Seconds since the last checkpoint was anchored."),
    "webhooks_pending": ("obligor_webhooks_pending", "Events on their way to the systems of clients."),
    "webhooks_oldest_seconds": ("obligor_webhooks_oldest_seconds", "Seconds that the oldest of them waits."),
    "webhooks_dead": ("obligor_webhooks_dead", "Events that were given up, and not sent again."),
    "webhooks_gone": ("obligor_webhooks_gone", "Endpoints that were stopped, for their receivers answered 410 Gone."),
    "records_broken": (
        "obligor_records_broken",
        "Decisions that were asked for since the start, and kept otherwise than recorded.",
    ),
    "reviews_late": ("obligor_reviews_late", "Reviews that wait for an answer and are late."),
    "held": ("obligor_held", "Applications that are held, as of the last five minutes."),
    "held_late": ("obligor_held_late", "Of them, those held for longer than the lender says, or a rule pack leaves."),
    "held_oldest_seconds": ("obligor_held_oldest_seconds", "Seconds since the first of them was held."),
    "screening_list_left_seconds": (
        "obligor_screening_list_left_seconds",
        "Seconds until the first screening list is too old; 0 where one is or is not there, infinite where nobody is screened.",
    ),
    "links_behind_seconds": (
        "obligor_links_behind_seconds",
        "Seconds since the first decision that is not yet compared with earlier ones.",
    ),
}


class Spread:
    """How often values fell between bounds; a value on a bound belongs below it.

    Values are kept until there are many, or somebody asks: sorted, they are counted by a look for each bound.
    """

    __slots__ = ("_new", "bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0
        self._new: list[float] = []

    def add(self, value: float) -> None:
        """Count a value."""
        self._new.append(value)
        if len(self._new) >= _MOST_UNCOUNTED:
            self._count()

    def _count(self) -> None:
        new, self._new = sorted(self._new), []
        upto = 0
        for place, bound in enumerate(self.bounds):
            below = bisect_right(new, bound)
            self.counts[place] += below - upto
            upto = below
        self.counts[-1] += len(new) - upto
        self.total += fsum(new)

    def buckets(self) -> list[tuple[str, float]]:
        """Give the counts up to each bound, as Prometheus wants them."""
        self._count()
        told, upto = [], 0
        for bound, count in zip((*self.bounds, float("inf")), list(self.counts), strict=True):
            upto += count
            told.append(("+Inf" if bound == float("inf") else str(float(bound)), float(upto)))
        return told


class PrometheusMeter(Collector):
    """Keeps the counts, and tells them to a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._in_flight = 0
        self._requests: dict[tuple[str, int], int] = {}
        self._times: dict[str, Spread] = {}
        self._stages: dict[str, Spread] = {stage: Spread(SECONDS) for stage in STAGES}
        self._outcomes: dict[tuple[str, str], int] = {}
        self._overrides: dict[tuple[str, str], int] = dict.fromkeys(_OVERRIDES, 0)
        self._refusals = dict.fromkeys((*REFUSALS, OTHER), 0)
        self._commits, self._commit_seconds = Spread(GROUPS), Spread(SECONDS)
        self._deliveries: dict[str, int] = dict.fromkeys(DELIVERIES, 0)
        self._links: dict[str, int] = dict.fromkeys(LINKS, 0)
        self._resemblances: dict[str, int] = dict.fromkeys(RESEMBLANCES, 0)
        self._health: dict[str, bool] = {}
        self._readings: dict[Reading, Callable[[], float]] = {}
        self._release: InForce | None = None
        self._scores: dict[str, Spread] = {}
        self._score = Spread(())
        self._missing: dict[str, int] = {}
        self._unusual: dict[str, int] = {OTHER: 0}
        self._gates: dict[tuple[GateRecord, ...], int] = {}
        self._names: tuple[str, ...] = ()
        self._missing_codes: tuple[int, ...] = ()
        registry.register(self)
        ProcessCollector(registry=registry)

    def entered(self) -> None:
        """Count a request that is in flight from now on."""
        self._in_flight += 1

    def left(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._in_flight -= 1
        key = (route, status)
        try:
            self._requests[key] += 1
            self._times[route].add(seconds)
        except KeyError:
            self._first(route, status, seconds)

    def stage(self, stage: Stage, seconds: float) -> None:
        """Count how long a stage of a decision took."""
        self._stages[stage].add(seconds)

    def decided(self, score: Score, decision: Decision, unusual: Iterable[str]) -> None:
        """Count a decision that is durable."""
        key = (decision.outcome, score.band)
        self._outcomes[key if key in self._outcomes else (OTHER, OTHER)] += 1
        self._score.add(score.score / 1000)
        for name in compress(self._names, map(eq, score.bins, self._missing_codes)):
            self._missing[name] += 1
        for told in unusual:
            name = told.partition(":")[0]
            self._unusual[name if name in self._unusual else OTHER] += 1
        said = tuple(decision.gates.values())
        self._gates[said] = self._gates.get(said, 0) + 1

    def overridden(self, direction: str, outcome: str) -> None:
        """Count a decision in whose place a person decided."""
        self._overrides[direction, outcome] += 1

    def refused(self, why: str) -> None:
        """Count a caller who was refused."""
        self._refusals[why if why in self._refusals else OTHER] += 1

    def committed(self, acts: int, seconds: float) -> None:
        """Count a commit of so many acts together."""
        self._commits.add(acts)
        self._commit_seconds.add(seconds)

    def delivered(self, result: Delivery) -> None:
        """Count an attempt to tell a client's system of an event."""
        self._deliveries[result] += 1

    def linked(self, why: str, count: int) -> None:
        """Count decisions that were linked to earlier ones."""
        self._links[why] += count

    def resembled(self, why: Resemblance) -> None:
        """Count an application with what all but is the number of a payment card."""
        self._resemblances[why] += 1

    def healthy(self, dependency: str, *, well: bool) -> None:
        """Tell how something that the service stands on does."""
        if dependency in self._health or len(self._health) < _MOST_LABELS:
            self._health[dependency] = well

    def watch(self, reading: Reading, read: Callable[[], float]) -> None:
        """Read something whenever the counts are told."""
        self._readings[reading] = read

    def in_force(self, release: InForce) -> None:
        """Tell which release decisions are made by from now on; what was counted by the one before it stays."""
        card = release.card
        self._release = release
        self._score = self._scores.get(release.card_sha256, Spread(score_bounds(card)))
        self._scores = {sha: it for sha, it in self._scores.items() if it is not self._score}
        self._scores[release.card_sha256] = self._score
        while len(self._scores) > _CARDS_KEPT:
            del self._scores[next(iter(self._scores))]
        self._names = tuple(it.feature for it in card.characteristics)
        self._missing_codes = tuple(it.binning.missing for it in card.characteristics)
        self._missing = {name: self._missing.get(name, 0) for name in self._names}
        fields = (*card.applications.columns, *card.histories, OTHER)
        self._unusual = {name: self._unusual.get(name, 0) for name in fields}
        labels = [(outcome, band.name) for outcome in OUTCOMES for band in card.bands]
        self._outcomes = dict.fromkeys((*labels, (OTHER, OTHER)), 0) | self._outcomes

    def _first(self, route: str, status: int, seconds: float) -> None:
        """Count a request of a route or status not seen before; those beyond the bound count as another's."""
        key = (route, status)
        if key not in self._requests and len(self._requests) >= _MOST_LABELS:
            key = (OTHER, status // 100 * 100)
        self._requests[key] = self._requests.get(key, 0) + 1
        self._times.setdefault(key[0], Spread(SECONDS)).add(seconds)

    def collect(self) -> Iterator[Metric]:
        """Give the counts as metrics."""
        yield from self._of_requests()
        yield from self._of_decisions()
        yield from self._of_the_audit_log()
        yield _counts("obligor_links", "Decisions that were linked to earlier ones.", "why", self._links)
        yield _counts("obligor_webhook_deliveries", "Attempts to tell systems of clients.", "result", self._deliveries)
        up = GaugeMetricFamily("obligor_dependency_up", "Whether it does its part.", labels=["dependency"])
        for dependency, well in list(self._health.items()):
            up.add_metric([dependency], float(well))
        yield up
        build = InfoMetricFamily("obligor_build", "What runs.")
        build.add_metric([], {"version": __version__, "python": platform.python_version()})
        yield build
        yield self._of_the_release()

    def _of_requests(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("obligor_requests_in_flight", "Requests that wait for an answer.", self._in_flight)
        requests = CounterMetricFamily("obligor_requests", "Requests answered.", labels=["route", "status"])
        for (route, status), count in list(self._requests.items()):
            requests.add_metric([route, str(status)], count)
        yield requests
        yield _spreads("obligor_request_seconds", "From a request to its answer.", "route", self._times)
        yield _counts("obligor_refusals", "Callers refused.", "why", self._refusals)

    def _of_decisions(self) -> Iterator[Metric]:
        yield _spreads("obligor_decision_seconds", "Stages of a decision.", "stage", self._stages)
        decisions = CounterMetricFamily("obligor_decisions", "Durable decisions.", labels=["outcome", "band"])
        for (outcome, band), count in list(self._outcomes.items()):
            decisions.add_metric([outcome, band], count)
        yield decisions
        overrides = CounterMetricFamily("obligor_overrides", "Overrides by people.", labels=["direction", "outcome"])
        for labels, count in list(self._overrides.items()):
            overrides.add_metric(labels, count)
        yield overrides
        yield _spreads("obligor_score", "Scores in points.", "card", {sha[:12]: it for sha, it in self._scores.items()})
        yield _counts("obligor_missing", "Decisions that lacked it.", "characteristic", self._missing)
        yield _counts("obligor_unusual", "Decisions with a value that training never showed.", "field", self._unusual)
        yield self._of_gates()
        yield _counts("obligor_card_resemblances", _RESEMBLING, "why", self._resemblances)

    def _of_gates(self) -> Metric:
        counts = dict.fromkeys((_told_of(gate, it) for gate in GATES for it in RECORDS.values()), 0)
        for said, count in list(self._gates.items()):
            for gate, it in zip(GATES, said, strict=False):
                counts[_told_of(gate, it)] += count
        gates = CounterMetricFamily(
            "obligor_gates", "Decisions, by what each gate said.", labels=["gate", "state", "result"]
        )
        for labels, count in counts.items():
            gates.add_metric(labels, count)
        return gates

    def _of_the_audit_log(self) -> Iterator[Metric]:
        yield _spreads("obligor_commit_acts", "Acts that share a commit.", None, {"": self._commits})
        yield _spreads("obligor_commit_seconds", "Until a commit is durable.", None, {"": self._commit_seconds})
        for reading, (name, text) in _READINGS.items():
            if reading in self._readings:
                yield GaugeMetricFamily(name, text, self._readings[reading]())
        if "journal_dropped" in self._readings:
            dropped = self._readings["journal_dropped"]()
            yield CounterMetricFamily("obligor_journal_dropped", "Lines of the journal that were lost.", dropped)

    def _of_the_release(self) -> Metric:
        info = InfoMetricFamily("obligor_release", "The release in force.")
        if self._release is not None:
            it = self._release
            hashes = {name: getattr(it, name) for name in ("card_sha256", "policy_sha256", "profile_sha256")}
            info.add_metric([], {"number": str(it.number), **hashes})
        return info


def write_metrics(registry: CollectorRegistry) -> bytes:
    """Write the counts in the text format of Prometheus, whose type is `CONTENT_TYPE`."""
    return generate_latest(registry)


def score_bounds(card: Scorecard) -> tuple[float, ...]:
    """Part the scores that a card can give, in points, into about twenty buckets of a round width; the cut-off is a bound."""
    (low, high), cutoff = card.score_range, card.cutoff.score  # in whole thousandths, which divide without a rest
    width = next(step for step in _round_steps() if step * _SCORE_BUCKETS >= high - low)
    below, above = max(cutoff - low, 0) // width, max(high - cutoff, 0) // width
    return tuple((cutoff + place * width) / 1000 for place in range(-below, above + 1))


def _told_of(gate: GateName, record: GateRecord) -> tuple[str, str, str]:
    """Give the labels of what a gate said: of one that screens that it was asked alone, or its counts would tell of a hit.

    That it is pending is not told either: on a list that is too old, whoever is not is a hit.
    """
    hides = gate in SCREENING and record.result != "not_evaluated"
    return gate, record.state, "evaluated" if hides else record.result


def _round_steps() -> Iterator[int]:
    for power in range(13):
        yield from (step * 10**power // 10 for step in (10, 20, 25, 50) if power or step % 10 == 0)


def _counts(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in list(counts.items()):
        family.add_metric([value], count)
    return family


def _spreads(name: str, text: str, label: str | None, spreads: Mapping[str, Spread]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=[label] if label else [])
    for value, spread in list(spreads.items()):
        family.add_metric([value] if label else [], buckets=spread.buckets(), sum_value=spread.total)
    return family
