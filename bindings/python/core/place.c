/*
 * Places in topologies: slots, shards, and where they are going.
 *
 * In: a router that is a topology; keys, slots, shards. Out: rows of numbers. Must never: answer otherwise than the other languages.
 */
#include "core.h"

/* (version, slot, shard, phase, moving_to, residency) */
static PyObject *row_of(const atoll_location *place)
{
    return Py_BuildValue("(KIIIIK)", (unsigned long long)place->version, (unsigned int)place->slot, (unsigned int)place->shard,
                         (unsigned int)place->phase, (unsigned int)place->moving_to, (unsigned long long)place->residency);
}

static PyObject *past_the_last(const char *what)
{
    PyErr_Format(PyExc_IndexError, "the topology has no such %s", what);
    return NULL;
}

PyObject *router_locate(PyObject *self, PyObject *object)
{
    bytes_arg key;
    atoll_location place = ATOLL_LOCATION_INIT;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(object, &key) != 0) {
        return NULL;
    }
    status = atoll_router_locate(((RouterObject *)self)->router, key.data, (size_t)key.len, &place, &err);
    give_back(&key);
    return status == ATOLL_OK ? row_of(&place) : raise_status(status, err);
}

PyObject *router_slot_at(PyObject *self, PyObject *object)
{
    uint32_t slot;
    atoll_location place = ATOLL_LOCATION_INIT;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_u32(object, "slot", &slot) != 0) {
        return NULL;
    }
    status = atoll_router_slot_at(((RouterObject *)self)->router, slot, &place, &err);
    if (status == ATOLL_END) {
        return past_the_last("slot");
    }
    return status == ATOLL_OK ? row_of(&place) : raise_status(status, err);
}

/* Numbers of nodes, preferred primary first. */
PyObject *router_shard_nodes(PyObject *self, PyObject *object)
{
    const atoll_router *router = ((RouterObject *)self)->router;
    size_t room = atoll_router_node_count(router), n = 0, i;
    uint32_t shard, *nodes;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *list = NULL;
    if (take_u32(object, "shard", &shard) != 0) {
        return NULL;
    }
    nodes = PyMem_Calloc(room + 1, sizeof *nodes);
    if (!nodes) {
        return PyErr_NoMemory();
    }
    status = atoll_router_shard_nodes(router, shard, nodes, room, &n, &err);
    if (status == ATOLL_END) {
        past_the_last("shard");
    } else if (status != ATOLL_OK) {
        raise_status(status, err);
    } else {
        list = PyList_New((Py_ssize_t)n);
    }
    for (i = 0; list && i < n; i++) {
        PyObject *number = PyLong_FromUnsignedLong(nodes[i]);
        if (!number || PyList_SetItem(list, (Py_ssize_t)i, number) != 0) {
            Py_CLEAR(list);
        }
    }
    PyMem_Free(nodes);
    return list;
}

/* [(name, weight, zone, rack, state)] */
PyObject *router_node_info(PyObject *self, PyObject *unused)
{
    const atoll_router *router = ((RouterObject *)self)->router;
    size_t n = atoll_router_node_count(router), i;
    PyObject *list = PyList_New((Py_ssize_t)n);
    (void)unused;
    for (i = 0; list && i < n; i++) {
        atoll_node node = ATOLL_NODE_INIT;
        atoll_error *err = NULL;
        atoll_status status = atoll_router_node_info(router, i, &node, &err);
        PyObject *row = status == ATOLL_OK ? Py_BuildValue("(NINNI)", str_of(node.name), (unsigned int)node.weight, str_of(node.zone),
                                                           str_of(node.rack), (unsigned int)node.state)
                                           : raise_status(status, err);
        if (!row || PyList_SetItem(list, (Py_ssize_t)i, row) != 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}
