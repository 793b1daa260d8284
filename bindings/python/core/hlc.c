/*
 * Time stamps of nodes: hybrid logical clocks.
 *
 * In: milliseconds, counters, names of nodes; texts and bytes of stamps. Out: numbers, texts, bytes. Must never: write a stamp in another
 * form than the one there is.
 */
#include "core.h"

/* A name has at most 255 bytes, and the rest of a text 31. */
#define LONGEST 512

PyObject *hlc_pack(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    uint64_t wall_ms, stamp;
    uint32_t counter;
    atoll_error *err = NULL;
    atoll_status status;
    (void)module;
    if (n != 2) {
        return raise_invalid("hlc_pack takes milliseconds, counter");
    }
    if (take_u64(args[0], "milliseconds", &wall_ms) != 0 || take_u32(args[1], "counter", &counter) != 0) {
        return NULL;
    }
    if (counter > UINT16_MAX) {
        return raise_refused("counter cannot be %u: it is a whole number from 0 to 65535", (unsigned)counter);
    }
    status = atoll_hlc_pack(wall_ms, (uint16_t)counter, &stamp, &err);
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(stamp) : raise_status(status, err);
}

/* (stamp, node) as text or bytes. */
static PyObject *written(PyObject *const *args, Py_ssize_t n, int is_text)
{
    char room[LONGEST];
    size_t len = 0;
    uint64_t stamp;
    bytes_arg node;
    atoll_error *err = NULL;
    atoll_status status;
    if (n != 2) {
        return raise_invalid("a stamp and the name of a node are needed");
    }
    if (take_u64(args[0], "stamp", &stamp) != 0 || take_bytes(args[1], &node) != 0) {
        return NULL;
    }
    status = is_text ? atoll_hlc_to_text(stamp, node.data, (size_t)node.len, room, sizeof room, &len, &err)
                     : atoll_hlc_encode_into(stamp, node.data, (size_t)node.len, room, sizeof room, &len, &err);
    give_back(&node);
    if (status != ATOLL_OK) {
        return raise_status(status, err);
    }
    return is_text ? PyUnicode_DecodeUTF8(room, (Py_ssize_t)len, "strict") : PyBytes_FromStringAndSize(room, (Py_ssize_t)len);
}

PyObject *hlc_to_text(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    (void)module;
    return written(args, n, 1);
}

PyObject *hlc_encode(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    (void)module;
    return written(args, n, 0);
}

/* -> (stamp, node) */
static PyObject *reading(PyObject *object, int is_text)
{
    bytes_arg data;
    uint64_t stamp = 0;
    atoll_bytes node;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *answer;
    if (take_bytes(object, &data) != 0) {
        return NULL;
    }
    status = is_text ? atoll_hlc_from_text(data.data, (size_t)data.len, &stamp, &node, &err)
                     : atoll_hlc_decode(data.data, (size_t)data.len, &stamp, &node, &err);
    /* The name is a view of what was taken. */
    answer = status == ATOLL_OK ? Py_BuildValue("(KN)", (unsigned long long)stamp, str_of(node)) : raise_status(status, err);
    give_back(&data);
    return answer;
}

PyObject *hlc_from_text(PyObject *module, PyObject *text)
{
    (void)module;
    return reading(text, 1);
}

PyObject *hlc_decode(PyObject *module, PyObject *data)
{
    (void)module;
    return reading(data, 0);
}

/* Two stamps in their byte form -> -1, 0 or 1 */
PyObject *hlc_compare(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    bytes_arg left, right;
    int32_t order = 0;
    atoll_error *err = NULL;
    atoll_status status;
    (void)module;
    if (n != 2) {
        return raise_invalid("two stamps are needed");
    }
    if (take_bytes(args[0], &left) != 0) {
        return NULL;
    }
    if (take_bytes(args[1], &right) != 0) {
        give_back(&left);
        return NULL;
    }
    status = atoll_hlc_compare_encoded(left.data, (size_t)left.len, right.data, (size_t)right.len, &order, &err);
    give_back(&left);
    give_back(&right);
    return status == ATOLL_OK ? PyLong_FromLong(order) : raise_status(status, err);
}
