/*
 * Random calls in random order, from several threads, over every kind of handle: in the wrong order, on
 * closed handles, with NULLs, with lengths that cannot be, with the results of failed calls. What must hold:
 * no crash, no leak, no error under a sanitizer; a status that exists; an error object exactly when the
 * status is below 0; views that can be read.
 *
 * HOSTILE_CALLS (20000) calls by HOSTILE_THREADS (4) threads together; HOSTILE_SEED repeats a run as far as
 * threads allow.
 */
#define _DEFAULT_SOURCE 1
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <pthread.h>

enum { DBS = 3, CLUSTERS = 2, OWN = 6, SHARED = 4, KEYS = 40 };

/* Databases are used by all threads; only who holds the lock for writing may free one. */
static struct {
    pthread_rwlock_t lock;
    atoll_db *db;
    char *dir;
} dbs[DBS];

/* The same for clusters, of one copy and of two. */
static struct {
    pthread_rwlock_t lock;
    atoll_cluster *cluster;
    char *dir;
} clusters[CLUSTERS];

/* Handles that serve one thread at a time, used by all: they must answer ATOLL_E_BUSY, not race. */
static struct {
    atoll_batch *batch[SHARED];
    atoll_iter *iter[SHARED];
    atoll_transaction *transaction[SHARED];
    atoll_load *load;
    atoll_options *options;
    atoll_router_spec *spec;
    atoll_vclock *clock[SHARED];
    atoll_siblings *siblings[SHARED];
    /* Freed at the end only, so that anybody may interrupt it. */
    atoll_log_reader *log;
    /* Immutable ones, which must serve everybody at once. */
    atoll_router *router[SHARED];
    atoll_resolver *resolver;
    /* Used by everybody at once as well. */
    atoll_session *session[SHARED];
    atoll_hlc_clock *hlc_clock;
} shared;

