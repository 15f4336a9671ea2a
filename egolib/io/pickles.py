"""Reading other people's pickles without running them.

A pickle is a program: loading one may call anything that can be imported. The unpickler here
looks every name up in a short list of functions of this module, which build plain containers,
strings and arrays from checked arguments. No class and no constructor of another library is
within its reach. A name outside the list becomes an ``Inert`` stand-in, which swallows
whatever the pickle does to it, or is refused where the caller wants that.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from egolib.errors import EgolibError

Builder = Callable[..., Any]

MOST_NESTED = 8  # tuples in a dictionary's key: hashing deeper ones could exhaust the C stack


class Inert:
    """Stands for an object of a class that was not loaded. It holds data and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def __call__(self, *args: Any, **kwargs: Any) -> Inert:
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, value: Any) -> None: ...

    def extend(self, values: Any) -> None: ...

    def add(self, value: Any) -> None: ...

    def __hash__(self) -> int:
        return id(self)


class Token:
    """Stands for a class or constant that a pickle hands to one of the functions below."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


# ---------------------------------------------------------------------- containers


def refuse(what: str) -> pickle.UnpicklingError:
    """The error that ends the reading of a pickle."""
    return pickle.UnpicklingError(f"{what}, refused")


def check_key(key: object, depth: int = MOST_NESTED) -> None:
    """Raises unless a key's hash is computed without deep recursion."""
    if isinstance(key, tuple | frozenset):
        if not depth:
            raise refuse("a key of deeply nested tuples")
        for part in key:
            check_key(part, depth - 1)


def _check_keys(keys: Iterable[object]) -> None:
    for key in keys:
        if type(key) is not str:
            check_key(key)


def _mapping(pairs: Any = ()) -> OrderedDict[Any, Any]:
    pairs = list(pairs.items() if isinstance(pairs, dict) else pairs)
    _check_keys(key for key, _ in pairs)
    return OrderedDict(pairs)


def _set(values: Any = ()) -> set[Any]:
    values = list(values)
    _check_keys(values)
    return set(values)


def _bytes(value: Any = b"", encoding: str = "latin1") -> bytes:
    if isinstance(value, str):
        return _encode(value, encoding)
    if isinstance(value, bytes | bytearray | list):
        return bytes(value)
    raise refuse(f"bytes of {type(value).__name__}")


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1", "utf-8", "utf8", "ascii"):
        raise refuse(f"the encoding {encoding!r}")
    return text.encode(encoding)


# -------------------------------------------------------------------------- arrays


_CODES = re.compile(r"[<>=|]?([biufc]\d\d?|[SU]\d{1,6}|[O?]8?)")


class _Dtype:
    """A NumPy type between its call and the state that names its byte order."""

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str) or not _CODES.fullmatch(code):
            raise refuse(f"the array type {code!r}")
        self.dtype = np.dtype("O" if code.startswith("O") else code)

    def finish(self, state: Any) -> np.dtype[Any]:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
        if order not in ("<", ">", "=", "|"):
            raise refuse(f"the byte order {order!r}")
        return self.dtype.newbyteorder(order)  # type: ignore[arg-type]


class _Array:
    """An array between its call and the state that holds its values."""

    def __init__(self, *_: object) -> None: ...

    def finish(self, state: Any) -> np.ndarray:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise refuse("an array without a shape, a type and values")
        shape, dtype, columns_first, data = state[-4:]
        return build_array(shape, dtype, data, "F" if columns_first else "C")


def build_array(shape: Any, dtype: Any, data: Any, order: str = "C") -> np.ndarray:
    """An array from its values.

    Args:
        shape: non-negative numbers.
        dtype: of NumPy; objects only with a list of values.
        data: bytes, text in latin1 as Python 2 wrote them, or a list.
        order: ``C`` or ``F``.
    """
    dtype = dtype.dtype if isinstance(dtype, _Dtype) else dtype
    sizes = (shape,) if isinstance(shape, int) else shape
    if not _is_shape(sizes) or not isinstance(dtype, np.dtype) or order not in ("C", "F"):
        raise refuse("an array without a shape and a type")
    count = math.prod(sizes)
    if dtype.hasobject:
        if not isinstance(data, list) or len(data) != count:
            raise refuse("an array of objects that are not listed")
        objects = np.empty(count, object)
        objects[:] = data
        return objects.reshape(sizes, order=order)  # type: ignore[call-overload,no-any-return]
    data = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(data, bytes | bytearray) or len(data) != count * dtype.itemsize:
        raise refuse(f"an array of {count} values with other bytes")
    if not count:
        return np.empty(sizes, dtype)
    values = np.frombuffer(bytearray(data), dtype)  # a copy, which may be written
    return values.reshape(sizes, order=order)  # type: ignore[call-overload,no-any-return]


