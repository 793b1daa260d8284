/*
 * Many keys at once, of a store or of a cluster.
 *
 * In: packed keys, and the call that reads them into one buffer. Out: a list of values. Must never: hold the interpreter's lock while the
 * library reads.
 */
#include "core.h"

PyObject *read_many(packed *keys, read_many_fn read, void *of)
{
    size_t room = 256 * (size_t)keys->n + 64, needed = 0;
    uint64_t *ends = PyMem_Malloc(((size_t)keys->n + 1) * sizeof *ends);
    uint8_t *found = PyMem_Malloc((size_t)keys->n + 1), *values = PyMem_Malloc(room);
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *answer = NULL;
    Py_ssize_t i;
    do {
        if (!ends || !found || !values) {
            PyErr_NoMemory();
            goto done;
        }
        Py_BEGIN_ALLOW_THREADS
        status = read(of, keys, values, room, ends, found, &needed, &err);
        Py_END_ALLOW_THREADS
        if (status == ATOLL_BUFFER_TOO_SMALL) {
            room = needed;
            PyMem_Free(values);
            values = PyMem_Malloc(room);
        }
    } while (status == ATOLL_BUFFER_TOO_SMALL);
    if (status != ATOLL_OK) {
        raise_status(status, err);
        goto done;
    }
    answer = PyList_New(keys->n);
    for (i = 0; answer && i < keys->n; i++) {
        PyObject *value;
        if (found[i]) {
            value = PyBytes_FromStringAndSize((char *)values + ends[i], (Py_ssize_t)(ends[i + 1] - ends[i]));
        } else {
            Py_INCREF(Py_None);
            value = Py_None;
        }
        if (!value || PyList_SetItem(answer, i, value) != 0) {
            Py_CLEAR(answer);
        }
    }
done:
    PyMem_Free(ends);
    PyMem_Free(found);
    PyMem_Free(values);
    return answer;
}
