"""What the service counts, and how Prometheus reads it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.small_cards import MISSING, small_card
from tests.serving.telemetry.decided import decided

from obligor.core.profile import RECORDS
from obligor.serving.telemetry.meter import REFUSALS, InForce, Meter, NoMeter
from obligor.serving.telemetry.metrics import SECONDS, PrometheusMeter, Spread, score_bounds, write_metrics

RELEASE = InForce(7, small_card("income", "debt", "months"), "a" * 64, "b" * 64, "c" * 64)


class Counted:
    """A meter and what it tells."""

    def __init__(self, release: InForce | None = RELEASE) -> None:
        self.registry = CollectorRegistry()
        self.meter = PrometheusMeter(self.registry)
        if release is not None:
            self.meter.in_force(release)

    def told(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def series(self) -> int:
        text = write_metrics(self.registry).decode()
        return sum(len(family.samples) for family in text_string_to_metric_families(text))


def test_decisions_are_counted_by_outcome_and_band() -> None:
    it = Counted()
    for outcome, band in (("approve", "A"), ("approve", "A"), ("decline", "B")):
        it.meter.decided(*decided(outcome, band, score=520_000))
    assert it.told("obligor_decisions_total", outcome="approve", band="A") == 2
    assert it.told("obligor_decisions_total", outcome="decline", band="B") == 1
    assert it.told("obligor_decisions_total", outcome="hold", band="B") == 0


def test_what_is_missing_and_what_is_unusual_is_counted_by_its_name() -> None:
    it = Counted()
    unusual = ("income: beyond all of training",)
    it.meter.decided(*decided("refer", "B", bins=(MISSING, 1, MISSING), unusual=unusual))
    it.meter.decided(*decided("refer", "B", bins=(MISSING, 0, 0)))
    found = {name: it.told("obligor_missing_total", characteristic=name) for name in ("income", "debt", "months")}
    assert found == {"income": 2, "debt": 0, "months": 1}
    assert it.told("obligor_unusual_total", field="income") == 1


def gates_counted(it: Counted) -> dict[tuple[str, str, str], float]:
    """What was counted of gates, but for what never was."""
    (family,) = (found for found in it.registry.collect() if found.name == "obligor_gates")
    labels = ("gate", "state", "result")
    return {tuple(one.labels[name] for name in labels): one.value for one in family.samples if one.value}  # type: ignore[misc]  # three


def test_what_each_gate_said_of_a_decision_is_counted_by_its_state() -> None:
    it = Counted()
    said = [("kyc", "monitor", "fail"), ("aml", "off", "not_evaluated"), ("pci", "enforce", "pass")]
    for _ in range(2):
        gates = [RECORDS[state, result] for _, state, result in said]
        it.meter.decided(*decided("approve", "A", gates=gates))
    assert gates_counted(it) == dict.fromkeys(said, 2)
    assert it.told("obligor_gates_total", gate="kyc", state="enforce", result="pending") == 0, "known before it is"
    assert it.told("obligor_gates_total", gate="kyc", state="off", result="pass") is None


@pytest.mark.parametrize("state", ["monitor", "enforce"])
def test_the_counts_of_gates_are_the_same_for_a_hit_and_for_none(state: str) -> None:
    told = []
    for result in ("pass", "fail", "pending"):
        it, off = Counted(), RECORDS["off", "not_evaluated"]
        it.meter.decided(*decided("refer", "A", gates=(off, RECORDS[state, result], off)))
        told.append(gates_counted(it))
    assert told[0] == told[1] == told[2]
    assert told[0]["aml", state, "evaluated"] == 1


@given(st.lists(st.floats(0, 30), max_size=60))
def test_a_spread_counts_as_the_histogram_of_the_library_does(values: list[float]) -> None:
    registry, spread = CollectorRegistry(), Spread(SECONDS)
    histogram = Histogram("seconds", "of a stage", registry=registry, buckets=SECONDS)
    for value in values:
        spread.add(value)
        histogram.observe(value)
    bounds = [bound for bound, _ in spread.buckets()]
    counted = [registry.get_sample_value("seconds_bucket", {"le": bound}) for bound in bounds]
    assert [count for _, count in spread.buckets()] == counted
    assert bounds == [*map(str, SECONDS), "+Inf"]
    assert spread.total == pytest.approx(registry.get_sample_value("seconds_sum") or 0.0)


@given(st.integers(1, 2_000_000), st.integers(1, 12), st.integers(0, 900_000))
def test_the_buckets_of_the_score_cover_what_the_card_can_give_and_part_at_its_cutoff(
    most: int, count: int, cutoff: int
) -> None:
    card = small_card(*(f"x{at}" for at in range(count)), most=most, cutoff=cutoff)
    bounds = score_bounds(card)
    low, high = card.score_range
    assert cutoff / 1000 in bounds
    places = [round(1000 * it) for it in bounds]
    widths = {right - left for left, right in pairwise(places)}
    assert len(widths) <= 1
    assert all(it > 0 for it in widths)
    if low <= cutoff <= high:
        assert len(bounds) <= 22
        step = next(iter(widths), high - low)
        assert places[0] - low < step or low == high
        assert high - places[-1] < step or low == high


def test_a_score_falls_into_the_bucket_of_its_points() -> None:
    it = Counted()
    it.meter.decided(*decided("approve", "A", score=500_000))
    it.meter.decided(*decided("approve", "A", score=500_001))
    assert it.told("obligor_score_bucket", card="a" * 12, le="500.0") == 1
    assert it.told("obligor_score_bucket", card="a" * 12, le="+Inf") == 2


def test_another_card_in_force_counts_its_scores_apart_and_names_itself() -> None:
    it = Counted()
    it.meter.decided(*decided("approve", "A", score=500_000, bins=(MISSING, 0, 0)))
    other = replace(RELEASE, number=8, card=small_card("income", "rent", most=900_000), card_sha256="d" * 64)
    it.meter.in_force(other)
    it.meter.decided(*decided("approve", "A", score=900_000, bins=(MISSING, 0)))
    assert it.told("obligor_score_count", card="a" * 12) == it.told("obligor_score_count", card="d" * 12) == 1
    assert it.told("obligor_missing_total", characteristic="income") == 2
    assert it.told("obligor_decisions_total", outcome="approve", band="A") == 2
    named = {"card_sha256": "d" * 64, "policy_sha256": "b" * 64, "profile_sha256": "c" * 64}
    assert it.told("obligor_release_info", number="8", **named) == 1
    for number in range(10, 40):
        it.meter.in_force(replace(other, card_sha256=f"{number}" * 32))
    cards = {line.split('"')[1] for line in write_metrics(it.registry).decode().splitlines() if "_count{card=" in line}
    assert cards == {"38" * 6, "39" * 6}


def test_requests_in_flight_rise_and_fall() -> None:
    it = Counted()
    it.meter.entered()
    it.meter.entered()
    it.meter.left("/v1/decisions", 201, 0.004)
    assert it.told("obligor_requests_in_flight") == 1
    assert it.told("obligor_requests_total", route="/v1/decisions", status="201") == 1
    assert it.told("obligor_request_seconds_bucket", route="/v1/decisions", le="0.005") == 1
    assert it.told("obligor_request_seconds_bucket", route="/v1/decisions", le="0.0025") == 0


@pytest.mark.parametrize("why", REFUSALS)
def test_every_refusal_is_counted_by_its_reason(why: str) -> None:
    it = Counted()
    it.meter.refused(why)
    assert it.told("obligor_refusals_total", why=why) == 1


def test_no_flood_of_names_makes_more_series() -> None:
    """Whatever a door or a client brings up, the series stay as many as were foreseen."""
    it = Counted()
    for number in range(3000):
        it.meter.left(f"/v1/decisions/{number}", number, 0.001)
        it.meter.refused(f"why-{number}")
        it.meter.decided(*decided(f"o{number}", f"b{number}", score=number, unusual=(f"f{number}",)))
        it.meter.healthy(f"dependency-{number}", well=True)
    before = it.series()
    for number in range(3000, 4000):
        it.meter.left(f"/v1/decisions/{number}", number % 600, 0.001)
        it.meter.refused(f"why-{number}")
        it.meter.decided(*decided(f"o{number}", f"b{number}", score=number, unusual=(f"f{number}",)))
        it.meter.healthy(f"dependency-{number}", well=True)
    assert it.series() <= before + 6
    assert it.told("obligor_decisions_total", outcome="other", band="other") == 4000
    assert it.told("obligor_refusals_total", why="other") == 4000
    assert it.told("obligor_unusual_total", field="other") == 4000


def test_what_is_watched_is_read_when_it_is_told() -> None:
    it = Counted()
    leaves = [10.0]
    it.meter.watch("tree_size", lambda: leaves[0])
    it.meter.watch("anchored_age_seconds", lambda: float("inf"))
    it.meter.watch("journal_dropped", lambda: 3)
    leaves[0] = 12.0
    assert it.told("obligor_audit_tree_size") == 12
    assert it.told("obligor_audit_anchored_age_seconds") == float("inf")
    assert it.told("obligor_journal_dropped_total") == 3
    assert it.told("obligor_audit_queue") is None


def test_commits_tell_how_many_acts_shared_them() -> None:
    it = Counted()
    for acts in (1, 3, 3, 40):
        it.meter.committed(acts, 0.002)
    found = [it.told("obligor_commit_acts_bucket", le=le) for le in ("1.0", "4.0", "64.0")]
    assert found == [1, 3, 4]
    assert it.told("obligor_commit_acts_sum") == 47


def test_dependencies_tell_how_they_do_now() -> None:
    it = Counted()
    it.meter.healthy("store", well=True)
    it.meter.healthy("anchor", well=False)
    found = [it.told("obligor_dependency_up", dependency=name) for name in ("store", "anchor")]
    assert found == [1, 0]
    it.meter.healthy("store", well=False)
    assert it.told("obligor_dependency_up", dependency="store") == 0


@pytest.mark.parametrize("made", [NoMeter, lambda: PrometheusMeter(CollectorRegistry())])
def test_every_meter_takes_the_same_calls(made: type[NoMeter]) -> None:
    meter: Meter = made()
    meter.in_force(RELEASE)
    meter.entered()
    meter.stage("read", 0.1)
    meter.decided(*decided("approve", "A", score=1, bins=(0, 1, 2)))
    meter.refused("wrong")
    meter.committed(1, 0.1)
    meter.healthy("store", well=True)
    meter.watch("tree_size", lambda: 1.0)
    meter.left("/v1/decisions", 201, 0.1)


def test_two_services_in_one_process_count_apart() -> None:
    one, other = Counted(), Counted()
    one.meter.refused("wrong")
    assert other.told("obligor_refusals_total", why="wrong") == 0
