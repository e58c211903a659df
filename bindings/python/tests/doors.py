"""The vectors through the Python door: `python doors.py bytes|path FOLDER`.

`FOLDER/list.tsv` has a line for each input: its id, the name under which it is given, and its path
below FOLDER, with tabs between. For each a line comes out: the id, a tab, the canonical JSON of the
report, or `error:` and the code of what could not be judged.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import secure_torch


def judged(mode: str, name: str, path: str) -> str:
    """What comes out for an input."""
    try:
        if mode == "path":
            return secure_torch.scan(path).json()
        source = io.BytesIO(Path(path).read_bytes())
        # A file object's report has its name.
        source.name = name
        return secure_torch.scan(source).json()
    except (secure_torch.SecurityError, secure_torch.InputError) as error:
        return f"error:{error.code}"


def main() -> None:
    """Reads the list and prints the lines."""
    mode, folder = sys.argv[1:]
    if mode not in ("bytes", "path"):
        sys.exit("usage: python doors.py bytes|path FOLDER")
    os.chdir(folder)
    for line in Path("list.tsv").read_text(encoding="utf-8").split("\n"):
        if line:
            identity, name, path = line.split("\t")
            text = f"{identity}\t{judged(mode, name, path)}\n"
            sys.stdout.buffer.write(text.encode())


if __name__ == "__main__":
    main()
