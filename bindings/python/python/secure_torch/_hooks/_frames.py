"""Reads one pickle from a file: exactly its bytes, no value of it.

It follows the lengths of arguments as Modules/_pickle.c does, and knows nothing of what an
opcode means. What it takes for the end decides only which bytes are judged, and those same bytes
are what is unpickled: a stream that misleads it is judged by what would run.
"""

from __future__ import annotations

import pickletools
from typing import Any, Callable

_STOP = ord(".")
_FRAME = 0x95
_PIECE = 1 << 16
_LINE = -1
# Sizes that the argument itself gives, by the width of the number: 1, 4 or 8 bytes.
_COUNTED = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
# Two lines: GLOBAL and INST.
_TWO_LINES = {"GLOBAL", "INST"}


def _tables() -> tuple[list[int], list[int]]:
    fixed = [-2] * 256
    counted = [0] * 256
    for opcode in pickletools.opcodes:
        code = ord(opcode.code)
        argument = opcode.arg
        if argument is None:
            fixed[code] = 0
        elif argument.n == pickletools.UP_TO_NEWLINE:
            fixed[code] = _LINE
        elif argument.n in _COUNTED:
            fixed[code] = counted[code] = _COUNTED[argument.n]
        else:
            fixed[code] = argument.n
    # The argument of FRAME is a length of opcodes, which are read one by one like the others.
    fixed[_FRAME] = 8
    counted[_FRAME] = 0
    return fixed, counted


_FIXED, _COUNT = _tables()
_LINES = [2 if opcode.name in _TWO_LINES else 1 for opcode in pickletools.opcodes]
_LINES_OF = {ord(o.code): n for o, n in zip(pickletools.opcodes, _LINES)}


class _Buffer:
    """What was read so far."""

    def __init__(self, file: Any) -> None:
        self._read: Callable[[int], bytes] = file.read
        self._readline: Callable[[], bytes] = file.readline
        self.data = bytearray()
        self.ahead = _start(file) is not None
        """Whether more may be read than is needed, since it can be given back."""

    def fill(self, upto: int) -> bool:
        """Reads until there are so many bytes; whether there are."""
        while len(self.data) < upto:
            missing = upto - len(self.data)
            # Piece by piece: a length in a pickle is no reason to ask for as much memory.
            piece = self._read(max(missing, _PIECE) if self.ahead else min(missing, _PIECE))
            if not piece:
                return False
            self.data += piece
        return True

    def line(self, start: int) -> int:
        """The end of the line at `start`; -1 where there is none."""
        searched = start
        while True:
            end = self.data.find(b"\n", searched)
            if end >= 0:
                return end + 1
            searched = len(self.data)
            if self.ahead:
                if not self.fill(searched + 1):
                    return -1
                continue
            piece = self._readline()
            if not piece:
                return -1
            self.data += piece


def _start(file: Any) -> int | None:
    try:
        return int(file.tell()) if file.seekable() else None
    except (AttributeError, OSError, ValueError):
        return None


def read_pickle(file: Any) -> bytes:
    """Reads one pickle, from where a file stands, and leaves the file behind it.

    A pickle that is broken or cut off is given as far as it was read.
    """
    start = _start(file)
    buffer = _Buffer(file)
    end = _walk(buffer)
    if start is not None and len(buffer.data) != end:
        file.seek(start + end)
    return bytes(buffer.data[:end])


def pickle_length(data: bytes) -> int:
    """The length of the first pickle in `data`; all of it where it does not end."""
    buffer = _Buffer(_NOTHING)
    buffer.data = bytearray(data)
    return _walk(buffer)


class _Nothing:
    def read(self, _size: int) -> bytes:
        return b""

    def readline(self) -> bytes:
        return b""


_NOTHING = _Nothing()


def _walk(buffer: _Buffer) -> int:
    at = 0
    data = buffer.data
    fixed, count = _FIXED, _COUNT
    while True:
        if at >= len(data) and not buffer.fill(at + 1):
            return len(data)
        code = data[at]
        size = fixed[code]
        at += 1
        if size == 0:
            if code == _STOP:
                return at
            continue
        if size > 0:
            end = at + size
            if end > len(data) and not buffer.fill(end):
                return len(data)
            if count[code]:
                # A negative count is an error in every unpickler, which sees the four bytes.
                end += int.from_bytes(data[at:end], "little")
                if end > len(data) and not buffer.fill(end):
                    return len(data)
            at = end
        elif size == _LINE:
            for _ in range(_LINES_OF[code]):
                at = buffer.line(at)
                if at < 0:
                    return len(data)
        else:
            # No opcode: every unpickler stops here.
            return at
