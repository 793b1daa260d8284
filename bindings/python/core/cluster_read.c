/*
 * Reads of clusters: one key, many, ranges, counts.
 *
 * In: keys, how fresh, a token or a session. Out: values. Must never: hold the interpreter's lock while replicas are waited for, or let
 * go of a token that a call reads.
 */
#include "core.h"

/* The options of a read: (consistency, None or a token or a session). Needs give_back(token) unless it failed. */
static int take_read(PyObject *consistency, PyObject *token_object, atoll_cluster_read_opts *options, bytes_arg *token)
{
    const atoll_cluster_read_opts fresh = ATOLL_CLUSTER_READ_OPTS_INIT;
    *options = fresh;
    token->copy = NULL;
    if (take_u32(consistency, "consistency", &options->consistency) != 0) {
        return -1;
    }
    if (PyObject_TypeCheck(token_object, Session_Type)) {
        options->session = ((SessionObject *)token_object)->session;
    } else if (token_object != Py_None) {
        if (take_bytes(token_object, token) != 0) {
            return -1;
        }
        options->token = (const uint8_t *)token->data;
        options->token_len = (size_t)token->len;
    }
    return 0;
}

/* (key, default, consistency, None or a token or a session) */
PyObject *cluster_get(PyObject *self, PyObject *const *args, Py_ssize_t n)
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

/* (start, end, flags, limit, keys_only, consistency, None or a token or a session) */
PyObject *cluster_scan(PyObject *self, PyObject *const *args, Py_ssize_t n)
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

/* (consistency, None or a token or a session) */
PyObject *cluster_count(PyObject *self, PyObject *const *args, Py_ssize_t n)
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

/* Where many keys are read. */
typedef struct {
    atoll_cluster *cluster;
    atoll_cluster_read_opts options;
} many;

static atoll_status read_cluster(void *of, const packed *keys, uint8_t *values, size_t room, uint64_t *ends, uint8_t *found,
                                 size_t *needed, atoll_error **err)
{
    const many *from = (const many *)of;
    return atoll_cluster_multi_get(from->cluster, &from->options, (const uint8_t *)keys->bytes, keys->offsets, (size_t)keys->n, values,
                                   room, ends, found, needed, err);
}

/* (keys, consistency, None or a token or a session) */
PyObject *cluster_get_many(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    packed keys;
    bytes_arg token;
    many from;
    PyObject *answer;
    if (n != 3) {
        return raise_invalid("get_many takes keys, consistency, token");
    }
    if (take_read(args[1], args[2], &from.options, &token) != 0) {
        return NULL;
    }
    if (pack(args[0], &keys) != 0) {
        give_back(&token);
        return NULL;
    }
    from.cluster = ((ClusterObject *)self)->cluster;
    answer = read_many(&keys, read_cluster, &from);
    free_packed(&keys);
    give_back(&token);
    return answer;
}

/* (start, end, flags, 0, False, slot or None) */
PyObject *cluster_count_approximate(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    scan_arg arg;
    atoll_approximate answer = ATOLL_APPROXIMATE_INIT;
    uint32_t slot = ATOLL_SLOT_ANY;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    if (n != 6) {
        return raise_invalid("count_approximate takes start, end, flags, 0, False, slot or None");
    }
    if ((args[5] != Py_None && take_u32(args[5], "slot", &slot) != 0) || take_range(args, &arg) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_count_approximate(cluster, &arg.range, slot, &answer, &err);
    Py_END_ALLOW_THREADS
    scan_done(&arg);
    return status == ATOLL_OK ? approximate_row(&answer) : raise_status(status, err);
}
