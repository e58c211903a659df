"""ZIP archives for the test that compares readers: honest ones, and ones that lie.

An archive is a list of members and an end record, each a dict of fields. Honest archives
follow the writers that models come from: `zipfile` with its options, `torch.save` and
`numpy.savez`. A mutant changes one to three fields, members, or stretches of bytes of one.
"""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import Any

CONTENTS = [
    b"",
    b"3\n",
    b"words and words\n" * 9,
    b"\x80\x02N.",
    b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s.",
    bytes(range(256)),
    b"\0" * 64,
]
NAMES = ["data.pkl", "version", "data/0", "data/1", "byteorder", "notes.txt", "a/b.json"]


class Unseekable(io.RawIOBase):
    """A stream that `zipfile` can only write to in order, so it writes data descriptors."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += data
        return len(data)


def by_zipfile(random_: random.Random) -> bytes:
    """An archive as Python's own writer makes it, with any of its options."""
    target: Any = Unseekable() if random_.random() < 0.3 else io.BytesIO()
    method = random_.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    root = random_.choice(["archive/", "model/", ""])
    with zipfile.ZipFile(target, "w", method) as archive:
        if random_.random() < 0.2 and root:
            archive.mkdir(root.rstrip("/")) if hasattr(archive, "mkdir") else None
        for name in random_.sample(NAMES, random_.randrange(1, len(NAMES))):
            if not root and name == "data.pkl":
                # PyTorch's layout lies in a folder; without one readers do part.
                continue
            info = zipfile.ZipInfo(root + name, (2024, 1, 1 + random_.randrange(28), 0, 0, 0))
            info.compress_type = random_.choice([method, zipfile.ZIP_STORED])
            info.external_attr = random_.choice([0, 0o100644 << 16, 0o600 << 16])
            with archive.open(info, "w", force_zip64=random_.random() < 0.2) as member:
                member.write(random_.choice(CONTENTS))
        if random_.random() < 0.1:
            archive.comment = b"made by a test"
    return bytes(target.data) if isinstance(target, Unseekable) else target.getvalue()


@dataclass
class Member:
    """A member; `local` and `central` override what is true in one of its headers."""

    name: bytes
    content: bytes
    method: int = 0
    align: bool = False
    descriptor: str = ""
    only: str = ""
    at: int | None = None
    gap: bytes = b""
    local: dict[str, Any] = field(default_factory=dict)
    central: dict[str, Any] = field(default_factory=dict)


@dataclass
class Archive:
    """What an archive is written from."""

    members: list[Member]
    order: list[int] = field(default_factory=list)
    end: dict[str, int] = field(default_factory=dict)
    zip64: dict[str, int] | None = None
    comment: bytes = b""
    prefix: bytes = b""
    suffix: bytes = b""

    def write(self) -> bytes:
        """The bytes."""
        out = bytearray()
        offsets = []
        fields = []
        for member in self.members:
            packed = member.content
            if member.method == 8:
                compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
                packed = compressor.compress(packed) + compressor.flush()
            true = {
                "version": 20,
                "flags": 8 if member.descriptor else 0,
                "method": member.method,
                "time": 0,
                "date": 0x21,
                "crc": zlib.crc32(member.content),
                "packed": len(packed),
                "size": len(member.content),
                "name": member.name,
                "extra": b"",
                "signature": b"PK\x03\x04",
            }
            out += member.gap
            offsets.append(len(out))
            fields.append(true)
            if member.only == "central":
                continue
            local = dict(true)
            if member.align:
                start = len(out) + 30 + len(member.name) + 4
                local["extra"] = b"FB" + struct.pack("<H", -start % 64) + b"Z" * (-start % 64)
            if member.descriptor:
                local.update(crc=0, packed=0, size=0)
            out += header(local | member.local, None)
            out += packed
            if member.descriptor:
                wide = "Q" if member.descriptor == "zip64" else "I"
                out += b"" if member.descriptor == "bare" else b"PK\x07\x08"
                out += struct.pack(f"<I{wide}{wide}", true["crc"], len(packed), true["size"])
        start = len(out)
        count = 0
        for at in self.order or range(len(self.members)):
            member = self.members[at]
            if member.only == "local":
                continue
            offset = offsets[member.at if member.at is not None else at]
            central = fields[at] | {"signature": b"PK\x01\x02", "offset": offset}
            out += header(central | member.central, offset)
            count += 1
        size = len(out) - start
        if self.zip64 is not None:
            record = len(out)
            true = {"here": count, "count": count, "size": size, "offset": start}
            true |= {"locator": record} | self.zip64
            values = [cut(true[key], 8) for key in ("here", "count", "size", "offset")]
            out += b"PK\x06\x06" + struct.pack("<QHHII4Q", 44, 0x31E, 45, 0, 0, *values)
            out += b"PK\x06\x07" + struct.pack("<IQI", 0, cut(true["locator"], 8), 1)
        true = {"disk": 0, "start": 0, "here": count, "count": count, "size": size}
        true |= {"offset": start, "comment": len(self.comment)} | self.end
        out += b"PK\x05\x06"
        for key in ("disk", "start", "here", "count", "size", "offset", "comment"):
            width = 4 if key in ("size", "offset") else 2
            out += cut(true[key], width).to_bytes(width, "little")
        return self.prefix + bytes(out) + self.comment + self.suffix


