"""Keeps runs in MLflow and registers their cards; the payload of a version is JSON, never a pickle.

Only the client is used. Without a server it writes to SQLite and a folder beside it.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obligor.core.errors import UnavailableError
from obligor.files import disk_trouble
from obligor.settings import switch_telemetry_off

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow import MlflowClient

    from obligor.governance.tracking import RunRecord

_LONGEST_PARAMETER = 6000


class MlflowTracker:
    """A tracker on an MLflow server, or on a SQLite file where the address starts with ``sqlite:``."""

    def __init__(self, uri: str, *, artifacts: Path) -> None:
        self._uri = uri
        self._artifacts = artifacts

    def record(self, run: RunRecord) -> str:
        """Keep a run with its files, and register its card as a new version of the model named by the experiment."""
        with _trouble(self._uri):
            client = self._client()
            run_id = client.create_run(self._experiment(client, run.experiment), tags=dict(run.tags)).info.run_id
            for name, value in run.parameters.items():
                client.log_param(run_id, name, value[:_LONGEST_PARAMETER])
            for name, number in run.metrics.items():
                client.log_metric(run_id, name, number)
            client.log_artifacts(run_id, str(run.folder))
            client.set_terminated(run_id)
            return self._register(client, run, run_id=run_id)

    def _client(self) -> MlflowClient:
        switch_telemetry_off(os.environ)
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        if self._uri.startswith("sqlite:"):
            self._artifacts.mkdir(parents=True, exist_ok=True)
        return MlflowClient(self._uri, registry_uri=self._uri)

    def _experiment(self, client: MlflowClient, name: str) -> str:
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        local = self._artifacts.as_uri() if self._uri.startswith("sqlite:") else None
        return str(client.create_experiment(name, artifact_location=local))

    def _register(self, client: MlflowClient, run: RunRecord, *, run_id: str) -> str:
        name = run.experiment
        if not client.search_registered_models(filter_string=f"name = '{name}'"):
            client.create_registered_model(name)
        source = client.get_run(run_id).info.artifact_uri
        version = client.create_model_version(
            name, source=source, run_id=run_id, tags={**run.tags, "payload": run.card_file, "state": "draft"}
        )
        return f"{name}/{version.version}"


@contextmanager
def _trouble(uri: str) -> Iterator[None]:
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with disk_trouble("the experiment tracker"):
            yield
    except (RequestException, SQLAlchemyError, ConnectionError) as error:
        where = urlsplit(uri).hostname or urlsplit(uri).path
        raise UnavailableError(
            f"the experiment tracker at {where} failed ({type(error).__name__})",
            hint="OBLIGOR_MLFLOW_URI=off runs without one",
        ) from error
    except Exception as error:
        if type(error).__module__.startswith("mlflow"):
            raise UnavailableError(
                f"the experiment tracker refused the run ({type(error).__name__})",
                hint="OBLIGOR_MLFLOW_URI=off runs without one",
            ) from error
        raise
