/*
 * Writes to a store: single ones, conditional ones, batches.
 *
 * In: keys, values, how safe and for how long. Out: None, positions, whether it was done. Must never: let another thread change the bytes
 * while they are written.
 */
#include "core.h"

/* Arguments after the key and value of a write: (durability, ttl_ms). */
static int take_write(PyObject *durability, PyObject *ttl_ms, atoll_write_opts *options)
{
    const atoll_write_opts fresh = ATOLL_WRITE_OPTS_INIT;
    *options = fresh;
    return take_u32(durability, "durability", &options->durability) != 0 ? -1 : take_u64(ttl_ms, "ttl", &options->ttl_ms);
}

static PyObject *put_bytes(PyObject *self, PyObject *key_object, PyObject *value_object, const atoll_write_opts *options)
{
    bytes_arg key, value;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    if (take_bytes(key_object, &key) != 0) {
        return NULL;
    }
    if (take_bytes(value_object, &value) != 0) {
        give_back(&key);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_put(db, options, key.data, (size_t)key.len, value.data, (size_t)value.len, &err);
    Py_END_ALLOW_THREADS
    give_back(&key);
    give_back(&value);
    return none_or_raise(status, err);
}

static PyObject *delete_bytes(PyObject *self, PyObject *key_object, const atoll_write_opts *options)
{
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    if (take_bytes(key_object, &key) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_delete(db, options, key.data, (size_t)key.len, &err);
    Py_END_ALLOW_THREADS
    give_back(&key);
    return none_or_raise(status, err);
}

PyObject *db_put(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_write_opts options;
    if (n != 4 || take_write(args[2], args[3], &options) != 0) {
        return n == 4 ? NULL : raise_invalid("put takes key, value, durability, ttl_ms");
    }
    return put_bytes(self, args[0], args[1], &options);
}

PyObject *db_delete(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_write_opts options = ATOLL_WRITE_OPTS_INIT;
    if (n != 2) {
        return raise_invalid("delete takes key, durability");
    }
    return take_u32(args[1], "durability", &options.durability) != 0 ? NULL : delete_bytes(self, args[0], &options);
}

int db_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    PyObject *done;
    if (!value) {
        int is_there = db_contains(self, key);
        if (is_there <= 0) {
            if (is_there == 0) {
                PyErr_SetObject(PyExc_KeyError, key);
            }
            return -1;
        }
    }
    done = value ? put_bytes(self, key, value, NULL) : delete_bytes(self, key, NULL);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

PyObject *db_compare_and_set(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_write_opts options;
    atoll_expected expected = {ATOLL_EXPECT_ABSENT, 0, {NULL, 0}, 0, 0};
    atoll_bytes next = {NULL, 0};
    bytes_arg key, old = {NULL, 0, NULL}, value = {NULL, 0, NULL};
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    int has_value;
    if (n != 5 || take_write(args[3], args[4], &options) != 0) {
        return n == 5 ? NULL : raise_invalid("compare_and_set takes key, expected, value, durability, ttl_ms");
    }
    if (take_bytes(args[0], &key) != 0) {
        return NULL;
    }
    if (PyTuple_Check(args[1])) {
        /* (lsn, hlc) of a version. */
        if (PyTuple_Size(args[1]) != 2 || take_u64(PyTuple_GetItem(args[1], 0), "lsn", &expected.lsn) != 0 ||
            take_u64(PyTuple_GetItem(args[1], 1), "hlc", &expected.hlc) != 0) {
            give_back(&key);
            return PyErr_Occurred() ? NULL : raise_invalid("a version is (lsn, hlc)");
        }
        expected.kind = ATOLL_EXPECT_VERSION;
    } else if (args[1] != Py_None) {
        if (take_bytes(args[1], &old) != 0) {
            give_back(&key);
            return NULL;
        }
        expected.kind = ATOLL_EXPECT_VALUE;
        expected.value.data = (const uint8_t *)old.data;
        expected.value.len = (size_t)old.len;
    }
    has_value = args[2] != Py_None;
    if (has_value) {
        if (take_bytes(args[2], &value) != 0) {
            give_back(&key);
            give_back(&old);
            return NULL;
        }
        next.data = (const uint8_t *)value.data;
        next.len = (size_t)value.len;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_compare_and_set(db, &options, key.data, (size_t)key.len, &expected, has_value ? &next : NULL, &err);
    Py_END_ALLOW_THREADS
    give_back(&key);
    give_back(&old);
    give_back(&value);
    if (status < 0) {
        return raise_status(status, err);
    }
    return PyBool_FromLong(status == ATOLL_OK);
}

PyObject *db_write(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_write_opts options = ATOLL_WRITE_OPTS_INIT;
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t lsn = 0;
    atoll_db *db = ((DbObject *)self)->db;
    atoll_batch *batch;
    if (n != 2 || !PyObject_TypeCheck(args[0], Batch_Type)) {
        return raise_invalid("write takes a batch and a durability");
    }
    if (take_u32(args[1], "durability", &options.durability) != 0) {
        return NULL;
    }
    batch = ((BatchObject *)args[0])->batch;
    ((BatchObject *)args[0])->users++;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_write(db, &options, batch, &lsn, &err);
    Py_END_ALLOW_THREADS
    ((BatchObject *)args[0])->users--;
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(lsn) : raise_status(status, err);
}

/* (start, end, flags, 0, False, durability) -> how many there were */
PyObject *db_delete_range(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_write_opts options = ATOLL_WRITE_OPTS_INIT;
    scan_arg arg;
    uint64_t deleted = 0;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    if (n != 6) {
        return raise_invalid("delete_range takes start, end, flags, 0, False, durability");
    }
    if (take_u32(args[5], "durability", &options.durability) != 0 || take_range(args, &arg) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_delete_range(db, &options, &arg.range, &deleted, &err);
    Py_END_ALLOW_THREADS
    scan_done(&arg);
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(deleted) : raise_status(status, err);
}
