/*
 * Typed keys as bytes, and back.
 *
 * In: the parts of a key, tuples within it between their begin and end. Out: bytes that keep their order. Must never: make one key of
 * two different ones.
 */
#include "core.h"

/* One part of (kind, integer, bytes): the bytes stay with the tuple. */
static int take_part(PyObject *row, atoll_key_part *part)
{
    char *data;
    Py_ssize_t len;
    uint32_t kind;
    if (!PyTuple_Check(row) || PyTuple_Size(row) != 3) {
        raise_invalid("a part of a key is (kind, integer, bytes)");
        return -1;
    }
    if (take_u32(PyTuple_GetItem(row, 0), "kind", &kind) != 0 || PyBytes_AsStringAndSize(PyTuple_GetItem(row, 2), &data, &len) != 0) {
        return -1;
    }
    part->kind = kind;
    part->integer = PyLong_AsLongLong(PyTuple_GetItem(row, 1));
    part->bytes.data = (const uint8_t *)data;
    part->bytes.len = (size_t)len;
    return PyErr_Occurred() ? -1 : 0;
}

/* ([(kind, integer, bytes)], encoding, is_tuple) -> bytes */
PyObject *encode_key(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    PyObject *tuple;
    uint32_t encoding;
    Py_ssize_t count, i;
    int is_tuple;
    atoll_key_part *parts;
    atoll_buf *key = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    (void)module;
    if (n != 3) {
        return raise_invalid("encode_key takes parts, encoding, is_tuple");
    }
    is_tuple = PyObject_IsTrue(args[2]);
    if (is_tuple < 0 || take_u32(args[1], "encoding", &encoding) != 0) {
        return NULL;
    }
    /* Of its own: reading a number may change a list. */
    tuple = PySequence_Tuple(args[0]);
    if (!tuple) {
        return NULL;
    }
    count = PyTuple_Size(tuple);
    parts = PyMem_Calloc((size_t)count + 1, sizeof *parts);
    if (!parts) {
        Py_DECREF(tuple);
        return PyErr_NoMemory();
    }
    for (i = 0; i < count; i++) {
        if (take_part(PyTuple_GetItem(tuple, i), &parts[i]) != 0) {
            PyMem_Free(parts);
            Py_DECREF(tuple);
            return NULL;
        }
    }
    status = is_tuple ? atoll_encode_key_tuple(parts, (size_t)count, &key, &err)
                      : atoll_encode_key(parts, (size_t)count, encoding, &key, &err);
    PyMem_Free(parts);
    Py_DECREF(tuple);
    return status == ATOLL_OK ? bytes_of_buf(key) : raise_status(status, err);
}

/* bytes -> [(kind, integer, bytes)] */
PyObject *decode_key(PyObject *module, PyObject *object)
{
    bytes_arg key;
    atoll_key_part *parts = NULL;
    atoll_buf *contents = NULL;
    atoll_error *err = NULL;
    atoll_status status = ATOLL_BUFFER_TOO_SMALL;
    size_t room = 8, n = 0, i;
    PyObject *list;
    (void)module;
    if (take_bytes(object, &key) != 0) {
        return NULL;
    }
    while (status == ATOLL_BUFFER_TOO_SMALL) {
        PyMem_Free(parts);
        room = n > room ? n : room;
        parts = PyMem_Calloc(room, sizeof *parts);
        if (!parts) {
            give_back(&key);
            return PyErr_NoMemory();
        }
        status = atoll_decode_key_tuple(key.data, (size_t)key.len, parts, room, &n, &contents, &err);
    }
    give_back(&key);
    if (status != ATOLL_OK) {
        PyMem_Free(parts);
        return raise_status(status, err);
    }
    list = PyList_New((Py_ssize_t)n);
    for (i = 0; list && i < n; i++) {
        PyObject *row = Py_BuildValue("(ILN)", (unsigned int)parts[i].kind, (long long)parts[i].integer, bytes_of(parts[i].bytes));
        if (!row || PyList_SetItem(list, (Py_ssize_t)i, row) != 0) {
            Py_CLEAR(list);
        }
    }
    PyMem_Free(parts);
    atoll_buf_free(contents);
    return list;
}
