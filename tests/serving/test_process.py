"""A process that serves loads what it serves with, and nothing that fits, plots or unpickles."""

from __future__ import annotations

import json
import subprocess
import sys

BARRED = {
    "pandas", "sklearn", "mlflow", "shap", "duckdb", "pyarrow", "numba", "lightgbm", "xgboost", "catboost", "sqlglot", "optuna",
    "scipy", "statsmodels", "great_expectations", "pyspark", "matplotlib", "jinja2", "s3fs", "fsspec", "boto3",
    "joblib", "cloudpickle", "dill", "skops", "numpy", "httpx", "rich",
}  # fmt: skip
BUILDING = """
import importlib, io, json, sys
for name in {modules!r}:
    importlib.import_module(name)
from obligor.bootstrap.telemetry import open_telemetry
with open_telemetry({environ!r}, stream=io.BytesIO()):
    pass
with open("/proc/self/status") as status:
    memory = next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))
print(json.dumps({{"modules": sorted(sys.modules), "memory_mb": memory}}))
"""
SERVED_WITH = (
    "obligor.cli",
    "obligor.serving.people.authenticating",
    "obligor.serving.deciding",
    "obligor.serving.webhooks.delivering",
    "obligor.serving.people.issuing",
    "obligor.serving.releases.release",
    "obligor.serving.http",
    "obligor.serving.grpc.server",
    "obligor.serving.grpc.servicer",
    "obligor.adapters.identity.key_set",
    "obligor.adapters.kyc.http",
    "obligor.adapters.store.archive",
    "obligor.adapters.store.deliveries",
    "obligor.adapters.store.embedded",
    "obligor.adapters.store.migrating",
    "obligor.adapters.store.notifications",
    "obligor.adapters.store.proofs",
    "obligor.adapters.store.recorder",
    "obligor.adapters.webhooks",
    "obligor.security.signing",
)


def loaded(environ: dict[str, str]) -> set[str]:
    program = BUILDING.format(modules=SERVED_WITH, environ=environ)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)["modules"]
    return set(found)


def test_a_serving_process_loads_no_library_that_fits_or_unpickles() -> None:
    found = loaded({})
    assert {name.split(".")[0] for name in found} & BARRED == set()
    assert "opentelemetry.sdk" not in found


def test_a_traced_one_loads_what_sends_traces_and_no_more_of_these() -> None:
    found = loaded({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    assert "opentelemetry.sdk" in found
    assert {name.split(".")[0] for name in found} & BARRED == set()