def cut(value: int, width: int) -> int:
    """A number as so many bytes hold it."""
    return value % (1 << (8 * width))


def header(values: dict[str, Any], offset: int | None) -> bytes:
    """A local header, or with an offset a central one."""
    out = values["signature"]
    if offset is not None:
        out += cut(values.get("made-by", 0x31E), 2).to_bytes(2, "little")
    for key, width in (("version", 2), ("flags", 2), ("method", 2), ("time", 2), ("date", 2)):
        out += cut(values[key], width).to_bytes(width, "little")
    for key in ("crc", "packed", "size"):
        out += cut(values[key], 4).to_bytes(4, "little")
    comment = values.get("comment", b"")
    out += struct.pack("<HH", len(values["name"]), len(values["extra"]))
    if offset is not None:
        out += struct.pack("<HHH", len(comment), cut(values.get("disk", 0), 2), 0)
        out += struct.pack("<II", cut(values.get("attributes", 0), 4), cut(values["offset"], 4))
    return out + values["name"] + values["extra"] + (comment if offset is not None else b"")


def honest(random_: random.Random) -> Archive:
    """An archive as `torch.save`, `numpy.savez` or a plain tool writes it."""
    root = random_.choice([b"archive/", b"archive/", b"model/", b""])
    names = random_.sample(NAMES if root else NAMES[1:], random_.randrange(1, len(NAMES)))
    torch = bool(root) and random_.random() < 0.5
    if torch:
        names = ["data.pkl", *(name for name in names if name != "data.pkl"), "version"]
        names = list(dict.fromkeys(names))
    members = [
        Member(
            root + name.encode(),
            b"3\n" if name == "version" else random_.choice(CONTENTS),
            0 if torch else random_.choice([0, 8]),
            align=torch,
            descriptor="" if torch else random_.choice(["", "", "usual"]),
        )
        for name in names
    ]
    archive = Archive(members)
    if torch or random_.random() < 0.1:
        archive.zip64 = {}
    return archive


def other_name(random_: random.Random, name: bytes) -> bytes:
    """A name that some reader takes for the given one, or for something worse."""
    ways = [
        lambda: name.swapcase(),
        lambda: name + b"\0.txt",
        lambda: b"\0" + name,
        lambda: b"../" + name,
        lambda: b"/" + name,
        lambda: name.replace(b"/", b"\\"),
        lambda: name.replace(b"/", b"//"),
        lambda: name + b"/",
        lambda: b"./" + name,
        lambda: name.replace(b"archive", b"other"),
        lambda: name[:-1],
        lambda: b"",
        lambda: name + b"\xff",
        lambda: "caf\u00e9".encode() + name,
        lambda: name[::-1],
        lambda: name.split(b"/")[-1],
    ]
    return random_.choice(ways)()


def extra_field(random_: random.Random, member: Member) -> bytes:
    """An extra field that changes something for somebody."""
    size = len(member.content)
    other = random_.choice([size, size + 1, 0, 1 << 33])
    name = other_name(random_, member.name)
    unicode_path = b"\x01" + struct.pack("<I", zlib.crc32(member.name)) + name
    ways = [
        b"\x01\0" + struct.pack("<HQ", 8, other),
        b"\x01\0" + struct.pack("<HQQ", 16, other, size),
        b"\x01\0" + struct.pack("<HQQQ", 24, size, size, random_.randrange(200)),
        b"\x01\0\x04\0abcd",
        b"up" + struct.pack("<H", len(unicode_path)) + unicode_path,
        b"ux\x0b\0\x01\x04" + b"\0" * 4 + b"\x04" + b"\0" * 4,
        b"UT\x05\0\x03" + b"\0" * 4,
        b"\xfe\xca\0\0",
        b"xx\xff\xff",
        b"x",
        b"FB\x04\0ZZZZ",
        b"\x01\x99\x07\0\x01\0AE\x03\0\0",
    ]
    return random_.choice(ways)


