/*
 * Copies of stores and clusters, the way back, checks and repairs.
 *
 * In: directories, a function that wants to know how far it is. Out: reports as JSON. Must never: hold the interpreter's lock while files
 * are read, or lose what the function raised.
 */
#include "core.h"

/* Who wants to know. Lives for one call. */
typedef struct {
    PyObject *function;
    /* What it raised; it is not called again. */
    PyObject *type, *value, *trace;
} progress;

static void tell(void *ctx, uint64_t done, uint64_t total)
{
    progress *who = (progress *)ctx;
    PyGILState_STATE lock;
    PyObject *answer;
    if (who->type) {
        return;
    }
    lock = PyGILState_Ensure();
    answer = PyObject_CallFunction(who->function, "KK", (unsigned long long)done, (unsigned long long)total);
    if (!answer) {
        PyErr_Fetch(&who->type, &who->value, &who->trace);
    }
    Py_XDECREF(answer);
    PyGILState_Release(lock);
}

/* The function of a progress, or NULL for None. */
static atoll_progress_fn listen(progress *who, PyObject *function)
{
    memset(who, 0, sizeof *who);
    who->function = function;
    return function == Py_None ? NULL : tell;
}

/* The report, or what was raised; `count` is handed over with the report if it is not NULL. */
static PyObject *report(progress *who, atoll_status status, atoll_buf *json, const uint64_t *count, atoll_error *err)
{
    if (who->type) {
        atoll_buf_free(json);
        atoll_error_free(err);
        PyErr_Restore(who->type, who->value, who->trace);
        return NULL;
    }
    if (status != ATOLL_OK) {
        return raise_status(status, err);
    }
    return count ? Py_BuildValue("(KN)", (unsigned long long)*count, bytes_of_buf(json)) : bytes_of_buf(json);
}

/* (target, link, progress or None) -> json */
PyObject *db_backup(PyObject *self, PyObject *args)
{
    const char *target;
    int link;
    PyObject *function;
    progress who;
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_progress_fn teller;
    atoll_db *db = ((DbObject *)self)->db;
    if (!PyArg_ParseTuple(args, "spO", &target, &link, &function)) {
        return NULL;
    }
    teller = listen(&who, function);
    Py_BEGIN_ALLOW_THREADS
    status = atoll_db_backup(db, target, link ? ATOLL_BACKUP_LINK : 0, teller, &who, &json, &err);
    Py_END_ALLOW_THREADS
    return report(&who, status, json, NULL, err);
}

PyObject *cluster_backup(PyObject *self, PyObject *args)
{
    const char *target;
    int link;
    PyObject *function;
    progress who;
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_progress_fn teller;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    if (!PyArg_ParseTuple(args, "spO", &target, &link, &function)) {
        return NULL;
    }
    teller = listen(&who, function);
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_backup(cluster, target, link ? ATOLL_BACKUP_LINK : 0, teller, &who, &json, &err);
    Py_END_ALLOW_THREADS
    return report(&who, status, json, NULL, err);
}

/* (progress or None) -> (damaged, json) */
PyObject *db_verify(PyObject *self, PyObject *function)
{
    progress who;
    uint64_t damaged = 0;
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_progress_fn teller = listen(&who, function);
    atoll_db *db = ((DbObject *)self)->db;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_db_verify(db, teller, &who, &damaged, &json, &err);
    Py_END_ALLOW_THREADS
    return report(&who, status, json, &damaged, err);
}

PyObject *cluster_verify(PyObject *self, PyObject *function)
{
    progress who;
    uint64_t damaged = 0;
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_progress_fn teller = listen(&who, function);
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_verify(cluster, teller, &who, &damaged, &json, &err);
    Py_END_ALLOW_THREADS
    return report(&who, status, json, &damaged, err);
}

/* (backup, path, progress or None) -> json */
PyObject *restore(PyObject *module, PyObject *args)
{
    const char *backup, *path;
    PyObject *function;
    progress who;
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_progress_fn teller;
    (void)module;
    if (!PyArg_ParseTuple(args, "ssO", &backup, &path, &function)) {
        return NULL;
    }
    teller = listen(&who, function);
    Py_BEGIN_ALLOW_THREADS
    status = atoll_restore(backup, path, teller, &who, &json, &err);
    Py_END_ALLOW_THREADS
    return report(&who, status, json, NULL, err);
}

/* (backup, progress or None) -> (damaged, json) */
PyObject *verify_backup(PyObject *module, PyObject *args)
{
    const char *backup;
    PyObject *function;
    progress who;
    uint64_t damaged = 0;
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_progress_fn teller;
    (void)module;
    if (!PyArg_ParseTuple(args, "sO", &backup, &function)) {
        return NULL;
    }
    teller = listen(&who, function);
    Py_BEGIN_ALLOW_THREADS
    status = atoll_backup_verify(backup, teller, &who, &damaged, &json, &err);
    Py_END_ALLOW_THREADS
    return report(&who, status, json, &damaged, err);
}

/* (source, target, progress or None) -> (lost, json) */
PyObject *repair(PyObject *module, PyObject *args)
{
    const char *source, *target;
    PyObject *function;
    progress who;
    uint64_t lost = 0;
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_progress_fn teller;
    (void)module;
    if (!PyArg_ParseTuple(args, "ssO", &source, &target, &function)) {
        return NULL;
    }
    teller = listen(&who, function);
    Py_BEGIN_ALLOW_THREADS
    status = atoll_repair(source, target, teller, &who, &lost, &json, &err);
    Py_END_ALLOW_THREADS
    return report(&who, status, json, &lost, err);
}

/* (change as JSON) -> json */
PyObject *cluster_plan(PyObject *self, PyObject *object)
{
    progress who;
    bytes_arg change;
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    if (take_bytes(object, &change) != 0) {
        return NULL;
    }
    (void)listen(&who, Py_None);
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_plan(cluster, change.data, (size_t)change.len, &json, &err);
    Py_END_ALLOW_THREADS
    give_back(&change);
    return report(&who, status, json, NULL, err);
}

/* (change as JSON, or None to resume; progress or None) -> json, or None if there is nothing to resume */
PyObject *cluster_rebalance(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    progress who;
    bytes_arg change = {NULL, 0, NULL};
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_progress_fn teller;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    int resumes;
    if (n != 2) {
        return raise_invalid("rebalance takes a change or None, and a progress or None");
    }
    resumes = args[0] == Py_None;
    if (!resumes && take_bytes(args[0], &change) != 0) {
        return NULL;
    }
    teller = listen(&who, args[1]);
    Py_BEGIN_ALLOW_THREADS
    status = resumes ? atoll_cluster_rebalance_resume(cluster, teller, &who, &json, &err)
                     : atoll_cluster_rebalance(cluster, change.data, (size_t)change.len, teller, &who, &json, &err);
    Py_END_ALLOW_THREADS
    give_back(&change);
    if (status == ATOLL_NOT_FOUND) {
        Py_RETURN_NONE;
    }
    return report(&who, status, json, NULL, err);
}

PyObject *cluster_compact(PyObject *self, PyObject *unused)
{
    progress who;
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    (void)unused;
    (void)listen(&who, Py_None);
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_compact(cluster, &json, &err);
    Py_END_ALLOW_THREADS
    return report(&who, status, json, NULL, err);
}

PyObject *cluster_events(PyObject *self, PyObject *unused)
{
    progress who;
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_cluster_events_json(((ClusterObject *)self)->cluster, &json, &err);
    (void)unused;
    (void)listen(&who, Py_None);
    return report(&who, status, json, NULL, err);
}
