/*
 * Routers: made, changed, read and written.
 *
 * In: an algorithm with nodes, options and splits; bytes; JSON. Out: the type Router, whose look-ups are in route.c. Must never: change.
 */
#include "core.h"

static void router_dealloc(PyObject *self)
{
    atoll_router_free(((RouterObject *)self)->router);
    free_object(self);
}

PyObject *router_of(PyTypeObject *type, atoll_router *router)
{
    RouterObject *self = new_object(type);
    if (!self) {
        atoll_router_free(router);
        return NULL;
    }
    self->router = router;
    return (PyObject *)self;
}

/* (algorithm, [(name, weight, zone, rack)], {option: text}, [split]) */
static PyObject *router_make(PyObject *type, PyObject *args)
{
    const char *algorithm;
    PyObject *node_list, *settings, *split_list, *nodes, *splits, *items = NULL;
    atoll_router_spec *spec = NULL;
    atoll_router *router = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *answer = NULL;
    Py_ssize_t i;
    if (!PyArg_ParseTuple(args, "sO!O!O!", &algorithm, &PyList_Type, &node_list, &PyDict_Type, &settings, &PyList_Type, &split_list)) {
        return NULL;
    }
    /* Of their own: reading a weight or a split may change the lists. */
    nodes = PySequence_Tuple(node_list);
    splits = PySequence_Tuple(split_list);
    items = PyDict_Items(settings);
    if (!nodes || !splits || !items) {
        goto raised;
    }
    status = atoll_router_spec_new(algorithm, &spec, &err);
    for (i = 0; status == ATOLL_OK && i < PyTuple_Size(nodes); i++) {
        const char *name, *zone, *rack;
        Py_ssize_t len;
        PyObject *weight_object;
        uint32_t weight;
        if (!PyArg_ParseTuple(PyTuple_GetItem(nodes, i), "s#Ozz", &name, &len, &weight_object, &zone, &rack) ||
            take_u32(weight_object, "weight", &weight) != 0) {
            goto raised;
        }
        status = atoll_router_spec_add_node(spec, name, (size_t)len, weight, zone, rack, &err);
    }
    for (i = 0; status == ATOLL_OK && i < PyTuple_Size(splits); i++) {
        bytes_arg split;
        if (take_bytes(PyTuple_GetItem(splits, i), &split) != 0) {
            goto raised;
        }
        status = atoll_router_spec_add_split(spec, split.data, (size_t)split.len, &err);
        give_back(&split);
    }
    for (i = 0; status == ATOLL_OK && i < PyList_Size(items); i++) {
        const char *name, *value;
        if (!PyArg_ParseTuple(PyList_GetItem(items, i), "ss", &name, &value)) {
            goto raised;
        }
        status = atoll_router_spec_set(spec, name, value, &err);
    }
    if (status == ATOLL_OK) {
        Py_BEGIN_ALLOW_THREADS
        status = atoll_router_new(spec, &router, &err);
        Py_END_ALLOW_THREADS
    }
    answer = status == ATOLL_OK ? router_of((PyTypeObject *)type, router) : raise_status(status, err);
raised:
    atoll_router_spec_free(spec);
    Py_XDECREF(nodes);
    Py_XDECREF(splits);
    Py_XDECREF(items);
    return answer;
}

static PyObject *router_from_bytes(PyObject *type, PyObject *object)
{
    bytes_arg data;
    atoll_router *router = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(object, &data) != 0) {
        return NULL;
    }
    status = atoll_router_decode(data.data, (size_t)data.len, &router, &err);
    give_back(&data);
    return status == ATOLL_OK ? router_of((PyTypeObject *)type, router) : raise_status(status, err);
}

static PyObject *router_from_json(PyObject *type, PyObject *object)
{
    const char *text = take_text(object, "the JSON of a router");
    atoll_router *router = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    if (!text) {
        return NULL;
    }
    status = atoll_router_from_json(text, &router, &err);
    return status == ATOLL_OK ? router_of((PyTypeObject *)type, router) : raise_status(status, err);
}

static PyObject *router_to_bytes(PyObject *self, PyObject *unused)
{
    atoll_buf *data = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_router_encode(((RouterObject *)self)->router, &data, &err);
    (void)unused;
    return status == ATOLL_OK ? bytes_of_buf(data) : raise_status(status, err);
}

