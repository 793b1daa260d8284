/*
 * Writes that take effect together.
 *
 * In: keys and values, which are copied. Out: the type Batch, applied by write.c and cluster.c. Must never: change while it is written.
 */
#include "core.h"

static void batch_dealloc(PyObject *self)
{
    atoll_batch_free(((BatchObject *)self)->batch);
    free_object(self);
}

static PyObject *batch_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    BatchObject *self = new_object(type);
    (void)args;
    (void)keywords;
    if (self) {
        self->batch = atoll_batch_new();
    }
    return (PyObject *)self;
}

static PyObject *batch_put(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    bytes_arg key, value;
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t ttl_ms;
    if (n != 3) {
        return raise_invalid("put takes key, value, ttl_ms");
    }
    if (take_u64(args[2], "ttl", &ttl_ms) != 0 || take_bytes(args[0], &key) != 0) {
        return NULL;
    }
    if (take_bytes(args[1], &value) != 0) {
        give_back(&key);
        return NULL;
    }
    status = atoll_batch_put(((BatchObject *)self)->batch, key.data, (size_t)key.len, value.data, (size_t)value.len, ttl_ms, &err);
    give_back(&key);
    give_back(&value);
    return none_or_raise(status, err);
}

/* (keys, values): key i with value i, all of them or none */
static PyObject *batch_put_many(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    packed keys, values;
    atoll_error *err = NULL;
    atoll_status status = ATOLL_OK;
    if (n != 2) {
        return raise_invalid("put_many takes keys, values");
    }
    if (pack(args[0], &keys) != 0) {
        return NULL;
    }
    if (pack(args[1], &values) != 0) {
        free_packed(&keys);
        return NULL;
    }
    if (keys.n != values.n) {
        raise_refused("there are %zd keys and %zd values", keys.n, values.n);
    } else {
        status = atoll_batch_put_packed(((BatchObject *)self)->batch, (const uint8_t *)keys.bytes, keys.offsets,
                                        (const uint8_t *)values.bytes, values.offsets, (size_t)keys.n, &err);
    }
    free_packed(&keys);
    free_packed(&values);
    return PyErr_Occurred() ? NULL : none_or_raise(status, err);
}

static PyObject *batch_delete(PyObject *self, PyObject *key_object)
{
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(key_object, &key) != 0) {
        return NULL;
    }
    status = atoll_batch_delete(((BatchObject *)self)->batch, key.data, (size_t)key.len, &err);
    give_back(&key);
    return none_or_raise(status, err);
}

static PyObject *batch_clear(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (((BatchObject *)self)->users > 0) {
        return raise_status(ATOLL_E_BUSY, NULL);
    }
    atoll_batch_clear(((BatchObject *)self)->batch);
    Py_RETURN_NONE;
}

static Py_ssize_t batch_len(PyObject *self)
{
    if (((BatchObject *)self)->users > 0) {
        raise_status(ATOLL_E_BUSY, NULL);
        return -1;
    }
    return (Py_ssize_t)atoll_batch_len(((BatchObject *)self)->batch);
}

static PyMethodDef batch_methods[] = {
    {"_put", FAST(batch_put), METH_FASTCALL, NULL},
    {"_put_many", FAST(batch_put_many), METH_FASTCALL, NULL},
    {"delete", batch_delete, METH_O, "Takes a key's value away when the batch is written."},
    {"clear", batch_clear, METH_NOARGS, "Takes everything out of the batch."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot batch_slots[] = {
    {Py_tp_new, batch_new},
    {Py_tp_dealloc, batch_dealloc},
    {Py_tp_methods, batch_methods},
    {Py_sq_length, batch_len},
    {0, NULL},
};

PyType_Spec batch_spec = {
    "atoll._core.Batch", sizeof(BatchObject), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, batch_slots,
};
