/*
 * Clusters: the verbs of a store over many, and tokens.
 *
 * In: keys, values, consistency, tokens. Out: the type Cluster. Must never: hold the interpreter's lock while replicas are waited for.
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

/* (key, value, durability, ttl_ms) -> token */
static PyObject *cluster_put(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_cluster_write_opts options = ATOLL_CLUSTER_WRITE_OPTS_INIT;
    bytes_arg key, value;
    atoll_buf *token = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    if (n != 4) {
        return raise_invalid("put takes key, value, durability, ttl_ms");
    }
    if (take_u32(args[2], "durability", &options.durability) != 0 || take_u64(args[3], "ttl", &options.ttl_ms) != 0 ||
        take_bytes(args[0], &key) != 0) {
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

/* (key, durability) -> token */
static PyObject *cluster_delete(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_cluster_write_opts options = ATOLL_CLUSTER_WRITE_OPTS_INIT;
    bytes_arg key;
    atoll_buf *token = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    if (n != 2) {
        return raise_invalid("delete takes key, durability");
    }
    if (take_u32(args[1], "durability", &options.durability) != 0 || take_bytes(args[0], &key) != 0) {
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
    if (n != 2 || !PyObject_TypeCheck(args[0], Batch_Type)) {
        return raise_invalid("write takes a batch and a durability");
    }
    if (take_u32(args[1], "durability", &options.durability) != 0) {
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

/* The options of a read: (consistency, token or None). Needs give_back(token) unless it failed. */
static int take_read(PyObject *consistency, PyObject *token_object, atoll_cluster_read_opts *options, bytes_arg *token)
{
    const atoll_cluster_read_opts fresh = ATOLL_CLUSTER_READ_OPTS_INIT;
    *options = fresh;
    token->copy = NULL;
    if (take_u32(consistency, "consistency", &options->consistency) != 0) {
        return -1;
    }
    if (token_object != Py_None) {
        if (take_bytes(token_object, token) != 0) {
            return -1;
        }
        options->token = (const uint8_t *)token->data;
        options->token_len = (size_t)token->len;
    }
    return 0;
}

/* (key, default, consistency, token or None) */
static PyObject *cluster_get(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_cluster_read_opts options;
    bytes_arg key, token;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    atoll_pin *pin;
    atoll_bytes value;
    PyObject *answer;
    if (n != 4) {
        return raise_invalid("get takes key, default, consistency, token");
    }
    if (take_read(args[2], args[3], &options, &token) != 0) {
        return NULL;
    }
    if (take_bytes(args[0], &key) != 0) {
        give_back(&token);
        return NULL;
    }
    pin = atoll_pin_new();
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_get(cluster, &options, key.data, (size_t)key.len, pin, &value, &err);
    Py_END_ALLOW_THREADS
    give_back(&key);
    give_back(&token);
    if (status == ATOLL_OK) {
        answer = bytes_of(value);
    } else if (status == ATOLL_NOT_FOUND) {
        answer = args[1];
        Py_INCREF(answer);
    } else {
        answer = raise_status(status, err);
    }
    atoll_pin_free(pin);
    return answer;
}

/* (start, end, flags, limit, keys_only, consistency, token or None) */
static PyObject *cluster_scan(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    scan_arg arg;
    atoll_cluster_read_opts options;
    bytes_arg token;
    atoll_iter *iter = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    if (n != 7) {
        return raise_invalid("scan takes start, end, flags, limit, keys_only, consistency, token");
    }
    if (take_read(args[5], args[6], &options, &token) != 0) {
        return NULL;
    }
    if (take_range(args, &arg) != 0) {
        give_back(&token);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_scan(cluster, &options, &arg.range, &iter, &err);
    Py_END_ALLOW_THREADS
    scan_done(&arg);
    give_back(&token);
    return status == ATOLL_OK ? scan_of(iter, arg.keys_only) : raise_status(status, err);
}

/* (consistency, token or None) */
static PyObject *cluster_count(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_cluster_read_opts options;
    bytes_arg token;
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t count = 0;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    if (n != 2) {
        return raise_invalid("count takes consistency, token");
    }
    if (take_read(args[0], args[1], &options, &token) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_count(cluster, &options, &count, &err);
    Py_END_ALLOW_THREADS
    give_back(&token);
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(count) : raise_status(status, err);
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

PyObject *token_merge(PyObject *module, PyObject *args)
{
    const char *a, *b;
    Py_ssize_t a_len, b_len;
    atoll_buf *token = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    (void)module;
    if (!PyArg_ParseTuple(args, "y#y#", &a, &a_len, &b, &b_len)) {
        return NULL;
    }
    status = atoll_token_merge(a, (size_t)a_len, b, (size_t)b_len, &token, &err);
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
    {"_count", FAST(cluster_count), METH_FASTCALL, NULL},
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
