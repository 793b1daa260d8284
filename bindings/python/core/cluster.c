/*
 * Clusters: the verbs of a store over many, and tokens.
 *
 * In: keys, values, durability, tokens. Out: the type Cluster, whose reads are in cluster_read.c. Must never: hold the interpreter's lock
 * while replicas are waited for.
 */
#include "core.h"

static void cluster_dealloc(PyObject *self)
{
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    Py_BEGIN_ALLOW_THREADS
    atoll_cluster_free(cluster);
    Py_END_ALLOW_THREADS
    free_object(self);
}

/* (path, {option: text}, nodes or None, shards, replicas) */
static PyObject *cluster_open(PyObject *type, PyObject *args)
{
    const char *path, *nodes;
    PyObject *settings, *shards_object, *replicas_object;
    uint32_t shards, replicas;
    atoll_options *options;
    atoll_error *err = NULL;
    atoll_status status;
    ClusterObject *self;
    if (!PyArg_ParseTuple(args, "sO!zOO", &path, &PyDict_Type, &settings, &nodes, &shards_object, &replicas_object) ||
        take_u32(shards_object, "shards", &shards) != 0 || take_u32(replicas_object, "replicas", &replicas) != 0) {
        return NULL;
    }
    options = take_options(settings);
    self = options ? new_object((PyTypeObject *)type) : NULL;
    if (!self) {
        atoll_options_free(options);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = nodes ? atoll_cluster_create(path, nodes, shards, replicas, options, &self->cluster, &err)
                   : atoll_cluster_open(path, options, &self->cluster, &err);
    Py_END_ALLOW_THREADS
    atoll_options_free(options);
    if (status != ATOLL_OK) {
        Py_DECREF(self);
        return raise_status(status, err);
    }
    return (PyObject *)self;
}

static PyObject *cluster_close(PyObject *self, PyObject *unused)
{
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_close(cluster, &err);
    Py_END_ALLOW_THREADS
    return none_or_raise(status, err);
}

/* The session of a write, or None. */
static int take_session(PyObject *object, atoll_cluster_write_opts *options)
{
    if (object == Py_None) {
        return 0;
    }
    if (!PyObject_TypeCheck(object, Session_Type)) {
        PyErr_Format(PyExc_TypeError, "a session is needed, not %R", object);
        return -1;
    }
    options->session = ((SessionObject *)object)->session;
    return 0;
}

/* (key, value, durability, ttl_ms, session or None) -> token */
static PyObject *cluster_put(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_cluster_write_opts options = ATOLL_CLUSTER_WRITE_OPTS_INIT;
    bytes_arg key, value;
    atoll_buf *token = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    if (n != 5) {
        return raise_invalid("put takes key, value, durability, ttl_ms, session or None");
    }
    if (take_u32(args[2], "durability", &options.durability) != 0 || take_u64(args[3], "ttl", &options.ttl_ms) != 0 ||
        take_session(args[4], &options) != 0 || take_bytes(args[0], &key) != 0) {
        return NULL;
    }
    if (take_bytes(args[1], &value) != 0) {
        give_back(&key);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_put(cluster, &options, key.data, (size_t)key.len, value.data, (size_t)value.len, &token, &err);
    Py_END_ALLOW_THREADS
    give_back(&key);
    give_back(&value);
    return status == ATOLL_OK ? bytes_of_buf(token) : raise_status(status, err);
}

/* (key, durability, session or None) -> token */
static PyObject *cluster_delete(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_cluster_write_opts options = ATOLL_CLUSTER_WRITE_OPTS_INIT;
    bytes_arg key;
    atoll_buf *token = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    if (n != 3) {
        return raise_invalid("delete takes key, durability, session or None");
    }
    if (take_u32(args[1], "durability", &options.durability) != 0 || take_session(args[2], &options) != 0 || take_bytes(args[0], &key) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_delete(cluster, &options, key.data, (size_t)key.len, &token, &err);
    Py_END_ALLOW_THREADS
    give_back(&key);
    return status == ATOLL_OK ? bytes_of_buf(token) : raise_status(status, err);
}

static PyObject *cluster_write(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_cluster_write_opts options = ATOLL_CLUSTER_WRITE_OPTS_INIT;
    atoll_buf *token = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    atoll_batch *batch;
    if (n != 3 || !PyObject_TypeCheck(args[0], Batch_Type)) {
        return raise_invalid("write takes a batch, a durability, and a session or None");
    }
    if (take_u32(args[1], "durability", &options.durability) != 0 || take_session(args[2], &options) != 0) {
        return NULL;
    }
    batch = ((BatchObject *)args[0])->batch;
    ((BatchObject *)args[0])->users++;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_write(cluster, &options, batch, &token, &err);
    Py_END_ALLOW_THREADS
    ((BatchObject *)args[0])->users--;
    return status == ATOLL_OK ? bytes_of_buf(token) : raise_status(status, err);
}

/* (start, end, flags, 0, False, durability, session or None) -> how many there were */
static PyObject *cluster_delete_range(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_cluster_write_opts options = ATOLL_CLUSTER_WRITE_OPTS_INIT;
    scan_arg arg;
    uint64_t deleted = 0;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    if (n != 7) {
        return raise_invalid("delete_range takes start, end, flags, 0, False, durability, session or None");
    }
    if (take_u32(args[5], "durability", &options.durability) != 0 || take_session(args[6], &options) != 0 || take_range(args, &arg) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_delete_range(cluster, &options, &arg.range, &deleted, NULL, &err);
    Py_END_ALLOW_THREADS
    scan_done(&arg);
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(deleted) : raise_status(status, err);
}

static PyObject *cluster_status_json(PyObject *self, PyObject *unused)
{
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_status_json(cluster, &json, &err);
    Py_END_ALLOW_THREADS
    return status == ATOLL_OK ? bytes_of_buf(json) : raise_status(status, err);
}

static PyObject *cluster_router(PyObject *self, PyObject *type)
{
    atoll_router *router = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, Router_Type)) {
        return raise_invalid("a kind of router is needed");
    }
    status = atoll_cluster_router(((ClusterObject *)self)->cluster, &router, &err);
    return status == ATOLL_OK ? router_of((PyTypeObject *)type, router) : raise_status(status, err);
}

PyObject *token_merge(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    bytes_arg a, b;
    atoll_buf *token = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    (void)module;
    if (n != 2) {
        return raise_invalid("two tokens are needed");
    }
    if (take_bytes(args[0], &a) != 0) {
        return NULL;
    }
    if (take_bytes(args[1], &b) != 0) {
        give_back(&a);
        return NULL;
    }
    status = atoll_token_merge(a.data, (size_t)a.len, b.data, (size_t)b.len, &token, &err);
    give_back(&a);
    give_back(&b);
    return status == ATOLL_OK ? bytes_of_buf(token) : raise_status(status, err);
}

static PyMethodDef cluster_methods[] = {
    {"_open", cluster_open, METH_VARARGS | METH_CLASS, NULL},
    {"close", cluster_close, METH_NOARGS, "Makes everything durable and closes the cluster. Closing twice is allowed."},
    {"_put", FAST(cluster_put), METH_FASTCALL, NULL},
    {"_delete", FAST(cluster_delete), METH_FASTCALL, NULL},
    {"_write", FAST(cluster_write), METH_FASTCALL, NULL},
    {"_get", FAST(cluster_get), METH_FASTCALL, NULL},
    {"_scan", FAST(cluster_scan), METH_FASTCALL, NULL},
    {"_get_many", FAST(cluster_get_many), METH_FASTCALL, NULL},
    {"_count", FAST(cluster_count), METH_FASTCALL, NULL},
    {"_count_approximate", FAST(cluster_count_approximate), METH_FASTCALL, NULL},
    {"_delete_range", FAST(cluster_delete_range), METH_FASTCALL, NULL},
    {"_backup", cluster_backup, METH_VARARGS, NULL},
    {"_plan", cluster_plan, METH_O, NULL},
    {"_rebalance", FAST(cluster_rebalance), METH_FASTCALL, NULL},
    {"_compact", cluster_compact, METH_NOARGS, NULL},
    {"_events_json", cluster_events, METH_NOARGS, NULL},
    {"_verify", cluster_verify, METH_O, NULL},
    {"_health", cluster_health, METH_NOARGS, NULL},
    {"metrics", cluster_metrics, METH_NOARGS, "The figures of the cluster as text that Prometheus reads."},
    {"_status_json", cluster_status_json, METH_NOARGS, NULL},
    {"_router", cluster_router, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot cluster_slots[] = {
    {Py_tp_dealloc, cluster_dealloc},
    {Py_tp_methods, cluster_methods},
    {0, NULL},
};

PyType_Spec cluster_spec = {
    "atoll._core.Cluster", sizeof(ClusterObject), 0,
    KIND | Py_TPFLAGS_BASETYPE, cluster_slots,
};
