"""The rare parts of numpy's arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

_NATIVE = {
    "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128", "bool",
}  # fmt: skip
_ML_DTYPES = {
    "bfloat16", "float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz",
    "float8_e8m0fnu",
}  # fmt: skip


def element(name: str) -> Any:
    """The element type for one of torch's, or `None`."""
    if name in _NATIVE:
        return np.dtype(name)
    if name in _ML_DTYPES:
        try:
            import ml_dtypes
        except ImportError:
            return None
        found = getattr(ml_dtypes, name, None)
        return None if found is None else np.dtype(found)
    return None


def objects(shape: tuple[int, ...], items: list[Any], fortran: bool) -> Any:
    """An array of objects."""
    flat: Any = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        flat[place] = item
    return flat.reshape(shape, order="F" if fortran else "C")


def scalar(dtype: Any, content: bytes) -> Any:
    """A scalar of numpy's from its bytes."""
    if dtype.itemsize == 0:
        return np.zeros((), dtype)[()]
    return np.frombuffer(bytearray(content), dtype, 1)[0]
