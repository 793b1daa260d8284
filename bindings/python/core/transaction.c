/*
 * Reads and writes that hold together.
 *
 * In: keys, values, ranges. Out: the type Transaction. Must never: be used by two calls at once; the library answers that they are busy.
 */
#include "core.h"

static void transaction_dealloc(PyObject *self)
{
    atoll_transaction_free(((TransactionObject *)self)->transaction);
    free_object(self);
}

static PyObject *transaction_get(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    bytes_arg key;
    atoll_bytes value;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *answer;
    if (n < 1 || n > 2) {
        return raise_invalid("get(key, default=None) takes one or two arguments");
    }
    if (take_bytes(args[0], &key) != 0) {
        return NULL;
    }
    status = atoll_transaction_get(((TransactionObject *)self)->transaction, key.data, (size_t)key.len, &value, &err);
    give_back(&key);
    if (status == ATOLL_OK) {
        return bytes_of(value);
    }
    if (status != ATOLL_NOT_FOUND) {
        return raise_status(status, err);
    }
    answer = n == 2 ? args[1] : Py_None;
    Py_INCREF(answer);
    return answer;
}

static PyObject *transaction_put(PyObject *self, PyObject *const *args, Py_ssize_t n)
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
    status = atoll_transaction_put(((TransactionObject *)self)->transaction, key.data, (size_t)key.len, value.data, (size_t)value.len, ttl_ms, &err);
    give_back(&key);
    give_back(&value);
    return none_or_raise(status, err);
}

static PyObject *transaction_delete(PyObject *self, PyObject *key_object)
{
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(key_object, &key) != 0) {
        return NULL;
    }
    status = atoll_transaction_delete(((TransactionObject *)self)->transaction, key.data, (size_t)key.len, &err);
    give_back(&key);
    return none_or_raise(status, err);
}

static PyObject *transaction_scan(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    scan_arg arg;
    atoll_iter *iter = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_transaction *transaction = ((TransactionObject *)self)->transaction;
    if (n != 5) {
        return raise_invalid("scan takes start, end, flags, limit, keys_only");
    }
    if (take_range(args, &arg) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_transaction_scan(transaction, &arg.range, &iter, &err);
    Py_END_ALLOW_THREADS
    scan_done(&arg);
    return status == ATOLL_OK ? scan_of(iter, arg.keys_only) : raise_status(status, err);
}

static PyObject *transaction_commit(PyObject *self, PyObject *durability)
{
    atoll_write_opts options = ATOLL_WRITE_OPTS_INIT;
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t lsn = 0;
    atoll_transaction *transaction = ((TransactionObject *)self)->transaction;
    if (take_u32(durability, "durability", &options.durability) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_transaction_commit(transaction, &options, &lsn, &err);
    Py_END_ALLOW_THREADS
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(lsn) : raise_status(status, err);
}

static PyObject *transaction_rollback(PyObject *self, PyObject *unused)
{
    atoll_error *err = NULL;
    (void)unused;
    return none_or_raise(atoll_transaction_rollback(((TransactionObject *)self)->transaction, &err), err);
}

static PyMethodDef transaction_methods[] = {
    {"get", FAST(transaction_get), METH_FASTCALL, "get(key, default=None): the value as of the beginning, or as written here."},
    {"_put", FAST(transaction_put), METH_FASTCALL, NULL},
    {"delete", transaction_delete, METH_O, "Takes a key's value away when the transaction commits."},
    {"_scan", FAST(transaction_scan), METH_FASTCALL, NULL},
    {"_commit", transaction_commit, METH_O, NULL},
    {"rollback", transaction_rollback, METH_NOARGS, "Ends the transaction without writing anything."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot transaction_slots[] = {
    {Py_tp_dealloc, transaction_dealloc},
    {Py_tp_methods, transaction_methods},
    {0, NULL},
};

PyType_Spec transaction_spec = {
    "atoll._core.Transaction", sizeof(TransactionObject), 0,
    KIND | Py_TPFLAGS_BASETYPE, transaction_slots,
};
