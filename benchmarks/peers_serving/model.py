"""The model of the peers, in their environment: impute, scale, one-hot and a logistic regression of the same 20 fields.

``python model.py TAPE.csv FOLDER`` fits it and saves it for MLflow in FOLDER/mlflow and for BentoML in its store.
"""

import sys
from pathlib import Path

import bentoml
import mlflow.sklearn
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def main(tape: Path, folder: Path) -> None:
    x = pd.read_csv(tape)
    bad = x.pop("bad")
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(x, bad)
    mlflow.sklearn.save_model(
        model,
        folder / "mlflow",
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
        input_example=x.head(2),
        pip_requirements=[],
    )
    bentoml.sklearn.save_model("card", model)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
