/*
 * Reads of a store: copies, views, many at once, ranges.
 *
 * In: keys, snapshots. Out: bytes, read-only views that hold their pin. Must never: let a view outlive its pin.
 *
 * Single reads that are answered from memory hold the interpreter's lock; whatever may wait for others lets it go.
 */
#include "core.h"

/* Values up to this length are read through the stack, without a pin. */
#define SMALL_VALUE 4096

static void pin_dealloc(PyObject *self)
{
    atoll_pin_free(((PinObject *)self)->pin);
    free_object(self);
}

static int pin_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    PinObject *pin = (PinObject *)self;
    return PyBuffer_FillInfo(view, self, (void *)pin->value.data, (Py_ssize_t)pin->value.len, 1, flags);
}

static PyType_Slot pin_slots[] = {
    {Py_tp_dealloc, pin_dealloc},
    {Py_bf_getbuffer, pin_getbuffer},
    {Py_tp_doc, "A value where it lies in the store."},
    {0, NULL},
};

PyType_Spec pin_spec = {
    "atoll._core.Pin", sizeof(PinObject), 0,
    KIND, pin_slots,
};

/* The value as bytes, or `missing` with a new reference; as of a snapshot or None. */
static PyObject *get_bytes(atoll_db *db, PyObject *snapshot, PyObject *key_object, PyObject *missing)
{
    char small[SMALL_VALUE];
    size_t len = 0;
    bytes_arg key;
    atoll_read_opts room;
    const atoll_read_opts *options;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *answer;
    if (take_bytes(key_object, &key) != 0) {
        return NULL;
    }
    if (hold_snapshot(snapshot, &room, &options) != 0) {
        give_back(&key);
        return NULL;
    }
    status = atoll_get_into(db, options, key.data, (size_t)key.len, small, sizeof small, &len, &err);
    if (status == ATOLL_OK) {
        answer = PyBytes_FromStringAndSize(small, (Py_ssize_t)len);
    } else if (status == ATOLL_NOT_FOUND) {
        Py_XINCREF(missing);
        answer = missing;
    } else if (status == ATOLL_BUFFER_TOO_SMALL) {
        /* Large, and copied once: from where it lies. */
        atoll_pin *pin = atoll_pin_new();
        atoll_bytes value;
        status = atoll_get(db, options, key.data, (size_t)key.len, pin, &value, &err);
        if (status == ATOLL_OK) {
            answer = bytes_of(value);
        } else if (status == ATOLL_NOT_FOUND) {
            Py_XINCREF(missing);
            answer = missing;
        } else {
            answer = raise_status(status, err);
        }
        atoll_pin_free(pin);
    } else {
        answer = raise_status(status, err);
    }
    unhold_snapshot(snapshot);
    give_back(&key);
    return answer;
}

PyObject *db_get(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    if (n < 1 || n > 2) {
        return raise_invalid("get(key, default=None) takes one or two arguments");
    }
    return get_bytes(((DbObject *)self)->db, Py_None, args[0], n == 2 ? args[1] : Py_None);
}

PyObject *db_get_at(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    if (n != 3) {
        return raise_invalid("get_at takes key, snapshot, default");
    }
    return get_bytes(((DbObject *)self)->db, args[1], args[0], args[2]);
}

PyObject *db_subscript(PyObject *self, PyObject *key)
{
    PyObject *value = get_bytes(((DbObject *)self)->db, Py_None, key, NULL);
    if (!value && !PyErr_Occurred()) {
        PyErr_SetObject(PyExc_KeyError, key);
    }
    return value;
}

int db_contains(PyObject *self, PyObject *key_object)
{
    size_t len = 0;
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(key_object, &key) != 0) {
        return -1;
    }
    status = atoll_get_into(((DbObject *)self)->db, NULL, key.data, (size_t)key.len, NULL, 0, &len, &err);
    give_back(&key);
    if (status < 0) {
        raise_status(status, err);
        return -1;
    }
    return status != ATOLL_NOT_FOUND;
}

PyObject *db_get_view(PyObject *self, PyObject *key_object)
{
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    PinObject *pin;
    PyObject *view;
    if (take_bytes(key_object, &key) != 0) {
        return NULL;
    }
    pin = new_object(Pin_Type);
    if (!pin) {
        give_back(&key);
        return NULL;
    }
    pin->pin = atoll_pin_new();
    status = atoll_get(((DbObject *)self)->db, NULL, key.data, (size_t)key.len, pin->pin, &pin->value, &err);
    give_back(&key);
    if (status == ATOLL_OK) {
        view = PyMemoryView_FromObject((PyObject *)pin);
    } else if (status == ATOLL_NOT_FOUND) {
        Py_INCREF(Py_None);
        view = Py_None;
    } else {
        view = raise_status(status, err);
    }
    Py_DECREF(pin);
    return view;
}