static PyObject *router_to_json(PyObject *self, PyObject *unused)
{
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_router_to_json(((RouterObject *)self)->router, &json, &err);
    (void)unused;
    return status == ATOLL_OK ? str_of_buf(json) : raise_status(status, err);
}

/* (want_after, change, node, weight): what a change would move as JSON, or the router after it. */
static PyObject *router_plan(PyObject *self, PyObject *args)
{
    const char *name, *change;
    Py_ssize_t len;
    PyObject *weight_object;
    uint32_t weight;
    int want_after;
    atoll_buf *json = NULL;
    atoll_router *after = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    const atoll_router *router = ((RouterObject *)self)->router;
    if (!PyArg_ParseTuple(args, "pss#O", &want_after, &change, &name, &len, &weight_object) ||
        take_u32(weight_object, "weight", &weight) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    if (strcmp(change, "add") == 0) {
        status = atoll_router_plan_add(router, name, (size_t)len, weight, &json, want_after ? &after : NULL, &err);
    } else if (strcmp(change, "remove") == 0) {
        status = atoll_router_plan_remove(router, name, (size_t)len, &json, want_after ? &after : NULL, &err);
    } else if (strcmp(change, "reweight") == 0) {
        status = atoll_router_plan_reweight(router, name, (size_t)len, weight, &json, want_after ? &after : NULL, &err);
    } else {
        status = atoll_router_plan(router, name, (size_t)len, &json, want_after ? &after : NULL, &err);
    }
    Py_END_ALLOW_THREADS
    if (status != ATOLL_OK) {
        return raise_status(status, err);
    }
    if (want_after) {
        atoll_buf_free(json);
        return router_of(Py_TYPE(self), after);
    }
    return str_of_buf(json);
}

static PyObject *router_version(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(atoll_router_epoch(((RouterObject *)self)->router));
}

static PyObject *router_algorithm(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyUnicode_FromString(atoll_router_algorithm(((RouterObject *)self)->router));
}

static PyObject *router_encoding(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(atoll_router_encoding(((RouterObject *)self)->router));
}

static PyObject *router_places(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(atoll_router_places(((RouterObject *)self)->router));
}

static PyObject *router_shard_count(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(atoll_router_shard_count(((RouterObject *)self)->router));
}

static PyMethodDef router_methods[] = {
    {"_make", router_make, METH_VARARGS | METH_CLASS, NULL},
    {"from_bytes", router_from_bytes, METH_O | METH_CLASS, "A router from its bytes, or from those of a topology, of any language."},
    {"from_json", router_from_json, METH_O | METH_CLASS, "A router from its JSON."},
    {"to_bytes", router_to_bytes, METH_NOARGS, "The bytes of the router, which every language and SQL can read."},
    {"to_json", router_to_json, METH_NOARGS, "The router as JSON."},
    {"node", router_node, METH_O, "The name of the node that owns a key; a number where the router has no nodes."},
    {"nodes", FAST(router_nodes), METH_FASTCALL, "nodes(key, n): names of the first n distinct nodes of a key, the owner first."},
    {"number", router_number, METH_O, "Bucket, range, slot or token of a key; otherwise the index of its node."},
    {"bucket_of", router_bucket_of, METH_O, "Bucket of a 64-bit number: jump alone."},
    {"route_many", router_route_many, METH_O, "What node() answers for each of many keys."},
    {"node_list", router_node_list, METH_NOARGS, "Name and weight of every node."},
    {"version", router_version, METH_NOARGS, "Version of the topology behind a router of slots; 0 for others."},
    {"algorithm", router_algorithm, METH_NOARGS, "Name of the algorithm."},
    {"places", router_places, METH_NOARGS, "Number of places that numbers run through from 0; 0 for tokens."},
    {"shard_count", router_shard_count, METH_NOARGS, "Number of shards of a topology, retired ones included; 0 for other routers."},
    {"_encoding", router_encoding, METH_NOARGS, NULL},
    {"_node_info", router_node_info, METH_NOARGS, NULL},
    {"_locate", router_locate, METH_O, NULL},
    {"_slot_at", router_slot_at, METH_O, NULL},
    {"_shard_nodes", router_shard_nodes, METH_O, NULL},
    {"_plan", router_plan, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot router_slots[] = {
    {Py_tp_dealloc, router_dealloc},
    {Py_tp_methods, router_methods},
    {0, NULL},
};

PyType_Spec router_spec = {
    "atoll._core.Router", sizeof(RouterObject), 0,
    KIND | Py_TPFLAGS_BASETYPE, router_slots,
};