def _is_shape(sizes: Any) -> bool:
    return isinstance(sizes, tuple | list) and not [n for n in sizes if type(n) is not int or n < 0]


def _scalar(dtype: Any, data: Any = b"") -> Any:
    return build_array((), dtype, data)[()]


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any = "C", *_: object) -> np.ndarray:
    return build_array(shape, dtype, data, order)


_ARRAYS: dict[str, Builder] = {
    "multiarray._reconstruct": _Array,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _from_buffer,
}
_PLAIN: dict[str, Builder] = {
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": lambda factory=None, pairs=(): dict(_mapping(pairs)),
    "builtins.dict": lambda pairs=(): dict(_mapping(pairs)),
    "builtins.set": _set,
    "builtins.frozenset": lambda values=(): frozenset(_set(values)),
    "builtins.list": lambda values=(): list(values),
    "builtins.tuple": lambda values=(): tuple(values),
    "builtins.slice": lambda *limits: slice(*limits),
    "builtins.complex": lambda real=0.0, imaginary=0.0: complex(real, imaginary),
    "builtins.bytearray": lambda *value: bytearray(_bytes(*value)),
    "builtins.bytes": _bytes,
    "_codecs.encode": _encode,
    "numpy.dtype": _Dtype,
    **{f"numpy.core.{name}": function for name, function in _ARRAYS.items()},
    **{f"numpy._core.{name}": function for name, function in _ARRAYS.items()},
}
_TOKENS = ("numpy.ndarray",)


# ---------------------------------------------------------------------- unpickling


# The unpickler that is written in Python: every step of it can be replaced.
_python: Any = vars(pickle)["_Unpickler"]
_Stop: type[BaseException] = vars(pickle)["_Stop"]


