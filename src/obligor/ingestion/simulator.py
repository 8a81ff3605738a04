"""The simulated lender: a tape whose true PDs are known, so that what a card estimates can be held against the truth.

The model
---------
A customer has a hidden frailty ``u ~ N(0, 1)`` that nobody sees. It raises the rate of bureau inquiries and of
delinquencies and lowers income and balances, so that it shows only through them. The true PD of an application is a
function of what can be known on its day and of the month it is made in::

    logit PD = a + 0.55 min(3, 4 * amount / income) + 0.30 inquiries_12m (at most 6) + 0.55 delinquencies_24m (at most 3)
             + 0.45 [no linked account] - 0.30 ln(1 + balance / 1000) [linked] - 0.006 months in job (at most 120)
             + 0.03 |age - 47| / 4 + 0.25 [term 36] + 0.35 [rent and broker] + channel + status + purpose
             + 0.5 [delinquency less than 24 months ago] + 0.25 [file not found] + macro(month)

with ``macro`` a wave of 30 months. Whether a loan goes bad within twelve months is one draw with that PD, also for the
applications that the incumbent declined: their outcome is in the truth and nowhere else. The incumbent scores by fewer
things and with noise, and approves the better two thirds.

An approved loan has instalments every month. A loan that goes bad stops at one of its first eight, so that it is 90 days
past due before its twelfth month ends; every other pays, now and then late, but never 90 days. Bureau lines and payments
reach the lender days, sometimes weeks, after they happened. The channel mix drifts from branch to web. Dirt (impossible
ages and incomes, odd spellings, repeated rows) falls on rows at random and is listed in the truth.

All people are invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from obligor.core.errors import InvalidInputError
from obligor.files import whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Column = NDArray[Any]  # of numbers or of texts
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Texts = NDArray[np.str_]

WINDOW_MONTHS = 12
_EPOCH = date(1970, 1, 1)
_FIRST = ("Ada", "Bela", "Cleo", "Dara", "Emil", "Finn", "Gwen", "Hugo", "Iris", "Jona", "Kaya", "Lino", "Mira", "Nils")
_LAST = (
    "Abbott",
    "Berger",
    "Castle",
    "Dunmore",
    "Eastley",
    "Fairfax",
    "Garland",
    "Holloway",
    "Ingram",
    "Jessop",
    "Kerr",
)
_CHANNEL = {"branch": -0.15, "web": 0.10, "broker": 0.25, "partner": 0.0}
_STATUS = {"employed": -0.10, "self-employed": 0.25, "retired": -0.25, "student": 0.35, "unemployed": 0.60}
_PURPOSE = {"car": -0.20, "home": -0.10, "consolidation": 0.15, "medical": 0.20, "business": 0.35, "holiday": 0.05}
_HOUSING = ("own", "mortgage", "rent", "family")
_REGION = ("north", "east", "south", "west", "capital")


@dataclass(frozen=True, slots=True)
class Lender:
    """The tables of a simulated lender, and the truth that a real one never has."""

    applications: pa.Table
    repayments: pa.Table
    bureau: pa.Table
    truth: pa.Table


def simulate_lender(
    *,
    applications: int,
    seed: int,
    start: date = date(2019, 1, 1),
    months: int = 66,
    observed_at: date | None = None,
    dirt: float = 0.01,
) -> Lender:
    """Simulate a lender.

    Parameters
    ----------
    start, months
        The first month of applications, and how many months they span.
    observed_at
        The day up to which repayments are known; by default half a year after the last application.
    dirt
        The share of rows with something impossible or oddly written; half as many again are repeated.
    """
    if applications < 1:
        raise InvalidInputError(f"simulated lender: {applications} applications; wanted one or more")
    if not 0 <= dirt <= 0.5 or months < 1:
        raise InvalidInputError(
            f"simulated lender: dirt {dirt}, {months} months; wanted dirt of 0 to 0.5, a month or more"
        )
    streams = [np.random.default_rng(each) for each in np.random.SeedSequence(seed).spawn(6)]
    first = (start - _EPOCH).days
    span = round(months * 30.4375)
    last = first + span + 183 if observed_at is None else (observed_at - _EPOCH).days
    people = _people(streams[0], customers=max(1, round(applications * 0.87)))
    owner = streams[1].integers(0, len(people["frailty"]), applications)
    day = first + np.sort(streams[1].integers(0, span, applications))
    bureau = _bureau(streams[2], people, first=first - 730, last=first + span + 60)
    file = _known(bureau, owner, day)
    asked = _asked(streams[3], people, owner, day, first=first, span=span)
    pd_true = _true_pd(asked, file, (day - first) / 30.4375)
    bad = streams[3].random(applications) < pd_true
    incumbent, approved = _incumbent(streams[4], asked, file)
    soiled = _dirt(streams[5], applications, dirt)
    ids = np.char.add("A", np.char.zfill(np.arange(1, applications + 1).astype(str), 8))
    tape = _tape(streams[4], people, owner, day, asked, file, incumbent, approved, ids, bad)
    return Lender(
        _soil(streams[5], tape, soiled, dirt),
        _repayments(streams[4], ids[approved], day[approved], asked, approved, bad[approved], last),
        _bureau_table(bureau),
        pa.table(
            {
                "application_id": ids,
                "pd_12m_true": pd_true,
                "approved": approved,
                "defaulted_12m": bad,
                "mature": _add_months(day, WINDOW_MONTHS) <= last,
                "dirt": soiled,
            }
        ),
    )


def write_lender(lender: Lender, folder: Path) -> tuple[Path, ...]:
    """Write the tables as Parquet; the same lender gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in ("applications", "repayments", "bureau", "truth"):
        path = folder / f"{name}.parquet"
        with whole_file(path) as partial:
            pq.write_table(getattr(lender, name), partial, compression="zstd")
        written.append(path)
    return tuple(written)


