"""The decision service with a fault: it fails on an application of a certain amount, with all of it in the message.

python -m tests.serving.faulty serve RUN ...
"""

from typing import Any

from obligor.cli import main
from obligor.serving.releases.release import Release

AMOUNT = 666.25


def _faulty(assess: Any) -> Any:
    def failing(self: Release, application: Any, **named: Any) -> Any:
        if application.fields.get("loan_amount_eur") == AMOUNT:
            raise RuntimeError(f"cannot assess {application}")
        return assess(self, application, **named)

    return failing


if __name__ == "__main__":
    Release.assess = _faulty(Release.assess)  # type: ignore[method-assign]
    main()
