"""The model as a service of BentoML: one application in, its PD out."""

from __future__ import annotations

import bentoml
import pandas as pd
from pydantic import RootModel


class Application(RootModel[dict[str, float | str | None]]):
    """The fields of one application."""


@bentoml.service(workers=1)
class Card:
    def __init__(self) -> None:
        self.model = bentoml.sklearn.load_model("card:latest")

    @bentoml.api(route="/decide")
    def decide(self, application: Application, /) -> float:
        return float(self.model.predict_proba(pd.DataFrame([application.root]))[0, 1])
