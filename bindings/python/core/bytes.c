/*
 * Bytes, in both directions.
 *
 * In: bytes, str, buffers, iterables of them; views and buffers of the library. Out: pointers that stay until they are given back; Python
 * objects. Must never: hand over memory that somebody else may change, or run code of the program when giving back.
 */
#include "core.h"

int take_bytes(PyObject *object, bytes_arg *arg)
{
    Py_buffer view;
    arg->copy = NULL;
    if (PyBytes_Check(object)) {
        char *data;
        if (PyBytes_AsStringAndSize(object, &data, &arg->len) != 0) {
            return -1;
        }
        arg->data = data;
        return 0;
    }
    if (PyUnicode_Check(object)) {
        arg->data = PyUnicode_AsUTF8AndSize(object, &arg->len);
        return arg->data ? 0 : -1;
    }
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) != 0) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Clear();
            PyErr_Format(PyExc_TypeError, "bytes, str or a buffer is needed, not %R", (PyObject *)Py_TYPE(object));
        }
        return -1;
    }
    if (view.ndim == 0) {
        /* A number of numpy or ctypes: its bytes are no key that anybody means. */
        PyBuffer_Release(&view);
        PyErr_Format(PyExc_TypeError, "bytes, str or a buffer is needed, not the single value %R: encode_key() makes keys of numbers", object);
        return -1;
    }
    arg->len = view.len;
    arg->copy = PyMem_Malloc(view.len > 0 ? (size_t)view.len : 1);
    if (arg->copy) {
        memcpy(arg->copy, view.buf, (size_t)view.len);
    } else {
        PyErr_NoMemory();
    }
    arg->data = arg->copy;
    PyBuffer_Release(&view);
    return arg->copy ? 0 : -1;
}

void give_back(bytes_arg *arg)
{
    PyMem_Free(arg->copy);
}

PyObject *bytes_of(atoll_bytes view)
{
    return PyBytes_FromStringAndSize((const char *)view.data, (Py_ssize_t)view.len);
}

PyObject *str_of(atoll_bytes view)
{
    return PyUnicode_DecodeUTF8((const char *)view.data, (Py_ssize_t)view.len, "strict");
}

/* The bytes of a buffer of the library, which is freed. */
PyObject *bytes_of_buf(atoll_buf *buf)
{
    PyObject *bytes = bytes_of(atoll_buf_bytes(buf));
    atoll_buf_free(buf);
    return bytes;
}

PyObject *str_of_buf(atoll_buf *buf)
{
    PyObject *text = str_of(atoll_buf_bytes(buf));
    atoll_buf_free(buf);
    return text;
}

void free_packed(packed *keys)
{
    PyMem_Free(keys->bytes);
    PyMem_Free(keys->offsets);
}

int pack(PyObject *list, packed *keys)
{
    size_t room = 0, used = 0;
    Py_ssize_t i;
    PyObject *sequence;
    keys->bytes = NULL;
    keys->offsets = NULL;
    if (PyUnicode_Check(list) || PyBytes_Check(list) || PyByteArray_Check(list)) {
        PyErr_Format(PyExc_TypeError, "many keys are needed, not the one key %R", list);
        return -1;
    }
    sequence = PySequence_Tuple(list);
    if (!sequence) {
        return -1;
    }
    keys->n = PyTuple_Size(sequence);
    keys->offsets = PyMem_Malloc(((size_t)keys->n + 1) * sizeof *keys->offsets);
    room = 32 * (size_t)keys->n + 64;
    keys->bytes = PyMem_Malloc(room);
    if (!keys->offsets || !keys->bytes) {
        PyErr_NoMemory();
        goto failed;
    }
    keys->offsets[0] = 0;
    for (i = 0; i < keys->n; i++) {
        bytes_arg key;
        if (take_bytes(PyTuple_GetItem(sequence, i), &key) != 0) {
            goto failed;
        }
        if (used + (size_t)key.len > UINT32_MAX) {
            give_back(&key);
            PyErr_SetString(PyExc_ValueError, "the keys of one call have more than 4 GiB together");
            goto failed;
        }
        if (used + (size_t)key.len > room) {
            char *larger;
            room = 2 * (used + (size_t)key.len);
            larger = PyMem_Realloc(keys->bytes, room);
            if (!larger) {
                give_back(&key);
                PyErr_NoMemory();
                goto failed;
            }
            keys->bytes = larger;
        }
        memcpy(keys->bytes + used, key.data, (size_t)key.len);
        used += (size_t)key.len;
        keys->offsets[i + 1] = (uint32_t)used;
        give_back(&key);
    }
    Py_DECREF(sequence);
    return 0;
failed:
    Py_DECREF(sequence);
    free_packed(keys);
    return -1;
}
