/*
 * Ranges, and the entries in them.
 *
 * In: bounds, flags and limits; an iterator of the library. Out: keys and values, fetched a page at a time without the interpreter's lock.
 * Must never: look at a page while another thread turns it.
 */
#include "core.h"

#define PAGE_ENTRIES 256
#define PAGE_BYTES (256 * 1024)

static const uint8_t nothing = 0;

static void scan_dealloc(PyObject *self)
{
    atoll_iter_free(((ScanObject *)self)->iter);
    free_object(self);
}

PyObject *scan_of(atoll_iter *iter, int keys_only)
{
    ScanObject *scan = new_object(Scan_Type);
    if (!scan) {
        atoll_iter_free(iter);
        return NULL;
    }
    scan->iter = iter;
    scan->keys_only = keys_only;
    return (PyObject *)scan;
}

static PyObject *scan_next(PyObject *self)
{
    ScanObject *scan = (ScanObject *)self;
    PyObject *key, *value, *entry;
    if (scan->busy) {
        return raise_status(ATOLL_E_BUSY, NULL);
    }
    if (scan->at >= scan->n) {
        atoll_error *err = NULL;
        atoll_status status;
        if (scan->over) {
            return NULL;
        }
        scan->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        status = atoll_iter_next_page(scan->iter, PAGE_ENTRIES, PAGE_BYTES, &scan->page, &scan->n, &err);
        Py_END_ALLOW_THREADS
        scan->busy = 0;
        scan->at = 0;
        if (status != ATOLL_OK) {
            scan->n = 0;
            scan->over = 1;
            return status == ATOLL_END ? NULL : raise_status(status, err);
        }
    }
    key = bytes_of(scan->page[scan->at].key);
    if (!key || scan->keys_only) {
        scan->at += key != NULL;
        return key;
    }
    value = bytes_of(scan->page[scan->at].value);
    if (!value) {
        Py_DECREF(key);
        return NULL;
    }
    scan->at++;
    entry = PyTuple_New(2);
    if (!entry) {
        Py_DECREF(key);
        Py_DECREF(value);
        return NULL;
    }
    PyTuple_SetItem(entry, 0, key);
    PyTuple_SetItem(entry, 1, value);
    return entry;
}

static PyObject *scan_iter(PyObject *self)
{
    Py_INCREF(self);
    return self;
}

static PyObject *scan_seek(PyObject *self, PyObject *object)
{
    ScanObject *scan = (ScanObject *)self;
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(object, &key) != 0) {
        return NULL;
    }
    if (scan->busy) {
        give_back(&key);
        return raise_status(ATOLL_E_BUSY, NULL);
    }
    scan->busy = 1;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_iter_seek(scan->iter, key.data, (size_t)key.len, &err);
    Py_END_ALLOW_THREADS
    scan->busy = 0;
    give_back(&key);
    if (status == ATOLL_OK) {
        scan->n = scan->at = 0;
        scan->over = 0;
    }
    return none_or_raise(status, err);
}

static PyMethodDef scan_methods[] = {
    {"seek", scan_seek, METH_O, "Goes on at a key, or at the next one there is, forward or back within the range. The limit counts anew."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot scan_slots[] = {
    {Py_tp_methods, scan_methods},
    {Py_tp_dealloc, scan_dealloc},
    {Py_tp_iter, scan_iter},
    {Py_tp_iternext, scan_next},
    {Py_tp_doc, "Keys in order, with their values. Shows the store as it was when the scan began."},
    {0, NULL},
};

PyType_Spec scan_spec = {
    "atoll._core.Scan", sizeof(ScanObject), 0,
    KIND, scan_slots,
};

void scan_done(scan_arg *arg)
{
    if (arg->has_start) {
        give_back(&arg->start);
    }
    if (arg->has_end) {
        give_back(&arg->end);
    }
}

int take_range(PyObject *const *args, scan_arg *arg)
{
    const atoll_range fresh = ATOLL_RANGE_INIT;
    memset(arg, 0, sizeof *arg);
    arg->range = fresh;
    if (args[0] != Py_None) {
        if (take_bytes(args[0], &arg->start) != 0) {
            return -1;
        }
        arg->has_start = 1;
        arg->range.lo = arg->start.len ? (const uint8_t *)arg->start.data : &nothing;
        arg->range.lo_len = (size_t)arg->start.len;
    }
    if (args[1] != Py_None) {
        if (take_bytes(args[1], &arg->end) != 0) {
            scan_done(arg);
            return -1;
        }
        arg->has_end = 1;
        arg->range.hi = arg->end.len ? (const uint8_t *)arg->end.data : &nothing;
        arg->range.hi_len = (size_t)arg->end.len;
    }
    arg->keys_only = PyObject_IsTrue(args[4]);
    if (arg->keys_only < 0 || take_u32(args[2], "flags", &arg->range.flags) != 0 || take_u64(args[3], "limit", &arg->range.limit) != 0) {
        scan_done(arg);
        return -1;
    }
    return 0;
}
