"""The anchor: a FastAPI endpoint that reads an application with pydantic, and answers with a decision's fields.

``NOOP_ANSWER`` holds the answer: one that the service itself gave; ``NOOP_MORE`` names texts that an application has beside.
"""

import os
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, create_model

from benchmarks.service.fields import LEVELS, NUMBERS


class Reason(BaseModel):
    code: str
    text: str


class Pins(BaseModel):
    card_sha256: str
    policy_sha256: str
    profile_sha256: str | None
    release: int
    code: str


class Receipt(BaseModel):
    leaf_index: int
    tree_size: int


class Answer(BaseModel):
    decision_id: str
    application_id: str | None
    decided_at: str
    outcome: str
    because: str
    score: float
    pd: float
    band: str
    cutoff: float
    reasons: list[Reason]
    unusual: list[str]
    pins: Pins
    receipt: Receipt


FIELDS: dict[str, Any] = {
    **dict.fromkeys(NUMBERS, (float | None, ...)),
    **dict.fromkeys((*LEVELS, *os.environ.get("NOOP_MORE", "").split()), (str | None, ...)),
}
Application = create_model("Application", **FIELDS)
ANSWER = Answer.model_validate_json(os.environ["NOOP_ANSWER"])
app = FastAPI()


@app.post("/v1/decisions", status_code=201)
async def decide(application: Application) -> Answer:  # noqa: ARG001 - it is read, and no more
    return ANSWER
