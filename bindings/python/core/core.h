/*
 * The C half of the Python package: handles of atoll.h as Python objects.
 *
 * In: Python arguments. Out: Python objects, or exceptions made by atoll._errors. Must never: touch a Python object without the
 * interpreter's lock, keep a borrowed argument past a call, or let a view outlive what it views.
 *
 * The order within every call: first everything is taken that may run code of the program (iterators, buffers, __index__), then handles
 * that can be let go are looked at and held, then the library is called. Only the limited API of Python 3.11 is used: one build serves
 * that version and all later ones.
 *
 * A file per noun; read db.c, then read.c.
 */
#ifndef ATOLL_PYTHON_CORE_H
#define ATOLL_PYTHON_CORE_H

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <atoll.h>

#include <string.h>

#define FAST(function) ((PyCFunction)(void (*)(void))(function))
#define KIND (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION)

/* ---- errors.c ---- */

/* Raises what a call answered, and frees its error; NULL. */
PyObject *raise_status(atoll_status status, atoll_error *err);
/* Raises InvalidArgument with a message as for PyErr_Format(); NULL. */
PyObject *raise_refused(const char *format, ...);
PyObject *raise_invalid(const char *message);
PyObject *none_or_raise(atoll_status status, atoll_error *err);
PyObject *set_make_error(PyObject *module, PyObject *function);

/* ---- bytes.c ---- */

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

int take_bytes(PyObject *object, bytes_arg *arg);
void give_back(bytes_arg *arg);
PyObject *bytes_of(atoll_bytes view);
PyObject *str_of(atoll_bytes view);
/* The bytes of a buffer of the library, which is freed. */
PyObject *bytes_of_buf(atoll_buf *buf);
PyObject *str_of_buf(atoll_buf *buf);

/* Keys laid end to end. Need free_packed() unless pack() failed. */
typedef struct {
    char *bytes;
    uint32_t *offsets;
    Py_ssize_t n;
} packed;

int pack(PyObject *list, packed *keys);
void free_packed(packed *keys);

/* ---- many.c ---- */

/* Reads packed keys into a buffer; runs without the interpreter's lock. */
typedef atoll_status (*read_many_fn)(void *of, const packed *keys, uint8_t *values, size_t room, uint64_t *ends, uint8_t *found,
                                     size_t *needed, atoll_error **err);
/* The values, None for keys without one; calls `read` again with a larger buffer where that was too small. */
PyObject *read_many(packed *keys, read_many_fn read, void *of);

/* ---- numbers.c ---- */

/* Whole numbers from 0 to what fits: TypeError for others than int (bool is one by accident), InvalidArgument for those that do not fit. */
int take_u32(PyObject *object, const char *what, uint32_t *number);
int take_u64(PyObject *object, const char *what, uint64_t *number);
int take_size(PyObject *object, const char *what, size_t *number);
/* Text without a NUL; it lives as long as the object. */
const char *take_text(PyObject *object, const char *what);
/* Options of the library from {name: text}; NULL with an exception. */
atoll_options *take_options(PyObject *settings);

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
    atoll_log_reader *reader;
    int busy, interrupted;
} LogObject;

typedef struct {
    PyObject_HEAD
    atoll_load *load;
} LoadObject;

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
    atoll_cluster *cluster;
} ClusterObject;

typedef struct {
    PyObject_HEAD
    atoll_session *session;
} SessionObject;

typedef struct {
    PyObject_HEAD
    atoll_vclock *clock;
} ClockObject;

typedef struct {
    PyObject_HEAD
    atoll_siblings *siblings;
} SiblingsObject;

typedef struct {
    PyObject_HEAD
    atoll_hlc_clock *clock;
} HlcClockObject;

typedef struct {
    PyObject_HEAD
    atoll_resolver *resolver;
} ResolverObject;

extern PyTypeObject *Snapshot_Type, *Scan_Type, *Pin_Type, *Transaction_Type, *Batch_Type, *Router_Type, *Clock_Type, *Log_Type,
    *Session_Type, *Siblings_Type, *Load_Type;
extern PyType_Spec db_spec, snapshot_spec, batch_spec, transaction_spec, scan_spec, pin_spec, router_spec, cluster_spec, clock_spec,
    resolver_spec, log_spec, session_spec, siblings_spec, hlc_clock_spec, load_spec;

/* A new object of a type made by PyType_FromSpec. */
static inline void *new_object(PyTypeObject *type)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return alloc(type, 0);
}

