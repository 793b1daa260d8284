/*
 * Versions of a key that did not know each other, and causal contexts.
 *
 * In: what a version is made of; bytes. Out: bytes; rows (value, context, stamp, node, sequence, incarnation, deleted). Must never: lose a
 * part of a version on the way.
 */
#include "core.h"

PyObject *order_name(int32_t order)
{
    switch (order) {
    case ATOLL_VC_EQUAL: return PyUnicode_FromString("equal");
    case ATOLL_VC_BEFORE: return PyUnicode_FromString("before");
    case ATOLL_VC_AFTER: return PyUnicode_FromString("after");
    default: return PyUnicode_FromString("concurrent");
    }
}

PyObject *version_row(const atoll_version_view *version)
{
    return Py_BuildValue("(NNKKKIN)", bytes_of(version->value), bytes_of(version->context), (unsigned long long)version->stamp,
                         (unsigned long long)version->node, (unsigned long long)version->sequence, (unsigned int)version->incarnation,
                         PyBool_FromLong(version->deleted != 0));
}

PyObject *version_encode(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    atoll_version_view version;
    bytes_arg value, context;
    atoll_buf *encoded = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    int deleted;
    (void)module;
    if (n != 7) {
        return raise_invalid("version_encode takes value, context, stamp, node, sequence, incarnation, deleted");
    }
    memset(&version, 0, sizeof version);
    deleted = PyObject_IsTrue(args[6]);
    if (deleted < 0 || take_u64(args[2], "stamp", &version.stamp) != 0 || take_u64(args[3], "node", &version.node) != 0 ||
        take_u64(args[4], "sequence", &version.sequence) != 0 || take_u32(args[5], "incarnation", &version.incarnation) != 0 ||
        take_bytes(args[0], &value) != 0) {
        return NULL;
    }
    if (take_bytes(args[1], &context) != 0) {
        give_back(&value);
        return NULL;
    }
    version.deleted = (uint32_t)deleted;
    version.value.data = (const uint8_t *)value.data;
    version.value.len = (size_t)value.len;
    version.context.data = (const uint8_t *)context.data;
    version.context.len = (size_t)context.len;
    status = atoll_version_encode(&version, &encoded, &err);
    give_back(&value);
    give_back(&context);
    return status == ATOLL_OK ? bytes_of_buf(encoded) : raise_status(status, err);
}

PyObject *version_decode(PyObject *module, PyObject *object)
{
    bytes_arg encoded;
    atoll_version_view version;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *row;
    (void)module;
    if (take_bytes(object, &encoded) != 0) {
        return NULL;
    }
    status = atoll_version_decode(encoded.data, (size_t)encoded.len, &version, &err);
    /* The views are of what was taken. */
    row = status == ATOLL_OK ? version_row(&version) : raise_status(status, err);
    give_back(&encoded);
    return row;
}

PyObject *version_rows(atoll_versions *versions)
{
    size_t i, count = atoll_versions_count(versions);
    PyObject *rows = PyList_New((Py_ssize_t)count);
    for (i = 0; rows && i < count; i++) {
        atoll_version_view version;
        atoll_error *err = NULL;
        atoll_status status = atoll_versions_at(versions, i, &version, &err);
        PyObject *row = status == ATOLL_OK ? version_row(&version) : raise_status(status, err);
        if (!row || PyList_SetItem(rows, (Py_ssize_t)i, row) != 0) {
            Py_CLEAR(rows);
        }
    }
    atoll_versions_free(versions);
    return rows;
}

PyObject *context_compare(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    bytes_arg left, right;
    int32_t order = 0;
    atoll_error *err = NULL;
    atoll_status status;
    (void)module;
    if (n != 2) {
        return raise_invalid("two contexts are needed");
    }
    if (take_bytes(args[0], &left) != 0) {
        return NULL;
    }
    if (take_bytes(args[1], &right) != 0) {
        give_back(&left);
        return NULL;
    }
    status = atoll_context_compare(left.data, (size_t)left.len, right.data, (size_t)right.len, &order, &err);
    give_back(&left);
    give_back(&right);
    return status == ATOLL_OK ? order_name(order) : raise_status(status, err);
}

PyObject *context_merge(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    bytes_arg left, right;
    atoll_buf *merged = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    (void)module;
    if (n != 2) {
        return raise_invalid("two contexts are needed");
    }
    if (take_bytes(args[0], &left) != 0) {
        return NULL;
    }
    if (take_bytes(args[1], &right) != 0) {
        give_back(&left);
        return NULL;
    }
    status = atoll_context_merge(left.data, (size_t)left.len, right.data, (size_t)right.len, &merged, &err);
    give_back(&left);
    give_back(&right);
    return status == ATOLL_OK ? bytes_of_buf(merged) : raise_status(status, err);
}
