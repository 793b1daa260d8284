/*
 * The clock of a node that stamps writes.
 *
 * In: milliseconds, stamps of peers. Out: the type HybridClock. Must never: give a stamp twice.
 */
#include "core.h"

static void hlc_clock_dealloc(PyObject *self)
{
    atoll_hlc_clock_free(((HlcClockObject *)self)->clock);
    free_object(self);
}

/* (mark, max_skew_ms, reserve_ms) */
static PyObject *hlc_clock_make(PyObject *type, PyObject *args)
{
    PyObject *objects[3];
    uint64_t mark, skew, reserve;
    atoll_error *err = NULL;
    atoll_status status;
    HlcClockObject *self;
    if (!PyArg_ParseTuple(args, "OOO", &objects[0], &objects[1], &objects[2]) || take_u64(objects[0], "mark", &mark) != 0 ||
        take_u64(objects[1], "max_skew_ms", &skew) != 0 || take_u64(objects[2], "reserve_ms", &reserve) != 0) {
        return NULL;
    }
    self = new_object((PyTypeObject *)type);
    if (!self) {
        return NULL;
    }
    status = atoll_hlc_clock_new(mark, skew, reserve, &self->clock, &err);
    if (status != ATOLL_OK) {
        Py_DECREF(self);
        return raise_status(status, err);
    }
    return (PyObject *)self;
}

/* None stands for the clock of this machine. */
static int take_wall(PyObject *object, uint64_t *wall_ms)
{
    *wall_ms = ATOLL_WALL_NOW;
    return object == Py_None ? 0 : take_u64(object, "wall_ms", wall_ms);
}

/* (wall_ms or None) -> (stamp, persist, ahead_ms) */
static PyObject *hlc_clock_send(PyObject *self, PyObject *object)
{
    uint64_t wall_ms, stamp = 0, persist = 0, ahead_ms = 0;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_wall(object, &wall_ms) != 0) {
        return NULL;
    }
    status = atoll_hlc_clock_send(((HlcClockObject *)self)->clock, wall_ms, &stamp, &persist, &ahead_ms, &err);
    if (status != ATOLL_OK) {
        return raise_status(status, err);
    }
    return Py_BuildValue("(KKK)", (unsigned long long)stamp, (unsigned long long)persist, (unsigned long long)ahead_ms);
}

/* (wall_ms or None, stamp) -> persist, or None if the stamp is too far ahead */
static PyObject *hlc_clock_observe(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    uint64_t wall_ms, stamp, persist = 0;
    atoll_error *err = NULL;
    atoll_status status;
    if (n != 2) {
        return raise_invalid("observe takes wall_ms or None, stamp");
    }
    if (take_wall(args[0], &wall_ms) != 0 || take_u64(args[1], "stamp", &stamp) != 0) {
        return NULL;
    }
    status = atoll_hlc_clock_observe(((HlcClockObject *)self)->clock, wall_ms, stamp, &persist, &err);
    if (status == ATOLL_CONFLICT) {
        Py_RETURN_NONE;
    }
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(persist) : raise_status(status, err);
}

static PyObject *hlc_clock_last(PyObject *self, PyObject *unused)
{
    uint64_t last = 0, mark = 0;
    atoll_error *err = NULL;
    atoll_status status = atoll_hlc_clock_last(((HlcClockObject *)self)->clock, &last, &mark, &err);
    (void)unused;
    return status == ATOLL_OK ? Py_BuildValue("(KK)", (unsigned long long)last, (unsigned long long)mark) : raise_status(status, err);
}

static PyMethodDef hlc_clock_methods[] = {
    {"_make", hlc_clock_make, METH_VARARGS | METH_CLASS, NULL},
    {"_send", hlc_clock_send, METH_O, NULL},
    {"_observe", FAST(hlc_clock_observe), METH_FASTCALL, NULL},
    {"_last", hlc_clock_last, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot hlc_clock_slots[] = {
    {Py_tp_dealloc, hlc_clock_dealloc},
    {Py_tp_methods, hlc_clock_methods},
    {0, NULL},
};

PyType_Spec hlc_clock_spec = {
    "atoll._core.HybridClock", sizeof(HlcClockObject), 0,
    KIND | Py_TPFLAGS_BASETYPE, hlc_clock_slots,
};
