"""The command line."""


def main() -> None:
    """Stub until the commands land."""
