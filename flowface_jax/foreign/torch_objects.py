"""The names that PyTorch's files use for tensors and what goes with them, each standing for an inert record."""

from __future__ import annotations

from typing import Any, Final

import ml_dtypes
import numpy as np

from flowface_jax.foreign import inert
from flowface_jax.foreign.allow_list import Function, Globals, not_callable
from flowface_jax.foreign.inert import UnreadableError

_STORAGES: Final[dict[str, Any]] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
    "ComplexFloatStorage": np.complex64,
    "ComplexDoubleStorage": np.complex128,
    "UntypedStorage": np.uint8,
}
_NUMBERS: Final[dict[str, Any]] = {
    name: getattr(ml_dtypes, name, None) or getattr(np, name)
    for name in (
        *("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64", "complex128"),
        *("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"),
    )
} | {"bool": np.bool_}


class NumberType(Function):
    """torch.float32, torch.FloatStorage and their like: stand for a type of numbers, cannot be called."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: Any) -> None:
        super().__init__(not_callable)
        object.__setattr__(self, "dtype", np.dtype(dtype))


def storage_description(identifier: Any) -> tuple[np.dtype, str, int, tuple[int, int] | None]:
    """What a file says of a storage: type, key, count of numbers, and (offset, count) where it is a part of one.

    Raises UnreadableError for anything else than a storage.
    """
    if not isinstance(identifier, tuple) or len(identifier) < 5 or identifier[0] != "storage":
        raise UnreadableError("a whole PyTorch module or an unknown external object; save its state_dict instead")
    _, number_type, key, _, count = identifier[:5]
    if not isinstance(number_type, NumberType) or not _is_count(count):
        raise UnreadableError("a PyTorch storage of unknown type or size")
    view = identifier[5] if len(identifier) > 5 else None
    if view is None:
        return number_type.dtype, str(key), count, None
    if not isinstance(view, tuple) or len(view) != 3 or not _is_count(view[1]) or not _is_count(view[2]):
        raise UnreadableError("a PyTorch storage that is a part of another in an unknown way")
    return number_type.dtype, str(key), count, (view[1], view[2])


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


def _parameter(tensor: Any, *_: Any) -> inert.Tensor:
    if not isinstance(tensor, inert.Tensor):
        raise UnreadableError("a PyTorch parameter without its tensor")
    return tensor


def _typed_tensor(
    storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, *_: Any
) -> Any:
    if not isinstance(dtype, NumberType):
        raise UnreadableError("a PyTorch tensor of unknown type")
    return inert.Tensor(storage, offset, size, stride, dtype.dtype)


def _with_attributes(build: Any, _type: Any, arguments: Any, *_: Any) -> Any:
    if build not in (_BUILD, _BUILD_PARAMETER) or not isinstance(arguments, tuple):
        raise UnreadableError("a PyTorch tensor of a type of its own")
    return build(*arguments)


def _size(values: Any = ()) -> tuple[Any, ...]:
    if not isinstance(values, tuple | list):
        raise UnreadableError("a shape that is not a list of numbers")
    return tuple(values)


def _opaque(origin: str) -> type:
    return type("Opaque", (inert.Opaque,), {"origin": origin})


_BUILD = Function(lambda storage, offset, size, stride, *_: inert.Tensor(storage, offset, size, stride))
_BUILD_PARAMETER = Function(_parameter)

TENSORS: Final[Globals] = {
    ("torch._utils", "_rebuild_tensor"): _BUILD,
    ("torch._utils", "_rebuild_tensor_v2"): _BUILD,
    ("torch._utils", "_rebuild_tensor_v3"): Function(_typed_tensor),
    ("torch._utils", "_rebuild_parameter"): _BUILD_PARAMETER,
    ("torch._utils", "_rebuild_parameter_with_state"): _BUILD_PARAMETER,
    ("torch._tensor", "_rebuild_from_type_v2"): Function(_with_attributes),
    ("torch", "Tensor"): Function(not_callable),
    ("torch.nn.parameter", "Parameter"): Function(not_callable),
    ("torch", "Size"): Function(_size),
    ("torch", "device"): Function(lambda *_: None),
    **{("torch", name): NumberType(dtype) for name, dtype in _STORAGES.items()},
    ("torch.storage", "UntypedStorage"): NumberType(np.uint8),
    **{("torch", name): NumberType(dtype) for name, dtype in _NUMBERS.items()},
}
"""The names of tensors, their numbers and shapes."""


def companions() -> Globals:
    """The names of settings that training programs save beside the tensors; their contents are passed over."""
    return {
        ("argparse", "Namespace"): _opaque("argparse.Namespace"),
        ("collections", "defaultdict"): Function(lambda *_: inert.Dictionary()),
        ("collections", "Counter"): Function(inert.Dictionary),
        # What a defaultdict makes its entries with.
        **{
            (builtins, name): Function(not_callable)
            for builtins in ("builtins", "__builtin__")
            for name in ("int", "long", "float", "str", "unicode", "bool")
        },
        **{
            ("pathlib", name): Function(lambda *_: None)
            for name in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
        },
    }
