/*
 * Exceptions of what the library answers.
 *
 * In: a status and its error. Out: an exception made by atoll._errors. Must never: lose the error, or leave it unfreed.
 */
#include "core.h"

#include <stdarg.h>

/* atoll._errors._make(status, message, errno) -> exception. */
static PyObject *make_error;

static PyObject *raise_made(atoll_status status, PyObject *message, int number)
{
    PyObject *make = make_error, *exception;
    /* It may be exchanged while it runs. */
    Py_XINCREF(make);
    exception = PyObject_CallFunction(make, "iOi", (int)status, message, number);
    Py_XDECREF(make);
    if (exception) {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        Py_DECREF(exception);
    }
    return NULL;
}

PyObject *raise_status(atoll_status status, atoll_error *err)
{
    PyObject *message = PyUnicode_FromString(atoll_error_message(err));
    int number = (int)atoll_error_os_errno(err);
    atoll_error_free(err);
    if (message) {
        raise_made(status, message, number);
        Py_DECREF(message);
    }
    return NULL;
}

PyObject *raise_refused(const char *format, ...)
{
    PyObject *message;
    va_list arguments;
    va_start(arguments, format);
    message = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    if (message) {
        raise_made(ATOLL_E_INVALID, message, 0);
        Py_DECREF(message);
    }
    return NULL;
}

PyObject *raise_invalid(const char *message)
{
    PyErr_SetString(PyExc_TypeError, message);
    return NULL;
}

PyObject *none_or_raise(atoll_status status, atoll_error *err)
{
    if (status == ATOLL_OK) {
        Py_RETURN_NONE;
    }
    return raise_status(status, err);
}

PyObject *set_make_error(PyObject *module, PyObject *function)
{
    PyObject *before = make_error;
    (void)module;
    Py_INCREF(function);
    make_error = function;
    Py_XDECREF(before);
    Py_RETURN_NONE;
}
