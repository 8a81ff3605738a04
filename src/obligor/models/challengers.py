"""Challengers: models that rank as well as the features allow, fitted beside the card to tell what its readability costs.

A challenger reads the same predictors, is fitted on the same train, tuned on the same validation, and keeps the trends
that the contract asks of the card. It is stored as text, never as a pickle, and never decides.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

from obligor.core.canonical import readable_json
from obligor.core.errors import InvalidInputError, UnavailableError
from obligor.models.inputs import parse_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from obligor.core.clauses import Challengers
    from obligor.models.columns import Columns, Rows
    from obligor.models.inputs import Inputs
    from obligor.models.rankings import FittedChallenger, Ranking

SCHEMA = "obligor/challengers/1"
FOLDER, INPUTS, SEARCH = "challengers", "inputs.json", "search.json"


class Challenger(Protocol):
    """A kind of model that can be fitted beside the card."""

    @property
    def name(self) -> str:
        """Its name in the contract."""
        ...

    @property
    def title(self) -> str:
        """What a person calls it."""
        ...

    def fit(
        self,
        inputs: Inputs,
        columns: Columns,
        rows: Rows,
        *,
        seed: int,
        trials: int,
        advance: Callable[[float], None],
    ) -> FittedChallenger:
        """Search on train and validation; ``advance`` is called once for each trial."""
        ...


def challengers_of(clause: Challengers) -> tuple[Challenger, ...]:
    """Give the challengers that a contract asks for.

    Raises
    ------
    UnavailableError
        Where the libraries that grow them are not there.
    """
    if not clause.models:
        return ()
    try:
        from obligor.models.challenger_trees import AdditiveTables, BoostedTrees
    except ImportError as error:
        hint = "install obligor[challenge], or leave challengers out of the contract"
        raise UnavailableError("challengers need LightGBM and Optuna", hint=hint) from error
    except OSError as error:  # the library is there, what it stands on is not
        hint = "install the OpenMP library (on Debian and Ubuntu: libgomp1)"
        raise UnavailableError("challengers need LightGBM, which cannot be loaded", hint=hint) from error
    known: dict[str, Challenger] = {"boosted": BoostedTrees(), "additive": AdditiveTables(clause.max_pairs)}
    return tuple(known[name] for name in clause.models)


def save_challengers(folder: Path, inputs: Inputs, fitted: Sequence[FittedChallenger]) -> None:
    """Write the challengers, what they read, and what their searches tried, into a folder."""
    folder.mkdir()
    (folder / INPUTS).write_bytes(inputs.to_json())
    for it in fitted:
        (folder / it.file).write_bytes(it.ranking.to_bytes())
    tried = {it.name: [asdict(trial) for trial in it.search.trials] for it in fitted}
    (folder / SEARCH).write_bytes(readable_json({"schema": SCHEMA, "trials": tried}))


@dataclass(frozen=True, slots=True)
class StoredChallenger:
    """A challenger that was read from its files."""

    inputs: Inputs
    ranking: Ranking

    def log_odds(self, columns: Columns) -> NDArray[np.float64]:
        """Give the log-odds of bad of every row, before calibration."""
        return self.ranking.log_odds(self.inputs.matrix(columns))


def load_challenger(folder: Path, name: str) -> StoredChallenger:
    """Read a challenger from the folder of a run's evidence.

    Raises
    ------
    InvalidInputError
        Where a file is missing or malformed.
    """
    from obligor.models.additive import parse_additive

    files = {"boosted": "boosted.txt", "additive": "additive.json"}
    if name not in files:
        raise InvalidInputError(f"challenger: got '{name}'; wanted one of {', '.join(files)}")
    try:
        data, said = (folder / files[name]).read_bytes(), (folder / INPUTS).read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{error.filename}: cannot be read ({error.strerror})") from None
    inputs = parse_inputs(said)
    if name == "additive":
        return StoredChallenger(inputs, parse_additive(data, inputs))
    from obligor.models.boosting import parse_trees

    return StoredChallenger(inputs, parse_trees(data, inputs))
