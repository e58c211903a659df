"""`weights_only=False`: torch's unpickler, held to what was judged."""

from __future__ import annotations

import collections
import copyreg
import io
import os
from pathlib import Path
from typing import Any

import pytest

from attack import EVIL

torch = pytest.importorskip("torch")

import secure_torch  # noqa: E402 - torch may be missing
from secure_torch import Policy, UnsafePickleError, patch_pickle, protect, scan  # noqa: E402
from secure_torch._unpickle import restricted, unpickle  # noqa: E402
from ways_torch import archive, legacy  # noqa: E402


class Config:
    """A class of an application."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and other.size == self.size

    __hash__ = None  # type: ignore[assignment]


NAME = f"{__name__}.Config"
LAX = Policy(max_threat_score=69)


def saved(value: Any, **options: Any) -> bytes:
    """A file of torch."""
    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("hooked", [True, False])
def test_what_the_rules_allow_is_unpickled(zipped: bool, hooked: bool, tmp_path: Path) -> None:
    """From bytes, a path and a file; also while every hook is in."""
    shared = torch.arange(6.0)
    value = {
        "a": shared.reshape(2, 3),
        "b": shared[2:4],
        "p": torch.nn.Parameter(torch.ones(2)),
        "o": collections.OrderedDict(x=1),
        "h": torch.ones(3, dtype=torch.bfloat16),
    }
    data = saved(value, _use_new_zipfile_serialization=zipped)
    path = tmp_path / "model.pt"
    path.write_bytes(data)
    handle = protect() if hooked else None
    try:
        for source in (data, path, io.BytesIO(data)):
            found = secure_torch.load(source, weights_only=False)
            assert torch.equal(found["a"], value["a"])
            assert (
                found["a"].untyped_storage().data_ptr() == found["b"].untyped_storage().data_ptr()
            )
            assert isinstance(found["p"], torch.nn.Parameter)
            assert type(found["o"]) is collections.OrderedDict
            assert found["h"].dtype is torch.bfloat16
    finally:
        if handle is not None:
            handle.undo()


@pytest.mark.parametrize("wrap", [archive, legacy])
def test_an_attack_is_blocked_and_works_without_us(wrap: Any, tmp_path: Path) -> None:
    """The file is one that torch itself obeys."""
    data = wrap(EVIL)
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for policy in (None, LAX):
            with pytest.raises(UnsafePickleError):
                secure_torch.load(data, weights_only=False, policy=policy)
        assert not (tmp_path / "marker").exists()
    finally:
        os.chdir(here)


def test_a_class_is_allowed_by_its_name_and_not_by_a_score() -> None:
    """A high score lets the file through the gate, and still imports nothing unknown."""
    data = saved({"config": Config(3)})
    with pytest.raises(UnsafePickleError):
        secure_torch.load(data, weights_only=False)
    with pytest.raises(UnsafePickleError, match="sandbox=True") as caught:
        secure_torch.load(data, weights_only=False, policy=LAX)
    assert caught.value.code == "model-blocked"
    assert caught.value.report is not None
    assert NAME in str(caught.value)
    policy = Policy(allow=[NAME], max_threat_score=40)
    assert secure_torch.load(data, weights_only=False, policy=policy) == {"config": Config(3)}


def test_only_what_the_report_lists_is_imported() -> None:
    """Not everything that the rules allow: exactly what was seen."""
    report = scan(archive(b"ccollections\nOrderedDict\n."))
    pickles = restricted(report)
    assert pickles.loads(b"ccollections\nOrderedDict\n.") is collections.OrderedDict
    for other in (b"ccollections\nCounter\n.", b"ccollections\nordereddict\n.", b"cos\nmkdir\n."):
        with pytest.raises(UnsafePickleError):
            pickles.loads(other)


def test_a_file_in_a_byte_string_is_held_to_the_report_too() -> None:
    """`torch.storage._load_from_bytes` by itself unpickles whatever it is given."""
    inner = saved(Config(3), _use_new_zipfile_serialization=False)
    stored = saved(torch.ones(2).storage(), _use_new_zipfile_serialization=False)

    def around(content: bytes) -> bytes:
        start = b"\x80\x03ctorch.storage\n_load_from_bytes\nB"
        return archive(start + len(content).to_bytes(4, "little") + content + b"\x85R.")

    assert unlimited(around(inner)) == Config(3)
    with pytest.raises(UnsafePickleError, match="Config"):
        secure_torch.load(around(inner), weights_only=False, policy=LAX)
    allowing = Policy(max_threat_score=69, allow=[NAME])
    assert secure_torch.load(around(inner), weights_only=False, policy=allowing) == Config(3)
    found = secure_torch.load(around(stored), weights_only=False)
    assert list(found) == [1.0, 1.0]


def unlimited(data: bytes) -> Any:
    """What torch makes of a file of ours, to show what the limits keep out."""
    return torch.load(io.BytesIO(data), weights_only=False)


def test_names_of_python_2_are_renamed_as_pickle_renames_them() -> None:
    """The report lists the name as the stream spells it."""
    stream = b"c__builtin__\nset\n((lp0\nI1\natR."
    pickles = restricted(scan(stream))
    assert pickles.loads(stream) == {1}
    with pytest.raises(UnsafePickleError):
        pickles.loads(b"cbuiltins\nset\n((lp0\nI1\natR.")


def test_dotted_names_are_not_walked() -> None:
    """Not even where a policy names one."""
    stream = b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93."
    allow = ["collections:OrderedDict.fromkeys"]
    report = scan(stream, policy=Policy(max_threat_score=100, allow=allow))
    with pytest.raises(UnsafePickleError):
        restricted(report).loads(stream)


def test_numbers_of_the_extension_registry_are_refused() -> None:
    """Python keeps the object of a number, and asks nobody the second time."""
    copyreg.add_extension("collections", "OrderedDict", 0x7E57)
    try:
        data = archive(b"\x80\x02\x83\x57\x7e.")
        with pytest.raises(UnsafePickleError):
            secure_torch.load(data, weights_only=False)
        with pytest.raises(UnsafePickleError, match="extension registry"):
            unpickle(data, scan(data, policy=Policy(max_threat_score=100)))
    finally:
        copyreg.remove_extension("collections", "OrderedDict", 0x7E57)


def test_a_report_about_other_bytes_is_refused(tmp_path: Path) -> None:
    """What was judged is what is unpickled, or nothing is."""
    path = tmp_path / "model.pt"
    path.write_bytes(saved(1))
    report = scan(path)
    assert report.sha256
    path.write_bytes(saved(2))
    with pytest.raises(OSError, match="changed"):
        unpickle(path, report)
    with pytest.raises(OSError, match="changed"):
        unpickle(saved(2), scan(saved(1)))


def test_a_blocked_report_is_never_unpickled() -> None:
    """Whoever calls it."""
    data = archive(EVIL)
    with pytest.raises(UnsafePickleError):
        unpickle(data, scan(data))


def test_devices_and_encodings_reach_torch() -> None:
    """The arguments of `torch.load`."""
    data = saved({"w": torch.ones(2)})
    seen = []

    def place(storage: Any, location: str) -> Any:
        seen.append(location)
        return storage

    found = secure_torch.load(data, weights_only=False, map_location=place)
    assert seen == ["cpu"]
    assert torch.equal(found["w"], torch.ones(2))
    text = archive(b"\x80\x02U\x02\xe9\xff.")
    assert secure_torch.load(text, weights_only=False, encoding="latin1") == "éÿ"


def test_the_unpickler_is_not_the_hooked_one() -> None:
    """A hook of pickle would ask the judge for persistent ids, which are torch's own."""
    with patch_pickle(Policy(max_threat_score=0)):
        data = saved({"w": torch.ones(2)})
        found = secure_torch.load(data, weights_only=False)
        assert torch.equal(found["w"], torch.ones(2))
