"""The peers of the decision service, in an environment of their own that uv makes on demand under the data folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from benchmarks.service.lender import bodies, tape
from benchmarks.service.servers import HOST, ROOT, Server, answers
from benchmarks.service.wrk import Load

PROJECT = ROOT / "benchmarks" / "peers_serving"
_QUIET = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "True"}


def environment() -> Path:
    """Where the peers are installed."""
    return Path(os.environ.get("OBLIGOR_DATA", "data")).absolute() / "peers-serving"


class Peers:
    """The peers with their model, fitted in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._bin = folder, environment() / "bin"
        # The peers shall not find what this process imports from.
        outer = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        path = f"{self._bin}{os.pathsep}{outer.get('PATH', '')}"
        self._environ = outer | _QUIET | {"BENTOML_HOME": str(folder / "bentoml"), "PATH": path}
        self._environ["UV_PROJECT_ENVIRONMENT"] = str(environment())
        subprocess.run(["uv", "sync", "--locked", "--quiet", "--project", PROJECT], env=self._environ, check=True)
        x, bad = tape()
        x.assign(bad=bad).to_csv(folder / "tape.csv", index=False)
        subprocess.run(
            [self._bin / "python", PROJECT / "model.py", folder / "tape.csv", folder],
            env=self._environ, check=True, capture_output=True,
        )  # fmt: skip

    def mlflow(self, port: int) -> tuple[Server, Load]:
        """``mlflow models serve``, and its load."""
        command = ["mlflow", "models", "serve", "-m", self._folder / "mlflow", "--env-manager", "local", "--host", HOST,
                   "--port", port, "--workers", "1"]  # fmt: skip
        records = tuple(b'{"dataframe_records":[' + body + b"]}" for body in bodies())
        return self._server("mlflow", command, port, "ping"), Load(_address(port), "/invocations", records)

    def bentoml(self, port: int) -> tuple[Server, Load]:
        """``bentoml serve``, and its load."""
        command = ["bentoml", "serve", "service:Card", "--host", HOST, "--port", port, "--api-workers", "1"]
        return self._server("bentoml", command, port, "readyz"), Load(_address(port), "/decide", tuple(bodies()))

    def _server(self, name: str, command: list[object], port: int, ready: str) -> Server:
        return Server(
            [self._bin / str(command[0]), *command[1:]],
            ready=lambda: answers(f"{_address(port)}/{ready}"),
            log=self._folder / f"{name}.log",
            environ=self._environ,
            folder=PROJECT,
        )


def _address(port: int) -> str:
    return f"http://{HOST}:{port}"
