/*
 * Bulk loads of sorted pairs.
 *
 * In: pairs whose keys ascend. Out: the type Load. Must never: hold the interpreter's lock while files are written.
 */
#include "core.h"

static void load_dealloc(PyObject *self)
{
    atoll_load_free(((LoadObject *)self)->load);
    free_object(self);
}

/* (kind of load) */
PyObject *db_load(PyObject *self, PyObject *unused)
{
    LoadObject *load = new_object(Load_Type);
    atoll_error *err = NULL;
    atoll_status status;
    (void)unused;
    if (!load) {
        return NULL;
    }
    status = atoll_load_begin(((DbObject *)self)->db, &load->load, &err);
    if (status != ATOLL_OK) {
        Py_DECREF(load);
        return raise_status(status, err);
    }
    return (PyObject *)load;
}

/* (key, value, ttl_ms) */
static PyObject *load_put(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    bytes_arg key, value;
    uint64_t ttl_ms;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_load *load = ((LoadObject *)self)->load;
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
    Py_BEGIN_ALLOW_THREADS
    status = atoll_load_put(load, key.data, (size_t)key.len, value.data, (size_t)value.len, ttl_ms, &err);
    Py_END_ALLOW_THREADS
    give_back(&key);
    give_back(&value);
    return none_or_raise(status, err);
}

/* (load) -> how many keys */
PyObject *db_finish_load(PyObject *self, PyObject *object)
{
    uint64_t keys = 0;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    atoll_load *load;
    if (!PyObject_TypeCheck(object, Load_Type)) {
        PyErr_Format(PyExc_TypeError, "a load is needed, not %R", object);
        return NULL;
    }
    load = ((LoadObject *)object)->load;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_load_finish(db, load, &keys, &err);
    Py_END_ALLOW_THREADS
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(keys) : raise_status(status, err);
}

static PyMethodDef load_methods[] = {
    {"_put", FAST(load_put), METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot load_slots[] = {
    {Py_tp_dealloc, load_dealloc},
    {Py_tp_methods, load_methods},
    {0, NULL},
};

PyType_Spec load_spec = {
    "atoll._core.Load", sizeof(LoadObject), 0,
    KIND, load_slots,
};
