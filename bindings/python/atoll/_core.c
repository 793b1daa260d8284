/*
 * The C half of the Python package: handles of atoll.h as Python objects.
 *
 * In: Python arguments. Out: Python objects, or exceptions made by atoll._errors. Must never: touch a Python
 * object without the interpreter's lock, keep a borrowed argument past a call, or let a view outlive its pin.
 *
 * Single reads that are answered from memory hold the lock; whatever may wait for the disk or for others lets it
 * go. Only the limited API of Python 3.11 is used: one build serves that version and all later ones.
 */
#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <atoll.h>

#include <string.h>

/* Values up to this length are read through the stack, without a pin. */
#define SMALL_VALUE 4096
#define PAGE_ENTRIES 256
#define PAGE_BYTES (256 * 1024)

/* atoll._errors.make(status, message, errno) -> exception. */
static PyObject *make_error;

/* ---- errors ---- */

/* Raises what a call answered, and frees its error; NULL. */
static PyObject *raise_status(atoll_status status, atoll_error *err)
{
    PyObject *make = make_error, *exception;
    /* It may be exchanged while it runs. */
    Py_XINCREF(make);
    exception = PyObject_CallFunction(make, "isi", (int)status, atoll_error_message(err), (int)atoll_error_os_errno(err));
    Py_XDECREF(make);
    atoll_error_free(err);
    if (exception) {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        Py_DECREF(exception);
    }
    return NULL;
}

/* None, or the exception. */
static PyObject *none_or_raise(atoll_status status, atoll_error *err)
{
    if (status == ATOLL_OK) {
        Py_RETURN_NONE;
    }
    return raise_status(status, err);
}

static PyObject *raise_invalid(const char *message)
{
    PyErr_SetString(PyExc_TypeError, message);
    return NULL;
}

/* ---- arguments ---- */

/*
 * Bytes of an argument: of bytes, str (its UTF-8) or anything with a buffer.
 *
 * Taking them may run code of the program, which may close, release and change whatever the call was given; so handles that can be let
 * go are looked at after everything was taken. Giving them back runs none. A buffer is copied, since its owner may change it in
 * another thread: the engine would write bytes that do not fit their checksum.
 */
typedef struct {
    const char *data;
    Py_ssize_t len;
    char *copy;
} bytes_arg;

static int take_bytes(PyObject *object, bytes_arg *arg)
{
    Py_buffer view;
    arg->copy = NULL;
    if (PyBytes_Check(object)) {
        char *data;
        if (PyBytes_AsStringAndSize(object, &data, &arg->len) != 0) {
            return -1;
        }
        arg->data = data;
        return 0;
    }
    if (PyUnicode_Check(object)) {
        arg->data = PyUnicode_AsUTF8AndSize(object, &arg->len);
        return arg->data ? 0 : -1;
    }
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) != 0) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Clear();
            PyErr_Format(PyExc_TypeError, "bytes, str or a buffer is needed, not %R", (PyObject *)Py_TYPE(object));
        }
        return -1;
    }
    arg->len = view.len;
    arg->copy = PyMem_Malloc(view.len > 0 ? (size_t)view.len : 1);
    if (arg->copy) {
        memcpy(arg->copy, view.buf, (size_t)view.len);
    } else {
        PyErr_NoMemory();
    }
    arg->data = arg->copy;
    PyBuffer_Release(&view);
    return arg->copy ? 0 : -1;
}

static void give_back(bytes_arg *arg)
{
    PyMem_Free(arg->copy);
}

static PyObject *bytes_of(atoll_bytes view)
{
    return PyBytes_FromStringAndSize((const char *)view.data, (Py_ssize_t)view.len);
}

static PyObject *str_of(atoll_bytes view)
{
    return PyUnicode_DecodeUTF8((const char *)view.data, (Py_ssize_t)view.len, "strict");
}

/* The bytes of a buffer of the library, which is freed. */
static PyObject *bytes_of_buf(atoll_buf *buf)
{
    PyObject *bytes = bytes_of(atoll_buf_bytes(buf));
    atoll_buf_free(buf);
    return bytes;
}

static PyObject *str_of_buf(atoll_buf *buf)
{
    PyObject *text = str_of(atoll_buf_bytes(buf));
    atoll_buf_free(buf);
    return text;
}

/* Keys laid end to end. */
typedef struct {
    char *bytes;
    uint32_t *offsets;
    Py_ssize_t n;
} packed;

static void free_packed(packed *keys)
{
    PyMem_Free(keys->bytes);
    PyMem_Free(keys->offsets);
}

static int pack(PyObject *list, packed *keys)
{
    size_t room = 0, used = 0;
    Py_ssize_t i;
    PyObject *sequence = PySequence_Tuple(list);
    keys->bytes = NULL;
    keys->offsets = NULL;
    if (!sequence) {
        return -1;
    }
    keys->n = PyTuple_Size(sequence);
    keys->offsets = PyMem_Malloc(((size_t)keys->n + 1) * sizeof *keys->offsets);
    room = 32 * (size_t)keys->n + 64;
    keys->bytes = PyMem_Malloc(room);
    if (!keys->offsets || !keys->bytes) {
        PyErr_NoMemory();
        goto failed;
    }
    keys->offsets[0] = 0;
    for (i = 0; i < keys->n; i++) {
        bytes_arg key;
        if (take_bytes(PyTuple_GetItem(sequence, i), &key) != 0) {
            goto failed;
        }
        if (used + (size_t)key.len > UINT32_MAX) {
            give_back(&key);
            PyErr_SetString(PyExc_ValueError, "the keys of one call have more than 4 GiB together");
            goto failed;
        }
        if (used + (size_t)key.len > room) {
            char *larger;
            room = 2 * (used + (size_t)key.len);
            larger = PyMem_Realloc(keys->bytes, room);
            if (!larger) {
                give_back(&key);
                PyErr_NoMemory();
                goto failed;
            }
            keys->bytes = larger;
        }
        memcpy(keys->bytes + used, key.data, (size_t)key.len);
        used += (size_t)key.len;
        keys->offsets[i + 1] = (uint32_t)used;
        give_back(&key);
    }
    Py_DECREF(sequence);
    return 0;
failed:
    Py_DECREF(sequence);
    free_packed(keys);
    return -1;
}

/* ---- objects ---- */

typedef struct {
    PyObject_HEAD
    atoll_db *db;
} DbObject;

typedef struct {
    PyObject_HEAD
    atoll_snapshot *snapshot;
    /* Calls that use it: it is not let go meanwhile. */
    int users;
} SnapshotObject;

typedef struct {
    PyObject_HEAD
    atoll_batch *batch;
    /* Writes that read it without the interpreter's lock. */
    int users;
} BatchObject;

typedef struct {
    PyObject_HEAD
    atoll_transaction *transaction;
} TransactionObject;

typedef struct {
    PyObject_HEAD
    atoll_iter *iter;
    const atoll_kv *page;
    size_t n, at;
    int keys_only, busy, over;
} ScanObject;

typedef struct {
    PyObject_HEAD
    atoll_pin *pin;
    atoll_bytes value;
} PinObject;

typedef struct {
    PyObject_HEAD
    atoll_router *router;
} RouterObject;

typedef struct {
    PyObject_HEAD
    atoll_vclock *clock;
} ClockObject;

static PyTypeObject *Snapshot_Type, *Scan_Type, *Pin_Type, *Transaction_Type, *Batch_Type, *Router_Type, *Clock_Type;

/* A new object of a type made by PyType_FromSpec. */
static void *new_object(PyTypeObject *type)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return alloc(type, 0);
}

