/*
 * The writes of one key that stand side by side.
 *
 * In: versions as bytes, sets. Out: the type SiblingSet. Must never: differ from what the other languages make of the same writes.
 */
#include "core.h"

static void siblings_dealloc(PyObject *self)
{
    atoll_siblings_free(((SiblingsObject *)self)->siblings);
    free_object(self);
}

static PyObject *siblings_of(PyObject *type, atoll_siblings *siblings)
{
    SiblingsObject *self = siblings ? new_object((PyTypeObject *)type) : NULL;
    if (!self) {
        atoll_siblings_free(siblings);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    self->siblings = siblings;
    return (PyObject *)self;
}

static PyObject *siblings_make(PyObject *type, PyObject *unused)
{
    (void)unused;
    return siblings_of(type, atoll_siblings_new());
}

static PyObject *siblings_from_bytes(PyObject *type, PyObject *object)
{
    bytes_arg data;
    atoll_siblings *siblings = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(object, &data) != 0) {
        return NULL;
    }
    status = atoll_siblings_decode(data.data, (size_t)data.len, &siblings, &err);
    give_back(&data);
    return status == ATOLL_OK ? siblings_of(type, siblings) : raise_status(status, err);
}

/* (bytes of a version) -> bytes to ship */
static PyObject *siblings_put(PyObject *self, PyObject *object)
{
    bytes_arg data;
    atoll_version_view version;
    atoll_buf *encoded = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(object, &data) != 0) {
        return NULL;
    }
    /* The views are of what was taken. */
    status = atoll_version_decode(data.data, (size_t)data.len, &version, &err);
    if (status == ATOLL_OK) {
        status = atoll_siblings_put(((SiblingsObject *)self)->siblings, &version, &encoded, &err);
    }
    give_back(&data);
    return status == ATOLL_OK ? bytes_of_buf(encoded) : raise_status(status, err);
}

static PyObject *siblings_apply(PyObject *self, PyObject *object)
{
    bytes_arg version;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(object, &version) != 0) {
        return NULL;
    }
    status = atoll_siblings_apply(((SiblingsObject *)self)->siblings, version.data, (size_t)version.len, &err);
    give_back(&version);
    return none_or_raise(status, err);
}

static PyObject *siblings_merge(PyObject *self, PyObject *other)
{
    atoll_error *err = NULL;
    atoll_status status;
    if (!PyObject_TypeCheck(other, Siblings_Type)) {
        PyErr_Format(PyExc_TypeError, "a SiblingSet is needed, not %R", other);
        return NULL;
    }
    status = atoll_siblings_merge(((SiblingsObject *)self)->siblings, ((SiblingsObject *)other)->siblings, &err);
    return none_or_raise(status, err);
}

static PyObject *siblings_context(PyObject *self, void *unused)
{
    atoll_buf *context = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_siblings_context(((SiblingsObject *)self)->siblings, &context, &err);
    (void)unused;
    return status == ATOLL_OK ? bytes_of_buf(context) : raise_status(status, err);
}

static PyObject *siblings_to_bytes(PyObject *self, PyObject *unused)
{
    atoll_buf *encoded = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_siblings_encode(((SiblingsObject *)self)->siblings, &encoded, &err);
    (void)unused;
    return status == ATOLL_OK ? bytes_of_buf(encoded) : raise_status(status, err);
}

static PyObject *siblings_rows(PyObject *self, PyObject *unused)
{
    atoll_versions *versions = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_siblings_versions(((SiblingsObject *)self)->siblings, &versions, &err);
    (void)unused;
    return status == ATOLL_OK ? version_rows(versions) : raise_status(status, err);
}

static PyMethodDef siblings_methods[] = {
    {"_make", siblings_make, METH_NOARGS | METH_CLASS, NULL},
    {"from_bytes", siblings_from_bytes, METH_O | METH_CLASS, "A set from its bytes, of any language."},
    {"to_bytes", siblings_to_bytes, METH_NOARGS, "The bytes of the set: equal for nodes that have taken in the same writes."},
    {"_put", siblings_put, METH_O, NULL},
    {"_apply", siblings_apply, METH_O, NULL},
    {"merge", siblings_merge, METH_O, "merge(other): takes in another node's set of the same key. Order and repetition do not matter."},
    {"_rows", siblings_rows, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef siblings_fields[] = {
    {"context", siblings_context, NULL, "All that was seen of the key: the context of a write that replaces the present values.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot siblings_slots[] = {
    {Py_tp_dealloc, siblings_dealloc},
    {Py_tp_methods, siblings_methods},
    {Py_tp_getset, siblings_fields},
    {0, NULL},
};

PyType_Spec siblings_spec = {
    "atoll._core.SiblingSet", sizeof(SiblingsObject), 0,
    KIND | Py_TPFLAGS_BASETYPE, siblings_slots,
};
