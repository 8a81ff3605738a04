"""The tapes of the benchmarks: real ones from OBLIGOR_DATASETS or ../shared/data, and a large synthetic one."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Tape:
    """Predictors, outcome, and (train, test) row numbers of each fold."""

    name: str
    x: pd.DataFrame
    bad: np.ndarray
    folds: list[tuple[np.ndarray, np.ndarray]]


def folder() -> Path:
    """Find the real tapes, or end with a message."""
    named = os.environ.get("OBLIGOR_DATASETS")
    found = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (found / "INDEX.md").is_file():
        print(f"real credit data not found at {found}; set OBLIGOR_DATASETS", file=sys.stderr)
        sys.exit(2)
    return found


def real_tapes() -> list[Tape]:
    """Read every real tape."""
    lending, bad, issued = _lendingclub()
    early = issued < np.datetime64("2011-01-01")
    return [
        _folded("german", *_german()),
        _folded("taiwan", *_taiwan()),
        _folded("lendingclub", lending, bad),
        Tape("lendingclub_oot", lending, bad, [(np.flatnonzero(early), np.flatnonzero(~early))]),
        _folded("gmsc", *gmsc()),
    ]


def synthetic(rows: int, *, seed: int = 7) -> tuple[pd.DataFrame, np.ndarray]:
    """Make a tape of 42 nasty numbers and 8 categories."""
    random = np.random.default_rng(seed)
    columns: dict[str, object] = {}
    odds = np.full(rows, -2.2)
    for index in range(42):
        values = random.standard_normal(rows)
        if index % 3 == 1:
            values = np.exp(values)
        if index % 3 == 2:
            values = np.round(values * 10)
        if index < 24:
            odds += (0.9**index) * 0.35 * np.tanh(values if index % 3 != 2 else values / 10)
        if index % 4 == 0:
            values = np.where(random.random(rows) < 0.08, np.nan, values)
        columns[f"n{index}"] = values
    for index in range(8):
        levels = np.array([f"level_{level}" for level in range(5 + 12 * index)])
        codes = random.integers(0, len(levels), rows)
        odds += 0.25 * np.cos(codes)
        columns[f"c{index}"] = levels[codes].astype(object)
    bad = (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.uint8)
    return pd.DataFrame(columns), bad


def _folded(name: str, x: pd.DataFrame, bad: np.ndarray) -> Tape:
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(5, shuffle=True, random_state=42).split(x, bad)
    return Tape(name, x, bad, [(train, test) for train, test in folds])


def _german() -> tuple[pd.DataFrame, np.ndarray]:
    frame = pd.read_csv(folder() / "german_credit" / "german.data", sep=" ", header=None)
    return frame.iloc[:, :20].rename(columns=lambda at: f"a{at + 1}"), (frame.iloc[:, 20] == 2).to_numpy(np.uint8)


def _taiwan() -> tuple[pd.DataFrame, np.ndarray]:
    frame = pd.read_csv(folder() / "uci_taiwan_credit_card" / "default_of_credit_card_clients.csv.gz")
    return frame.iloc[:, 1:24].astype(float), frame.iloc[:, 24].to_numpy(np.uint8)


def gmsc() -> tuple[pd.DataFrame, np.ndarray]:
    """Read Give Me Some Credit."""
    frame = pd.read_csv(folder() / "give_me_some_credit" / "cs-training.csv.gz")
    return frame.iloc[:, 2:].astype(float), frame["SeriousDlqin2yrs"].to_numpy(np.uint8)


def _lendingclub() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    path = folder() / "lendingclub_2007_2011" / "LoanStats3a_2007_2011.csv.gz"
    frame = pd.read_csv(path, low_memory=False)
    frame = frame[~frame["loan_status"].str.startswith("Does not")].reset_index(drop=True)
    issued = pd.to_datetime(frame["issue_d"])
    history = (issued - pd.to_datetime(frame["earliest_cr_line"])).dt.days / 30.4375
    names = ["loan_amnt", "term", "emp_length", "home_ownership", "annual_inc", "verification_status", "purpose",
             "addr_state", "dti", "delinq_2yrs", "inq_last_6mths", "mths_since_last_delinq", "mths_since_last_record",
             "open_acc", "pub_rec", "revol_bal", "revol_util", "total_acc", "pub_rec_bankruptcies"]  # fmt: skip
    x = frame[names].assign(credit_history_months=history)
    bad = frame["loan_status"].eq("Charged Off").to_numpy(np.uint8)
    return x, bad, issued.to_numpy()