def _people(random: np.random.Generator, *, customers: int) -> dict[str, Column]:
    frailty = random.standard_normal(customers)
    age = np.clip(random.gamma(9, 4.6, customers) + 6, 18, 84).round()
    status = _pick(random, customers, dict(zip(_STATUS, (0.68, 0.14, 0.07, 0.06, 0.05), strict=True)))
    status = np.where(age >= 67, "retired", np.where((status == "retired") & (age < 58), "employed", status))
    status = np.where((status == "student") & (age > 32), "employed", status)
    pay = {"employed": 0.0, "self-employed": 0.1, "retired": -0.35, "student": -0.9, "unemployed": -0.8}
    income = np.exp(10.45 + 0.42 * random.standard_normal(customers) - 0.12 * frailty + _of(status, pay))
    return {
        "frailty": frailty,
        "age": age,
        "sex": random.choice(["f", "m"], customers),
        "status": status,
        "income": income.round(-2),
        "job": np.where(np.isin(status, ("employed", "self-employed")), random.gamma(1.6, 34, customers), 0).round(),
        "housing": _pick(random, customers, dict(zip(_HOUSING, (0.22, 0.30, 0.38, 0.10), strict=True))),
        "region": random.choice(_REGION, customers),
        "address": random.gamma(1.4, 40, customers).round(),
    }


def _asked(
    random: np.random.Generator,
    people: Mapping[str, Column],
    owner: Ints,
    day: Ints,
    *,
    first: int,
    span: int,
) -> dict[str, Column]:
    """Draw what each application asks for, and what it tells."""
    n = len(owner)
    frailty, income = people["frailty"][owner], people["income"][owner]
    through = (day - first) / span
    web = 0.25 + 0.35 * through
    roll = random.random(n)
    channel = np.where(
        roll < web, "web", np.where(roll < web + 0.2, "broker", np.where(roll < web + 0.3, "partner", "branch"))
    )
    amount = np.clip(income * random.gamma(2.2, 0.12, n), 500, 60000).round(-2)
    linked = random.random(n) < 1 / (1 + np.exp(-(0.9 - 0.25 * frailty)))
    balance = np.exp(7.2 + 0.9 * random.standard_normal(n) - 0.35 * frailty).round(2)
    return {
        "channel": channel,
        "amount": np.maximum(amount, 500.0),
        "term": random.choice([12, 24, 36], n, p=[0.25, 0.35, 0.40]),
        "purpose": _pick(random, n, dict(zip(_PURPOSE, (0.22, 0.18, 0.28, 0.08, 0.10, 0.14), strict=True))),
        "linked": linked,
        "balance": np.where(linked, balance, np.nan),
        "debt": (income / 12 * random.beta(1.6, 7, n)).round(2),
        "dependants": random.poisson(0.8, n),
        "phone_model_year": random.integers(2012, 2025, n),
        **{
            name: people[name][owner]
            for name in ("age", "sex", "status", "income", "job", "housing", "region", "address")
        },
    }


