"""The peers, each at its documented defaults, on a frame: train rows in, P(bad) of the test rows out.

Two settings differ: OptBinning may use both cores, as ours does, and toad keeps missing values in a bin of their own,
without which it puts them with the largest numbers and fails on a fold of LendingClub.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    warnings.simplefilter("ignore")
    from optbinning import BinningProcess, Scorecard
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def optbinning_card(x: pd.DataFrame, bad: np.ndarray) -> Scorecard:
    """Fit OptBinning's binning process and scorecard."""
    names = list(x.columns)
    categories = [name for name in names if not pd.api.types.is_numeric_dtype(x[name])]
    process = BinningProcess(names, categorical_variables=categories, n_jobs=2)
    card = Scorecard(binning_process=process, estimator=LogisticRegression(max_iter=1000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return card.fit(x, bad)


def optbinning(train: pd.DataFrame, bad: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optbinning_card(train, bad).predict_proba(test)[:, 1]


def toad(train: pd.DataFrame, bad: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import toad as package

        combiner, woe = package.transform.Combiner(), package.transform.WOETransformer()
        frame = train.assign(bad_=bad)
        combiner.fit(frame, y="bad_", method="chi", min_samples=0.05, empty_separate=True)
        coded = woe.fit_transform(combiner.transform(frame), frame["bad_"], exclude=["bad_"])
        fitted = LogisticRegression(max_iter=1000).fit(coded.drop(columns="bad_"), bad)
        return fitted.predict_proba(woe.transform(combiner.transform(test)))[:, 1]


def logit(train: pd.DataFrame, bad: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    numbers = make_column_selector(dtype_include=np.number)
    texts = make_column_selector(dtype_exclude=np.number)
    coded = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), texts),
    )
    return make_pipeline(coded, LogisticRegression(max_iter=2000)).fit(train, bad).predict_proba(test)[:, 1]


def lightgbm(train: pd.DataFrame, bad: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    from lightgbm import LGBMClassifier

    texts = [name for name in train.columns if not pd.api.types.is_numeric_dtype(train[name])]
    train, test = train.copy(), test.copy()
    for name in texts:
        levels = pd.CategoricalDtype(sorted(train[name].dropna().unique()))
        train[name], test[name] = train[name].astype(levels), test[name].astype(levels)
    settings = {"n_estimators": 300, "learning_rate": 0.03, "num_leaves": 15, "min_child_samples": 50, "subsample": 0.8}
    settings |= {"subsample_freq": 1, "colsample_bytree": 0.7, "reg_lambda": 5.0, "n_jobs": 2, "random_state": 42}
    model = LGBMClassifier(**settings, verbose=-1)
    return model.fit(train, bad).predict_proba(test)[:, 1]


def catboost(train: pd.DataFrame, bad: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    from catboost import CatBoostClassifier

    texts = [name for name in train.columns if not pd.api.types.is_numeric_dtype(train[name])]
    filled = [
        frame.assign(**{name: frame[name].astype(object).fillna("") for name in texts}) for frame in (train, test)
    ]
    settings = {"iterations": 600, "learning_rate": 0.04, "depth": 5, "l2_leaf_reg": 5.0, "thread_count": 2}
    model = CatBoostClassifier(**settings, cat_features=texts, random_seed=42, verbose=False, allow_writing_files=False)
    return model.fit(filled[0], bad).predict_proba(filled[1])[:, 1]


Peer = Callable[[pd.DataFrame, np.ndarray, pd.DataFrame], np.ndarray]
ALL: dict[str, Peer] = {
    "optbinning": optbinning,
    "toad": toad,
    "logit": logit,
    "lightgbm": lightgbm,
    "catboost": catboost,
}
