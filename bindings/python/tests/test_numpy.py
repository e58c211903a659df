"""Loading without torch, and the arrays of numpy's that checkpoints hold."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

import secure_torch

np = pytest.importorskip("numpy")


def test_safetensors_become_arrays(safetensors: Callable[..., Path]) -> None:
    values = struct.pack("<6f", *range(6))
    path = safetensors({"a": ("F32", [2, 3], values), "b": ("I64", [], struct.pack("<q", -7))})
    before = path.read_bytes()
    model = secure_torch.load(path, framework="numpy")
    assert list(model) == ["a", "b"]
    assert model["a"].dtype == np.float32
    assert model["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert model["b"].shape == () and int(model["b"]) == -7
    # They can be written to, and the file stays as it is.
    model["a"][0, 0] = 9
    del model["b"]
    assert path.read_bytes() == before


def test_arrays_keep_their_memory(safetensors: Callable[..., Path]) -> None:
    path = safetensors({"a": ("U8", [1 << 20], bytes(range(256)) * 4096)})
    array = secure_torch.load(path, framework="numpy")["a"]
    path.unlink()
    tail = array[-256:]
    del array
    assert tail.tolist() == list(range(256))


def test_element_types_of_ml_dtypes(safetensors: Callable[..., Path]) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    path = safetensors(
        {
            "b": ("BF16", [1], b"\x80\x3f"),
            "f": ("F8_E4M3", [1], b"\x38"),
            "g": ("F8_E5M2", [0], b""),
        }
    )
    model = secure_torch.load(path, framework="numpy")
    assert model["b"].dtype == ml_dtypes.bfloat16 and float(model["b"][0]) == 1.0
    assert model["f"].dtype == ml_dtypes.float8_e4m3fn and float(model["f"][0]) == 1.0
    assert model["g"].shape == (0,)


def test_numpys_own_arrays_come_back() -> None:
    record = np.dtype([("a", "<i4"), ("b", "<f8", ()), ("c", "S3")])
    values: list[Any] = [
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(3, dtype=">i2"),
        np.array(["ab", "c"]),
        np.array([b"ab", b"c"]),
        np.array([1, 2], dtype="M8[ms]"),
        np.zeros((0, 4)),
        np.array([(1, 2.5, b"x")], dtype=record),
        np.float32(1.5),
        np.int64(-3),
        np.bool_(True),
        np.datetime64("2020-01-01"),
        np.array(7),
        np.dtype("float32"),
        record,
        np.array([1, "a", None], dtype=object),
    ]
    for protocol in (2, 4, 5):
        content = pickle.dumps(values, protocol)
        found = secure_torch.load(content, framework="numpy")
        assert len(found) == len(values)
        # Not the values themselves: below protocol 5, numpy turns foreign byte orders around.
        for ours, theirs in zip(found, pickle.loads(content)):
            assert type(ours) is type(theirs)
            if isinstance(theirs, np.dtype):
                assert ours == theirs
                continue
            assert ours.dtype == theirs.dtype
            assert ours.shape == theirs.shape
            if theirs.dtype == object:
                assert ours.tolist() == theirs.tolist()
                continue
            assert ours.tobytes() == theirs.tobytes()
            if isinstance(theirs, np.ndarray):
                assert ours.flags.f_contiguous == theirs.flags.f_contiguous
                assert ours.flags.writeable


def test_arrays_that_share_a_storage_share_memory(tmp_path: Path) -> None:
    one = np.arange(4)
    found = secure_torch.load(pickle.dumps([one, one]), framework="numpy")
    assert found[0] is found[1]


WITHOUT_TORCH = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
import secure_torch
{code}
"""


def _without(blocked: set[str], code: str, *arguments: object) -> str:
    program = WITHOUT_TORCH.format(blocked=blocked, code=code)
    command = [sys.executable, "-c", program, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_without_torch_arrays_come(safetensors: Callable[..., Path]) -> None:
    path = safetensors({"a": ("F32", [1], struct.pack("<f", 2))})
    code = "m = secure_torch.load(sys.argv[1]); print(type(m['a']).__module__, m['a'].tolist())"
    assert _without({"torch"}, code, path) == "numpy [2.0]"


def test_without_ml_dtypes_the_element_type_is_named(safetensors: Callable[..., Path]) -> None:
    path = safetensors({"a": ("BF16", [1], b"\0\0")})
    code = """
try:
    secure_torch.load(sys.argv[1])
except secure_torch.FormatError as error:
    print(error.code, "bfloat16" in str(error), error.report.load_allowed)
"""
    assert _without({"torch", "ml_dtypes"}, code, path) == "model-unsupported True True"


def test_without_anything_plain_data_comes(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps({"a": [1, (2, 3)], "b": {4}}))
    code = "print(secure_torch.load(sys.argv[1])); print('numpy' in sys.modules)"
    printed = _without({"torch", "numpy", "ml_dtypes"}, code, path)
    assert printed == "{'a': [1, (2, 3)], 'b': {4}}\nFalse"


def test_without_anything_tensors_say_what_to_install(safetensors: Callable[..., Path]) -> None:
    path = safetensors({"a": ("F32", [1], struct.pack("<f", 2))})
    code = """
try:
    secure_torch.load(sys.argv[1])
except secure_torch.FeatureError as error:
    print(error.code, "install it, or torch" in str(error))
"""
    assert _without({"torch", "numpy", "ml_dtypes"}, code, path) == "feature-missing True"


def test_without_torch_it_is_told(tmp_path: Path) -> None:
    code = """
try:
    secure_torch.load(b"", framework="torch")
except secure_torch.FeatureError as error:
    print(error.code)
"""
    assert _without({"torch"}, code) == "feature-missing"
