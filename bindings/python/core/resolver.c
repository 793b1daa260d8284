/*
 * Rules for versions that did not know each other: built in, and functions of the program.
 *
 * In: names, functions, versions as bytes. Out: the type Resolver. Must never: call a function without the interpreter's lock, lose what it
 * raised, or let the lock be held while the library may call from another thread.
 */
#include "core.h"

/* What a function raised that this thread's call has run. */
static __thread PyObject *raised;

static PyObject *resolver_of(PyObject *type, atoll_resolver *resolver)
{
    ResolverObject *self = new_object((PyTypeObject *)type);
    if (!self) {
        atoll_resolver_free(resolver);
        return NULL;
    }
    self->resolver = resolver;
    return (PyObject *)self;
}

static void resolver_dealloc(PyObject *self)
{
    atoll_resolver_free(((ResolverObject *)self)->resolver);
    free_object(self);
}

static PyObject *resolver_builtin(PyObject *type, PyObject *object)
{
    const char *name = take_text(object, "the name of a rule");
    atoll_resolver *resolver = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    if (!name) {
        return NULL;
    }
    status = atoll_resolver_builtin(name, &resolver, &err);
    return status == ATOLL_OK ? resolver_of(type, resolver) : raise_status(status, err);
}

static PyObject *resolver_priority(PyObject *type, PyObject *names)
{
    packed list;
    atoll_resolver *resolver = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    if (pack(names, &list) != 0) {
        return NULL;
    }
    status = atoll_resolver_node_priority((const uint8_t *)list.bytes, list.offsets, (size_t)list.n, &resolver, &err);
    free_packed(&list);
    return status == ATOLL_OK ? resolver_of(type, resolver) : raise_status(status, err);
}

/* ---- functions ---- */

/* Keeps what was raised for the call that this is part of, and tells the library why. */
static atoll_status cannot_decide(atoll_out *out)
{
    PyObject *type, *value, *trace, *text, *name;
    const char *reason = NULL;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (value && trace) {
        PyException_SetTraceback(value, trace);
    }
    name = type ? PyObject_GetAttrString(type, "__name__") : NULL;
    text = name ? PyUnicode_FromFormat("%U: %S", name, value) : NULL;
    reason = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
    PyErr_Clear();
    (void)atoll_out_fail(out, reason ? reason : "the function raised something that cannot be shown");
    Py_XDECREF(text);
    Py_XDECREF(name);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    {
        PyObject *before = raised;
        raised = value;
        Py_XDECREF(before);
    }
    return ATOLL_E_CALLBACK;
}

/* The function answers the index of a version, None for a deletion, or a value. */
static atoll_status take_decision(PyObject *decision, atoll_out *out)
{
    bytes_arg value;
    size_t index;
    atoll_status status;
    if (decision == Py_None) {
        return atoll_out_delete(out);
    }
    if (PyLong_Check(decision)) {
        return take_size(decision, "index", &index) != 0 ? cannot_decide(out) : atoll_out_choose(out, index);
    }
    if (take_bytes(decision, &value) != 0) {
        return cannot_decide(out);
    }
    status = atoll_out_write(out, value.data, (size_t)value.len);
    give_back(&value);
    return status;
}

static atoll_status decide(void *function, atoll_bytes key, const atoll_version_view *versions, size_t n, atoll_out *out)
{
    PyGILState_STATE lock = PyGILState_Ensure();
    PyObject *rows = PyList_New((Py_ssize_t)n), *decision = NULL;
    atoll_status status;
    size_t i;
    for (i = 0; rows && i < n; i++) {
        PyObject *row = version_row(&versions[i]);
        if (!row || PyList_SetItem(rows, (Py_ssize_t)i, row) != 0) {
            Py_CLEAR(rows);
        }
    }
    if (rows) {
        decision = PyObject_CallFunction((PyObject *)function, "NN", bytes_of(key), rows);
    }
    status = decision ? take_decision(decision, out) : cannot_decide(out);
    Py_XDECREF(decision);
    PyGILState_Release(lock);
    return status;
}

static void let_go(void *function)
{
    PyGILState_STATE lock;
    if (!Py_IsInitialized()) {
        return;
    }
    lock = PyGILState_Ensure();
    Py_DECREF((PyObject *)function);
    PyGILState_Release(lock);
}

/* (name, function(key, rows)) */
static PyObject *resolver_function(PyObject *type, PyObject *args)
{
    const char *name;
    PyObject *function;
    atoll_resolver *resolver = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    if (!PyArg_ParseTuple(args, "sO", &name, &function)) {
        return NULL;
    }
    Py_INCREF(function);
    status = atoll_resolver_new(name, decide, function, let_go, &resolver, &err);
    return status == ATOLL_OK ? resolver_of(type, resolver) : raise_status(status, err);
}

