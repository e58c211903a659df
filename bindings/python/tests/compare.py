"""Whether two loaded checkpoints are the same: values, types, order, layout and sharing."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch


@dataclasses.dataclass
class _Met:
    """Objects and storages that were met, so that sharing can be compared."""

    objects: dict[int, int] = dataclasses.field(default_factory=dict)
    storages: dict[int, int] = dataclasses.field(default_factory=dict)
    kept: list[Any] = dataclasses.field(default_factory=list)

    def number(self, table: dict[int, int], key: int, what: Any) -> int:
        self.kept.append(what)
        return table.setdefault(key, len(table))


def assert_same(ours: Any, theirs: Any, path: str = "model") -> None:
    """Fails with the path of the first difference."""
    _same(ours, theirs, path, _Met(), _Met())


def _same(ours: Any, theirs: Any, path: str, here: _Met, there: _Met) -> None:
    assert type(ours) is type(theirs), f"{path}: {type(ours)} is not {type(theirs)}"
    if isinstance(theirs, torch.Tensor):
        _same_tensor(ours, theirs, path, here, there)
    elif isinstance(theirs, torch.storage.TypedStorage):
        assert ours.dtype == theirs.dtype, path
        _same_storage(ours._untyped_storage, theirs._untyped_storage, path, here, there)
    elif isinstance(theirs, dict):
        _same_identity(ours, theirs, path, here, there)
        assert len(ours) == len(theirs), f"{path}: {list(ours)} are not {list(theirs)}"
        for place, (mine, yours) in enumerate(zip(ours.items(), theirs.items())):
            _same(mine[0], yours[0], f"{path}.key{place}", here, there)
            _same(mine[1], yours[1], f"{path}[{yours[0]!r}]", here, there)
        assert getattr(ours, "default_factory", None) == getattr(theirs, "default_factory", None)
        _same_state(ours, theirs, path, here, there)
    elif isinstance(theirs, (list, tuple)):
        if isinstance(theirs, list):
            _same_identity(ours, theirs, path, here, there)
        assert len(ours) == len(theirs), path
        for place, (mine, yours) in enumerate(zip(ours, theirs)):
            _same(mine, yours, f"{path}[{place}]", here, there)
    elif isinstance(theirs, float):
        assert ours.hex() == theirs.hex(), path
    elif type(theirs).__module__ == "numpy":
        assert ours.dtype == theirs.dtype, path
        assert ours.shape == theirs.shape, path
        assert ours.tobytes() == theirs.tobytes(), path
        if hasattr(theirs, "flags"):
            assert ours.flags.writeable == theirs.flags.writeable, path
            assert ours.flags.f_contiguous == theirs.flags.f_contiguous, path
    else:
        assert ours == theirs, f"{path}: {ours!r} is not {theirs!r}"


def _same_identity(ours: Any, theirs: Any, path: str, here: _Met, there: _Met) -> None:
    mine = here.number(here.objects, id(ours), ours)
    yours = there.number(there.objects, id(theirs), theirs)
    assert mine == yours, f"{path}: another object"


def _same_state(ours: Any, theirs: Any, path: str, here: _Met, there: _Met) -> None:
    mine, yours = getattr(ours, "__dict__", {}), getattr(theirs, "__dict__", {})
    assert list(mine) == list(yours), f"{path}: attributes {list(mine)}, not {list(yours)}"
    for name in yours:
        _same(mine[name], yours[name], f"{path}.{name}", here, there)


def _same_storage(ours: Any, theirs: Any, path: str, here: _Met, there: _Met) -> None:
    assert ours.nbytes() == theirs.nbytes(), f"{path}: {ours.nbytes()} bytes, not {theirs.nbytes()}"
    assert ours.device == theirs.device, path
    if theirs.device.type == "meta" or not theirs.nbytes():
        return
    mine = here.number(here.storages, ours.data_ptr(), ours)
    yours = there.number(there.storages, theirs.data_ptr(), theirs)
    assert mine == yours, f"{path}: shared with others"
    raw = [torch.empty(0, dtype=torch.uint8).set_(storage) for storage in (ours, theirs)]
    assert torch.equal(*raw), f"{path}: other bytes"


def _same_tensor(ours: Any, theirs: Any, path: str, here: _Met, there: _Met) -> None:
    _same_identity(ours, theirs, path, here, there)
    if isinstance(theirs, torch.nn.parameter.UninitializedTensorMixin):
        assert ours.requires_grad == theirs.requires_grad, path
        return
    for name in ("dtype", "layout", "device", "shape", "requires_grad", "is_leaf", "is_quantized"):
        assert getattr(ours, name) == getattr(theirs, name), f"{path}.{name}"
    if theirs.layout is torch.sparse_coo:
        assert ours.is_coalesced() == theirs.is_coalesced(), path
        _same(ours._indices(), theirs._indices(), f"{path}.indices", here, there)
        _same(ours._values(), theirs._values(), f"{path}.values", here, there)
        return
    if theirs.layout is not torch.strided:
        rows = theirs.layout in (torch.sparse_csr, torch.sparse_bsr)
        names = ("crow_indices", "col_indices") if rows else ("ccol_indices", "row_indices")
        for name in (*names, "values"):
            mine, yours = getattr(ours, name)(), getattr(theirs, name)()
            _same(mine, yours, f"{path}.{name}", here, there)
        return
    assert ours.stride() == theirs.stride(), path
    assert ours.storage_offset() == theirs.storage_offset(), path
    assert ours.is_conj() == theirs.is_conj(), path
    assert ours.is_neg() == theirs.is_neg(), path
    if theirs.device.type != "meta":
        _same_storage(ours.untyped_storage(), theirs.untyped_storage(), path, here, there)
    if theirs.is_quantized:
        assert ours.qscheme() == theirs.qscheme(), path
        if theirs.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            assert (ours.q_scale(), ours.q_zero_point()) == (
                theirs.q_scale(),
                theirs.q_zero_point(),
            ), path
        else:
            assert ours.q_per_channel_axis() == theirs.q_per_channel_axis(), path
            for name in ("q_per_channel_scales", "q_per_channel_zero_points"):
                assert torch.equal(getattr(ours, name)(), getattr(theirs, name)()), path
    if isinstance(theirs, torch.nn.Parameter):
        _same_state(ours, theirs, path, here, there)
