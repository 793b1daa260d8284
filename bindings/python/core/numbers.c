/*
 * Numbers, texts and options among the arguments.
 *
 * In: int or what stands for one; str; {name: text}. Out: numbers of the width the library has. Must never: wrap, round or cut.
 */
#include "core.h"

/* From 0 to `max`. */
static int take_number(PyObject *object, const char *what, uint64_t max, uint64_t *number)
{
    PyObject *index;
    if (PyBool_Check(object) || !PyIndex_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be a whole number, not %R", what, (PyObject *)Py_TYPE(object));
        return -1;
    }
    index = PyNumber_Index(object);
    if (!index) {
        return -1;
    }
    *number = PyLong_AsUnsignedLongLong(index);
    if (PyErr_Occurred() || *number > max) {
        if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Clear();
            raise_refused("%s cannot be %S: it is a whole number from 0 to %llu", what, index, (unsigned long long)max);
        }
        Py_DECREF(index);
        return -1;
    }
    Py_DECREF(index);
    return 0;
}

int take_u64(PyObject *object, const char *what, uint64_t *number)
{
    return take_number(object, what, UINT64_MAX, number);
}

int take_u32(PyObject *object, const char *what, uint32_t *number)
{
    uint64_t wide;
    if (take_number(object, what, UINT32_MAX, &wide) != 0) {
        return -1;
    }
    *number = (uint32_t)wide;
    return 0;
}

int take_size(PyObject *object, const char *what, size_t *number)
{
    uint64_t wide;
    if (take_number(object, what, PY_SSIZE_T_MAX, &wide) != 0) {
        return -1;
    }
    *number = (size_t)wide;
    return 0;
}

const char *take_text(PyObject *object, const char *what)
{
    Py_ssize_t len;
    const char *text;
    if (!PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be a str, not %R", what, (PyObject *)Py_TYPE(object));
        return NULL;
    }
    text = PyUnicode_AsUTF8AndSize(object, &len);
    if (text && memchr(text, 0, (size_t)len)) {
        raise_refused("%s cannot hold a NUL: %R", what, object);
        return NULL;
    }
    return text;
}

atoll_options *take_options(PyObject *settings)
{
    atoll_options *options;
    atoll_error *err = NULL;
    PyObject *items = PyDict_Items(settings);
    Py_ssize_t i, n;
    if (!items) {
        return NULL;
    }
    options = atoll_options_new();
    n = PyList_Size(items);
    for (i = 0; i < n; i++) {
        PyObject *item = PyList_GetItem(items, i);
        const char *name = take_text(PyTuple_GetItem(item, 0), "the name of an option");
        const char *value = name ? take_text(PyTuple_GetItem(item, 1), "the value of an option") : NULL;
        atoll_status status = value ? atoll_options_set(options, name, value, &err) : ATOLL_OK;
        if (status != ATOLL_OK) {
            raise_status(status, err);
        }
        if (!value || status != ATOLL_OK) {
            atoll_options_free(options);
            options = NULL;
            break;
        }
    }
    Py_DECREF(items);
    return options;
}
