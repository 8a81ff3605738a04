"""Holds many sockets open that say nothing: ``python -m benchmarks.service.sockets HOST PORT COUNT``, until it is killed."""

from __future__ import annotations

import resource
import socket
import sys
import time


def main() -> None:
    """Open them, say so, and hold them."""
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    held = [socket.create_connection((host, port), timeout=10) for _ in range(count)]
    print(len(held), flush=True)
    time.sleep(3600)


if __name__ == "__main__":
    main()
