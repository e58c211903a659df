"""A seeded generator of pickle streams that an unpickler can go far into.

It keeps a rough model of the stack (what kind of value is where, and where the
marks are) and of the memo's keys, and mostly emits opcodes that fit: so streams
reach the interesting places instead of failing at the third byte. Names are
inert; what a stream would do if it were loaded does not matter, since nothing
here or in the tests ever loads one.

What it refuses to do: promise a valid stream. Some choices are wrong on purpose.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

MODULES = (
    "os", "posix", "nt", "builtins", "__builtin__", "collections", "copy_reg", "torch", "numpy",
    "torch._utils", "torch.nn.modules", "operator", "a b", "caf\u00e9", "x.y", "", "exceptions",
    "commands", "cPickle", "__main__", "pathlib", "m\u00e9moire", "UserDict", "dbm.bsd",
)  # fmt: skip
NAMES = (
    "system", "eval", "exec", "getattr", "OrderedDict", "FloatStorage", "a.b", "os.system",
    "_rebuild_tensor_v2", "__import__", "concat", "Popen", "na me", "na\u00efve", "", "unicode",
    "xrange", "_reconstructor", "prod", "__globals__.get", "set", "long", "dtype",
)  # fmt: skip
EXTENSION_CODES = (0, 1, 2, 3, 127, 128, 240, 255, 256, 257, 0x1234, 0xFFFF, 0x10000, 0x7FFFFFFF)
INTEGERS = (
    b"00", b"01", b"0x10", b"0X1f", b"0b1_0", b"0o17", b"1_000", b" 7 ", b"-3", b"+4", b"0",
    b"99999999999999999999", b"\t5", b"1\r",
)  # fmt: skip
ODD_INTEGERS = (b"007", b"1__0", b"x", b"", b"1\x00", b"0x", b"1.0", b"--1", b"\xd9\xa3")
PLAIN = (
    (b"N", "any"), (b"\x88", "any"), (b"\x89", "any"), (b"F1.5\n", "any"), (b")", "tuple"),
    (b"G" + struct.pack(">d", 1.5), "any"), (b"]", "list"), (b"}", "dict"), (b"\x8f", "set"),
    (b"C\x02ab", "any"), (b"\x97", "any"), (b"B\x01\x00\x00\x00a", "any"), (b"Ppid\n", "any"),
    (b"\x8e" + struct.pack("<Q", 1) + b"a", "any"), (b"\x96" + struct.pack("<Q", 2) + b"ab", "any"),
)  # fmt: skip
MARK = "mark"
LOOSE = 0.02


def escaped(random_: random.Random, text: str) -> bytes:
    """The text for STRING, with some characters as escapes."""
    out = b""
    for byte in text.encode():
        way = random_.random()
        if way < 0.2 or byte > 0x7E:
            out += b"\\x%02x" % byte
        elif way < 0.3:
            out += b"\\%03o" % byte
        else:
            out += bytes([byte])
    return out


def unicode_escaped(random_: random.Random, text: str) -> bytes:
    """The text for UNICODE, with some characters as escapes."""
    out = b""
    for letter in text:
        way = random_.random()
        if way < 0.2 or ord(letter) > 0xFF:
            out += b"\\u%04x" % ord(letter)
        elif way < 0.3:
            out += b"\\U%08x" % ord(letter)
        else:
            out += letter.encode("latin1")
    return out


class Stream:
    """One stream being written."""

    def __init__(self, random_: random.Random) -> None:
        self.random = random_
        self.out = bytearray()
        self.stack: list[str] = []
        self.memo: dict[int, str] = {}

    def push(self, opcode: bytes, kind: str) -> None:
        self.out += opcode
        self.stack.append(kind)

    def pop(self) -> str | None:
        if self.stack and self.stack[-1] != MARK:
            return self.stack.pop()
        return None

    def has(self, count: int) -> bool:
        """True when this many values are above the last mark."""
        values = self.stack[-count:]
        return len(values) == count and MARK not in values

    def above_mark(self) -> int | None:
        """How many values are above the last mark."""
        for count, kind in enumerate(reversed(self.stack)):
            if kind == MARK:
                return count
        return None

    def drop_to_mark(self) -> None:
        while self.stack and self.stack.pop() != MARK:
            pass

    # Values.

    def text(self, text: str) -> None:
        """A string, in any of the ways to write one."""
        raw = text.encode("utf-8", "surrogatepass")
        way = self.random.randrange(9)
        if way == 0:
            quote = self.random.choice((b"'", b'"'))
            self.push(b"S" + quote + escaped(self.random, text) + quote + self.line_end(), "bytes8")
        elif way == 1:
            self.push(b"T" + struct.pack("<i", len(raw)) + raw, "bytes8")
        elif way == 2 and len(raw) < 256:
            self.push(b"U" + bytes([len(raw)]) + raw, "bytes8")
        elif way == 3:
            self.push(b"V" + unicode_escaped(self.random, text) + b"\n", "str")
        elif way == 4:
            self.push(b"\x8d" + struct.pack("<Q", len(raw)) + raw, "str")
        elif way in (5, 6) and len(raw) < 256:
            self.push(b"\x8c" + bytes([len(raw)]) + raw, "str")
        else:
            self.push(b"X" + struct.pack("<I", len(raw)) + raw, "str")

    def line_end(self) -> bytes:
        return self.random.choices((b"\n", b"\r\n", b" \n"), (60, 1, 1))[0]

    def integer(self) -> None:
        way = self.random.randrange(7)
        odd = self.random.choice(ODD_INTEGERS if self.random.random() < 0.2 else INTEGERS)
        number = self.random.choice((0, 1, 2, 255, 256, -1, 70000))
        if way == 0:
            self.push(b"I" + odd + b"\n", "any")
        elif way == 1:
            end = self.random.choice((b"L\n", b"\n", b"l\n"))
            self.push(b"L" + odd + end, "any")
        elif way == 2:
            self.push(b"J" + struct.pack("<i", number), "any")
        elif way == 3:
            self.push(b"K" + bytes([number & 0xFF]), "any")
        elif way == 4:
            self.push(b"M" + struct.pack("<H", number & 0xFFFF), "any")
        elif way == 5:
            raw = number.to_bytes(8, "little", signed=True)[: self.random.randrange(9)]
            self.push(b"\x8a" + bytes([len(raw)]) + raw, "any")
        else:
            self.push(b"\x8b" + struct.pack("<i", 2) + b"\x05\x00", "any")

    def plain(self) -> None:
        """A value that needs nothing from the stack."""
        opcode, kind = self.random.choice(PLAIN)
        self.push(opcode, kind)

    # Names and calls.

    def names(self) -> tuple[str, str]:
        return self.random.choice(MODULES), self.random.choice(NAMES)

    def name(self) -> None:
        """A global, named in any of the ways."""
        module, name = self.names()
        way = self.random.randrange(6)
        if way == 0:
            self.push(b"c" + module.encode() + b"\n" + name.encode() + self.line_end(), "callable")
        elif way == 1 and self.above_mark() is not None:
            self.drop_to_mark()
            self.push(b"i" + module.encode() + b"\n" + name.encode() + b"\n", "any")
        elif way == 2 and self.random.random() < 0.2:
            code = self.random.choice(EXTENSION_CODES)
            size = self.random.choice(((b"\x82", 1), (b"\x83", 2), (b"\x84", 4)))
            raw = (code & ((1 << (8 * size[1])) - 1)).to_bytes(size[1], "little")
            self.push(size[0] + raw, "callable")
        else:
            self.text(module)
            self.shuffle_memo()
            self.text(name)
            self.shuffle_memo()
            self.stack_global()

    def stack_global(self) -> None:
        self.out += b"\x93"
        self.pop()
        self.pop()
        self.stack.append("callable")

    def call(self) -> None:
        """A call on what is below, in any of the ways."""
        way = self.random.randrange(6)
        if way == 0 and self.above_mark() is None:
            self.push(b"(", MARK)
            self.name()
            self.plain()
            self.out += b"o"
            self.drop_to_mark()
            self.stack.append("any")
            return
        if not self.has(1) or (self.stack[-1] != "callable" and self.random.random() > LOOSE):
            self.name()
        if not self.has(1):
            return
        if way == 1:
            self.push(b"}", "dict")
            self.out += b"b"
            self.pop()
            return
        self.push(*self.random.choice(((b")", "tuple"), (b"N\x85", "tuple"), (b"NN\x86", "tuple"))))
        if way == 2:
            self.push(b"}", "dict")
            self.out += b"\x92"
            self.pop()
        else:
            self.out += self.random.choice((b"R", b"R", b"\x81"))
        self.pop()
        self.pop()
        self.stack.append("call")

    # The memo.

    def put(self) -> None:
        if not self.has(1) and self.random.random() > LOOSE:
            return
        kind = self.stack[-1] if self.stack else "any"
        way = self.random.randrange(4)
        key = self.random.choice((0, 1, 2, 3, 5, 7, 255, 256, 1000))
        if way == 0:
            self.out += b"\x94"
            key = len(self.memo)
        elif way == 1:
            key &= 0xFF
            self.out += b"q" + bytes([key])
        elif way == 2:
            self.out += b"r" + struct.pack("<I", key)
        else:
            text = str(key).encode()
            self.out += b"p" + self.random.choice((text, text, b" " + text, b"0" + text)) + b"\n"
        self.memo[key] = kind

    def get(self) -> None:
        if self.random.random() < LOOSE:
            key = self.random.randrange(12)
        elif self.memo:
            key = self.random.choice(tuple(self.memo))
        else:
            return
        way = self.random.randrange(3)
        if way == 0 and key < 256:
            opcode = b"h" + bytes([key])
        elif way == 1:
            opcode = b"j" + struct.pack("<I", key)
        else:
            opcode = b"g" + str(key).encode() + b"\n"
        self.push(opcode, self.memo.get(key, "any"))

    def shuffle_memo(self) -> None:
        """Hides the value on top behind the memo, in one of many ways."""
        way = self.random.randrange(8)
        if way == 0:
            self.put()
        elif way == 1:
            self.put()
            self.drop()
            self.get()
        elif way == 2:
            self.put()
            self.get()
            self.drop()
        elif way == 3:
            self.duplicate()
            self.put()
            self.drop()
        elif way == 4:
            self.out += b"(0" if self.random.random() < 0.5 else b"(1"

    # The stack.

    def drop(self) -> None:
        if self.stack:
            self.out += b"0"
            self.stack.pop()

    def duplicate(self) -> None:
        if self.has(1):
            self.push(b"2", self.stack[-1])

    def collect(self) -> None:
        """A container of what is above the mark, or of what is on top."""
        count = self.above_mark()
        if count is not None and self.random.random() < 0.7:
            opcode, kind = self.random.choice(
                ((b"t", "tuple"), (b"l", "list"), (b"\x91", "set"), (b"1", None), (b"d", "dict"))
            )
            self.out += opcode
            self.drop_to_mark()
            if kind:
                self.stack.append(kind)
            return
        size = self.random.randrange(1, 4)
        if self.has(size):
            for _ in range(size):
                self.pop()
            self.push((b"\x85", b"\x86", b"\x87")[size - 1], "tuple")

    def add(self) -> None:
        """Puts values into a container that is made for it."""
        way = self.random.randrange(5)
        start, inner, end, kind = (
            (b"]", 1, b"a", "list"), (b"](", 2, b"e", "list"), (b"}", 2, b"s", "dict"),
            (b"}(", 2, b"u", "dict"), (b"\x8f(", 2, b"\x90", "set"),
        )[way]  # fmt: skip
        self.out += start
        mark = [MARK] if b"(" in start else []
        depth = len(self.stack)
        self.stack += [kind, *mark]
        for _ in range(inner):
            self.random.choice((self.plain, self.integer, self.name, self.any_text))()
        self.out += end
        del self.stack[depth:]
        self.stack.append(kind)

    def any_text(self) -> None:
        self.text(self.random.choice(self.names()))

    def persistent(self) -> None:
        if self.has(1):
            self.out += b"Q"
            self.pop()
            self.stack.append("any")

    def mark(self) -> None:
        self.push(b"(", MARK)

    def protocol(self) -> None:
        weights = (20, 20, 20, 1)
        self.out += b"\x80" + bytes([self.random.choices((2, 4, 5, 6), weights)[0]])

    def junk(self) -> None:
        if self.random.random() < LOOSE:
            self.out += bytes([self.random.randrange(256)])

    def operands(self) -> None:
        """STACK_GLOBAL on whatever is there."""
        strings = all(kind in ("str", "bytes8", "call") for kind in self.stack[-2:])
        if (self.has(2) and strings) or self.random.random() < LOOSE:
            self.stack_global()

    def nested(self) -> None:
        """A pickle inside a byte string."""
        inner = generate(self.random, depth=1)
        self.push(b"B" + struct.pack("<I", len(inner)) + inner, "any")


STEPS: tuple[tuple[Callable[[Stream], None], int], ...] = (
    (Stream.plain, 8), (Stream.integer, 4), (Stream.any_text, 8), (Stream.name, 14),
    (Stream.call, 10), (Stream.put, 8), (Stream.get, 8), (Stream.shuffle_memo, 6),
    (Stream.drop, 4), (Stream.duplicate, 4), (Stream.collect, 6), (Stream.add, 5),
    (Stream.persistent, 2), (Stream.mark, 5), (Stream.protocol, 2), (Stream.junk, 4),
    (Stream.operands, 5),
)  # fmt: skip
ACTIONS = [action for action, _ in STEPS]
WEIGHTS = [weight for _, weight in STEPS]


def frame(random_: random.Random, body: bytes) -> bytes:
    """Puts parts of a stream into frames, some with a wrong length."""
    out = bytearray()
    place = 0
    while place < len(body):
        size = random_.randrange(1, len(body) + 1 - place)
        told = size if random_.random() < 0.6 else max(0, size + random_.randrange(-6, 7))
        if random_.random() < 0.8:
            out += b"\x95" + struct.pack("<Q", told)
        out += body[place : place + size]
        place += size
    return bytes(out)


def generate(random_: random.Random, depth: int = 0) -> bytes:
    """One stream, or several in a row."""
    stream = Stream(random_)
    if random_.random() < 0.6:
        stream.protocol()
    for _ in range(random_.randrange(2, 28)):
        random_.choices(ACTIONS, WEIGHTS)[0](stream)
    if depth == 0 and random_.random() < 0.05:
        stream.nested()
    while stream.above_mark() is not None and random_.random() < 0.9:
        stream.out += b"1"
        stream.drop_to_mark()
    if not stream.stack:
        stream.plain()
    data = bytes(stream.out)
    if random_.random() < 0.15:
        data = frame(random_, data)
    if random_.random() < 0.97:
        data += b"."
    if depth == 0 and random_.random() < 0.15:
        data += generate(random_, depth=1)
    return data
