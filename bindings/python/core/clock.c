/*
 * Vector clocks.
 *
 * In: names of nodes, clocks as bytes or text. Out: the type VectorClock. Must never: count differently from the other languages.
 */
#include "core.h"

static void clock_dealloc(PyObject *self)
{
    atoll_vclock_free(((ClockObject *)self)->clock);
    free_object(self);
}

static PyObject *clock_of(PyTypeObject *type, atoll_vclock *clock)
{
    ClockObject *self = new_object(type);
    if (!self) {
        atoll_vclock_free(clock);
        return NULL;
    }
    self->clock = clock;
    return (PyObject *)self;
}

static PyObject *clock_from(PyObject *type, PyObject *object, int is_text)
{
    bytes_arg data;
    atoll_vclock *clock = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(object, &data) != 0) {
        return NULL;
    }
    status = is_text ? atoll_vclock_from_text(data.data, (size_t)data.len, &clock, &err)
                     : atoll_vclock_decode(data.data, (size_t)data.len, &clock, &err);
    give_back(&data);
    return status == ATOLL_OK ? clock_of((PyTypeObject *)type, clock) : raise_status(status, err);
}

static PyObject *clock_from_text(PyObject *type, PyObject *object)
{
    return clock_from(type, object, 1);
}

static PyObject *clock_from_bytes(PyObject *type, PyObject *object)
{
    return clock_from(type, object, 0);
}

static PyObject *clock_tick(PyObject *self, PyObject *object)
{
    bytes_arg node;
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t count = 0;
    if (take_bytes(object, &node) != 0) {
        return NULL;
    }
    status = atoll_vclock_tick(((ClockObject *)self)->clock, node.data, (size_t)node.len, &count, &err);
    give_back(&node);
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(count) : raise_status(status, err);
}

static PyObject *clock_get(PyObject *self, PyObject *object)
{
    bytes_arg node;
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t count = 0;
    if (take_bytes(object, &node) != 0) {
        return NULL;
    }
    status = atoll_vclock_get(((ClockObject *)self)->clock, node.data, (size_t)node.len, &count, &err);
    give_back(&node);
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(count) : raise_status(status, err);
}

static PyObject *clock_merge(PyObject *self, PyObject *other)
{
    atoll_error *err = NULL;
    if (!PyObject_TypeCheck(other, Clock_Type)) {
        return raise_invalid("a VectorClock is needed");
    }
    return none_or_raise(atoll_vclock_merge(((ClockObject *)self)->clock, ((ClockObject *)other)->clock, &err), err);
}

static PyObject *clock_compare(PyObject *self, PyObject *other)
{
    atoll_error *err = NULL;
    atoll_status status;
    int32_t answer = 0;
    if (!PyObject_TypeCheck(other, Clock_Type)) {
        return raise_invalid("a VectorClock is needed");
    }
    status = atoll_vclock_compare(((ClockObject *)self)->clock, ((ClockObject *)other)->clock, &answer, &err);
    return status == ATOLL_OK ? order_name(answer) : raise_status(status, err);
}

static PyObject *clock_to_bytes(PyObject *self, PyObject *unused)
{
    atoll_buf *data = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_vclock_encode(((ClockObject *)self)->clock, &data, &err);
    (void)unused;
    return status == ATOLL_OK ? bytes_of_buf(data) : raise_status(status, err);
}

static PyObject *clock_text(PyObject *self)
{
    atoll_buf *text = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_vclock_to_text(((ClockObject *)self)->clock, &text, &err);
    return status == ATOLL_OK ? str_of_buf(text) : raise_status(status, err);
}

static PyObject *clock_copy(PyObject *self, PyObject *unused)
{
    atoll_vclock *copy = atoll_vclock_clone(((ClockObject *)self)->clock);
    (void)unused;
    return copy ? clock_of(Py_TYPE(self), copy) : raise_status(ATOLL_E_BUSY, NULL);
}

static PyMethodDef clock_methods[] = {
    {"_from_text", clock_from_text, METH_O | METH_CLASS, NULL},
    {"from_bytes", clock_from_bytes, METH_O | METH_CLASS, "A clock from its bytes, of any language."},
    {"to_bytes", clock_to_bytes, METH_NOARGS, "The bytes of the clock, which every language and SQL can read."},
    {"tick", clock_tick, METH_O, "Counts one more write of a node; the new count."},
    {"get", clock_get, METH_O, "The count of a node, 0 for one that is not there."},
    {"merge", clock_merge, METH_O, "Raises every count to that of another clock."},
    {"compare", clock_compare, METH_O, "\"equal\", \"before\", \"after\" or \"concurrent\"."},
    {"copy", clock_copy, METH_NOARGS, "A clock of its own with the same counts."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot clock_slots[] = {
    {Py_tp_dealloc, clock_dealloc},
    {Py_tp_methods, clock_methods},
    {Py_tp_str, clock_text},
    {0, NULL},
};

PyType_Spec clock_spec = {
    "atoll._core.VectorClock", sizeof(ClockObject), 0,
    KIND | Py_TPFLAGS_BASETYPE, clock_slots,
};
