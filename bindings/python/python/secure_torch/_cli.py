"""The command `secure-torch`."""

from __future__ import annotations

import signal
import sys

from ._native import run


def main() -> int:
    """Runs the command and gives its exit code. Its arguments are those of this process."""
    # Python would only note an interrupt, and look at the note when the command has ended.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return run(["secure-torch", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