/* What belongs to one thread. */
typedef struct {
    uint64_t random;
    size_t calls;
    size_t errors;
    size_t busy;
    size_t bad;
    size_t by_status[128];
    uint64_t seen;
    atoll_batch *batch[OWN];
    atoll_iter *iter[OWN];
    atoll_snapshot *snapshot[OWN];
    atoll_transaction *transaction[OWN];
    atoll_pin *pin[OWN];
    atoll_options *options[OWN];
    atoll_router *router[OWN];
    atoll_vclock *clock[OWN];
    atoll_log_reader *log[OWN];
    atoll_session *session[OWN];
    atoll_siblings *siblings[OWN];
    atoll_load *load[OWN];
    /* A token of some cluster, damaged now and then. */
    uint8_t token[512];
    size_t token_len;
    /* A frame of some log, damaged now and then. */
    uint8_t frame[2048];
    size_t frame_len;
} actor;

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next(actor *a)
{
    uint64_t z = (a->random += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static size_t below(actor *a, size_t n)
{
    return (size_t)(next(a) % n);
}

static int chance(actor *a, size_t one_in)
{
    return below(a, one_in) == 0;
}

/* Touches every byte of a view, so that a sanitizer sees one that is not there. */
static void touch(actor *a, atoll_bytes view)
{
    size_t i;
    for (i = 0; i < view.len; i++) {
        a->seen += view.data[i];
    }
}

/* Counts an answer and checks that it is consistent. */
static atoll_status answer(actor *a, atoll_status status, atoll_error **err)
{
    a->calls++;
    if (strcmp(atoll_status_name(status), "ATOLL_(unknown)") == 0 || status == ATOLL_E_PANIC) {
        printf("# status %d: %s\n", (int)status, err ? atoll_error_message(*err) : "");
        a->bad++;
    }
    a->by_status[status + 100]++;
    if (status < 0) {
        a->errors++;
        a->busy += status == ATOLL_E_BUSY;
    }
    if (err) {
        if ((status < 0) != (*err != NULL) || (*err && atoll_error_code(*err) != status)) {
            a->bad++;
        }
        if (*err && strlen(atoll_error_message(*err)) == 0) {
            a->bad++;
        }
        atoll_error_free(*err);
        *err = NULL;
    }
    return status;
}

typedef struct {
    char bytes[32];
    const void *data;
    size_t len;
} key_arg;

/* A key: mostly one of few, sometimes empty, NULL, or of a length that must be refused before it is read. */
static void make_key(actor *a, key_arg *key)
{
    key->len = (size_t)snprintf(key->bytes, sizeof key->bytes, "key-%u", (unsigned)below(a, KEYS));
    key->data = key->bytes;
    switch (below(a, 24)) {
    case 0: key->data = NULL; break;
    case 1: key->len = 0; break;
    case 2: key->data = NULL; key->len = 0; break;
    case 3: key->len = (size_t)ATOLL_MAX_KEY_BYTES + 1; break;
    case 4: key->len = (size_t)-1; break;
    case 5: key->len = (size_t)1 << 62; break;
    default: break;
    }
}

static size_t value_len(actor *a, size_t fine)
{
    switch (below(a, 32)) {
    case 0: return (size_t)ATOLL_MAX_VALUE_BYTES + 1;
    case 1: return (size_t)-1;
    default: return below(a, fine + 1);
    }
}

static const atoll_write_opts *make_write_opts(actor *a, atoll_write_opts *options)
{
    const atoll_write_opts fresh = ATOLL_WRITE_OPTS_INIT;
    *options = fresh;
    switch (below(a, 12)) {
    case 0: options->durability = (uint32_t)below(a, 4); break;
    case 1: options->ttl_ms = below(a, 3); break;
    case 2: options->expires_at_ms = next(a); break;
    case 3: options->flags = (uint32_t)below(a, 3); break;
    case 4: options->struct_size = below(a, sizeof *options + 1); break;
    case 5: options->struct_size = (size_t)-1; break;
    default: return NULL;
    }
    return options;
}

static const atoll_read_opts *make_read_opts(actor *a, atoll_read_opts *options)
{
    const atoll_read_opts fresh = ATOLL_READ_OPTS_INIT;
    *options = fresh;
    switch (below(a, 6)) {
    case 0: options->flags = next(a); break;
    case 1: options->struct_size = below(a, sizeof *options + 1); break;
    case 2:
    case 3: options->snapshot = a->snapshot[below(a, OWN)]; break;
    default: return NULL;
    }
    return options;
}

static atoll_batch *any_batch(actor *a)
{
    return chance(a, 3) ? shared.batch[below(a, SHARED)] : a->batch[below(a, OWN)];
}

static atoll_transaction *any_transaction(actor *a)
{
    return chance(a, 3) ? shared.transaction[below(a, SHARED)] : a->transaction[below(a, OWN)];
}

static void open_or_close(actor *a)
{
    size_t i = below(a, DBS);
    atoll_error *err = NULL;
    if (chance(a, 2)) {
        pthread_rwlock_wrlock(&dbs[i].lock);
        /* Not closed, it would stay open and locked as long as anything made from it is held. */
        answer(a, atoll_db_close(dbs[i].db, &err), &err);
        atoll_db_free(dbs[i].db);
        dbs[i].db = NULL;
        answer(a, atoll_db_open(dbs[i].dir, chance(a, 2) ? a->options[below(a, OWN)] : NULL, &dbs[i].db, &err), &err);
        pthread_rwlock_unlock(&dbs[i].lock);
    } else {
        atoll_db *second = NULL;
        pthread_rwlock_rdlock(&dbs[i].lock);
        if (chance(a, 5)) {
            answer(a, atoll_db_close(dbs[i].db, &err), &err);
        } else {
            /* Locked by this very process, or opened beside a closed handle: then it goes at once. */
            answer(a, atoll_db_open(dbs[i].dir, NULL, &second, &err), &err);
            atoll_db_free(second);
        }
        pthread_rwlock_unlock(&dbs[i].lock);
    }
}

static void write_something(actor *a, atoll_db *db)
{
    static const char data[4096] = {1, 2, 3};
    atoll_error *err = NULL, **to = chance(a, 8) ? NULL : &err;
    atoll_write_opts room;
    const atoll_write_opts *options = make_write_opts(a, &room);
    key_arg key;
    make_key(a, &key);
    switch (below(a, 5)) {
    case 0:
    case 1:
        answer(a, atoll_put(db, options, key.data, key.len, chance(a, 20) ? NULL : data, value_len(a, sizeof data), to), to);
        break;
    case 2: answer(a, atoll_delete(db, options, key.data, key.len, to), to); break;
    case 3: {
        atoll_expected expected = {0, 0, {NULL, 0}, 0, 0};
        atoll_bytes value;
        expected.kind = (uint32_t)below(a, 4);
        expected.value.data = chance(a, 4) ? NULL : (const uint8_t *)data;
        expected.value.len = value_len(a, 10);
        value = expected.value;
        answer(a, atoll_compare_and_set(db, options, key.data, key.len, chance(a, 9) ? NULL : &expected, chance(a, 3) ? NULL : &value, to), to);
        break;
    }
    default: {
        uint64_t lsn;
        answer(a, atoll_write(db, options, any_batch(a), chance(a, 2) ? &lsn : NULL, to), to);
        break;
    }
    }
}

static void read_something(actor *a, atoll_db *db)
{
    atoll_error *err = NULL, **to = chance(a, 8) ? NULL : &err;
    atoll_read_opts room;
    const atoll_read_opts *options = make_read_opts(a, &room);
    key_arg key;
    make_key(a, &key);
    switch (below(a, 4)) {
    case 0:
    case 1: {
        atoll_bytes value;
        if (answer(a, atoll_get(db, options, key.data, key.len, a->pin[below(a, OWN)], &value, to), to) == ATOLL_OK) {
            touch(a, value);
        }
        break;
    }
    case 2: {
        char buffer[64];
        size_t len;
        answer(a, atoll_get_into(db, options, key.data, key.len, chance(a, 9) ? NULL : buffer, below(a, sizeof buffer), &len, to), to);
        break;
    }
    default: {
        uint8_t keys[64], values[256], found[8];
        uint32_t offsets[9];
        uint64_t ends[9];
        size_t n = below(a, 9), i, needed;
        memset(keys, 'k', sizeof keys);
        offsets[0] = 0;
        for (i = 1; i <= n; i++) {
            offsets[i] = chance(a, 30) ? (uint32_t)below(a, 64) : offsets[i - 1] + (uint32_t)below(a, 7);
            if (offsets[i] > sizeof keys) {
                offsets[i] = sizeof keys;
            }
        }
        answer(a, atoll_multi_get(db, options, chance(a, 20) ? NULL : keys, offsets, n, values, below(a, sizeof values), ends, found, &needed, to), to);
        break;
    }
    }
}

static void use_batch(actor *a)
{
    atoll_error *err = NULL;
    atoll_batch *batch = any_batch(a);
    key_arg key;
    make_key(a, &key);
    switch (below(a, 6)) {
    case 0: atoll_batch_clear(batch); break;
    case 1: a->seen += atoll_batch_len(batch); break;
    case 2: answer(a, atoll_batch_delete(batch, key.data, key.len, &err), &err); break;
    case 3: {
        const uint32_t offsets[] = {0, 2, 4};
        answer(a, atoll_batch_put_packed(batch, (const uint8_t *)"aabb", offsets, (const uint8_t *)"1122", chance(a, 9) ? NULL : offsets, 2, &err), &err);
        break;
    }
    default:
        answer(a, atoll_batch_put(batch, key.data, key.len, "value", below(a, 6), below(a, 2), &err), &err);
    }
    if (batch && atoll_batch_len(batch) > 200) {
        atoll_batch_clear(batch);
    }
    if (chance(a, 10)) {
        size_t i = below(a, OWN);
        atoll_batch_free(a->batch[i]);
        a->batch[i] = chance(a, 6) ? NULL : atoll_batch_new();
    }
}

static void use_load(actor *a, atoll_db *db)
{
    atoll_error *err = NULL;
    size_t i = below(a, OWN);
    atoll_load *load = chance(a, 4) ? shared.load : a->load[i];
    key_arg key;
    make_key(a, &key);
    switch (below(a, 6)) {
    case 0:
        atoll_load_free(a->load[i]);
        a->load[i] = NULL;
        answer(a, atoll_load_begin(db, &a->load[i], &err), &err);
        break;
    case 1: {
        uint64_t keys;
        answer(a, atoll_load_finish(db, load, chance(a, 2) ? &keys : NULL, &err), &err);
        break;
    }
    default: answer(a, atoll_load_put(load, key.data, key.len, "value", below(a, 6), below(a, 2), &err), &err);
    }
}

static void use_transaction(actor *a, atoll_db *db)
{
    atoll_error *err = NULL;
    atoll_transaction *transaction = any_transaction(a);
    key_arg key;
    make_key(a, &key);
    switch (below(a, 8)) {
    case 0: {
        size_t i = below(a, OWN);
        atoll_transaction_free(a->transaction[i]);
        a->transaction[i] = NULL;
        answer(a, atoll_transaction_begin(db, &a->transaction[i], &err), &err);
        break;
    }
    case 1:
    case 2: answer(a, atoll_transaction_put(transaction, key.data, key.len, "v", below(a, 2), below(a, 2), &err), &err); break;
    case 3: answer(a, atoll_transaction_delete(transaction, key.data, key.len, &err), &err); break;
    case 4: {
        atoll_write_opts room;
        uint64_t lsn;
        answer(a, atoll_transaction_commit(transaction, make_write_opts(a, &room), &lsn, &err), &err);
        break;
    }
    case 5: answer(a, atoll_transaction_rollback(transaction, &err), &err); break;
    case 6: {
        size_t i = below(a, OWN);
        atoll_iter_free(a->iter[i]);
        a->iter[i] = NULL;
        answer(a, atoll_transaction_scan(transaction, NULL, &a->iter[i], &err), &err);
        break;
    }
    default: {
        size_t i = below(a, OWN);
        atoll_bytes value;
        if (answer(a, atoll_transaction_get(a->transaction[i], key.data, key.len, &value, &err), &err) == ATOLL_OK) {
            touch(a, value);
        }
    }
    }
}

static void use_scan(actor *a, atoll_db *db)
{
    atoll_error *err = NULL;
    size_t i = below(a, OWN);
    /* What a scan that others use has lent may be gone at once: only own ones are looked at. */
    int is_own = !chance(a, 3);
    atoll_iter *iter = is_own ? a->iter[i] : shared.iter[below(a, SHARED)];
    key_arg key;
    make_key(a, &key);
    switch (below(a, 6)) {
    case 0: {
        atoll_read_opts room;
        atoll_range range = ATOLL_RANGE_INIT;
        range.flags = (uint32_t)below(a, 5);
        range.limit = below(a, 4);
        if (chance(a, 2)) {
            range.lo = (const uint8_t *)key.data;
            range.lo_len = key.len;
        }
        if (chance(a, 4)) {
            range.hi = (const uint8_t *)"key-3";
            range.hi_len = below(a, 6);
        }
        atoll_iter_free(a->iter[i]);
        a->iter[i] = NULL;
        answer(a, atoll_scan(db, make_read_opts(a, &room), chance(a, 4) ? NULL : &range, &a->iter[i], &err), &err);
        break;
    }
    case 1: answer(a, atoll_iter_seek(iter, key.data, key.len, &err), &err); break;
    case 2: {
        atoll_kv entry;
        if (answer(a, atoll_iter_next(iter, &entry, &err), &err) == ATOLL_OK && is_own) {
            touch(a, entry.key);
            touch(a, entry.value);
        }
        break;
    }
    case 3: {
        const atoll_kv *page;
        size_t n, j;
        if (answer(a, atoll_iter_next_page(iter, below(a, 20), below(a, 2000), &page, &n, &err), &err) == ATOLL_OK && is_own) {
            for (j = 0; j < n; j++) {
                touch(a, page[j].key);
                touch(a, page[j].value);
            }
        }
        break;
    }
    case 4: {
        uint8_t buffer[300];
        uint32_t offsets[9];
        size_t n, needed;
        atoll_status status = answer(a, atoll_iter_next_packed(iter, buffer, below(a, sizeof buffer), offsets, below(a, 5), &n, &needed, &err), &err);
        if (status == ATOLL_OK && offsets[2 * n] > sizeof buffer) {
            a->bad++;
        }
        break;
    }
    default: {
        atoll_approximate about = ATOLL_APPROXIMATE_INIT;
        answer(a, atoll_count_approximate(db, NULL, chance(a, 5) ? NULL : &about, &err), &err);
    }
    }
}

static void use_log(actor *a, atoll_db *db)
{
    static const uint64_t positions[] = {0, ATOLL_LOG_FROM_NOW, 80, 1u << 20, ATOLL_LOG_FROM_NOW - 1};
    atoll_error *err = NULL, **to = chance(a, 8) ? NULL : &err;
    size_t i = below(a, OWN);
    int is_own = !chance(a, 3);
    atoll_log_reader *reader = is_own ? a->log[i] : shared.log;
    switch (below(a, 8)) {
    case 0:
        atoll_log_free(a->log[i]);
        a->log[i] = NULL;
        answer(a, atoll_log_open(db, positions[below(a, 5)], &a->log[i], to), to);
        break;
    case 1:
    case 2: {
        atoll_bytes records;
        uint64_t first, following;
        if (answer(a, atoll_log_next(reader, below(a, 3000), (int64_t)below(a, 3), &records, chance(a, 2) ? &first : NULL,
                                     chance(a, 2) ? &following : NULL, to), to) == ATOLL_OK && is_own) {
            touch(a, records);
            a->frame_len = records.len < sizeof a->frame ? records.len : sizeof a->frame;
            memcpy(a->frame, records.data, a->frame_len);
        }
        break;
    }
    case 3: a->seen += (uint64_t)atoll_log_fd(reader); break;
    case 4: atoll_log_interrupt(reader); break;
    case 5:
    case 6: {
        atoll_log_cursor cursor = {0, 0};
        atoll_log_entry entry;
        int n;
        if (a->frame_len > 0 && chance(a, 4)) {
            a->frame[below(a, a->frame_len)] ^= (uint8_t)(1u << below(a, 8));
        }
        if (chance(a, 9)) {
            cursor.at = next(a);
            cursor.batch_end = next(a);
        }
        for (n = 0; n < 50 && answer(a, atoll_log_entry_next(chance(a, 40) ? NULL : a->frame, chance(a, 40) ? (size_t)-1 : a->frame_len, &cursor,
                                                             &entry, to), to) == ATOLL_OK; n++) {
            touch(a, entry.key);
            touch(a, entry.value);
        }
        break;
    }
    default: {
        uint64_t applied;
        answer(a, atoll_log_apply(db, chance(a, 20) ? NULL : a->frame, a->frame_len, chance(a, 2) ? &applied : NULL, to), to);
    }
    }
}

static void use_the_rest(actor *a, atoll_db *db)
{
    static const char *const names[] = {"create", "segment_max_bytes", "nonsense", "", "compaction", "verify_payload", "sync_interval"};
    static const char *const values[] = {"true", "1MiB", "manual", "background", "-1", "always", "9999999999999999999999", "10ms"};
    atoll_error *err = NULL;
    size_t i = below(a, OWN);
    switch (below(a, 9)) {
    case 0:
        atoll_snapshot_free(a->snapshot[i]);
        a->snapshot[i] = NULL;
        answer(a, atoll_snapshot_new(db, &a->snapshot[i], &err), &err);
        a->seen += atoll_snapshot_lsn(a->snapshot[i]);
        break;
    case 1:
        atoll_pin_free(a->pin[i]);
        a->pin[i] = chance(a, 6) ? NULL : atoll_pin_new();
        break;
    case 2: atoll_pin_reset(a->pin[i]); break;
    case 3: {
        uint64_t lsn;
        answer(a, atoll_pin_version(a->pin[i], chance(a, 2) ? &lsn : NULL, NULL, NULL), NULL);
        break;
    }
    case 4:
        answer(a, atoll_options_set(chance(a, 3) ? shared.options : a->options[i], names[below(a, 7)], chance(a, 9) ? NULL : values[below(a, 8)], &err), &err);
        break;
    case 5:
        atoll_options_free(a->options[i]);
        a->options[i] = chance(a, 4) ? NULL : atoll_options_new();
        break;
    case 6: {
        atoll_option_info info;
        answer(a, atoll_options_describe(below(a, 40), chance(a, 9) ? NULL : &info), NULL);
        break;
    }
    case 7: {
        atoll_buf *json = NULL;
        answer(a, atoll_stats_json(db, &json, &err), &err);
        touch(a, atoll_buf_bytes(json));
        atoll_buf_free(json);
        break;
    }
    default:
        if (chance(a, 10)) {
            answer(a, chance(a, 2) ? atoll_sync(db, NULL, &err) : atoll_compact(db, &err), &err);
        }
    }
}

static void use_routers(actor *a)
{
    static const char *const names[] = {"hash", "vnodes", "slots", "replicas", "buckets", "locality", "encoding", "table_size", "?"};
    static const char *const values[] = {"md5", "7", "64", "2", "99999999999", "tag", "decimal", "11", "", "-1"};
    size_t i = below(a, OWN), n = 0, max_n = chance(a, 9) ? (size_t)-1 : below(a, 5);
    atoll_router *mine = a->router[i];
    const atoll_router *router = chance(a, 2) ? shared.router[below(a, SHARED)] : mine;
    atoll_error *err = NULL;
    atoll_buf *buf = NULL;
    key_arg key;
    make_key(a, &key);
    switch (below(a, 12)) {
    case 0: {
        atoll_bytes name = {NULL, 0};
        if (answer(a, atoll_router_node(router, key.data, key.len, chance(a, 30) ? NULL : &name, &err), &err) == ATOLL_OK) {
            touch(a, name);
        }
        break;
    }
    case 1: {
        atoll_bytes found[4];
        if (max_n <= 4 && answer(a, atoll_router_nodes(router, key.data, key.len, chance(a, 30) ? NULL : found, max_n, &n, &err), &err) == ATOLL_OK) {
            a->bad += n > max_n;
            while (n > 0) {
                touch(a, found[--n]);
            }
        }
        break;
    }
    case 2: {
        uint32_t nodes[8];
        answer(a, atoll_router_owners(router, key.data, key.len, max_n, chance(a, 9) ? NULL : nodes, &n, &err), &err);
        break;
    }
    case 3: {
        int64_t place;
        answer(a, atoll_router_number(router, key.data, key.len, chance(a, 30) ? NULL : &place, &err), &err);
        break;
    }
    case 4: {
        const uint32_t offsets[4] = {0, (uint32_t)below(a, 3), (uint32_t)below(a, 5), 4};
        int64_t answers[3];
        answer(a, atoll_router_route_many(router, (const uint8_t *)"abcd", chance(a, 30) ? NULL : offsets, 3, answers, &err), &err);
        break;
    }
    case 5: {
        atoll_location place = ATOLL_LOCATION_INIT;
        if (chance(a, 9)) {
            place.struct_size = below(a, sizeof place + 1);
        }
        answer(a, atoll_router_locate(router, key.data, key.len, &place, &err), &err);
        answer(a, atoll_router_slot_at(router, (uint32_t)next(a), &place, &err), &err);
        break;
    }
    case 6: {
        atoll_node node = ATOLL_NODE_INIT;
        if (answer(a, atoll_router_node_info(router, below(a, 6), chance(a, 30) ? NULL : &node, &err), &err) == ATOLL_OK) {
            touch(a, node.name);
            touch(a, node.zone);
        }
        break;
    }
    case 7: {
        /* Bytes of a router, a few of them wrong, become a router of one's own. */
        char *copy;
        size_t len;
        atoll_router *again = NULL;
        answer(a, atoll_router_encode(router, &buf, &err), &err);
        len = atoll_buf_bytes(buf).len;
        copy = (char *)malloc(len + 1);
        memcpy(copy, atoll_buf_bytes(buf).data, len);
        if (len > 0 && chance(a, 2)) {
            copy[below(a, len)] ^= (char)(1 << below(a, 8));
        }
        answer(a, atoll_router_decode(copy, chance(a, 9) ? below(a, len + 1) : len, &again, &err), &err);
        free(copy);
        atoll_router_free(mine);
        a->router[i] = again;
        break;
    }
    case 8: {
        atoll_router *after = NULL;
        char node[8];
        size_t node_len = (size_t)snprintf(node, sizeof node, "n%u", (unsigned)below(a, 6));
        switch (below(a, 3)) {
        case 0: answer(a, atoll_router_plan_add(router, node, node_len, (uint32_t)below(a, 3), &buf, &after, &err), &err); break;
        case 1: answer(a, atoll_router_plan_remove(router, node, node_len, chance(a, 2) ? &buf : NULL, &after, &err), &err); break;
        default: answer(a, atoll_router_plan_reweight(router, node, chance(a, 9) ? (size_t)-1 : node_len, (uint32_t)below(a, 4), &buf, &after, &err), &err);
        }
        touch(a, atoll_buf_bytes(buf));
        if (after) {
            atoll_router_free(mine);
            a->router[i] = after;
        }
        break;
    }
    case 9: answer(a, atoll_router_spec_set(shared.spec, names[below(a, 9)], values[below(a, 10)], &err), &err); break;
    case 10: {
        atoll_router *made = NULL;
        answer(a, atoll_router_new(chance(a, 9) ? NULL : shared.spec, &made, &err), &err);
        atoll_router_free(mine);
        a->router[i] = made;
        break;
    }
    default: {
        atoll_key_part parts[4], again[4];
        atoll_buf *contents = NULL;
        size_t k;
        for (k = 0; k < 4; k++) {
            parts[k].kind = (uint32_t)below(a, 7);
            parts[k].reserved = 0;
            parts[k].integer = (int64_t)next(a);
            parts[k].bytes.data = chance(a, 9) ? NULL : (const uint8_t *)"0123456789abcdef";
            parts[k].bytes.len = chance(a, 20) ? (size_t)-1 : parts[k].kind == ATOLL_KEY_UUID ? 16 : below(a, 9);
        }
        answer(a, atoll_encode_key(parts, below(a, 5), (uint32_t)below(a, 3), &buf, &err), &err);
        answer(a, atoll_decode_key_tuple(atoll_buf_bytes(buf).data, atoll_buf_bytes(buf).len, again, below(a, 5), &n, &contents, &err), &err);
        atoll_buf_free(contents);
    }
    }
    atoll_buf_free(buf);
}

static atoll_session *any_session(actor *a)
{
    return chance(a, 2) ? shared.session[below(a, SHARED)] : a->session[below(a, OWN)];
}

static const atoll_cluster_write_opts *make_cluster_write_opts(actor *a, atoll_cluster_write_opts *options)
{
    const atoll_cluster_write_opts fresh = ATOLL_CLUSTER_WRITE_OPTS_INIT;
    *options = fresh;
    options->durability = ATOLL_DURABILITY_BUFFERED;
    switch (below(a, 10)) {
    case 0: options->durability = (uint32_t)below(a, 5); break;
    case 1: options->ttl_ms = below(a, 3); break;
    case 2: options->flags = (uint32_t)below(a, 3); break;
    case 3: options->struct_size = below(a, sizeof *options + 1); break;
    case 4:
    case 5:
    case 6: options->session = any_session(a); break;
    case 7: return NULL;
    default: break;
    }
    return options;
}

static const atoll_cluster_read_opts *make_cluster_read_opts(actor *a, atoll_cluster_read_opts *options)
{
    const atoll_cluster_read_opts fresh = ATOLL_CLUSTER_READ_OPTS_INIT;
    *options = fresh;
    options->consistency = (uint32_t)below(a, chance(a, 9) ? 5 : 3);
    switch (below(a, 10)) {
    case 0: options->flags = (uint32_t)below(a, 3); break;
    case 1: options->struct_size = below(a, sizeof *options + 1); break;
    case 2: return NULL;
    case 3:
        options->token = a->token;
        options->token_len = a->token_len;
        break;
    case 4: options->token_len = chance(a, 2) ? (size_t)-1 : 5; break;
    default: options->session = any_session(a);
    }
    return options;
}

static void use_session(actor *a)
{
    atoll_error *err = NULL, **to = chance(a, 8) ? NULL : &err;
    size_t i = below(a, OWN);
    atoll_buf *token = NULL;
    switch (below(a, 4)) {
    case 0:
        atoll_session_free(a->session[i]);
        a->session[i] = chance(a, 6) ? NULL : atoll_session_new();
        break;
    case 1:
        if (a->token_len > 0 && chance(a, 4)) {
            a->token[below(a, a->token_len)] ^= (uint8_t)(1u << below(a, 8));
        }
        answer(a, atoll_session_see(any_session(a), chance(a, 9) ? NULL : a->token, a->token_len, to), to);
        break;
    case 2:
        answer(a, atoll_session_token(any_session(a), chance(a, 9) ? NULL : &token, to), to);
        break;
    default:
        answer(a, atoll_token_merge(a->token, a->token_len, a->token, chance(a, 9) ? (size_t)-1 : a->token_len, &token, to), to);
    }
    touch(a, atoll_buf_bytes(token));
    if (token && atoll_buf_bytes(token).len <= sizeof a->token) {
        a->token_len = atoll_buf_bytes(token).len;
        memcpy(a->token, atoll_buf_bytes(token).data, a->token_len);
    }
    atoll_buf_free(token);
}

static void write_cluster(actor *a, atoll_cluster *cluster)
{
    static const char data[1024] = {1, 2, 3};
    atoll_error *err = NULL, **to = chance(a, 8) ? NULL : &err;
    atoll_cluster_write_opts room;
    const atoll_cluster_write_opts *options = make_cluster_write_opts(a, &room);
    atoll_buf *token = NULL, **wanted = chance(a, 2) ? &token : NULL;
    key_arg key;
    make_key(a, &key);
    switch (below(a, 8)) {
    case 0: answer(a, atoll_cluster_delete(cluster, options, key.data, key.len, wanted, to), to); break;
    case 1: answer(a, atoll_cluster_write(cluster, options, any_batch(a), wanted, to), to); break;
    case 2: {
        atoll_range range = ATOLL_RANGE_INIT;
        uint64_t deleted;
        range.flags = (uint32_t)below(a, 5);
        range.lo = (const uint8_t *)"key-3";
        range.lo_len = 5;
        answer(a, atoll_cluster_delete_range(cluster, options, &range, chance(a, 9) ? NULL : &deleted, wanted, to), to);
        break;
    }
    default: answer(a, atoll_cluster_put(cluster, options, key.data, key.len, data, value_len(a, sizeof data), wanted, to), to);
    }
    touch(a, atoll_buf_bytes(token));
    if (token && atoll_buf_bytes(token).len <= sizeof a->token) {
        a->token_len = atoll_buf_bytes(token).len;
        memcpy(a->token, atoll_buf_bytes(token).data, a->token_len);
    }
    atoll_buf_free(token);
}

static void read_cluster(actor *a, atoll_cluster *cluster)
{
    atoll_error *err = NULL, **to = chance(a, 8) ? NULL : &err;
    atoll_cluster_read_opts room;
    const atoll_cluster_read_opts *options = make_cluster_read_opts(a, &room);
    size_t i = below(a, OWN);
    key_arg key;
    make_key(a, &key);
    switch (below(a, 9)) {
    case 0: {
        char buffer[64];
        size_t len;
        answer(a, atoll_cluster_get_into(cluster, options, key.data, key.len, chance(a, 9) ? NULL : buffer, below(a, sizeof buffer), &len, to), to);
        break;
    }
    case 1:
    case 2: {
        const uint32_t offsets[4] = {0, (uint32_t)below(a, 6), (uint32_t)below(a, 12), 12};
        uint8_t values[256], found[3];
        uint64_t ends[4];
        size_t needed;
        answer(a, atoll_cluster_multi_get(cluster, options, (const uint8_t *)"key-1key-2ab", offsets, 3, values, below(a, sizeof values), ends, found, &needed, to), to);
        break;
    }
    case 3:
        atoll_iter_free(a->iter[i]);
        a->iter[i] = NULL;
        answer(a, atoll_cluster_scan(cluster, options, NULL, &a->iter[i], to), to);
        break;
    case 4: {
        uint64_t count;
        answer(a, atoll_cluster_count(cluster, options, chance(a, 9) ? NULL : &count, to), to);
        break;
    }
    case 5: {
        atoll_buf *json = NULL;
        answer(a, atoll_cluster_status_json(cluster, &json, to), to);
        touch(a, atoll_buf_bytes(json));
        atoll_buf_free(json);
        break;
    }
    case 6: {
        atoll_approximate about = ATOLL_APPROXIMATE_INIT;
        answer(a, atoll_cluster_count_approximate(cluster, NULL, (uint32_t)(chance(a, 2) ? ATOLL_SLOT_ANY : next(a)), &about, to), to);
        atoll_router_free(a->router[i]);
        a->router[i] = NULL;
        answer(a, atoll_cluster_router(cluster, &a->router[i], to), to);
        break;
    }
    default: {
        atoll_bytes value;
        if (answer(a, atoll_cluster_get(cluster, options, key.data, key.len, a->pin[i], &value, to), to) == ATOLL_OK) {
            touch(a, value);
        }
    }
    }
}

static void use_cluster(actor *a)
{
    size_t i = below(a, CLUSTERS);
    atoll_error *err = NULL;
    if (chance(a, 150)) {
        pthread_rwlock_wrlock(&clusters[i].lock);
        answer(a, atoll_cluster_close(clusters[i].cluster, &err), &err);
        atoll_cluster_free(clusters[i].cluster);
        clusters[i].cluster = NULL;
        answer(a, atoll_cluster_open(clusters[i].dir, NULL, &clusters[i].cluster, &err), &err);
        pthread_rwlock_unlock(&clusters[i].lock);
        return;
    }
    pthread_rwlock_rdlock(&clusters[i].lock);
    if (chance(a, 400)) {
        answer(a, atoll_cluster_close(clusters[i].cluster, &err), &err);
    } else if (chance(a, 4)) {
        use_session(a);
    } else if (chance(a, 3)) {
        write_cluster(a, chance(a, 60) ? NULL : clusters[i].cluster);
    } else {
        read_cluster(a, chance(a, 60) ? NULL : clusters[i].cluster);
    }
    pthread_rwlock_unlock(&clusters[i].lock);
}

static void use_siblings(actor *a)
{
    size_t i = below(a, OWN), k;
    atoll_siblings *set = chance(a, 3) ? shared.siblings[below(a, SHARED)] : a->siblings[i];
    const atoll_siblings *other = chance(a, 2) ? shared.siblings[below(a, SHARED)] : a->siblings[below(a, OWN)];
    atoll_error *err = NULL;
    atoll_buf *buf = NULL, *context = NULL;
    atoll_versions *versions = NULL;
    atoll_version_view version;
    uint64_t stamp, persist;
    switch (below(a, 7)) {
    case 0:
    case 1:
        memset(&version, 0, sizeof version);
        version.node = below(a, 3);
        version.incarnation = (uint32_t)below(a, 2);
        version.sequence = below(a, 60);
        version.stamp = next(a) >> below(a, 64);
        version.value.data = chance(a, 9) ? NULL : (const uint8_t *)"values";
        version.value.len = chance(a, 30) ? (size_t)-1 : below(a, 7);
        version.deleted = (uint32_t)chance(a, 5);
        if (chance(a, 2)) {
            answer(a, atoll_siblings_context(other, &context, &err), &err);
            version.context = atoll_buf_bytes(context);
        }
        answer(a, atoll_siblings_put(set, chance(a, 30) ? NULL : &version, chance(a, 3) ? NULL : &buf, &err), &err);
        if (buf) {
            atoll_siblings *third = shared.siblings[below(a, SHARED)];
            answer(a, atoll_siblings_apply(third, atoll_buf_bytes(buf).data, atoll_buf_bytes(buf).len - (size_t)chance(a, 9), &err), &err);
        }
        break;
    case 2: answer(a, atoll_siblings_merge(set, other, &err), &err); break;
    case 3: {
        atoll_siblings *again = NULL;
        uint8_t *copy;
        size_t len;
        answer(a, atoll_siblings_encode(set, &buf, &err), &err);
        len = atoll_buf_bytes(buf).len;
        copy = (uint8_t *)malloc(len + 1);
        memcpy(copy, atoll_buf_bytes(buf).data, len);
        if (len > 0 && chance(a, 2)) {
            copy[below(a, len)] ^= (uint8_t)(1u << below(a, 8));
        }
        answer(a, atoll_siblings_decode(copy, chance(a, 20) ? (size_t)-1 >> below(a, 3) : len, &again, &err), &err);
        free(copy);
        atoll_siblings_free(a->siblings[i]);
        a->siblings[i] = again ? again : atoll_siblings_new();
        break;
    }
    case 4: answer(a, atoll_siblings_versions(set, &versions, &err), &err); break;
    case 5: answer(a, atoll_siblings_resolve(set, chance(a, 30) ? NULL : shared.resolver, "key", below(a, 4), &versions, &err), &err); break;
    default:
        answer(a, atoll_hlc_clock_send(chance(a, 30) ? NULL : shared.hlc_clock, chance(a, 2) ? ATOLL_WALL_NOW : next(a) >> below(a, 64), &stamp, &persist, NULL, &err), &err);
        answer(a, atoll_hlc_clock_observe(shared.hlc_clock, ATOLL_WALL_NOW, next(a), chance(a, 30) ? NULL : &persist, &err), &err);
        answer(a, atoll_hlc_clock_last(shared.hlc_clock, chance(a, 2) ? &stamp : NULL, NULL, &err), &err);
    }
    for (k = 0; versions && answer(a, atoll_versions_at(versions, k, &version, &err), &err) == ATOLL_OK; k++) {
        touch(a, version.value);
        touch(a, version.context);
    }
    atoll_versions_free(versions);
    atoll_buf_free(buf);
    atoll_buf_free(context);
}

/* A function that sometimes cannot decide. */
static atoll_status moody(void *ctx, atoll_bytes key, const atoll_version_view *versions, size_t n, atoll_out *out)
{
    (void)ctx;
    switch ((key.len + versions[0].value.len) % 4) {
    case 0: return atoll_out_choose(out, n - 1);
    case 1: return atoll_out_write(out, versions[0].value.data, versions[0].value.len);
    case 2: return atoll_out_choose(out, n);
    default: return atoll_out_fail(out, "no");
    }
}

static void use_versions(actor *a)
{
    size_t i = below(a, OWN), len = 0;
    atoll_vclock *clock = chance(a, 3) ? shared.clock[below(a, SHARED)] : a->clock[i];
    const atoll_vclock *other = chance(a, 2) ? shared.clock[below(a, SHARED)] : a->clock[below(a, OWN)];
    atoll_error *err = NULL;
    uint64_t count;
    key_arg key;
    memset(&key, 0, sizeof key);
    make_key(a, &key);
    if (key.len > 32 && key.len < (size_t)1 << 40) {
        /* Too long for a key, but not for a name that cannot be. */
        key.len = 32;
    }
    switch (below(a, 9)) {
    case 0: answer(a, atoll_vclock_tick(clock, key.data, key.len, chance(a, 3) ? NULL : &count, &err), &err); break;
    case 1: answer(a, atoll_vclock_get(clock, key.data, key.len, &count, &err), &err); break;
    case 2: answer(a, atoll_vclock_merge(clock, other, &err), &err); break;
    case 3: {
        int32_t order;
        answer(a, atoll_vclock_compare(clock, other, chance(a, 30) ? NULL : &order, &err), &err);
        break;
    }
    case 4: {
        uint8_t form[2048];
        atoll_vclock *again = NULL;
        if (answer(a, atoll_vclock_encode_into(clock, form, chance(a, 3) ? below(a, 40) : sizeof form, &len, &err), &err) == ATOLL_OK) {
            if (chance(a, 2)) {
                form[below(a, len)] ^= (uint8_t)(1 << below(a, 8));
            }
            answer(a, atoll_vclock_decode(form, len, &again, &err), &err);
        }
        /* The other one may be the one that goes. */
        again = again ? again : atoll_vclock_clone(other);
        atoll_vclock_free(a->clock[i]);
        a->clock[i] = again;
        break;
    }
    case 5: {
        char text[64];
        atoll_bytes node;
        if (answer(a, atoll_hlc_to_text(next(a), key.data, key.len, text, below(a, sizeof text), &len, &err), &err) == ATOLL_OK) {
            text[below(a, len)] ^= (char)below(a, 2);
            answer(a, atoll_hlc_from_text(text, len, &count, &node, &err), &err);
        }
        break;
    }
    case 6: {
        /* Texts that are lent by a clock of one's own, which nobody changes meanwhile. */
        atoll_bytes node;
        if (a->clock[i] && answer(a, atoll_vclock_entry(a->clock[i], below(a, 3), &node, &count, &err), &err) == ATOLL_OK) {
            touch(a, node);
        }
        break;
    }
    default: {
        uint8_t forms[512];
        uint32_t offsets[5] = {0, 0, 0, 0, 0};
        size_t n = below(a, 5), k;
        atoll_versions *found = NULL;
        atoll_version_view version;
        for (k = 0; k < n; k++) {
            atoll_buf *form = NULL;
            memset(&version, 0, sizeof version);
            version.node = below(a, 3);
            version.sequence = below(a, 6);
            version.value.data = (const uint8_t *)"values";
            version.value.len = below(a, 7);
            version.deleted = (uint32_t)chance(a, 5);
            answer(a, atoll_version_encode(&version, &form, &err), &err);
            memcpy(forms + offsets[k], atoll_buf_bytes(form).data, atoll_buf_bytes(form).len);
            offsets[k + 1] = offsets[k] + (uint32_t)atoll_buf_bytes(form).len;
            atoll_buf_free(form);
        }
        if (n > 0 && chance(a, 5) && offsets[n] > 0) {
            forms[below(a, offsets[n])] ^= (uint8_t)(1 << below(a, 8));
        }
        answer(a, atoll_resolver_resolve(chance(a, 30) ? NULL : shared.resolver, key.data, key.len, forms, offsets, n, &found, &err), &err);
        for (k = 0; answer(a, atoll_versions_at(found, k, &version, &err), &err) == ATOLL_OK; k++) {
            touch(a, version.value);
            touch(a, version.context);
        }
        atoll_versions_free(found);
    }
    }
}

static void *act(void *argument)
{
    actor *a = (actor *)argument;
    size_t goal = a->calls, i;
    a->calls = 0;
    for (i = 0; i < OWN; i++) {
        a->pin[i] = atoll_pin_new();
        a->batch[i] = atoll_batch_new();
        a->options[i] = atoll_options_new();
        a->session[i] = atoll_session_new();
        a->siblings[i] = atoll_siblings_new();
    }
    while (a->calls < goal) {
        size_t d = below(a, DBS);
        atoll_db *db;
        if (chance(a, 400)) {
            open_or_close(a);
            continue;
        }
        if (chance(a, 12)) {
            use_cluster(a);
            continue;
        }
        pthread_rwlock_rdlock(&dbs[d].lock);
        db = chance(a, 60) ? NULL : dbs[d].db;
        if (!dbs[d].db && chance(a, 8)) {
            pthread_rwlock_unlock(&dbs[d].lock);
            open_or_close(a);
            continue;
        }
        if (chance(a, 40)) {
            use_load(a, db);
        }
        switch (below(a, 14)) {
        case 13: use_siblings(a); break;
        case 12: use_log(a, db); break;
        case 8:
        case 9: use_routers(a); break;
        case 10:
        case 11: use_versions(a); break;
        case 0:
        case 1: write_something(a, db); break;
        case 2:
        case 3: read_something(a, db); break;
        case 4: use_batch(a); break;
        case 5: use_transaction(a, db); break;
        case 6: use_scan(a, db); break;
        default: use_the_rest(a, db);
        }
        pthread_rwlock_unlock(&dbs[d].lock);
    }
    for (i = 0; i < OWN; i++) {
        atoll_pin_free(a->pin[i]);
        atoll_iter_free(a->iter[i]);
        atoll_transaction_free(a->transaction[i]);
        atoll_batch_free(a->batch[i]);
        atoll_options_free(a->options[i]);
        atoll_router_free(a->router[i]);
        atoll_vclock_free(a->clock[i]);
        atoll_log_free(a->log[i]);
        atoll_session_free(a->session[i]);
        atoll_siblings_free(a->siblings[i]);
        atoll_load_free(a->load[i]);
    }
    return NULL;
}

static size_t number(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? (size_t)strtoull(text, NULL, 10) : otherwise;
}

int main(void)
{
    size_t calls = number("HOSTILE_CALLS", 20000), threads = number("HOSTILE_THREADS", 4), seed = number("HOSTILE_SEED", 1);
    size_t i, j, made = 0, errors = 0, busy = 0, bad = 0;
    actor *actors = (actor *)calloc(threads, sizeof *actors);
    pthread_t *running = (pthread_t *)calloc(threads, sizeof *running);
    atoll_error *err = NULL;

    for (i = 0; i < DBS; i++) {
        pthread_rwlock_init(&dbs[i].lock, NULL);
        dbs[i].dir = fresh_dir();
        check_status(atoll_db_open(dbs[i].dir, NULL, &dbs[i].db, &err), ATOLL_OK, &err, "a database opens");
    }
    for (i = 0; i < CLUSTERS; i++) {
        pthread_rwlock_init(&clusters[i].lock, NULL);
        clusters[i].dir = fresh_dir();
        check_status(atoll_cluster_create(clusters[i].dir, "n1,n2", 2, (uint32_t)i + 1, NULL, &clusters[i].cluster, &err), ATOLL_OK, &err,
                     "a cluster is made");
    }
    check_status(atoll_hlc_clock_new(0, 0, 0, &shared.hlc_clock, &err), ATOLL_OK, &err, "a clock is made");
    shared.options = atoll_options_new();
    check_status(atoll_resolver_new("moody", moody, NULL, NULL, &shared.resolver, &err), ATOLL_OK, &err, "a resolver is made");
    for (i = 0; i < SHARED; i++) {
        static const char *const algorithms[SHARED] = {"ring", "slots", "jump", "maglev"};
        atoll_router_spec *spec = NULL;
        check_status(atoll_router_spec_new(algorithms[i], &spec, &err), ATOLL_OK, &err, "a description of a router");
        for (j = 0; j < 3; j++) {
            const char *const nodes[] = {"n0", "n1", "n2"};
            atoll_router_spec_add_node(spec, nodes[j], 2, 1, NULL, NULL, NULL);
        }
        check_status(atoll_router_new(spec, &shared.router[i], &err), ATOLL_OK, &err, "a router is made");
        shared.clock[i] = atoll_vclock_new();
        shared.siblings[i] = atoll_siblings_new();
        shared.session[i] = atoll_session_new();
        atoll_router_spec_free(shared.spec);
        shared.spec = spec;
    }
    for (i = 0; i < SHARED; i++) {
        shared.batch[i] = atoll_batch_new();
        check_status(atoll_scan(dbs[i % DBS].db, NULL, NULL, &shared.iter[i], &err), ATOLL_OK, &err, "a scan begins");
        check_status(atoll_transaction_begin(dbs[i % DBS].db, &shared.transaction[i], &err), ATOLL_OK, &err, "a transaction begins");
    }
    check_status(atoll_log_open(dbs[0].db, 0, &shared.log, &err), ATOLL_OK, &err, "a log is followed");
    check_status(atoll_load_begin(dbs[1].db, &shared.load, &err), ATOLL_OK, &err, "a load begins");
    for (i = 0; i < threads; i++) {
        actors[i].random = seed * 1000003 + i;
        actors[i].calls = calls / threads;
        pthread_create(&running[i], NULL, act, &actors[i]);
    }
    for (i = 0; i < threads; i++) {
        pthread_join(running[i], NULL);
        made += actors[i].calls;
        errors += actors[i].errors;
        busy += actors[i].busy;
        bad += actors[i].bad;
    }
    /* Snapshots outlive their databases here, shared handles go in between. */
    for (i = 0; i < DBS; i++) {
        atoll_db_free(dbs[i].db);
        free(dbs[i].dir);
    }
    for (i = 0; i < SHARED; i++) {
        atoll_batch_free(shared.batch[i]);
        atoll_iter_free(shared.iter[i]);
        atoll_transaction_free(shared.transaction[i]);
    }
    atoll_options_free(shared.options);
    atoll_router_spec_free(shared.spec);
    atoll_log_free(shared.log);
    atoll_load_free(shared.load);
    atoll_resolver_free(shared.resolver);
    for (i = 0; i < SHARED; i++) {
        atoll_router_free(shared.router[i]);
        atoll_vclock_free(shared.clock[i]);
        atoll_siblings_free(shared.siblings[i]);
        atoll_session_free(shared.session[i]);
    }
    for (i = 0; i < CLUSTERS; i++) {
        atoll_cluster_free(clusters[i].cluster);
        free(clusters[i].dir);
    }
    atoll_hlc_clock_free(shared.hlc_clock);
    for (i = 0; i < threads; i++) {
        for (j = 0; j < OWN; j++) {
            atoll_snapshot_free(actors[i].snapshot[j]);
        }
    }
    printf("# %zu calls by %zu threads, seed %zu: %zu errors, %zu of them busy, %zu bad answers\n", made, threads, seed, errors, busy, bad);
    check(bad == 0, "every answer is consistent");
    check(errors > made / 20 && errors < made, "some calls fail and some do not");
    for (i = 0; i < 128; i++) {
        size_t times = 0;
        for (j = 0; j < threads; j++) {
            times += actors[j].by_status[i];
        }
        if (times > 0) {
            printf("# %s: %zu\n", atoll_status_name((atoll_status)i - 100), times);
        }
    }
    free(actors);
    free(running);
    return check_failed;
}