class Unpickler(_python):  # type: ignore[misc]
    """Python's own unpickler, whose calls reach the functions above only.

    Args:
        stream: binary, opened for reading.
        classes: replacements by full name; they are called, and their objects may be given
            attributes.
        strict: refuse other names instead of making them inert.
        builders: further functions by full name.
        persistent: what gives the objects that a file stores beside the pickle.
        encoding: of the strings that Python 2 wrote.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_python.dispatch)

    def __init__(
        self,
        stream: Any,
        *,
        classes: Mapping[str, type] | None = None,
        strict: bool = True,
        builders: Mapping[str, Builder | Token] | None = None,
        persistent: Callable[[Any], Any] | None = None,
        encoding: str = "latin1",
    ) -> None:
        super().__init__(stream, encoding=encoding)
        self._classes, self._strict, self._persistent = dict(classes or {}), strict, persistent
        self._known: dict[str, Builder | Token] = {
            **_PLAIN,
            **{name: Token(name) for name in _TOKENS},
            **(builders or {}),
        }
        functions = [value for value in self._known.values() if not isinstance(value, Token)]
        self._callable = {id(value) for value in [*functions, *self._classes.values()]}

    def load(self) -> Any:
        """The next value. Frames, which are hints only, are passed over: half the time."""
        self.metastack: list[Any] = []
        self.stack: list[Any] = []
        self.append, self.proto = self.stack.append, 0
        self.read, self.readline = self._file_read, self._file_readline
        read, dispatch = self.read, self.dispatch
        try:
            while True:
                dispatch[read(1)[0]](self)
        except _Stop as stop:
            return vars(stop)["value"]
        except (IndexError, KeyError) as error:
            raise refuse("a damaged or truncated pickle") from error

    def find_class(self, module: str, name: str) -> Any:
        module = "builtins" if module == "__builtin__" else module  # written by Python 2
        full = f"{module}.{name}"
        if full in self._classes:
            return self._classes[full]
        if full in self._known:
            return self._known[full]
        if self._strict:
            raise refuse(f"the file wants to load {full}")
        return type(str(name), (Inert,), {"__module__": f"inert.{module}"})

    def persistent_load(self, pid: Any) -> Any:
        if self._persistent is None:
            raise refuse("an object outside the pickle")
        return self._persistent(pid)

    def get_extension(self, code: int) -> None:
        raise refuse("a registered extension")

    def _call(self, function: Any, arguments: Any, keywords: Any = None) -> Any:
        inert = isinstance(function, Inert) or (
            isinstance(function, type) and issubclass(function, Inert)
        )
        if not inert and id(function) not in self._callable:
            raise refuse(f"a call of {getattr(function, 'name', type(function).__name__)}")
        return function(*arguments, **(keywords or {}))

    def _load_reduce(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], arguments)

    def _load_newobj(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self._new(self.stack[-1], arguments)

    def _load_newobj_ex(self) -> None:
        self.stack.pop()
        self._load_newobj()

    def _new(self, made: Any, arguments: Any) -> Any:
        if made in self._classes.values():
            return made.__new__(made)
        return self._call(made, arguments)

    def _instantiate(self, klass: Any, args: Any) -> None:
        self.append(self._call(klass, args))

    def _load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, _Array | _Dtype):
            self.stack[-1] = self._replace(target, target.finish(state))
        elif isinstance(target, Inert):
            target.state = state
        elif type(target) in self._classes.values() and isinstance(state, dict):
            names = [name for name in state if isinstance(name, str) and name.isidentifier()]
            vars(target).update({n: state[n] for n in names if not n.startswith("__")})
        elif not isinstance(target, OrderedDict):  # its state describes, and is not needed
            raise refuse(f"the state of {type(target).__name__}")

    def _replace(self, old: Any, new: Any) -> Any:
        """Puts what was built where the pickle refers to it: it was memorised just before."""
        for key in reversed(self.memo):
            if self.memo[key] is old:
                self.memo[key] = new
                break
        return new

    def _load_frame(self) -> None:
        self.read(8)

    def _load_setitem(self) -> None:
        check_key(self.stack[-2])
        super().load_setitem()

    def _load_setitems(self) -> None:
        _check_keys(self.stack[::2])
        super().load_setitems()

    def _load_dict(self) -> None:
        _check_keys(self.stack[::2])
        super().load_dict()

    def _load_frozenset(self) -> None:
        _check_keys(self.stack)
        super().load_frozenset()

    def _load_additems(self) -> None:
        _check_keys(self.stack)
        super().load_additems()

    def _load_bytearray8(self) -> None:
        size = int.from_bytes(self.read(8), "little")
        data = self.read(size)
        if len(data) != size:
            raise refuse("a longer array of bytes than the file")
        self.append(bytearray(data))

    dispatch.update(
        {
            pickle.REDUCE[0]: _load_reduce,
            pickle.NEWOBJ[0]: _load_newobj,
            pickle.NEWOBJ_EX[0]: _load_newobj_ex,
            pickle.BUILD[0]: _load_build,
            pickle.FRAME[0]: _load_frame,
            pickle.SETITEM[0]: _load_setitem,
            pickle.SETITEMS[0]: _load_setitems,
            pickle.DICT[0]: _load_dict,
            pickle.FROZENSET[0]: _load_frozenset,
            pickle.ADDITEMS[0]: _load_additems,
            pickle.BYTEARRAY8[0]: _load_bytearray8,
        }
    )


class RestrictedPickle:
    """Reads pickles one after the other from a stream, with the same replacements.

    Args:
        classes: replacements by full name, for instance
            ``{"vq2d.structures.BBox": plain_container}``.
        strict: refuse names that are neither allowed nor replaced instead of
            making them inert.
    """

    def __init__(self, classes: Mapping[str, type] | None = None, strict: bool = False) -> None:
        self.classes, self.strict = classes, strict

    def load(self, stream: Any) -> Any:
        """The next value of a binary stream."""
        return Unpickler(stream, classes=self.classes, strict=self.strict).load()

    def loads(self, data: bytes) -> Any:
        """The value of a pickle in memory."""
        return self.load(io.BytesIO(data))


def read_pickle(
    path: str | Path, classes: Mapping[str, type] | None = None, strict: bool = True
) -> Any:
    """One pickled value, built from allowed names only.

    Args:
        path: the file.
        classes: replacements by full name.
        strict: refuse other names; False makes them inert.

    Raises:
        EgolibError: missing or damaged file, or a name that is not allowed.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            return RestrictedPickle(classes, strict).load(stream)
    except FileNotFoundError as error:
        raise EgolibError("the file does not exist", file=path) from error
    except Exception as error:
        raise EgolibError(f"the pickle was not read: {error}", file=path) from error
