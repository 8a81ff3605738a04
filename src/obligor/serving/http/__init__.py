"""The REST door of the decision service."""

from obligor.serving.http.app import make_app
from obligor.serving.http.door import Door
from obligor.serving.http.hot import Hot
from obligor.serving.http.run import HttpServer, RunLimits, make_server
from obligor.serving.seats import Seats

__all__ = [
    "Door",
    "Hot",
    "HttpServer",
    "RunLimits",
    "Seats",
    "make_app",
    "make_server",
]