/* Raises the answer of a call that may have run functions; what one of them raised is its cause, or goes on if it is no Exception. */
static PyObject *raise_decided(atoll_status status, atoll_error *err, PyObject *cause)
{
    PyObject *type, *value, *trace;
    if (cause && !PyErr_GivenExceptionMatches(cause, PyExc_Exception)) {
        atoll_error_free(err);
        PyErr_SetObject((PyObject *)Py_TYPE(cause), cause);
        Py_DECREF(cause);
        return NULL;
    }
    raise_status(status, err);
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (value && cause) {
        PyException_SetCause(value, cause);
    } else {
        Py_XDECREF(cause);
    }
    PyErr_Restore(type, value, trace);
    return NULL;
}

/* ---- use ---- */

static PyObject *resolver_name(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyUnicode_FromString(atoll_resolver_name(((ResolverObject *)self)->resolver));
}

/* (key, [bytes of a version]) -> [row] */
static PyObject *resolver_resolve(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    const atoll_resolver *resolver = ((ResolverObject *)self)->resolver;
    bytes_arg key;
    packed list;
    atoll_versions *resolved = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *before = raised, *cause;
    if (n != 2) {
        return raise_invalid("resolve takes key, versions");
    }
    if (take_bytes(args[0], &key) != 0) {
        return NULL;
    }
    if (pack(args[1], &list) != 0) {
        give_back(&key);
        return NULL;
    }
    raised = NULL;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_resolver_resolve(resolver, key.data, (size_t)key.len, (const uint8_t *)list.bytes, list.offsets, (size_t)list.n, &resolved, &err);
    Py_END_ALLOW_THREADS
    cause = raised;
    raised = before;
    give_back(&key);
    free_packed(&list);
    if (status != ATOLL_OK) {
        return raise_decided(status, err, cause);
    }
    Py_XDECREF(cause);
    return version_rows(resolved);
}

static PyObject *resolver_present(PyObject *self, PyObject *object)
{
    bytes_arg value;
    atoll_buf *presented = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(object, &value) != 0) {
        return NULL;
    }
    status = atoll_resolver_present(((ResolverObject *)self)->resolver, value.data, (size_t)value.len, &presented, &err);
    give_back(&value);
    return status == ATOLL_OK ? bytes_of_buf(presented) : raise_status(status, err);
}

/* (values, seed, cases) -> text or None */
static PyObject *resolver_check(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    const atoll_resolver *resolver = ((ResolverObject *)self)->resolver;
    packed values;
    uint64_t seed;
    uint32_t cases;
    atoll_buf *found = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *before = raised, *cause;
    if (n != 3) {
        return raise_invalid("check takes values, seed, cases");
    }
    if (take_u64(args[1], "seed", &seed) != 0 || take_u32(args[2], "cases", &cases) != 0 || pack(args[0], &values) != 0) {
        return NULL;
    }
    raised = NULL;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_resolver_check(resolver, seed, cases, (const uint8_t *)values.bytes, values.offsets, (size_t)values.n, &found, &err);
    Py_END_ALLOW_THREADS
    cause = raised;
    raised = before;
    free_packed(&values);
    if (status != ATOLL_OK) {
        return raise_decided(status, err, cause);
    }
    Py_XDECREF(cause);
    if (!found) {
        Py_RETURN_NONE;
    }
    return str_of_buf(found);
}

static PyObject *resolver_names(PyObject *type, PyObject *unused)
{
    PyObject *list = PyList_New(0);
    const char *name;
    size_t i;
    (void)type;
    (void)unused;
    for (i = 0; list && (name = atoll_resolver_builtin_name(i)) != NULL; i++) {
        PyObject *text = PyUnicode_FromString(name);
        if (!text || PyList_Append(list, text) != 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(text);
    }
    return list;
}

static PyMethodDef resolver_methods[] = {
    {"_builtin", resolver_builtin, METH_O | METH_CLASS, NULL},
    {"_priority", resolver_priority, METH_O | METH_CLASS, NULL},
    {"_function", resolver_function, METH_VARARGS | METH_CLASS, NULL},
    {"builtin_names", resolver_names, METH_NOARGS | METH_CLASS, "Names of the rules there are."},
    {"name", resolver_name, METH_NOARGS, "Name of the rule."},
    {"_resolve", FAST(resolver_resolve), METH_FASTCALL, NULL},
    {"present", resolver_present, METH_O, "The value as a user reads it, where the rule keeps more in it than that."},
    {"_check", FAST(resolver_check), METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot resolver_slots[] = {
    {Py_tp_dealloc, resolver_dealloc},
    {Py_tp_methods, resolver_methods},
    {0, NULL},
};
PyType_Spec resolver_spec = {
    "atoll._core.Resolver", sizeof(ResolverObject), 0,
    KIND | Py_TPFLAGS_BASETYPE, resolver_slots,
};
