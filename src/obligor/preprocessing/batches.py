"""Great Expectations, as far as Obligor needs it: frames go in, and what failed comes out as plain values.

The package reports an expectation that raised as one that failed, which looks like bad data; here it is an error. It
takes seconds to import, so that happens only where a validation is truly run.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from obligor.preprocessing.suite import Check

_COMPLETE = {
    "result_format": "COMPLETE",
    "exclude_unexpected_values": True,
    "include_unexpected_rows": False,
    "return_unexpected_index_query": False,
}


@dataclass(frozen=True, slots=True)
class Built:
    """A check as Great Expectations holds it, with its place in the suite."""

    check: Check
    place: int
    expectation: Any  # untyped package


@dataclass(frozen=True, slots=True)
class Result:
    """What Great Expectations says of one check; ``failed`` has the rows, where single rows are to blame."""

    passed: bool
    blames_rows: bool
    rows_checked: int
    failed: tuple[int, ...]
    observed: float | None


class UnusableError(Exception):
    """An expectation that cannot be evaluated; the message leaves out the value over which it fell."""

    def __init__(self, check: Check, trouble: str) -> None:
        told = " ".join(re.sub(r":\s*(b?'[^']*'|b?\"[^\"]*\")", "", trouble).split())[:300]
        super().__init__(f"{check.type} cannot be evaluated: {told}")
        self.check = check


class Batches:
    """Great Expectations, quiet and without a home on the disk, ready to take frames."""

    def __init__(self) -> None:
        gx = _great_expectations()
        from great_expectations.data_context.types.base import ProgressBarsConfig

        logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        asset = context.data_sources.add_pandas("tape").add_dataframe_asset("applications")
        self._suite = gx.ExpectationSuite
        self._definition = asset.add_batch_definition_whole_dataframe("rows")

    def build(self, check: Check, place: int) -> Built:
        """Make the expectation of a check."""
        from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

        try:
            made = ExpectationConfiguration(type=check.type, kwargs=check.kwargs, meta={"place": place})
            return Built(check, place, made.to_domain_obj())
        except Exception as error:  # whatever the package raises, the expectation cannot be built
            raise UnusableError(check, str(error)) from error

    def validate(self, frame: pd.DataFrame, members: Sequence[Built]) -> dict[int, Result]:
        """Evaluate checks on a frame whose index is ``_row``, and give each result by its place."""
        if frame.empty:  # no row can fail, and a mean of nothing is no fault of the contract
            return {
                it.place: Result(passed=True, blames_rows=True, rows_checked=0, failed=(), observed=None)
                for it in members
            }
        suite = self._suite(name="suite", expectations=[it.expectation for it in members])
        try:
            results = self._definition.get_batch({"dataframe": frame}).validate(suite, result_format=_COMPLETE).results
        except Exception as error:  # as above
            raise UnusableError(members[0].check, str(error)) from error
        said = {result.expectation_config.meta["place"]: result.to_json_dict() for result in results}
        return {it.place: _read(said[it.place], it, rows=len(frame)) for it in members}


def _great_expectations() -> Any:  # untyped package
    """Import the package, which takes seconds, without its reports home and its warnings about old modules."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the package is imported
    with warnings.catch_warnings(), _absent("pyspark", "pyspark.sql.connect.dataframe", "pyspark.sql.connect.session"):
        warnings.simplefilter("ignore")
        import great_expectations as gx
    return gx


@contextmanager
def _absent(*names: str) -> Iterator[None]:
    """Let an import of modules that are not loaded yet fail, as if they were not installed.

    Without gRPC, PySpark 4.3 takes ``python -c`` for its own doctests when its client is imported, and ends the process.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is how Python marks such a module
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _read(said: Mapping[str, Any], built: Built, *, rows: int) -> Result:
    if trouble := _exception(said.get("exception_info")):
        raise UnusableError(built.check, trouble)
    result = said.get("result") or {}
    listed = result.get("unexpected_index_list") or []
    observed = result.get("observed_value")
    return Result(
        passed=bool(said["success"]),
        blames_rows="unexpected_count" in result,
        rows_checked=int(result.get("element_count", rows)) - int(result.get("missing_count") or 0),
        failed=tuple(int(row) for part in listed for row in _rows_of(part)),
        observed=float(observed) if isinstance(observed, int | float) else None,
    )


def _rows_of(part: object) -> Sequence[Any]:
    """Read one entry of the list of failing rows, which has changed its shape between releases."""
    if isinstance(part, Mapping):
        rows = part["_row"]
        return rows if isinstance(rows, list) else [rows]
    return [part]


def _exception(info: object) -> str | None:
    """Find the message of an expectation that raised; the record is flat, or one for each metric."""
    if not isinstance(info, Mapping):
        return None
    if "raised_exception" in info:
        return str(info.get("exception_message")) if info["raised_exception"] else None
    return next((trouble for part in info.values() if (trouble := _exception(part))), None)
