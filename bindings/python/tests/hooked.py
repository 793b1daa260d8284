"""Objects whose buffer is taken with code of the test: what other extensions, and classes with __buffer__, may do.

In: a function to call before and the bytes to give. Out: an object with a buffer. Classes have no __buffer__ before Python 3.12, so the
type is made through the interpreter's own C interface.
"""

import ctypes


class _Buffer(ctypes.Structure):
    """The begin of Py_buffer: FillInfo sets the rest."""

    _fields_ = [("buf", ctypes.c_void_p), ("obj", ctypes.c_void_p), ("rest", ctypes.c_byte * 64)]


class _Slot(ctypes.Structure):
    _fields_ = [("slot", ctypes.c_int), ("function", ctypes.c_void_p)]


class _Spec(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p), ("size", ctypes.c_int), ("item", ctypes.c_int), ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    ]  # fmt: skip


_api = ctypes.pythonapi
_api.PyType_FromSpec.restype = ctypes.py_object
_api.PyType_FromSpec.argtypes = [ctypes.POINTER(_Spec)]
_api.PyBuffer_FillInfo.argtypes = [
    ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int, ctypes.c_int,
]  # fmt: skip
_PY_BF_GETBUFFER, _HEAD = 1, object.__basicsize__
_hooks = {}


@ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p, ctypes.c_int)
def _get_buffer(exporter, view, flags):
    before, data = _hooks[id(exporter)]
    before()
    return _api.PyBuffer_FillInfo(view, exporter, ctypes.cast(data, ctypes.c_void_p), len(data.value), 1, flags)


_slots = (_Slot * 2)(_Slot(_PY_BF_GETBUFFER, ctypes.cast(_get_buffer, ctypes.c_void_p).value), _Slot(0, None))
_spec = _Spec(b"hooked.Hooked", _HEAD, 0, 1 << 18, _slots)
_Hooked = _api.PyType_FromSpec(ctypes.byref(_spec))


def hooked(before, data):
    """An object that has `data` as its buffer and calls `before` when that is asked for. Lives as long as the process."""
    exporter = _Hooked()
    _hooks[id(exporter)] = before, ctypes.create_string_buffer(data)
    _kept.append(exporter)
    return exporter


_kept = []
