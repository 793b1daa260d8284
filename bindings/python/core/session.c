/*
 * Sessions: what one user of a cluster has seen.
 *
 * In: tokens. Out: the type Session, which the verbs of Cluster take. Must never: lose a token that it was told of.
 */
#include "core.h"

static void session_dealloc(PyObject *self)
{
    atoll_session_free(((SessionObject *)self)->session);
    free_object(self);
}

static PyObject *session_make(PyObject *type, PyObject *unused)
{
    SessionObject *self = new_object((PyTypeObject *)type);
    (void)unused;
    if (!self) {
        return NULL;
    }
    self->session = atoll_session_new();
    if (!self->session) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static PyObject *session_see(PyObject *self, PyObject *object)
{
    bytes_arg token;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(object, &token) != 0) {
        return NULL;
    }
    status = atoll_session_see(((SessionObject *)self)->session, token.data, (size_t)token.len, &err);
    give_back(&token);
    return none_or_raise(status, err);
}

static PyObject *session_token(PyObject *self, void *unused)
{
    atoll_buf *token = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_session_token(((SessionObject *)self)->session, &token, &err);
    (void)unused;
    return status == ATOLL_OK ? bytes_of_buf(token) : raise_status(status, err);
}

static PyMethodDef session_methods[] = {
    {"_make", session_make, METH_NOARGS | METH_CLASS, NULL},
    {"see", session_see, METH_O, "see(token): asks from now on for what a token of somebody else speaks of, too."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef session_fields[] = {
    {"token", session_token, NULL, "What the session asks for: bytes that another session, in any language, may see().", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot session_slots[] = {
    {Py_tp_dealloc, session_dealloc},
    {Py_tp_methods, session_methods},
    {Py_tp_getset, session_fields},
    {0, NULL},
};

PyType_Spec session_spec = {
    "atoll._core.Session", sizeof(SessionObject), 0,
    KIND | Py_TPFLAGS_BASETYPE, session_slots,
};