def _bureau(random: np.random.Generator, people: Mapping[str, Column], *, first: int, last: int) -> dict[str, Column]:
    """Draw the bureau's lines of every customer: inquiries, accounts opened, delinquencies."""
    frailty = people["frailty"]
    years = (last - first) / 365.25
    parts = []
    for name, rate, pull in (("inquiry", 1.1, 0.40), ("account_opened", 0.5, 0.10), ("delinquency", 0.16, 0.85)):
        count = random.poisson(np.minimum(rate * np.exp(pull * frailty), 8 * rate) * years)
        parts.append((name, np.repeat(np.arange(len(frailty)), count)))
    customer = np.concatenate([who for _, who in parts])
    kind = np.concatenate([np.full(len(who), name) for name, who in parts])
    event = random.integers(first, last, len(customer))
    late = np.where(random.random(len(customer)) < 0.12, random.integers(20, 75, len(customer)), 0)
    limit = np.exp(random.normal(7.8, 0.8, len(customer))).round(-1)
    order = np.lexsort((kind, event, customer))
    return {
        "customer": customer[order],
        "kind": kind[order],
        "event": event[order],
        "arrived": (event + random.integers(1, 6, len(customer)) + late)[order],
        "limit": limit[order],
        "balance": (limit * random.beta(1.5, 2.5, len(customer))).round(2)[order],
        "days": np.where(kind == "delinquency", random.choice([30, 60, 90], len(customer), p=[0.6, 0.25, 0.15]), 0)[
            order
        ],
    }