static void free_object(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

#define DEALLOC(name, Object, field, free_handle) \
    static void name(PyObject *self)              \
    {                                             \
        free_handle(((Object *)self)->field);     \
        free_object(self);                        \
    }

DEALLOC(snapshot_dealloc, SnapshotObject, snapshot, atoll_snapshot_free)
DEALLOC(batch_dealloc, BatchObject, batch, atoll_batch_free)
DEALLOC(transaction_dealloc, TransactionObject, transaction, atoll_transaction_free)
DEALLOC(scan_dealloc, ScanObject, iter, atoll_iter_free)
DEALLOC(pin_dealloc, PinObject, pin, atoll_pin_free)
DEALLOC(router_dealloc, RouterObject, router, atoll_router_free)
DEALLOC(clock_dealloc, ClockObject, clock, atoll_vclock_free)

static void db_dealloc(PyObject *self)
{
    atoll_db *db = ((DbObject *)self)->db;
    /* The last handle closes the store, which writes to the disk. */
    Py_BEGIN_ALLOW_THREADS
    atoll_db_free(db);
    Py_END_ALLOW_THREADS
    free_object(self);
}

/* ---- pins: zero-copy values ---- */

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
static PyType_Spec pin_spec = {"atoll._core.Pin", sizeof(PinObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, pin_slots};

/* ---- scans ---- */

static PyObject *scan_of(atoll_iter *iter, int keys_only)
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

static PyType_Slot scan_slots[] = {
    {Py_tp_dealloc, scan_dealloc},
    {Py_tp_iter, scan_iter},
    {Py_tp_iternext, scan_next},
    {Py_tp_doc, "Keys in order, with their values. Shows the store as it was when the scan began."},
    {0, NULL},
};
static PyType_Spec scan_spec = {"atoll._core.Scan", sizeof(ScanObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, scan_slots};

/* Arguments of a scan: (start, end, flags, limit, keys_only). Needs scan_done() unless it failed. */
typedef struct {
    atoll_range range;
    bytes_arg start, end;
    int has_start, has_end, keys_only;
} scan_arg;

static const uint8_t nothing = 0;

static void scan_done(scan_arg *arg)
{
    if (arg->has_start) {
        give_back(&arg->start);
    }
    if (arg->has_end) {
        give_back(&arg->end);
    }
}

static int take_range(PyObject *const *args, scan_arg *arg)
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
    arg->range.flags = (uint32_t)PyLong_AsUnsignedLong(args[2]);
    arg->range.limit = PyLong_AsUnsignedLongLong(args[3]);
    arg->keys_only = PyObject_IsTrue(args[4]);
    if (PyErr_Occurred()) {
        scan_done(arg);
        return -1;
    }
    return 0;
}

/* ---- snapshots ---- */

static PyObject *snapshot_lsn(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(atoll_snapshot_lsn(((SnapshotObject *)self)->snapshot));
}

static PyObject *snapshot_release(PyObject *self, PyObject *unused)
{
    SnapshotObject *snapshot = (SnapshotObject *)self;
    atoll_snapshot *held = snapshot->snapshot;
    (void)unused;
    if (snapshot->users > 0) {
        return raise_status(ATOLL_E_BUSY, NULL);
    }
    snapshot->snapshot = NULL;
    atoll_snapshot_free(held);
    Py_RETURN_NONE;
}

static PyMethodDef snapshot_methods[] = {
    {"lsn", snapshot_lsn, METH_NOARGS, "Position of the snapshot: everything below it is visible."},
    {"release", snapshot_release, METH_NOARGS, "Lets go of what the snapshot shows."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot snapshot_slots[] = {
    {Py_tp_dealloc, snapshot_dealloc},
    {Py_tp_methods, snapshot_methods},
    {0, NULL},
};
static PyType_Spec snapshot_spec = {"atoll._core.Snapshot", sizeof(SnapshotObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, snapshot_slots};

/*
 * The options of a read at `object`: a snapshot, which is kept from being released until unhold_snapshot(), or None.
 *
 * Comes after everything that runs code of the program: that may release the snapshot.
 */
static int hold_snapshot(PyObject *object, atoll_read_opts *room, const atoll_read_opts **options)
{
    const atoll_read_opts fresh = ATOLL_READ_OPTS_INIT;
    *options = NULL;
    if (object == Py_None) {
        return 0;
    }
    if (!PyObject_TypeCheck(object, Snapshot_Type)) {
        raise_invalid("a snapshot is needed");
        return -1;
    }
    *room = fresh;
    room->snapshot = ((SnapshotObject *)object)->snapshot;
    if (!room->snapshot) {
        raise_status(ATOLL_E_CLOSED, NULL);
        return -1;
    }
    ((SnapshotObject *)object)->users++;
    *options = room;
    return 0;
}

static void unhold_snapshot(PyObject *object)
{
    if (object != Py_None) {
        ((SnapshotObject *)object)->users--;
    }
}

/* ---- stores ---- */

static PyObject *db_open(PyObject *type, PyObject *args)
{
    const char *path;
    PyObject *settings;
    int read_only;
    Py_ssize_t position = 0, i;
    PyObject *name, *value, *items;
    atoll_options *options;
    atoll_error *err = NULL;
    atoll_status status = ATOLL_OK;
    DbObject *self;
    (void)position;
    if (!PyArg_ParseTuple(args, "sO!p", &path, &PyDict_Type, &settings, &read_only)) {
        return NULL;
    }
    self = new_object((PyTypeObject *)type);
    if (!self) {
        return NULL;
    }
    options = atoll_options_new();
    items = PyDict_Items(settings);
    for (i = 0; items && status == ATOLL_OK && i < PyList_Size(items); i++) {
        const char *name_text, *value_text;
        name = PyTuple_GetItem(PyList_GetItem(items, i), 0);
        value = PyTuple_GetItem(PyList_GetItem(items, i), 1);
        name_text = PyUnicode_AsUTF8AndSize(name, NULL);
        value_text = PyUnicode_AsUTF8AndSize(value, NULL);
        if (!name_text || !value_text) {
            Py_CLEAR(items);
            break;
        }
        status = atoll_options_set(options, name_text, value_text, &err);
    }
    if (!items) {
        atoll_options_free(options);
        Py_DECREF(self);
        return NULL;
    }
    Py_DECREF(items);
    if (status == ATOLL_OK) {
        Py_BEGIN_ALLOW_THREADS
        status = read_only ? atoll_db_open_reader(path, &self->db, &err) : atoll_db_open(path, options, &self->db, &err);
        Py_END_ALLOW_THREADS
    }
    atoll_options_free(options);
    if (status != ATOLL_OK) {
        Py_DECREF(self);
        return raise_status(status, err);
    }
    return (PyObject *)self;
}

static PyObject *db_close(PyObject *self, PyObject *unused)
{
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_db_close(db, &err);
    Py_END_ALLOW_THREADS
    return none_or_raise(status, err);
}

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

static PyObject *db_get(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    if (n < 1 || n > 2) {
        return raise_invalid("get(key, default=None) takes one or two arguments");
    }
    return get_bytes(((DbObject *)self)->db, Py_None, args[0], n == 2 ? args[1] : Py_None);
}

static PyObject *db_get_at(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    if (n != 3) {
        return raise_invalid("get_at takes key, snapshot, default");
    }
    return get_bytes(((DbObject *)self)->db, args[1], args[0], args[2]);
}

static PyObject *db_subscript(PyObject *self, PyObject *key)
{
    PyObject *value = get_bytes(((DbObject *)self)->db, Py_None, key, NULL);
    if (!value && !PyErr_Occurred()) {
        PyErr_SetObject(PyExc_KeyError, key);
    }
    return value;
}

static int db_contains(PyObject *self, PyObject *key_object)
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

static PyObject *db_get_view(PyObject *self, PyObject *key_object)
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

static PyObject *db_get_many(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    packed keys;
    uint64_t *ends = NULL;
    uint8_t *found = NULL, *values = NULL;
    size_t room, needed = 0;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_read_opts opts;
    const atoll_read_opts *options;
    atoll_db *db = ((DbObject *)self)->db;
    PyObject *answer = NULL;
    Py_ssize_t i;
    if (n != 2) {
        return raise_invalid("get_many takes keys and a snapshot or None");
    }
    if (pack(args[0], &keys) != 0) {
        return NULL;
    }
    if (hold_snapshot(args[1], &opts, &options) != 0) {
        free_packed(&keys);
        return NULL;
    }
    room = 256 * (size_t)keys.n + 64;
    ends = PyMem_Malloc(((size_t)keys.n + 1) * sizeof *ends);
    found = PyMem_Malloc((size_t)keys.n + 1);
    values = PyMem_Malloc(room);
    do {
        if (!ends || !found || !values) {
            PyErr_NoMemory();
            goto done;
        }
        Py_BEGIN_ALLOW_THREADS
        status = atoll_multi_get(db, options, (const uint8_t *)keys.bytes, keys.offsets, (size_t)keys.n, values, room, ends,
                                 found, &needed, &err);
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
    answer = PyList_New(keys.n);
    for (i = 0; answer && i < keys.n; i++) {
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
    unhold_snapshot(args[1]);
    PyMem_Free(ends);
    PyMem_Free(found);
    PyMem_Free(values);
    free_packed(&keys);
    return answer;
}

/* Arguments after the key and value of a write: (durability, ttl_ms). */
static int take_write(PyObject *durability, PyObject *ttl_ms, atoll_write_opts *options)
{
    const atoll_write_opts fresh = ATOLL_WRITE_OPTS_INIT;
    *options = fresh;
    options->durability = (uint32_t)PyLong_AsUnsignedLong(durability);
    if (PyErr_Occurred()) {
        return -1;
    }
    options->ttl_ms = PyLong_AsUnsignedLongLong(ttl_ms);
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *put_bytes(PyObject *self, PyObject *key_object, PyObject *value_object, const atoll_write_opts *options)
{
    bytes_arg key, value;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    if (take_bytes(key_object, &key) != 0) {
        return NULL;
    }
    if (take_bytes(value_object, &value) != 0) {
        give_back(&key);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_put(db, options, key.data, (size_t)key.len, value.data, (size_t)value.len, &err);
    Py_END_ALLOW_THREADS
    give_back(&key);
    give_back(&value);
    return none_or_raise(status, err);
}

static PyObject *delete_bytes(PyObject *self, PyObject *key_object, const atoll_write_opts *options)
{
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    if (take_bytes(key_object, &key) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_delete(db, options, key.data, (size_t)key.len, &err);
    Py_END_ALLOW_THREADS
    give_back(&key);
    return none_or_raise(status, err);
}

static PyObject *db_put(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_write_opts options;
    if (n != 4 || take_write(args[2], args[3], &options) != 0) {
        return n == 4 ? NULL : raise_invalid("put takes key, value, durability, ttl_ms");
    }
    return put_bytes(self, args[0], args[1], &options);
}

static PyObject *db_delete(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_write_opts options = ATOLL_WRITE_OPTS_INIT;
    if (n != 2) {
        return raise_invalid("delete takes key, durability");
    }
    options.durability = (uint32_t)PyLong_AsUnsignedLong(args[1]);
    return PyErr_Occurred() ? NULL : delete_bytes(self, args[0], &options);
}

static int db_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    PyObject *done;
    if (!value) {
        int is_there = db_contains(self, key);
        if (is_there <= 0) {
            if (is_there == 0) {
                PyErr_SetObject(PyExc_KeyError, key);
            }
            return -1;
        }
    }
    done = value ? put_bytes(self, key, value, NULL) : delete_bytes(self, key, NULL);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static PyObject *db_compare_and_set(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_write_opts options;
    atoll_expected expected = {ATOLL_EXPECT_ABSENT, 0, {NULL, 0}, 0, 0};
    atoll_bytes next = {NULL, 0};
    bytes_arg key, old = {NULL, 0, NULL}, value = {NULL, 0, NULL};
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    int has_value;
    if (n != 5 || take_write(args[3], args[4], &options) != 0) {
        return n == 5 ? NULL : raise_invalid("compare_and_set takes key, expected, value, durability, ttl_ms");
    }
    if (take_bytes(args[0], &key) != 0) {
        return NULL;
    }
    if (args[1] != Py_None) {
        if (take_bytes(args[1], &old) != 0) {
            give_back(&key);
            return NULL;
        }
        expected.kind = ATOLL_EXPECT_VALUE;
        expected.value.data = (const uint8_t *)old.data;
        expected.value.len = (size_t)old.len;
    }
    has_value = args[2] != Py_None;
    if (has_value) {
        if (take_bytes(args[2], &value) != 0) {
            give_back(&key);
            give_back(&old);
            return NULL;
        }
        next.data = (const uint8_t *)value.data;
        next.len = (size_t)value.len;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_compare_and_set(db, &options, key.data, (size_t)key.len, &expected, has_value ? &next : NULL, &err);
    Py_END_ALLOW_THREADS
    give_back(&key);
    give_back(&old);
    give_back(&value);
    if (status < 0) {
        return raise_status(status, err);
    }
    return PyBool_FromLong(status == ATOLL_OK);
}

static PyObject *db_write(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_write_opts options = ATOLL_WRITE_OPTS_INIT;
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t lsn = 0;
    atoll_db *db = ((DbObject *)self)->db;
    atoll_batch *batch;
    if (n != 2 || !PyObject_TypeCheck(args[0], Batch_Type)) {
        return raise_invalid("write takes a batch and a durability");
    }
    options.durability = (uint32_t)PyLong_AsUnsignedLong(args[1]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    batch = ((BatchObject *)args[0])->batch;
    ((BatchObject *)args[0])->users++;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_write(db, &options, batch, &lsn, &err);
    Py_END_ALLOW_THREADS
    ((BatchObject *)args[0])->users--;
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(lsn) : raise_status(status, err);
}

static PyObject *db_scan(PyObject *self, PyObject *const *args, Py_ssize_t n)
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

static PyObject *db_snapshot(PyObject *self, PyObject *type)
{
    SnapshotObject *snapshot;
    atoll_error *err = NULL;
    atoll_status status;
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, Snapshot_Type)) {
        return raise_invalid("a kind of snapshot is needed");
    }
    snapshot = new_object((PyTypeObject *)type);
    if (!snapshot) {
        return NULL;
    }
    status = atoll_snapshot_new(((DbObject *)self)->db, &snapshot->snapshot, &err);
    if (status != ATOLL_OK) {
        Py_DECREF(snapshot);
        return raise_status(status, err);
    }
    return (PyObject *)snapshot;
}

static PyObject *db_begin(PyObject *self, PyObject *type)
{
    TransactionObject *transaction;
    atoll_error *err = NULL;
    atoll_status status;
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, Transaction_Type)) {
        return raise_invalid("a kind of transaction is needed");
    }
    transaction = new_object((PyTypeObject *)type);
    if (!transaction) {
        return NULL;
    }
    status = atoll_transaction_begin(((DbObject *)self)->db, &transaction->transaction, &err);
    if (status != ATOLL_OK) {
        Py_DECREF(transaction);
        return raise_status(status, err);
    }
    return (PyObject *)transaction;
}

static PyObject *db_sync(PyObject *self, PyObject *unused)
{
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t lsn = 0;
    atoll_db *db = ((DbObject *)self)->db;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_sync(db, &lsn, &err);
    Py_END_ALLOW_THREADS
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(lsn) : raise_status(status, err);
}

static PyObject *db_compact(PyObject *self, PyObject *unused)
{
    atoll_error *err = NULL;
    atoll_status status;
    atoll_db *db = ((DbObject *)self)->db;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_compact(db, &err);
    Py_END_ALLOW_THREADS
    return none_or_raise(status, err);
}

static PyObject *db_stats_json(PyObject *self, PyObject *unused)
{
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_stats_json(((DbObject *)self)->db, &json, &err);
    (void)unused;
    return status == ATOLL_OK ? bytes_of_buf(json) : raise_status(status, err);
}

static PyObject *db_count_approximate(PyObject *self, PyObject *const *args, Py_ssize_t n)
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
    return Py_BuildValue("(KKKK)", (unsigned long long)answer.records, (unsigned long long)answer.bytes,
                         (unsigned long long)answer.records_error, (unsigned long long)answer.bytes_error);
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef db_methods[] = {
    {"_open", db_open, METH_VARARGS | METH_CLASS, NULL},
    {"close", db_close, METH_NOARGS, "Makes everything durable and closes the store. Closing twice is allowed."},
    {"get", FAST(db_get), METH_FASTCALL, "get(key, default=None): the value of a key as bytes."},
    {"get_view", db_get_view, METH_O, "The value of a key as a read-only memoryview of where it lies, or None."},
    {"sync", db_sync, METH_NOARGS, "Makes everything written so far durable; the position up to which that is so."},
    {"compact", db_compact, METH_NOARGS, "Brings the tables of the store into as few runs as it can, now."},
    {"_get_at", FAST(db_get_at), METH_FASTCALL, NULL},
    {"_get_many", FAST(db_get_many), METH_FASTCALL, NULL},
    {"_put", FAST(db_put), METH_FASTCALL, NULL},
    {"_delete", FAST(db_delete), METH_FASTCALL, NULL},
    {"_compare_and_set", FAST(db_compare_and_set), METH_FASTCALL, NULL},
    {"_write", FAST(db_write), METH_FASTCALL, NULL},
    {"_scan", FAST(db_scan), METH_FASTCALL, NULL},
    {"_snapshot", db_snapshot, METH_O, NULL},
    {"_begin", db_begin, METH_O, NULL},
    {"_stats_json", db_stats_json, METH_NOARGS, NULL},
    {"_count_approximate", FAST(db_count_approximate), METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot db_slots[] = {
    {Py_tp_dealloc, db_dealloc},
    {Py_tp_methods, db_methods},
    {Py_mp_subscript, db_subscript},
    {Py_mp_ass_subscript, db_ass_subscript},
    {Py_sq_contains, db_contains},
    {0, NULL},
};
static PyType_Spec db_spec = {"atoll._core.Db", sizeof(DbObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, db_slots};

/* ---- batches ---- */

static PyObject *batch_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    BatchObject *self = new_object(type);
    (void)args;
    (void)keywords;
    if (self) {
        self->batch = atoll_batch_new();
    }
    return (PyObject *)self;
}

static PyObject *batch_put(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    bytes_arg key, value;
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t ttl_ms;
    if (n != 3) {
        return raise_invalid("put takes key, value, ttl_ms");
    }
    ttl_ms = PyLong_AsUnsignedLongLong(args[2]);
    if (PyErr_Occurred() || take_bytes(args[0], &key) != 0) {
        return NULL;
    }
    if (take_bytes(args[1], &value) != 0) {
        give_back(&key);
        return NULL;
    }
    status = atoll_batch_put(((BatchObject *)self)->batch, key.data, (size_t)key.len, value.data, (size_t)value.len, ttl_ms, &err);
    give_back(&key);
    give_back(&value);
    return none_or_raise(status, err);
}

static PyObject *batch_delete(PyObject *self, PyObject *key_object)
{
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(key_object, &key) != 0) {
        return NULL;
    }
    status = atoll_batch_delete(((BatchObject *)self)->batch, key.data, (size_t)key.len, &err);
    give_back(&key);
    return none_or_raise(status, err);
}

static PyObject *batch_clear(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (((BatchObject *)self)->users > 0) {
        return raise_status(ATOLL_E_BUSY, NULL);
    }
    atoll_batch_clear(((BatchObject *)self)->batch);
    Py_RETURN_NONE;
}

static Py_ssize_t batch_len(PyObject *self)
{
    if (((BatchObject *)self)->users > 0) {
        raise_status(ATOLL_E_BUSY, NULL);
        return -1;
    }
    return (Py_ssize_t)atoll_batch_len(((BatchObject *)self)->batch);
}

static PyMethodDef batch_methods[] = {
    {"_put", FAST(batch_put), METH_FASTCALL, NULL},
    {"delete", batch_delete, METH_O, "Takes a key's value away when the batch is written."},
    {"clear", batch_clear, METH_NOARGS, "Takes everything out of the batch."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot batch_slots[] = {
    {Py_tp_new, batch_new},
    {Py_tp_dealloc, batch_dealloc},
    {Py_tp_methods, batch_methods},
    {Py_sq_length, batch_len},
    {0, NULL},
};
static PyType_Spec batch_spec = {"atoll._core.Batch", sizeof(BatchObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, batch_slots};

/* ---- transactions ---- */

static PyObject *transaction_get(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    bytes_arg key;
    atoll_bytes value;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *answer;
    if (n < 1 || n > 2) {
        return raise_invalid("get(key, default=None) takes one or two arguments");
    }
    if (take_bytes(args[0], &key) != 0) {
        return NULL;
    }
    status = atoll_transaction_get(((TransactionObject *)self)->transaction, key.data, (size_t)key.len, &value, &err);
    give_back(&key);
    if (status == ATOLL_OK) {
        return bytes_of(value);
    }
    if (status != ATOLL_NOT_FOUND) {
        return raise_status(status, err);
    }
    answer = n == 2 ? args[1] : Py_None;
    Py_INCREF(answer);
    return answer;
}

static PyObject *transaction_put(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    bytes_arg key, value;
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t ttl_ms;
    if (n != 3) {
        return raise_invalid("put takes key, value, ttl_ms");
    }
    ttl_ms = PyLong_AsUnsignedLongLong(args[2]);
    if (PyErr_Occurred() || take_bytes(args[0], &key) != 0) {
        return NULL;
    }
    if (take_bytes(args[1], &value) != 0) {
        give_back(&key);
        return NULL;
    }
    status = atoll_transaction_put(((TransactionObject *)self)->transaction, key.data, (size_t)key.len, value.data, (size_t)value.len, ttl_ms, &err);
    give_back(&key);
    give_back(&value);
    return none_or_raise(status, err);
}

static PyObject *transaction_delete(PyObject *self, PyObject *key_object)
{
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(key_object, &key) != 0) {
        return NULL;
    }
    status = atoll_transaction_delete(((TransactionObject *)self)->transaction, key.data, (size_t)key.len, &err);
    give_back(&key);
    return none_or_raise(status, err);
}

static PyObject *transaction_scan(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    scan_arg arg;
    atoll_iter *iter = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_transaction *transaction = ((TransactionObject *)self)->transaction;
    if (n != 5) {
        return raise_invalid("scan takes start, end, flags, limit, keys_only");
    }
    if (take_range(args, &arg) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_transaction_scan(transaction, &arg.range, &iter, &err);
    Py_END_ALLOW_THREADS
    scan_done(&arg);
    return status == ATOLL_OK ? scan_of(iter, arg.keys_only) : raise_status(status, err);
}

static PyObject *transaction_commit(PyObject *self, PyObject *durability)
{
    atoll_write_opts options = ATOLL_WRITE_OPTS_INIT;
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t lsn = 0;
    atoll_transaction *transaction = ((TransactionObject *)self)->transaction;
    options.durability = (uint32_t)PyLong_AsUnsignedLong(durability);
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_transaction_commit(transaction, &options, &lsn, &err);
    Py_END_ALLOW_THREADS
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(lsn) : raise_status(status, err);
}

static PyObject *transaction_rollback(PyObject *self, PyObject *unused)
{
    atoll_error *err = NULL;
    (void)unused;
    return none_or_raise(atoll_transaction_rollback(((TransactionObject *)self)->transaction, &err), err);
}

static PyMethodDef transaction_methods[] = {
    {"get", FAST(transaction_get), METH_FASTCALL, "get(key, default=None): the value as of the beginning, or as written here."},
    {"_put", FAST(transaction_put), METH_FASTCALL, NULL},
    {"delete", transaction_delete, METH_O, "Takes a key's value away when the transaction commits."},
    {"_scan", FAST(transaction_scan), METH_FASTCALL, NULL},
    {"_commit", transaction_commit, METH_O, NULL},
    {"rollback", transaction_rollback, METH_NOARGS, "Ends the transaction without writing anything."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot transaction_slots[] = {
    {Py_tp_dealloc, transaction_dealloc},
    {Py_tp_methods, transaction_methods},
    {0, NULL},
};
static PyType_Spec transaction_spec = {"atoll._core.Transaction", sizeof(TransactionObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, transaction_slots};

/* ---- routers ---- */

static PyObject *router_of(PyTypeObject *type, atoll_router *router)
{
    RouterObject *self = new_object(type);
    if (!self) {
        atoll_router_free(router);
        return NULL;
    }
    self->router = router;
    return (PyObject *)self;
}

/* (algorithm, [(name, weight, zone, rack)], {option: text}, [split]) */
static PyObject *router_make(PyObject *type, PyObject *args)
{
    const char *algorithm;
    PyObject *node_list, *settings, *split_list, *nodes, *splits, *items = NULL;
    atoll_router_spec *spec = NULL;
    atoll_router *router = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *answer = NULL;
    Py_ssize_t i;
    if (!PyArg_ParseTuple(args, "sO!O!O!", &algorithm, &PyList_Type, &node_list, &PyDict_Type, &settings, &PyList_Type, &split_list)) {
        return NULL;
    }
    /* Of their own: reading a weight or a split may change the lists. */
    nodes = PySequence_Tuple(node_list);
    splits = PySequence_Tuple(split_list);
    items = PyDict_Items(settings);
    if (!nodes || !splits || !items) {
        goto raised;
    }
    status = atoll_router_spec_new(algorithm, &spec, &err);
    for (i = 0; status == ATOLL_OK && i < PyTuple_Size(nodes); i++) {
        const char *name, *zone, *rack;
        Py_ssize_t len;
        unsigned int weight;
        if (!PyArg_ParseTuple(PyTuple_GetItem(nodes, i), "s#Izz", &name, &len, &weight, &zone, &rack)) {
            goto raised;
        }
        status = atoll_router_spec_add_node(spec, name, (size_t)len, weight, zone, rack, &err);
    }
    for (i = 0; status == ATOLL_OK && i < PyTuple_Size(splits); i++) {
        bytes_arg split;
        if (take_bytes(PyTuple_GetItem(splits, i), &split) != 0) {
            goto raised;
        }
        status = atoll_router_spec_add_split(spec, split.data, (size_t)split.len, &err);
        give_back(&split);
    }
    for (i = 0; status == ATOLL_OK && i < PyList_Size(items); i++) {
        const char *name, *value;
        if (!PyArg_ParseTuple(PyList_GetItem(items, i), "ss", &name, &value)) {
            goto raised;
        }
        status = atoll_router_spec_set(spec, name, value, &err);
    }
    if (status == ATOLL_OK) {
        Py_BEGIN_ALLOW_THREADS
        status = atoll_router_new(spec, &router, &err);
        Py_END_ALLOW_THREADS
    }
    answer = status == ATOLL_OK ? router_of((PyTypeObject *)type, router) : raise_status(status, err);
raised:
    atoll_router_spec_free(spec);
    Py_XDECREF(nodes);
    Py_XDECREF(splits);
    Py_XDECREF(items);
    return answer;
}

static PyObject *router_from_bytes(PyObject *type, PyObject *object)
{
    bytes_arg data;
    atoll_router *router = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(object, &data) != 0) {
        return NULL;
    }
    status = atoll_router_decode(data.data, (size_t)data.len, &router, &err);
    give_back(&data);
    return status == ATOLL_OK ? router_of((PyTypeObject *)type, router) : raise_status(status, err);
}

static PyObject *router_from_json(PyObject *type, PyObject *object)
{
    const char *text = PyUnicode_AsUTF8AndSize(object, NULL);
    atoll_router *router = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    if (!text) {
        return NULL;
    }
    status = atoll_router_from_json(text, &router, &err);
    return status == ATOLL_OK ? router_of((PyTypeObject *)type, router) : raise_status(status, err);
}

static PyObject *router_to_bytes(PyObject *self, PyObject *unused)
{
    atoll_buf *data = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_router_encode(((RouterObject *)self)->router, &data, &err);
    (void)unused;
    return status == ATOLL_OK ? bytes_of_buf(data) : raise_status(status, err);
}

static PyObject *router_to_json(PyObject *self, PyObject *unused)
{
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_router_to_json(((RouterObject *)self)->router, &json, &err);
    (void)unused;
    return status == ATOLL_OK ? str_of_buf(json) : raise_status(status, err);
}

/* The place of a key: the name of its node, or a number where the router has no nodes. */
static PyObject *router_node(PyObject *self, PyObject *object)
{
    const atoll_router *router = ((RouterObject *)self)->router;
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_bytes name;
    int64_t number = 0;
    int is_named = atoll_router_node_count(router) > 0;
    if (take_bytes(object, &key) != 0) {
        return NULL;
    }
    status = is_named ? atoll_router_node(router, key.data, (size_t)key.len, &name, &err)
                      : atoll_router_number(router, key.data, (size_t)key.len, &number, &err);
    give_back(&key);
    if (status != ATOLL_OK) {
        return raise_status(status, err);
    }
    return is_named ? str_of(name) : PyLong_FromLongLong(number);
}

static PyObject *router_number(PyObject *self, PyObject *object)
{
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    int64_t number = 0;
    if (take_bytes(object, &key) != 0) {
        return NULL;
    }
    status = atoll_router_number(((RouterObject *)self)->router, key.data, (size_t)key.len, &number, &err);
    give_back(&key);
    return status == ATOLL_OK ? PyLong_FromLongLong(number) : raise_status(status, err);
}

static PyObject *router_bucket_of(PyObject *self, PyObject *object)
{
    atoll_error *err = NULL;
    atoll_status status;
    uint32_t bucket = 0;
    unsigned long long number = PyLong_AsUnsignedLongLong(object);
    if (PyErr_Occurred()) {
        return NULL;
    }
    status = atoll_router_bucket_of(((RouterObject *)self)->router, number, &bucket, &err);
    return status == ATOLL_OK ? PyLong_FromUnsignedLong(bucket) : raise_status(status, err);
}

static PyObject *router_nodes(PyObject *self, PyObject *args)
{
    PyObject *object, *answer;
    Py_ssize_t wanted;
    bytes_arg key;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_bytes *names;
    size_t found = 0, i, count = atoll_router_node_count(((RouterObject *)self)->router);
    if (!PyArg_ParseTuple(args, "On", &object, &wanted)) {
        return NULL;
    }
    if (wanted < 0) {
        PyErr_SetString(PyExc_ValueError, "the number of nodes cannot be negative");
        return NULL;
    }
    if ((size_t)wanted > count) {
        wanted = (Py_ssize_t)(count > 0 ? count : 1);
    }
    if (take_bytes(object, &key) != 0) {
        return NULL;
    }
    names = PyMem_Malloc(((size_t)wanted + 1) * sizeof *names);
    if (!names) {
        give_back(&key);
        return PyErr_NoMemory();
    }
    status = atoll_router_nodes(((RouterObject *)self)->router, key.data, (size_t)key.len, names, (size_t)wanted, &found, &err);
    give_back(&key);
    if (status != ATOLL_OK) {
        PyMem_Free(names);
        return raise_status(status, err);
    }
    answer = PyList_New((Py_ssize_t)found);
    for (i = 0; answer && i < found; i++) {
        PyObject *name = str_of(names[i]);
        if (!name || PyList_SetItem(answer, (Py_ssize_t)i, name) != 0) {
            Py_CLEAR(answer);
        }
    }
    PyMem_Free(names);
    return answer;
}

static PyObject *router_node_list(PyObject *self, PyObject *unused)
{
    const atoll_router *router = ((RouterObject *)self)->router;
    size_t n = atoll_router_node_count(router), i;
    PyObject *answer = PyList_New((Py_ssize_t)n);
    (void)unused;
    for (i = 0; answer && i < n; i++) {
        atoll_bytes name;
        uint32_t weight = 0;
        PyObject *node;
        atoll_router_node_at(router, i, &name, &weight);
        node = Py_BuildValue("(s#I)", (const char *)name.data, (Py_ssize_t)name.len, (unsigned int)weight);
        if (!node || PyList_SetItem(answer, (Py_ssize_t)i, node) != 0) {
            Py_CLEAR(answer);
        }
    }
    return answer;
}

static PyObject *router_route_many(PyObject *self, PyObject *list)
{
    const atoll_router *router = ((RouterObject *)self)->router;
    packed keys;
    int64_t *answers;
    atoll_error *err = NULL;
    atoll_status status;
    PyObject *answer = NULL, *names = NULL;
    Py_ssize_t i;
    if (pack(list, &keys) != 0) {
        return NULL;
    }
    answers = PyMem_Malloc(((size_t)keys.n + 1) * sizeof *answers);
    if (!answers) {
        free_packed(&keys);
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_router_route_many(router, (const uint8_t *)keys.bytes, keys.offsets, (size_t)keys.n, answers, &err);
    Py_END_ALLOW_THREADS
    if (status != ATOLL_OK) {
        raise_status(status, err);
        goto done;
    }
    /* Each name is made once: a router has few. */
    names = router_node_list(self, NULL);
    answer = names ? PyList_New(keys.n) : NULL;
    for (i = 0; answer && i < keys.n; i++) {
        PyObject *one;
        if (PyList_Size(names) > 0) {
            one = PyTuple_GetItem(PyList_GetItem(names, (Py_ssize_t)answers[i]), 0);
            Py_XINCREF(one);
        } else {
            one = PyLong_FromLongLong(answers[i]);
        }
        if (!one || PyList_SetItem(answer, i, one) != 0) {
            Py_CLEAR(answer);
        }
    }
done:
    Py_XDECREF(names);
    PyMem_Free(answers);
    free_packed(&keys);
    return answer;
}

/* What a change would move as JSON, or the router after it. */
static PyObject *router_plan(PyObject *self, PyObject *args)
{
    const char *name;
    Py_ssize_t len;
    unsigned int weight;
    int add, want_after;
    atoll_buf *json = NULL;
    atoll_router *after = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    const atoll_router *router = ((RouterObject *)self)->router;
    if (!PyArg_ParseTuple(args, "pps#I", &want_after, &add, &name, &len, &weight)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = add ? atoll_router_plan_add(router, name, (size_t)len, weight, &json, want_after ? &after : NULL, &err)
                 : atoll_router_plan_remove(router, name, (size_t)len, &json, want_after ? &after : NULL, &err);
    Py_END_ALLOW_THREADS
    if (status != ATOLL_OK) {
        return raise_status(status, err);
    }
    if (want_after) {
        atoll_buf_free(json);
        return router_of(Py_TYPE(self), after);
    }
    return str_of_buf(json);
}

static PyObject *router_version(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(atoll_router_epoch(((RouterObject *)self)->router));
}

static PyMethodDef router_methods[] = {
    {"_make", router_make, METH_VARARGS | METH_CLASS, NULL},
    {"from_bytes", router_from_bytes, METH_O | METH_CLASS, "A router from its bytes, or from those of a topology, of any language."},
    {"from_json", router_from_json, METH_O | METH_CLASS, "A router from its JSON."},
    {"to_bytes", router_to_bytes, METH_NOARGS, "The bytes of the router, which every language and SQL can read."},
    {"to_json", router_to_json, METH_NOARGS, "The router as JSON."},
    {"node", router_node, METH_O, "The name of the node that owns a key; a number where the router has no nodes."},
    {"nodes", router_nodes, METH_VARARGS, "nodes(key, n): names of the first n distinct nodes of a key, the owner first."},
    {"number", router_number, METH_O, "Bucket, range, slot or token of a key; otherwise the index of its node."},
    {"bucket_of", router_bucket_of, METH_O, "Bucket of a 64-bit number: jump alone."},
    {"route_many", router_route_many, METH_O, "What node() answers for each of many keys."},
    {"node_list", router_node_list, METH_NOARGS, "Name and weight of every node."},
    {"version", router_version, METH_NOARGS, "Version of the topology behind a router of slots; 0 for others."},
    {"_plan", router_plan, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot router_slots[] = {
    {Py_tp_dealloc, router_dealloc},
    {Py_tp_methods, router_methods},
    {0, NULL},
};
static PyType_Spec router_spec = {"atoll._core.Router", sizeof(RouterObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, router_slots};

/* ---- clusters ---- */

typedef struct {
    PyObject_HEAD
    atoll_cluster *cluster;
} ClusterObject;

static void cluster_dealloc(PyObject *self)
{
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    Py_BEGIN_ALLOW_THREADS
    atoll_cluster_free(cluster);
    Py_END_ALLOW_THREADS
    free_object(self);
}

/* (path, {option: text}, nodes or None, shards, replicas) */
static PyObject *cluster_open(PyObject *type, PyObject *args)
{
    const char *path, *nodes;
    PyObject *settings, *items;
    unsigned int shards, replicas;
    atoll_options *options;
    atoll_error *err = NULL;
    atoll_status status = ATOLL_OK;
    ClusterObject *self;
    Py_ssize_t i;
    if (!PyArg_ParseTuple(args, "sO!zII", &path, &PyDict_Type, &settings, &nodes, &shards, &replicas)) {
        return NULL;
    }
    self = new_object((PyTypeObject *)type);
    items = self ? PyDict_Items(settings) : NULL;
    if (!items) {
        Py_XDECREF((PyObject *)self);
        return NULL;
    }
    options = atoll_options_new();
    for (i = 0; status == ATOLL_OK && i < PyList_Size(items); i++) {
        const char *name, *value;
        if (!PyArg_ParseTuple(PyList_GetItem(items, i), "ss", &name, &value)) {
            atoll_options_free(options);
            Py_DECREF(items);
            Py_DECREF(self);
            return NULL;
        }
        status = atoll_options_set(options, name, value, &err);
    }
    Py_DECREF(items);
    if (status == ATOLL_OK) {
        Py_BEGIN_ALLOW_THREADS
        status = nodes ? atoll_cluster_create(path, nodes, shards, replicas, options, &self->cluster, &err)
                       : atoll_cluster_open(path, options, &self->cluster, &err);
        Py_END_ALLOW_THREADS
    }
    atoll_options_free(options);
    if (status != ATOLL_OK) {
        Py_DECREF(self);
        return raise_status(status, err);
    }
    return (PyObject *)self;
}

static PyObject *cluster_close(PyObject *self, PyObject *unused)
{
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_close(cluster, &err);
    Py_END_ALLOW_THREADS
    return none_or_raise(status, err);
}

/* (key, value or None, durability, ttl_ms) -> token */
static PyObject *cluster_put(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_cluster_write_opts options = ATOLL_CLUSTER_WRITE_OPTS_INIT;
    bytes_arg key, value = {NULL, 0, NULL};
    atoll_buf *token = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    int has_value;
    if (n != 4) {
        return raise_invalid("put takes key, value or None, durability, ttl_ms");
    }
    options.durability = (uint32_t)PyLong_AsUnsignedLong(args[2]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    options.ttl_ms = PyLong_AsUnsignedLongLong(args[3]);
    if (PyErr_Occurred() || take_bytes(args[0], &key) != 0) {
        return NULL;
    }
    has_value = args[1] != Py_None;
    if (has_value && take_bytes(args[1], &value) != 0) {
        give_back(&key);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = has_value ? atoll_cluster_put(cluster, &options, key.data, (size_t)key.len, value.data, (size_t)value.len, &token, &err)
                       : atoll_cluster_delete(cluster, &options, key.data, (size_t)key.len, &token, &err);
    Py_END_ALLOW_THREADS
    give_back(&key);
    give_back(&value);
    return status == ATOLL_OK ? bytes_of_buf(token) : raise_status(status, err);
}

static PyObject *cluster_write(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_cluster_write_opts options = ATOLL_CLUSTER_WRITE_OPTS_INIT;
    atoll_buf *token = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    atoll_batch *batch;
    if (n != 2 || !PyObject_TypeCheck(args[0], Batch_Type)) {
        return raise_invalid("write takes a batch and a durability");
    }
    options.durability = (uint32_t)PyLong_AsUnsignedLong(args[1]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    batch = ((BatchObject *)args[0])->batch;
    ((BatchObject *)args[0])->users++;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_write(cluster, &options, batch, &token, &err);
    Py_END_ALLOW_THREADS
    ((BatchObject *)args[0])->users--;
    return status == ATOLL_OK ? bytes_of_buf(token) : raise_status(status, err);
}

/* The options of a read: (consistency, token or None). Needs give_back(token) unless it failed. */
static int take_read(PyObject *consistency, PyObject *token_object, atoll_cluster_read_opts *options, bytes_arg *token)
{
    const atoll_cluster_read_opts fresh = ATOLL_CLUSTER_READ_OPTS_INIT;
    *options = fresh;
    token->copy = NULL;
    options->consistency = (uint32_t)PyLong_AsUnsignedLong(consistency);
    if (PyErr_Occurred()) {
        return -1;
    }
    if (token_object != Py_None) {
        if (take_bytes(token_object, token) != 0) {
            return -1;
        }
        options->token = (const uint8_t *)token->data;
        options->token_len = (size_t)token->len;
    }
    return 0;
}

/* (key, default, consistency, token or None) */
static PyObject *cluster_get(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_cluster_read_opts options;
    bytes_arg key, token;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    atoll_pin *pin;
    atoll_bytes value;
    PyObject *answer;
    if (n != 4) {
        return raise_invalid("get takes key, default, consistency, token");
    }
    if (take_read(args[2], args[3], &options, &token) != 0) {
        return NULL;
    }
    if (take_bytes(args[0], &key) != 0) {
        give_back(&token);
        return NULL;
    }
    pin = atoll_pin_new();
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_get(cluster, &options, key.data, (size_t)key.len, pin, &value, &err);
    Py_END_ALLOW_THREADS
    give_back(&key);
    give_back(&token);
    if (status == ATOLL_OK) {
        answer = bytes_of(value);
    } else if (status == ATOLL_NOT_FOUND) {
        answer = args[1];
        Py_INCREF(answer);
    } else {
        answer = raise_status(status, err);
    }
    atoll_pin_free(pin);
    return answer;
}

/* (start, end, flags, limit, keys_only, consistency, token or None) */
static PyObject *cluster_scan(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    scan_arg arg;
    atoll_cluster_read_opts options;
    bytes_arg token;
    atoll_iter *iter = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    if (n != 7) {
        return raise_invalid("scan takes start, end, flags, limit, keys_only, consistency, token");
    }
    if (take_read(args[5], args[6], &options, &token) != 0) {
        return NULL;
    }
    if (take_range(args, &arg) != 0) {
        give_back(&token);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_scan(cluster, &options, &arg.range, &iter, &err);
    Py_END_ALLOW_THREADS
    scan_done(&arg);
    give_back(&token);
    return status == ATOLL_OK ? scan_of(iter, arg.keys_only) : raise_status(status, err);
}

/* (consistency, token or None) */
static PyObject *cluster_count(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    atoll_cluster_read_opts options;
    bytes_arg token;
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t count = 0;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    if (n != 2) {
        return raise_invalid("count takes consistency, token");
    }
    if (take_read(args[0], args[1], &options, &token) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_count(cluster, &options, &count, &err);
    Py_END_ALLOW_THREADS
    give_back(&token);
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(count) : raise_status(status, err);
}

static PyObject *cluster_status_json(PyObject *self, PyObject *unused)
{
    atoll_buf *json = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    atoll_cluster *cluster = ((ClusterObject *)self)->cluster;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    status = atoll_cluster_status_json(cluster, &json, &err);
    Py_END_ALLOW_THREADS
    return status == ATOLL_OK ? bytes_of_buf(json) : raise_status(status, err);
}

static PyObject *cluster_router(PyObject *self, PyObject *type)
{
    atoll_router *router = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, Router_Type)) {
        return raise_invalid("a kind of router is needed");
    }
    status = atoll_cluster_router(((ClusterObject *)self)->cluster, &router, &err);
    return status == ATOLL_OK ? router_of((PyTypeObject *)type, router) : raise_status(status, err);
}

static PyObject *token_merge(PyObject *module, PyObject *args)
{
    const char *a, *b;
    Py_ssize_t a_len, b_len;
    atoll_buf *token = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    (void)module;
    if (!PyArg_ParseTuple(args, "y#y#", &a, &a_len, &b, &b_len)) {
        return NULL;
    }
    status = atoll_token_merge(a, (size_t)a_len, b, (size_t)b_len, &token, &err);
    return status == ATOLL_OK ? bytes_of_buf(token) : raise_status(status, err);
}

static PyMethodDef cluster_methods[] = {
    {"_open", cluster_open, METH_VARARGS | METH_CLASS, NULL},
    {"close", cluster_close, METH_NOARGS, "Makes everything durable and closes the cluster. Closing twice is allowed."},
    {"_put", FAST(cluster_put), METH_FASTCALL, NULL},
    {"_write", FAST(cluster_write), METH_FASTCALL, NULL},
    {"_get", FAST(cluster_get), METH_FASTCALL, NULL},
    {"_scan", FAST(cluster_scan), METH_FASTCALL, NULL},
    {"_count", FAST(cluster_count), METH_FASTCALL, NULL},
    {"_status_json", cluster_status_json, METH_NOARGS, NULL},
    {"_router", cluster_router, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot cluster_slots[] = {
    {Py_tp_dealloc, cluster_dealloc},
    {Py_tp_methods, cluster_methods},
    {0, NULL},
};
static PyType_Spec cluster_spec = {"atoll._core.Cluster", sizeof(ClusterObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, cluster_slots};

/* ---- vector clocks ---- */

static PyObject *clock_of(PyTypeObject *type, atoll_vclock *clock)
{
    ClockObject *self = new_object(type);
    if (!self) {
        atoll_vclock_free(clock);
        return NULL;
    }
    self->clock = clock;
    return (PyObject *)self;
}

static PyObject *clock_from(PyObject *type, PyObject *object, int is_text)
{
    bytes_arg data;
    atoll_vclock *clock = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    if (take_bytes(object, &data) != 0) {
        return NULL;
    }
    status = is_text ? atoll_vclock_from_text(data.data, (size_t)data.len, &clock, &err)
                     : atoll_vclock_decode(data.data, (size_t)data.len, &clock, &err);
    give_back(&data);
    return status == ATOLL_OK ? clock_of((PyTypeObject *)type, clock) : raise_status(status, err);
}

static PyObject *clock_from_text(PyObject *type, PyObject *object)
{
    return clock_from(type, object, 1);
}

static PyObject *clock_from_bytes(PyObject *type, PyObject *object)
{
    return clock_from(type, object, 0);
}

static PyObject *clock_tick(PyObject *self, PyObject *object)
{
    bytes_arg node;
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t count = 0;
    if (take_bytes(object, &node) != 0) {
        return NULL;
    }
    status = atoll_vclock_tick(((ClockObject *)self)->clock, node.data, (size_t)node.len, &count, &err);
    give_back(&node);
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(count) : raise_status(status, err);
}

static PyObject *clock_get(PyObject *self, PyObject *object)
{
    bytes_arg node;
    atoll_error *err = NULL;
    atoll_status status;
    uint64_t count = 0;
    if (take_bytes(object, &node) != 0) {
        return NULL;
    }
    status = atoll_vclock_get(((ClockObject *)self)->clock, node.data, (size_t)node.len, &count, &err);
    give_back(&node);
    return status == ATOLL_OK ? PyLong_FromUnsignedLongLong(count) : raise_status(status, err);
}

static PyObject *clock_merge(PyObject *self, PyObject *other)
{
    atoll_error *err = NULL;
    if (!PyObject_TypeCheck(other, Clock_Type)) {
        return raise_invalid("a VectorClock is needed");
    }
    return none_or_raise(atoll_vclock_merge(((ClockObject *)self)->clock, ((ClockObject *)other)->clock, &err), err);
}

static PyObject *clock_compare(PyObject *self, PyObject *other)
{
    static const char *const names[] = {"equal", "before", "after", "concurrent"};
    atoll_error *err = NULL;
    atoll_status status;
    int32_t answer = 0;
    if (!PyObject_TypeCheck(other, Clock_Type)) {
        return raise_invalid("a VectorClock is needed");
    }
    status = atoll_vclock_compare(((ClockObject *)self)->clock, ((ClockObject *)other)->clock, &answer, &err);
    return status == ATOLL_OK ? PyUnicode_FromString(names[answer]) : raise_status(status, err);
}

static PyObject *clock_to_bytes(PyObject *self, PyObject *unused)
{
    atoll_buf *data = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_vclock_encode(((ClockObject *)self)->clock, &data, &err);
    (void)unused;
    return status == ATOLL_OK ? bytes_of_buf(data) : raise_status(status, err);
}

static PyObject *clock_text(PyObject *self)
{
    atoll_buf *text = NULL;
    atoll_error *err = NULL;
    atoll_status status = atoll_vclock_to_text(((ClockObject *)self)->clock, &text, &err);
    return status == ATOLL_OK ? str_of_buf(text) : raise_status(status, err);
}

static PyObject *clock_copy(PyObject *self, PyObject *unused)
{
    atoll_vclock *copy = atoll_vclock_clone(((ClockObject *)self)->clock);
    (void)unused;
    return copy ? clock_of(Py_TYPE(self), copy) : raise_status(ATOLL_E_BUSY, NULL);
}

static PyMethodDef clock_methods[] = {
    {"_from_text", clock_from_text, METH_O | METH_CLASS, NULL},
    {"from_bytes", clock_from_bytes, METH_O | METH_CLASS, "A clock from its bytes, of any language."},
    {"to_bytes", clock_to_bytes, METH_NOARGS, "The bytes of the clock, which every language and SQL can read."},
    {"tick", clock_tick, METH_O, "Counts one more write of a node; the new count."},
    {"get", clock_get, METH_O, "The count of a node, 0 for one that is not there."},
    {"merge", clock_merge, METH_O, "Raises every count to that of another clock."},
    {"compare", clock_compare, METH_O, "\"equal\", \"before\", \"after\" or \"concurrent\"."},
    {"copy", clock_copy, METH_NOARGS, "A clock of its own with the same counts."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot clock_slots[] = {
    {Py_tp_dealloc, clock_dealloc},
    {Py_tp_methods, clock_methods},
    {Py_tp_str, clock_text},
    {0, NULL},
};
static PyType_Spec clock_spec = {"atoll._core.VectorClock", sizeof(ClockObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, clock_slots};

/* ---- module ---- */

/* encode_key([(kind, integer, bytes)], encoding) -> bytes */
static PyObject *encode_key(PyObject *module, PyObject *args)
{
    PyObject *list, *tuple;
    unsigned int encoding;
    Py_ssize_t n, i;
    atoll_key_part *parts;
    atoll_buf *key = NULL;
    atoll_error *err = NULL;
    atoll_status status;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!I", &PyList_Type, &list, &encoding)) {
        return NULL;
    }
    /* Of its own: reading a number may change the list. */
    tuple = PySequence_Tuple(list);
    if (!tuple) {
        return NULL;
    }
    n = PyTuple_Size(tuple);
    parts = PyMem_Calloc((size_t)n + 1, sizeof *parts);
    if (!parts) {
        Py_DECREF(tuple);
        return PyErr_NoMemory();
    }
    for (i = 0; i < n; i++) {
        unsigned int kind;
        long long integer;
        const char *data;
        Py_ssize_t len;
        if (!PyArg_ParseTuple(PyTuple_GetItem(tuple, i), "ILy#", &kind, &integer, &data, &len)) {
            PyMem_Free(parts);
            Py_DECREF(tuple);
            return NULL;
        }
        parts[i].kind = kind;
        parts[i].integer = integer;
        parts[i].bytes.data = (const uint8_t *)data;
        parts[i].bytes.len = (size_t)len;
    }
    status = atoll_encode_key(parts, (size_t)n, encoding, &key, &err);
    PyMem_Free(parts);
    Py_DECREF(tuple);
    return status == ATOLL_OK ? bytes_of_buf(key) : raise_status(status, err);
}

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

static PyObject *set_make_error(PyObject *module, PyObject *function)
{
    PyObject *before = make_error;
    (void)module;
    Py_INCREF(function);
    make_error = function;
    Py_XDECREF(before);
    Py_RETURN_NONE;
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
    {"encode_key", encode_key, METH_VARARGS, NULL},
    {"options", options_table, METH_NOARGS, NULL},
    {"token_merge", token_merge, METH_VARARGS, NULL},
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
    PyObject *module;
    if (atoll_abi_version() != ATOLL_ABI_VERSION) {
        PyErr_Format(PyExc_ImportError, "libatoll %s has another binary interface (%u) than this package was built for (%u)",
                     atoll_version(), (unsigned)atoll_abi_version(), (unsigned)ATOLL_ABI_VERSION);
        return NULL;
    }
    module = PyModule_Create(&module_def);
    if (!module || !add_type(module, &db_spec, "Db") || !add_type(module, &cluster_spec, "Cluster") || !(Snapshot_Type = add_type(module, &snapshot_spec, "Snapshot")) ||
        !(Batch_Type = add_type(module, &batch_spec, "Batch")) ||
        !(Transaction_Type = add_type(module, &transaction_spec, "Transaction")) ||
        !(Scan_Type = add_type(module, &scan_spec, "Scan")) || !(Pin_Type = add_type(module, &pin_spec, "Pin")) ||
        !(Router_Type = add_type(module, &router_spec, "Router")) ||
        !(Clock_Type = add_type(module, &clock_spec, "VectorClock"))) {
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}
