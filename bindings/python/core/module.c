/*
 * The module: its functions and types.
 *
 * In: nothing. Out: atoll._core. Must never: load with a library of another binary interface.
 */
#include "core.h"

PyTypeObject *Snapshot_Type, *Scan_Type, *Pin_Type, *Transaction_Type, *Batch_Type, *Router_Type, *Clock_Type, *Log_Type,
    *Session_Type, *Siblings_Type, *Load_Type;

static PyObject *options_table(PyObject *module, PyObject *unused)
{
    PyObject *list = PyList_New(0);
    atoll_option_info info;
    size_t i;
    (void)module;
    (void)unused;
    for (i = 0; list && atoll_options_describe(i, &info) == ATOLL_OK; i++) {
        PyObject *row = Py_BuildValue("(sssszzs)", info.scope, info.name, info.unit, info.default_value, info.min, info.max, info.doc);
        if (!row || PyList_Append(list, row) != 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(row);
    }
    return list;
}

static PyObject *version(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyUnicode_FromString(atoll_version());
}

static PyObject *status_name(PyObject *module, PyObject *number)
{
    long status = PyLong_AsLong(number);
    (void)module;
    return PyErr_Occurred() ? NULL : PyUnicode_FromString(atoll_status_name((atoll_status)status));
}

static PyMethodDef module_methods[] = {
    {"encode_key", FAST(encode_key), METH_FASTCALL, NULL},
    {"decode_key", decode_key, METH_O, NULL},
    {"hlc_pack", FAST(hlc_pack), METH_FASTCALL, NULL},
    {"hlc_to_text", FAST(hlc_to_text), METH_FASTCALL, NULL},
    {"hlc_from_text", hlc_from_text, METH_O, NULL},
    {"hlc_encode", FAST(hlc_encode), METH_FASTCALL, NULL},
    {"hlc_decode", hlc_decode, METH_O, NULL},
    {"hlc_compare", FAST(hlc_compare), METH_FASTCALL, NULL},
    {"context_compare", FAST(context_compare), METH_FASTCALL, NULL},
    {"context_merge", FAST(context_merge), METH_FASTCALL, NULL},
    {"version_encode", FAST(version_encode), METH_FASTCALL, NULL},
    {"version_decode", version_decode, METH_O, NULL},
    {"log_entries", log_entries, METH_O, NULL},
    {"restore", restore, METH_VARARGS, NULL},
    {"verify_backup", verify_backup, METH_VARARGS, NULL},
    {"repair", repair, METH_VARARGS, NULL},
    {"set_logger", FAST(set_logger), METH_FASTCALL, NULL},
    {"options", options_table, METH_NOARGS, NULL},
    {"token_merge", FAST(token_merge), METH_FASTCALL, NULL},
    {"set_make_error", set_make_error, METH_O, NULL},
    {"status_name", status_name, METH_O, NULL},
    {"version", version, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT, "atoll._core", "The C half of atoll.", -1, module_methods, NULL, NULL, NULL, NULL,
};

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyObject *type = PyType_FromSpec(spec);
    if (!type || PyModule_AddObjectRef(module, name, type) != 0) {
        Py_XDECREF(type);
        return NULL;
    }
    return (PyTypeObject *)type;
}

PyMODINIT_FUNC PyInit__core(void)
{
    static const struct {
        PyType_Spec *spec;
        const char *name;
        PyTypeObject **place;
    } types[] = {
        {&db_spec, "Db", NULL},
        {&cluster_spec, "Cluster", NULL},
        {&resolver_spec, "Resolver", NULL},
        {&snapshot_spec, "Snapshot", &Snapshot_Type},
        {&batch_spec, "Batch", &Batch_Type},
        {&transaction_spec, "Transaction", &Transaction_Type},
        {&scan_spec, "Scan", &Scan_Type},
        {&log_spec, "Log", &Log_Type},
        {&pin_spec, "Pin", &Pin_Type},
        {&router_spec, "Router", &Router_Type},
        {&clock_spec, "VectorClock", &Clock_Type},
        {&session_spec, "Session", &Session_Type},
        {&siblings_spec, "SiblingSet", &Siblings_Type},
        {&hlc_clock_spec, "HybridClock", NULL},
        {&load_spec, "Load", &Load_Type},
    };
    PyObject *module;
    size_t i;
    if (atoll_abi_version() != ATOLL_ABI_VERSION) {
        PyErr_Format(PyExc_ImportError, "libatoll %s has another binary interface (%u) than this package was built for (%u)",
                     atoll_version(), (unsigned)atoll_abi_version(), (unsigned)ATOLL_ABI_VERSION);
        return NULL;
    }
    module = PyModule_Create(&module_def);
    for (i = 0; module && i < sizeof types / sizeof *types; i++) {
        PyTypeObject *type = add_type(module, types[i].spec, types[i].name);
        if (!type) {
            Py_CLEAR(module);
        } else if (types[i].place) {
            *types[i].place = type;
        }
    }
    return module;
}
