/*
 * Whether a store or a cluster can do its work, its figures for monitoring, and what the library has to say.
 *
 * In: handles, a function that takes messages. Out: facts, text, calls of the function. Must never: let the library's thread call a
 * function once the interpreter has begun to end.
 */
#include "core.h"

/* (state, reasons, shards, writable, replicas, up, lag_bytes, lag_ms, oldest_snapshot_ms) */
static PyObject *health_row(const atoll_health *health, atoll_buf *reasons)
{
    return Py_BuildValue("(INKKKKKKK)", (unsigned)health->state, str_of_buf(reasons), (unsigned long long)health->shards,
                         (unsigned long long)health->shards_writable, (unsigned long long)health->replicas,
                         (unsigned long long)health->replicas_up, (unsigned long long)health->replication_lag_bytes,
                         (unsigned long long)health->replication_lag_ms, (unsigned long long)health->oldest_snapshot_ms);
}

PyObject *db_health(PyObject *self, PyObject *unused)
{
    atoll_health health = ATOLL_HEALTH_INIT;
    atoll_buf *reasons = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_db_health(db, &health, &reasons, &err);
    Py_END_ALLOW_THREADS
    return status == ATOLL_OK ? health_row(&health, reasons) : raise_status(status, err);
}

PyObject *cluster_health(PyObject *self, PyObject *unused)
{
    atoll_health health = ATOLL_HEALTH_INIT;
    atoll_buf *reasons = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_health(cluster, &health, &reasons, &err);
    Py_END_ALLOW_THREADS
    return status == ATOLL_OK ? health_row(&health, reasons) : raise_status(status, err);
}

PyObject *db_metrics(PyObject *self, PyObject *unused)
{
    atoll_buf *text = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_metrics(db, &text, &err);
    Py_END_ALLOW_THREADS
    return status == ATOLL_OK ? str_of_buf(text) : raise_status(status, err);
}

PyObject *cluster_metrics(PyObject *self, PyObject *unused)
{
    atoll_buf *text = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_metrics(cluster, &text, &err);
    Py_END_ALLOW_THREADS
    return status == ATOLL_OK ? str_of_buf(text) : raise_status(status, err);
}

/* ---- logger ---- */

static void say(void *function, uint32_t level, atoll_bytes target, atoll_bytes message)
{
    PyGILState_STATE lock;
    PyObject *answer;
    if (!Py_IsInitialized()) {
        return;
    }
    lock = PyGILState_Ensure();
    answer = PyObject_CallFunction((PyObject *)function, "INN", (unsigned)level, str_of(target), str_of(message));
    if (!answer) {
        PyErr_WriteUnraisable((PyObject *)function);
    }
    Py_XDECREF(answer);
    PyGILState_Release(lock);
}

static void let_go(void *function)
{
    PyGILState_STATE lock;
    if (!Py_IsInitialized()) {
        return;
    }
    lock = PyGILState_Ensure();
    Py_DECREF((PyObject *)function);
    PyGILState_Release(lock);
}

/* (function(level, target, message) or None, level) */
PyObject *set_logger(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    uint32_t level;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *function;
    (void)module;
    if (n != 2) {
        return raise_invalid("set_logger takes a function or None, and a level");
    }
    if (take_u32(args[1], "level", &level) != 0) {
        return NULL;
    }
    function = args[0] == Py_None ? NULL : args[0];
    Py_XINCREF(function);
    Py_BEGIN_ALLOW_THREADS
    status = function ? atoll_set_logger(say, function, let_go, level, &err) : atoll_set_logger(NULL, NULL, NULL, 0, &err);
    Py_END_ALLOW_THREADS
    return none_or_raise(status, err);
}