static inline void free_object(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

/* ---- snapshot.c ---- */

/*
 * The options of a read at `object`: a snapshot, which is kept from being released until unhold_snapshot(), or None.
 *
 * Comes after everything that runs code of the program: that may release the snapshot.
 */
int hold_snapshot(PyObject *object, atoll_read_opts *room, const atoll_read_opts **options);
void unhold_snapshot(PyObject *object);

/* ---- scan.c ---- */

/* Arguments of a scan: (start, end, flags, limit, keys_only). Needs scan_done() unless it failed. */
typedef struct {
    atoll_range range;
    bytes_arg start, end;
    int has_start, has_end, keys_only;
} scan_arg;

int take_range(PyObject *const *args, scan_arg *arg);
void scan_done(scan_arg *arg);
PyObject *scan_of(atoll_iter *iter, int keys_only);

/* ---- read.c, write.c: verbs of Db ---- */

PyObject *db_get(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *db_get_at(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *db_subscript(PyObject *self, PyObject *key);
int db_contains(PyObject *self, PyObject *key);
PyObject *db_get_view(PyObject *self, PyObject *key);
PyObject *db_get_version(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *db_get_many(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *db_scan(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *db_count_approximate(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *db_put(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *db_delete(PyObject *self, PyObject *const *args, Py_ssize_t n);
int db_ass_subscript(PyObject *self, PyObject *key, PyObject *value);
PyObject *db_compare_and_set(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *db_write(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *db_delete_range(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *approximate_row(const atoll_approximate *answer);

/* ---- cluster_read.c: reads of Cluster ---- */

PyObject *cluster_get(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *cluster_get_many(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *cluster_scan(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *cluster_count(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *cluster_count_approximate(PyObject *self, PyObject *const *args, Py_ssize_t n);

/* ---- maintenance.c, health.c ---- */

PyObject *db_backup(PyObject *self, PyObject *args);
PyObject *cluster_backup(PyObject *self, PyObject *args);
PyObject *cluster_plan(PyObject *self, PyObject *object);
PyObject *cluster_rebalance(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *cluster_compact(PyObject *self, PyObject *unused);
PyObject *cluster_events(PyObject *self, PyObject *unused);
PyObject *db_verify(PyObject *self, PyObject *function);
PyObject *cluster_verify(PyObject *self, PyObject *function);
PyObject *restore(PyObject *module, PyObject *args);
PyObject *verify_backup(PyObject *module, PyObject *args);
PyObject *repair(PyObject *module, PyObject *args);
PyObject *db_health(PyObject *self, PyObject *unused);
PyObject *cluster_health(PyObject *self, PyObject *unused);
PyObject *db_metrics(PyObject *self, PyObject *unused);
PyObject *cluster_metrics(PyObject *self, PyObject *unused);
PyObject *set_logger(PyObject *module, PyObject *const *args, Py_ssize_t n);

/* ---- load.c ---- */

PyObject *db_load(PyObject *self, PyObject *unused);
PyObject *db_finish_load(PyObject *self, PyObject *load);

/* ---- log.c ---- */

PyObject *db_log(PyObject *self, PyObject *from);
PyObject *db_apply_log(PyObject *self, PyObject *frame);
PyObject *log_entries(PyObject *module, PyObject *frame);

/* ---- router.c, route.c, place.c ---- */

PyObject *router_of(PyTypeObject *type, atoll_router *router);
PyObject *router_node(PyObject *self, PyObject *key);
PyObject *router_number(PyObject *self, PyObject *key);
PyObject *router_bucket_of(PyObject *self, PyObject *number);
PyObject *router_nodes(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *router_node_list(PyObject *self, PyObject *unused);
PyObject *router_route_many(PyObject *self, PyObject *list);
PyObject *router_node_info(PyObject *self, PyObject *unused);
PyObject *router_locate(PyObject *self, PyObject *key);
PyObject *router_slot_at(PyObject *self, PyObject *slot);
PyObject *router_shard_nodes(PyObject *self, PyObject *shard);

/* ---- functions of the module ---- */

PyObject *token_merge(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *encode_key(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *decode_key(PyObject *module, PyObject *key);
PyObject *hlc_pack(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *hlc_to_text(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *hlc_from_text(PyObject *module, PyObject *text);
PyObject *hlc_encode(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *hlc_decode(PyObject *module, PyObject *data);
PyObject *hlc_compare(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *context_compare(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *context_merge(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *version_encode(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *version_decode(PyObject *module, PyObject *data);
/* (value, context, stamp, node, sequence, incarnation, deleted) */
PyObject *version_row(const atoll_version_view *version);
/* A row for each, which are freed. */
PyObject *version_rows(atoll_versions *versions);
PyObject *order_name(int32_t order);

#endif
