/*
 * Where keys live.
 *
 * In: a router and keys. Out: names and numbers of nodes and places. Must never: answer otherwise than the other languages.
 */
#include "core.h"

/* The place of a key: the name of its node, or a number where the router has no nodes. */
PyObject *router_node(PyObject *self, PyObject *object)
{
    const atoll_router *router = ((RouterObject *)self)->router;
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_bytes name;
    int64_t number = 0;
    int is_named = atoll_router_node_count(router) > 0;
    if (take_bytes(object, &key) != 0) {
        return NULL;
    }
    status = is_named ? atoll_router_node(router, key.data, (size_t)key.len, &name, &err)
                      : atoll_router_number(router, key.data, (size_t)key.len, &number, &err);
    give_back(&key);
    if (status != ATOLL_OK) {
        return raise_status(status, err);
    }
    return is_named ? str_of(name) : PyLong_FromLongLong(number);
}

PyObject *router_number(PyObject *self, PyObject *object)
{
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    int64_t number = 0;
    if (take_bytes(object, &key) != 0) {
        return NULL;
    }
    status = atoll_router_number(((RouterObject *)self)->router, key.data, (size_t)key.len, &number, &err);
    give_back(&key);
    return status == ATOLL_OK ? PyLong_FromLongLong(number) : raise_status(status, err);
}

PyObject *router_bucket_of(PyObject *self, PyObject *object)
{
    atoll_error *err = NULL;
    atoll_status status;
    uint32_t bucket = 0;
    uint64_t number;
    if (take_u64(object, "the number", &number) != 0) {
        return NULL;
    }
    status = atoll_router_bucket_of(((RouterObject *)self)->router, number, &bucket, &err);
    return status == ATOLL_OK ? PyLong_FromUnsignedLong(bucket) : raise_status(status, err);
}

PyObject *router_nodes(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    PyObject *answer;
    size_t wanted;
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_bytes *names;
    size_t found = 0, i, count = atoll_router_node_count(((RouterObject *)self)->router);
    if (n != 2) {
        return raise_invalid("nodes takes key, n");
    }
    if (take_size(args[1], "the number of nodes", &wanted) != 0 || take_bytes(args[0], &key) != 0) {
        return NULL;
    }
    if (wanted > count) {
        wanted = count > 0 ? count : 1;
    }
    names = PyMem_Malloc((wanted + 1) * sizeof *names);
    if (!names) {
        give_back(&key);
        return PyErr_NoMemory();
    }
    status = atoll_router_nodes(((RouterObject *)self)->router, key.data, (size_t)key.len, names, wanted, &found, &err);
    give_back(&key);
    if (status != ATOLL_OK) {
        PyMem_Free(names);
        return raise_status(status, err);
    }
    answer = PyList_New((Py_ssize_t)found);
    for (i = 0; answer && i < found; i++) {
        PyObject *name = str_of(names[i]);
        if (!name || PyList_SetItem(answer, (Py_ssize_t)i, name) != 0) {
            Py_CLEAR(answer);
        }
    }
    PyMem_Free(names);
    return answer;
}

PyObject *router_node_list(PyObject *self, PyObject *unused)
{
    const atoll_router *router = ((RouterObject *)self)->router;
    size_t n = atoll_router_node_count(router), i;
    PyObject *answer = PyList_New((Py_ssize_t)n);
    (void)unused;
    for (i = 0; answer && i < n; i++) {
        atoll_bytes name;
        uint32_t weight = 0;
        PyObject *node;
        atoll_router_node_at(router, i, &name, &weight);
        node = Py_BuildValue("(s#I)", (const char *)name.data, (Py_ssize_t)name.len, (unsigned int)weight);
        if (!node || PyList_SetItem(answer, (Py_ssize_t)i, node) != 0) {
            Py_CLEAR(answer);
        }
    }
    return answer;
}

PyObject *router_route_many(PyObject *self, PyObject *list)
{
    const atoll_router *router = ((RouterObject *)self)->router;
    packed keys;
    int64_t *answers;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *answer = NULL, *names = NULL;
    Py_ssize_t i;
    if (pack(list, &keys) != 0) {
        return NULL;
    }
    answers = PyMem_Malloc(((size_t)keys.n + 1) * sizeof *answers);
    if (!answers) {
        free_packed(&keys);
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_router_route_many(router, (const uint8_t *)keys.bytes, keys.offsets, (size_t)keys.n, answers, &err);
    Py_END_ALLOW_THREADS
    if (status != ATOLL_OK) {
        raise_status(status, err);
        goto done;
    }
    /* Each name is made once: a router has few. */
    names = router_node_list(self, NULL);
    answer = names ? PyList_New(keys.n) : NULL;
    for (i = 0; answer && i < keys.n; i++) {
        PyObject *one;
        if (PyList_Size(names) > 0) {
            one = PyTuple_GetItem(PyList_GetItem(names, (Py_ssize_t)answers[i]), 0);
            Py_XINCREF(one);
        } else {
            one = PyLong_FromLongLong(answers[i]);
        }
        if (!one || PyList_SetItem(answer, i, one) != 0) {
            Py_CLEAR(answer);
        }
    }
done:
    Py_XDECREF(names);
    PyMem_Free(answers);
    free_packed(&keys);
    return answer;
}