def value_near(random_: random.Random, value: int, width: int) -> int:
    """A number to lie with."""
    top = (1 << (8 * width)) - 1
    return random_.choice(
        [0, 1, value + 1, value - 1, value * 2, top, top - 1, random_.randrange(300)]
    )


def change(random_: random.Random, archive: Archive) -> None:
    """One lie."""
    member = random_.choice(archive.members)
    side = random_.choice([(member.local,), (member.central,), (member.local, member.central)])
    way = random_.randrange(20)
    if way <= 2:
        key = random_.choice(["crc", "packed", "size"])
        true = {"crc": zlib.crc32(member.content)}.get(key, len(member.content))
        value = value_near(random_, true, 4)
        for fields in side:
            fields[key] = value
    elif way <= 4:
        name = other_name(random_, member.name)
        for fields in side:
            fields["name"] = name
    elif way == 5:
        flags = random_.choice([1, 2, 8, 0x20, 0x40, 0x800, 0x2000, 0x1, 0x808])
        for fields in side:
            fields["flags"] = flags
    elif way == 6:
        key = random_.choice(["method", "version", "time", "date"])
        value = random_.choice([0, 8, 9, 12, 14, 20, 45, 63, 93, 95, 99, 0xFFFF])
        for fields in side:
            fields[key] = value
    elif way <= 8:
        extra = b"".join(extra_field(random_, member) for _ in range(random_.randrange(1, 3)))
        for fields in side:
            fields["extra"] = extra
        if random_.random() < 0.5:
            key = random_.choice(["packed", "size"])
            for fields in side:
                fields[key] = 0xFFFFFFFF
    elif way == 9:
        key = random_.choice(["disk", "made-by", "attributes"])
        value = random_.choice([1, 0xFFFF, 0xA1FF << 16, 0x10, 0x0014, 0x0A14])
        member.central[key] = value
    elif way == 10:
        key = random_.choice(["disk", "start", "here", "count", "size", "offset", "comment"])
        archive.end[key] = value_near(random_, len(archive.members), 2)
    elif way == 11:
        archive.zip64 = archive.zip64 or {}
        if random_.random() < 0.7:
            key = random_.choice(["here", "count", "size", "offset", "locator"])
            archive.zip64[key] = value_near(random_, len(archive.members), 8)
        if random_.random() < 0.5:
            archive.end[random_.choice(["count", "size", "offset"])] = 0xFFFFFFFF
    elif way == 12:
        member.only = random_.choice(["local", "central"])
        if member.only == "central" and len(archive.members) > 1:
            member.at = random_.randrange(len(archive.members))
    elif way == 13:
        twin = Member(member.name, random_.choice(CONTENTS), random_.choice([0, 8]))
        if random_.random() < 0.5:
            twin.name = other_name(random_, member.name)
        archive.members.insert(random_.randrange(len(archive.members) + 1), twin)
        archive.order = []
    elif way == 14:
        archive.order = list(range(len(archive.members)))
        random_.shuffle(archive.order)
    elif way == 15:
        member.at = random_.randrange(len(archive.members))
    elif way == 16:
        member.descriptor = random_.choice(["usual", "zip64", "bare"])
        if random_.random() < 0.5:
            member.local["flags"] = 0
    elif way == 17:
        member.gap = random_.choice([b"gap", b"PK\x03\x04", b"\0" * 100])
    elif way == 18:
        other = honest(random_).write()
        piece = random_.choice([b"x", b"PK\x03\x04", b"PK\x05\x06", other, other[-22:]])
        where = random_.choice(["prefix", "suffix", "comment"])
        setattr(archive, where, piece)
    else:
        member.central["comment"] = random_.choice([b"words", b"PK\x05\x06" + b"\0" * 18])


def mutant(random_: random.Random) -> bytes:
    """An archive with one to three lies, or with some bytes of its headers changed."""
    if random_.random() < 0.15:
        data = bytearray(by_zipfile(random_))
        for _ in range(random_.randrange(1, 4)):
            places = [at for at in range(len(data) - 1) if data[at : at + 2] == b"PK"]
            place = min(random_.choice(places or [0]) + random_.randrange(46), len(data) - 1)
            way = random_.randrange(4)
            if way == 0:
                data[place] ^= 1 << random_.randrange(8)
            elif way == 1:
                data[place] = random_.choice([0, 1, 0xFF, random_.randrange(256)])
            elif way == 2:
                del data[place : place + random_.randrange(1, 5)]
            else:
                data[place:place] = data[place : place + random_.randrange(1, 5)]
        return bytes(data)
    archive = honest(random_)
    for _ in range(random_.choice([1, 1, 1, 2, 2, 3])):
        change(random_, archive)
    data = archive.write()
    if random_.random() < 0.03:
        data = data[: random_.randrange(len(data))]
    return data