/* (key, snapshot or None) -> (value, lsn, hlc, expires_at_ms) or None */
PyObject *db_get_version(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    bytes_arg key;
    atoll_read_opts room;
    const atoll_read_opts *options;
    atoll_pin *pin;
    atoll_bytes value;
    uint64_t lsn = 0, hlc = 0, expires = 0;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *answer;
    if (n != 2) {
        return raise_invalid("get_version takes key, snapshot or None");
    }
    if (take_bytes(args[0], &key) != 0) {
        return NULL;
    }
    if (hold_snapshot(args[1], &room, &options) != 0) {
        give_back(&key);
        return NULL;
    }
    pin = atoll_pin_new();
    status = atoll_get(((DbObject *)self)->db, options, key.data, (size_t)key.len, pin, &value, &err);
    unhold_snapshot(args[1]);
    give_back(&key);
    if (status == ATOLL_OK && (status = atoll_pin_version(pin, &lsn, &hlc, &expires)) == ATOLL_OK) {
        answer = Py_BuildValue("(NKKK)", bytes_of(value), (unsigned long long)lsn, (unsigned long long)hlc, (unsigned long long)expires);
    } else if (status == ATOLL_NOT_FOUND) {
        Py_INCREF(Py_None);
        answer = Py_None;
    } else {
        answer = raise_status(status, err);
    }
    atoll_pin_free(pin);
    return answer;
}

/* Where many keys are read. */
typedef struct {
    atoll_db *db;
    const atoll_read_opts *options;
} many;

static atoll_status read_db(void *of, const packed *keys, uint8_t *values, size_t room, uint64_t *ends, uint8_t *found, size_t *needed,
                            atoll_error **err)
{
    const many *from = (const many *)of;
    return atoll_multi_get(from->db, from->options, (const uint8_t *)keys->bytes, keys->offsets, (size_t)keys->n, values, room, ends,
                           found, needed, err);
}

PyObject *db_get_many(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    packed keys;
    atoll_read_opts room;
    many from = {((DbObject *)self)->db, NULL};
    PyObject *answer;
    if (n != 2) {
        return raise_invalid("get_many takes keys and a snapshot or None");
    }
    if (pack(args[0], &keys) != 0) {
        return NULL;
    }
    if (hold_snapshot(args[1], &room, &from.options) != 0) {
        free_packed(&keys);
        return NULL;
    }
    answer = read_many(&keys, read_db, &from);
    unhold_snapshot(args[1]);
    free_packed(&keys);
    return answer;
}

PyObject *db_scan(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    scan_arg arg;
    atoll_read_opts room;
    const atoll_read_opts *options;
    atoll_iter *iter = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    if (n != 6) {
        return raise_invalid("scan takes start, end, flags, limit, keys_only, snapshot");
    }
    if (take_range(args, &arg) != 0) {
        return NULL;
    }
    if (hold_snapshot(args[5], &room, &options) != 0) {
        scan_done(&arg);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_scan(db, options, &arg.range, &iter, &err);
    Py_END_ALLOW_THREADS
    unhold_snapshot(args[5]);
    scan_done(&arg);
    return status == ATOLL_OK ? scan_of(iter, arg.keys_only) : raise_status(status, err);
}

/* (records, bytes, records_error, bytes_error) */
PyObject *approximate_row(const atoll_approximate *answer)
{
    return Py_BuildValue("(KKKK)", (unsigned long long)answer->records, (unsigned long long)answer->bytes,
                         (unsigned long long)answer->records_error, (unsigned long long)answer->bytes_error);
}

PyObject *db_count_approximate(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    scan_arg arg;
    atoll_approximate answer = ATOLL_APPROXIMATE_INIT;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    if (n != 5) {
        return raise_invalid("count_approximate takes start, end, flags, 0, False");
    }
    if (take_range(args, &arg) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_count_approximate(db, &arg.range, &answer, &err);
    Py_END_ALLOW_THREADS
    scan_done(&arg);
    if (status != ATOLL_OK) {
        return raise_status(status, err);
    }
    return approximate_row(&answer);
}