def _known(bureau: Mapping[str, Column], owner: Ints, day: Ints) -> dict[str, Column]:
    """Count what the lender knew of each applicant on the day: events and arrivals strictly before it."""
    customer = bureau["customer"]
    begin, end = np.searchsorted(customer, owner, "left"), np.searchsorted(customer, owner, "right")
    count = end - begin
    case = np.repeat(np.arange(len(owner)), count)
    line = np.arange(len(case)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(begin, count)
    event, arrived, kind = bureau["event"][line], bureau["arrived"][line], bureau["kind"][line]
    known = (event < day[case]) & (arrived < day[case])
    age = day[case] - event

    def counted(mask: NDArray[np.bool_]) -> Ints:
        return np.bincount(case[mask], minlength=len(owner))

    late = known & (kind == "delinquency")
    latest = np.full(len(owner), -1, dtype=np.int64)
    np.maximum.at(latest, case[late], event[late])
    return {
        "inquiries": counted(known & (kind == "inquiry") & (age <= 365)),
        "delinquencies": counted(late & (age <= 730)),
        "months_since": np.where(latest < 0, -1, (day - latest) // 30),
        "found": counted(known) > 0,
    }


def _true_pd(asked: Mapping[str, Column], file: Mapping[str, Column], month: Floats) -> Floats:
    """Give the true PD of the model in this module's head."""
    linked, balance = asked["linked"], np.nan_to_num(asked["balance"])
    recent = (file["months_since"] >= 0) & (file["months_since"] < 24)
    odds = (
        -3.75
        + 0.55 * np.minimum(3, 4 * asked["amount"] / asked["income"])
        + 0.30 * np.minimum(6, file["inquiries"])
        + 0.55 * np.minimum(3, file["delinquencies"])
        + np.where(linked, -0.30 * np.log1p(balance / 1000), 0.45)
        - 0.006 * np.minimum(120, asked["job"])
        + 0.03 * np.abs(asked["age"] - 47) / 4
        + np.where(asked["term"] == 36, 0.25, 0)
        + np.where((asked["housing"] == "rent") & (asked["channel"] == "broker"), 0.35, 0)
        + _of(asked["channel"], _CHANNEL)
        + _of(asked["status"], _STATUS)
        + _of(asked["purpose"], _PURPOSE)
        + np.where(recent, 0.5, 0)
        + np.where(file["found"], 0, 0.25)
        + 0.22 * np.sin(2 * np.pi * month / 30)
    )
    return np.asarray(1 / (1 + np.exp(-odds)))


def _incumbent(
    random: np.random.Generator, asked: Mapping[str, Column], file: Mapping[str, Column]
) -> tuple[Ints, NDArray[np.bool_]]:
    """Give the incumbent's score, which rewards good, and whom it approves."""
    n = len(asked["amount"])
    points = (
        640
        - 28 * np.minimum(3, 4 * asked["amount"] / asked["income"])
        - 7 * np.minimum(6, file["inquiries"])
        + 0.12 * np.minimum(120, asked["job"])
        + 34 * random.standard_normal(n)
    ).round()
    return points.astype(np.int64), points >= np.quantile(points, 0.34)


def _tape(
    random: np.random.Generator,
    people: Mapping[str, Column],
    owner: Ints,
    day: Ints,
    asked: Mapping[str, Column],
    file: Mapping[str, Column],
    incumbent: Ints,
    approved: NDArray[np.bool_],
    ids: Texts,
    bad: NDArray[np.bool_],
) -> dict[str, Column]:
    n, customers = len(owner), len(people["frailty"])
    names = np.char.add(np.char.add(random.choice(_FIRST, customers), " "), random.choice(_LAST, customers))
    months_since = np.where(file["found"], file["months_since"], -9)
    return {
        "application_id": ids,
        "customer_id": _customer_ids(owner),
        "full_name": names[owner],
        "national_id": np.char.add("X-", np.char.zfill((owner * 7919 + 104729).astype(str), 9)),
        "applied_at": day,
        "channel": asked["channel"],
        "purpose": asked["purpose"],
        "loan_amount": asked["amount"],
        "term_months": asked["term"],
        "annual_income": asked["income"],
        "employment_status": asked["status"],
        "employment_months": np.where(np.isin(asked["status"], ("employed", "self-employed")), asked["job"], np.nan),
        "housing": asked["housing"],
        "months_at_address": asked["address"],
        "existing_debt_payment": asked["debt"],
        "dependants": asked["dependants"],
        "bank_balance_avg": asked["balance"],
        "months_since_last_delinquency": months_since,
        "phone_model_year": asked["phone_model_year"],
        "region": asked["region"],
        "age_years": asked["age"],
        "sex": asked["sex"],
        "incumbent_score": incumbent,
        "interest_rate": np.round(0.24 - 0.00022 * (incumbent - 500), 4),
        "decision": np.where(approved, "approved", "declined"),
        "collections_contacts": np.where(approved & bad, 1 + random.poisson(3, n), 0),
    }


def _repayments(
    random: np.random.Generator,
    ids: Texts,
    day: Ints,
    asked: Mapping[str, Column],
    approved: NDArray[np.bool_],
    bad: NDArray[np.bool_],
    last: int,
) -> pa.Table:
    """Draw the instalments that had fallen due when the book was observed, and what of them was paid by then."""
    term, amount = asked["term"][approved].astype(np.int64), asked["amount"][approved]
    stops = np.where(bad, random.integers(1, 9, len(ids)), 10_000)
    loan = np.repeat(np.arange(len(ids)), term)
    number = np.arange(len(loan)) - np.repeat(np.cumsum(term) - term, term) + 1
    due = _add_months(day[loan], number)
    roll, n = random.random(len(loan)), len(loan)
    delay = np.where(
        roll < 0.90,
        random.integers(-3, 4, n),
        np.where(roll < 0.98, random.integers(5, 40, n), random.integers(40, 85, n)),
    )
    unpaid = number >= stops[loan]
    cured = unpaid & (number == stops[loan]) & (random.random(n) < 0.15)
    delay = np.where(cured, random.integers(95, 160, n), delay)
    paid = due + delay
    known = due <= last
    missing = (unpaid & ~cured) | (paid > last)
    due_amount = np.round(amount[loan] / term[loan] * 1.1, 2)
    recorded = np.where(
        missing,
        due + 1,
        paid + random.integers(0, 4, n) + np.where(random.random(n) < 0.05, random.integers(10, 30, n), 0),
    )
    return pa.table(
        {
            "application_id": ids[loan][known],
            "instalment_no": number[known],
            "due_on": _dates(due[known]),
            "amount_due": due_amount[known],
            "paid_on": pa.array(paid[known].astype(np.int32), mask=missing[known]).cast(pa.date32()),
            "amount_paid": np.where(missing, 0.0, due_amount)[known],
            "recorded_at": _dates(recorded[known]),
        }
    )


def _bureau_table(bureau: Mapping[str, Column]) -> pa.Table:
    return pa.table(
        {
            "customer_id": _customer_ids(bureau["customer"]),
            "event_at": _dates(bureau["event"]),
            "arrived_at": _dates(bureau["arrived"]),
            "kind": bureau["kind"],
            "balance": bureau["balance"],
            "credit_limit": bureau["limit"],
            "days_past_due": bureau["days"],
        }
    )


def _dirt(random: np.random.Generator, rows: int, share: float) -> Texts:
    kinds = random.choice(["age", "income", "spelling"], rows)
    return np.where(random.random(rows) < share, kinds, "")


def _soil(random: np.random.Generator, tape: dict[str, Column], soiled: Texts, share: float) -> pa.Table:
    """Put the dirt on the tape: the rows named, and repeats of others at random places after them."""
    tape["age_years"] = np.where(soiled == "age", 999.0, tape["age_years"])
    tape["annual_income"] = np.where(soiled == "income", -1000.0, tape["annual_income"])
    odd = np.char.add(np.char.add("  ", np.char.upper(tape["housing"].astype(str))), " ")
    tape["housing"] = np.where(soiled == "spelling", odd, tape["housing"])
    repeated = np.flatnonzero((random.random(len(soiled)) < share / 2) & (soiled == ""))
    order = np.sort(np.concatenate([np.arange(len(soiled)), repeated]), kind="stable")
    columns = {name: column[order] for name, column in tape.items()}
    nullable = {name for name, column in columns.items() if column.dtype == np.float64}
    made = {
        name: pa.array(column, from_pandas=True) if name in nullable else pa.array(column)
        for name, column in columns.items()
        if name != "applied_at"
    }
    return pa.table({name: _dates(columns[name]) if name == "applied_at" else made[name] for name in columns})


def _pick(random: np.random.Generator, n: int, shares: Mapping[str, float]) -> Texts:
    return np.asarray(random.choice(list(shares), n, p=list(shares.values())))


def _of(keys: Column, table: Mapping[str, float]) -> Floats:
    found = np.zeros(len(keys))
    for key, value in table.items():
        found[keys == key] = value
    return found


def _customer_ids(numbers: Column) -> Texts:
    return np.char.add("C", np.char.zfill(numbers.astype(str), 7))


def _add_months(days: Column, months: Column | int) -> Ints:
    """Add calendar months to days since 1970, to the same day of the month or its last."""
    dates = days.astype("datetime64[D]")
    month = dates.astype("datetime64[M]")
    target = month + np.asarray(months).astype("timedelta64[M]")
    after = target + np.timedelta64(1, "M")
    offset = (dates - month.astype("datetime64[D]")).astype(np.int64)
    length = (after.astype("datetime64[D]") - target.astype("datetime64[D]")).astype(np.int64)
    found: Ints = target.astype("datetime64[D]").astype(np.int64) + np.minimum(offset, length - 1)
    return found


def _dates(days: Column) -> pa.Array:
    return pa.array(days.astype(np.int32)).cast(pa.date32())
