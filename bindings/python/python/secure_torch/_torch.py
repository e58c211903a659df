"""Every name of torch's that the native half uses, and the kinds of tensors that are rare."""

from __future__ import annotations

from typing import Any

import torch

from ._values import give_state
from .errors import Unbuilt

from_dlpack = torch._C._from_dlpack
empty = torch.empty
cpu = torch.device("cpu")

_LAYOUTS = {
    "sparse_csr": "sparse_csr",
    "sparse_csc": "sparse_csc",
    "sparse_bsr": "sparse_bsr",
    "sparse_bsc": "sparse_bsc",
}


def dtype(name: str) -> torch.dtype | None:
    """The element type of a name of the core's table."""
    found = getattr(torch, name, None)
    return found if isinstance(found, torch.dtype) else None


def typed_storage(storage: Any, dtype: torch.dtype) -> Any:
    """A storage that is a value of its own (torch/serialization.py, persistent_load)."""
    return torch.storage.TypedStorage(wrap_storage=storage, dtype=dtype, _internal=True)


def meta(shape: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """A tensor without data (torch/_utils.py, _rebuild_meta_tensor_no_storage)."""
    return torch.empty_strided(shape, strides, dtype=dtype, device="meta")


def mark(tensor: torch.Tensor, conj: bool, neg: bool) -> None:
    """Sets the bits for a conjugate and a negative (torch/_utils.py, set_tensor_metadata)."""
    # A bit is set wherever its name is there, whatever stands behind it.
    bits = {name: True for name, bit in (("conj", conj), ("neg", neg)) if bit}
    torch._C._set_tensor_metadata(tensor, bits)


def subclass(tensor: torch.Tensor, module: str, name: str) -> torch.Tensor:
    """A tensor of a class that a file names."""
    if (module, name) == ("torch", "Tensor"):
        return tensor
    if (module, name) == ("torch.nn.parameter", "Parameter"):
        return torch.nn.Parameter(tensor, tensor.requires_grad)
    raise Unbuilt(f"a tensor is of the class `{module}.{name}`, which is not rebuilt here")


View = tuple[Any, torch.dtype, int, tuple[int, ...], tuple[int, ...]]


def per_tensor(view: View, scale: float, zero_point: int) -> torch.Tensor:
    """A quantised tensor (torch/_utils.py, _rebuild_qtensor); its shape takes no memory."""
    storage, dtype, offset, shape, strides = view
    made = torch._empty_affine_quantized(
        [0], scale=scale, zero_point=zero_point, dtype=dtype, device=storage.device
    )
    return made.set_(storage, offset, shape, strides)


def per_channel(
    view: View, scales: torch.Tensor, zero_points: torch.Tensor, axis: int, floating: bool
) -> torch.Tensor:
    """A tensor that is quantised channel by channel."""
    storage, dtype, offset, shape, strides = view
    if not (scales.is_contiguous() and zero_points.is_contiguous()):
        # torch copies them in full; strides of zero would let a small file ask for any amount.
        raise Unbuilt("the scales of a quantised tensor are spread out in their storage")
    if floating:
        scales, zero_points = scales.float(), zero_points.float()
    # Only the axis has to have its size: the others are set with the storage.
    sizes = [0] * len(shape)
    sizes[axis] = shape[axis]
    made = torch._empty_per_channel_affine_quantized(
        sizes,
        # Whether they are integers or floats says which of the two schemes it is: torch writes the
        # same name for both.
        scales=scales,
        zero_points=zero_points,
        axis=axis,
        dtype=dtype,
        device=storage.device,
    )
    return made.set_(storage, offset, shape, strides)


def sparse(
    layout: str,
    indices: torch.Tensor,
    plain: torch.Tensor | None,
    values: torch.Tensor,
    shape: tuple[int, ...],
    coalesced: bool | None,
) -> torch.Tensor:
    """A sparse tensor, whose indices the gateway has found sound (torch/_utils.py)."""
    if plain is None:
        return torch.sparse_coo_tensor(
            indices, values, shape, check_invariants=False, is_coalesced=coalesced
        )
    return torch.sparse_compressed_tensor(
        indices,
        plain,
        values,
        shape,
        layout=getattr(torch, _LAYOUTS[layout]),
        check_invariants=False,
    )


def parameter(
    name: str, data: torch.Tensor | None, requires_grad: bool, state: Any
) -> torch.Tensor:
    """A `Parameter`, or what wraps a tensor like one."""
    if name == "Parameter":
        made = torch.nn.Parameter(data, requires_grad)
    elif name == "Buffer":
        made = torch.nn.Buffer(data)
    elif name == "UninitializedParameter":
        made = torch.nn.parameter.UninitializedParameter(requires_grad=requires_grad)
    elif name == "UninitializedBuffer":
        made = torch.nn.parameter.UninitializedBuffer(requires_grad=requires_grad)
    else:
        raise Unbuilt(f"a tensor is wrapped in `{name}`, which is not rebuilt here")
    for attributes in state if isinstance(state, tuple) else (state,):
        if attributes is not None:
            # Not by `setattr`, as torch._utils._set_obj_state has it: a name from the file would
            # reach the setters of Tensor.
            give_state(made, attributes)
    return made
