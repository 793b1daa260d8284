/*
 * Stores: open and close, and what is made from them.
 *
 * In: a directory and options. Out: the type Db, whose reads are in read.c and writes in write.c. Must never: hold the interpreter's lock
 * while the disk is waited for.
 */
#include "core.h"

static void db_dealloc(PyObject *self)
{
    atoll_db *db = ((DbObject *)self)->db;
    /* The last handle closes the store, which writes to the disk. */
    Py_BEGIN_ALLOW_THREADS
    atoll_db_free(db);
    Py_END_ALLOW_THREADS
    free_object(self);
}

/* (path, {option: text}, how: 0 to write, 1 to read, 2 as a replica) */
static PyObject *db_open(PyObject *type, PyObject *args)
{
    const char *path;
    PyObject *settings;
    int how;
    atoll_options *options;
    atoll_error *err = NULL;
    atoll_status status;
    DbObject *self;
    if (!PyArg_ParseTuple(args, "sO!i", &path, &PyDict_Type, &settings, &how)) {
        return NULL;
    }
    options = take_options(settings);
    self = options ? new_object((PyTypeObject *)type) : NULL;
    if (!self) {
        atoll_options_free(options);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = how == 1   ? atoll_db_open_reader(path, &self->db, &err)
             : how == 2 ? atoll_db_open_replica(path, options, &self->db, &err)
                        : atoll_db_open(path, options, &self->db, &err);
    Py_END_ALLOW_THREADS
    atoll_options_free(options);
    if (status != ATOLL_OK) {
        Py_DECREF(self);
        return raise_status(status, err);
    }
    return (PyObject *)self;
}

static PyObject *db_close(PyObject *self, PyObject *unused)
{
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_db_close(db, &err);
    Py_END_ALLOW_THREADS
    return none_or_raise(status, err);
}

static PyObject *db_snapshot(PyObject *self, PyObject *type)
{
    SnapshotObject *snapshot;
    atoll_error *err = NULL;
    atoll_status status;
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, Snapshot_Type)) {
        return raise_invalid("a kind of snapshot is needed");
    }
    snapshot = new_object((PyTypeObject *)type);
    if (!snapshot) {
        return NULL;
    }
    status = atoll_snapshot_new(((DbObject *)self)->db, &snapshot->snapshot, &err);
    if (status != ATOLL_OK) {
        Py_DECREF(snapshot);
        return raise_status(status, err);
    }
    return (PyObject *)snapshot;
}

static PyObject *db_begin(PyObject *self, PyObject *type)
{
    TransactionObject *transaction;
    atoll_error *err = NULL;
    atoll_status status;
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, Transaction_Type)) {
        return raise_invalid("a kind of transaction is needed");
    }
    transaction = new_object((PyTypeObject *)type);
    if (!transaction) {
        return NULL;
    }
    status = atoll_transaction_begin(((DbObject *)self)->db, &transaction->transaction, &err);
    if (status != ATOLL_OK) {
        Py_DECREF(transaction);
        return raise_status(status, err);
    }
    return (PyObject *)transaction;
}

static PyObject *db_sync(PyObject *self, PyObject *unused)
{
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t lsn = 0;
    atoll_db *db = ((DbObject *)self)->db;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_sync(db, &lsn, &err);
    Py_END_ALLOW_THREADS
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(lsn) : raise_status(status, err);
}

static PyObject *db_compact(PyObject *self, PyObject *unused)
{
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_compact(db, &err);
    Py_END_ALLOW_THREADS
    return none_or_raise(status, err);
}

static PyObject *db_stats_json(PyObject *self, PyObject *unused)
{
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_stats_json(((DbObject *)self)->db, &json, &err);
    (void)unused;
    return status == ATOLL_OK ? bytes_of_buf(json) : raise_status(status, err);
}

static PyMethodDef db_methods[] = {
    {"_open", db_open, METH_VARARGS | METH_CLASS, NULL},
    {"close", db_close, METH_NOARGS, "Makes everything durable and closes the store. Closing twice is allowed."},
    {"get", FAST(db_get), METH_FASTCALL, "get(key, default=None): the value of a key as bytes."},
    {"get_view", db_get_view, METH_O, "The value of a key as a read-only memoryview of where it lies, or None."},
    {"sync", db_sync, METH_NOARGS, "Makes everything written so far durable; the position up to which that is so."},
    {"compact", db_compact, METH_NOARGS, "Brings the tables of the store into as few runs as it can, now."},
    {"_get_version", FAST(db_get_version), METH_FASTCALL, NULL},
    {"_get_at", FAST(db_get_at), METH_FASTCALL, NULL},
    {"_get_many", FAST(db_get_many), METH_FASTCALL, NULL},
    {"_put", FAST(db_put), METH_FASTCALL, NULL},
    {"_delete", FAST(db_delete), METH_FASTCALL, NULL},
    {"_compare_and_set", FAST(db_compare_and_set), METH_FASTCALL, NULL},
    {"_write", FAST(db_write), METH_FASTCALL, NULL},
    {"_scan", FAST(db_scan), METH_FASTCALL, NULL},
    {"_log", db_log, METH_O, NULL},
    {"apply", db_apply_log, METH_O,
     "apply(frame): appends a frame of another store's log, as far as it is not there yet, to a replica; the position it has got to."},
    {"_snapshot", db_snapshot, METH_O, NULL},
    {"_begin", db_begin, METH_O, NULL},
    {"_stats_json", db_stats_json, METH_NOARGS, NULL},
    {"_count_approximate", FAST(db_count_approximate), METH_FASTCALL, NULL},
    {"_delete_range", FAST(db_delete_range), METH_FASTCALL, NULL},
    {"_load", db_load, METH_NOARGS, NULL},
    {"_finish_load", db_finish_load, METH_O, NULL},
    {"_backup", db_backup, METH_VARARGS, NULL},
    {"_verify", db_verify, METH_O, NULL},
    {"_health", db_health, METH_NOARGS, NULL},
    {"metrics", db_metrics, METH_NOARGS, "The figures of the store as text that Prometheus reads."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot db_slots[] = {
    {Py_tp_dealloc, db_dealloc},
    {Py_tp_methods, db_methods},
    {Py_mp_subscript, db_subscript},
    {Py_mp_ass_subscript, db_ass_subscript},
    {Py_sq_contains, db_contains},
    {0, NULL},
};

PyType_Spec db_spec = {
    "atoll._core.Db", sizeof(DbObject), 0,
    KIND | Py_TPFLAGS_BASETYPE, db_slots,
};
