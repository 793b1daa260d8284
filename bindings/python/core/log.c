/*
 * A store's log: following it, looking into its frames, applying them to a copy.
 *
 * In: a store and a position; frames. Out: frames as bytes, and the writes in them. Must never: wait with the interpreter's lock held, or
 * without looking at signals, or free a reader that another thread waits in.
 */
#include "core.h"

/* Between two looks at the signals of the program. */
#define SLICE_MS 200

PyObject *db_log(PyObject *self, PyObject *from)
{
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t lsn = ATOLL_LOG_FROM_NOW;
    LogObject *log;
    if (from != Py_None && take_u64(from, "start", &lsn) != 0) {
        return NULL;
    }
    log = new_object(Log_Type);
    if (!log) {
        return NULL;
    }
    status = atoll_log_open(((DbObject *)self)->db, lsn, &log->reader, &err);
    if (status != ATOLL_OK) {
        Py_DECREF(log);
        return raise_status(status, err);
    }
    return (PyObject *)log;
}

PyObject *db_apply_log(PyObject *self, PyObject *object)
{
    bytes_arg frame;
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t applied = 0;
    atoll_db *db = ((DbObject *)self)->db;
    if (take_bytes(object, &frame) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_log_apply(db, frame.data, (size_t)frame.len, &applied, &err);
    Py_END_ALLOW_THREADS
    give_back(&frame);
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(applied) : raise_status(status, err);
}

static void log_dealloc(PyObject *self)
{
    atoll_log_free(((LogObject *)self)->reader);
    free_object(self);
}

/* (max_bytes, timeout_ms or below 0): (bytes, first, next), or None. */
static PyObject *log_next(PyObject *self, PyObject *args)
{
    LogObject *log = (LogObject *)self;
    Py_ssize_t max_bytes;
    long long left;
    if (!PyArg_ParseTuple(args, "nL", &max_bytes, &left)) {
        return NULL;
    }
    if (log->busy) {
        return raise_status(ATOLL_E_BUSY, NULL);
    }
    for (;;) {
        const int64_t slice = left < 0 || left > SLICE_MS ? SLICE_MS : (int64_t)left;
        atoll_error *err = NULL;
        atoll_status status;
        atoll_bytes records;
        uint64_t first = 0, next = 0;
        if (!log->reader) {
            return raise_status(ATOLL_E_CLOSED, NULL);
        }
        log->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        status = atoll_log_next(log->reader, (size_t)max_bytes, slice, &records, &first, &next, &err);
        Py_END_ALLOW_THREADS
        log->busy = 0;
        if (status == ATOLL_OK) {
            return Py_BuildValue("(NKK)", bytes_of(records), (unsigned long long)first, (unsigned long long)next);
        }
        if (status != ATOLL_TIMEOUT) {
            return raise_status(status, err);
        }
        left -= left < 0 ? 0 : slice;
        if (left == 0 || log->interrupted) {
            log->interrupted = 0;
            Py_RETURN_NONE;
        }
        /* A handler may close the log. */
        if (PyErr_CheckSignals() != 0) {
            return NULL;
        }
    }
}

static PyObject *log_interrupt(PyObject *self, PyObject *unused)
{
    LogObject *log = (LogObject *)self;
    (void)unused;
    log->interrupted = 1;
    atoll_log_interrupt(log->reader);
    Py_RETURN_NONE;
}

static PyObject *log_fileno(PyObject *self, PyObject *unused)
{
    LogObject *log = (LogObject *)self;
    (void)unused;
    return log->reader ? PyLong_FromLong(atoll_log_fd(log->reader)) : raise_status(ATOLL_E_CLOSED, NULL);
}

static PyObject *log_close(PyObject *self, PyObject *unused)
{
    LogObject *log = (LogObject *)self;
    (void)unused;
    if (log->busy) {
        return raise_status(ATOLL_E_BUSY, NULL);
    }
    atoll_log_free(log->reader);
    log->reader = NULL;
    Py_RETURN_NONE;
}

/* The writes in a frame: [(key, value or None, lsn, hlc, expires_at_ms, more_in_batch)] */
PyObject *log_entries(PyObject *module, PyObject *object)
{
    bytes_arg frame;
    atoll_log_cursor cursor = {0, 0};
    atoll_log_entry entry;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *list;
    (void)module;
    if (take_bytes(object, &frame) != 0) {
        return NULL;
    }
    list = PyList_New(0);
    while (list && (status = atoll_log_entry_next(frame.data, (size_t)frame.len, &cursor, &entry, &err)) != ATOLL_END) {
        PyObject *row = NULL;
        if (status < 0) {
            raise_status(status, err);
        } else if (entry.kind == ATOLL_LOG_PUT || entry.kind == ATOLL_LOG_DELETE) {
            PyObject *value = entry.kind == ATOLL_LOG_PUT ? bytes_of(entry.value) : Py_NewRef(Py_None);
            row = Py_BuildValue("(NNKKKO)", bytes_of(entry.key), value, (unsigned long long)entry.lsn, (unsigned long long)entry.hlc,
                                (unsigned long long)entry.expires_at_ms, entry.flags & ATOLL_LOG_MORE_IN_BATCH ? Py_True : Py_False);
        } else {
            continue;
        }
        if (!row || PyList_Append(list, row) != 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(row);
    }
    give_back(&frame);
    return list;
}

static PyMethodDef log_methods[] = {
    {"_next", log_next, METH_VARARGS, NULL},
    {"interrupt", log_interrupt, METH_NOARGS, "Ends a next() that waits in another thread, or the next one that would, with None."},
    {"fileno", log_fileno, METH_NOARGS, "The descriptor that is readable when next() has something to give; for select and event loops."},
    {"close", log_close, METH_NOARGS, "Lets the log go. Closing twice is allowed; Busy while another thread waits in next()."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot log_slots[] = {
    {Py_tp_dealloc, log_dealloc},
    {Py_tp_methods, log_methods},
    {0, NULL},
};

PyType_Spec log_spec = {
    "atoll._core.Log", sizeof(LogObject), 0,
    KIND, log_slots,
};
