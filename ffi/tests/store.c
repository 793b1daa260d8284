/* A store through the header: every verb, every normal outcome, and what misuse is answered with. */
#define _DEFAULT_SOURCE 1
#include "check.h"

static atoll_db *db;
static atoll_error *err;

static void put(const char *key, const char *value)
{
    check_status(atoll_put(db, NULL, key, strlen(key), value, strlen(value), &err), ATOLL_OK, &err, "put");
}

static void reads(void)
{
    atoll_pin *pin = atoll_pin_new();
    atoll_bytes value;
    char buffer[8];
    size_t len = 0;
    uint64_t lsn = 0, hlc = 0, expires = 1;

    put("apple", "red");
    put("", "of the empty key");
    put("empty", "");
    put("\xed\x95\x9c\xea\xb5\xad", "Korean");
    check_status(atoll_get(db, NULL, "apple", 5, pin, &value, &err), ATOLL_OK, &err, "get");
    check(view_is(value, "red"), "the value is what was put");
    check_status(atoll_pin_version(pin, &lsn, &hlc, &expires), ATOLL_OK, NULL, "pin_version");
    check(lsn > 0 && hlc > 0 && expires == 0, "a pin tells position, stamp and no expiry");
    check_status(atoll_get(db, NULL, NULL, 0, pin, &value, &err), ATOLL_OK, &err, "get of the empty key");
    check(view_is(value, "of the empty key"), "the empty key has its value");
    check_status(atoll_get(db, NULL, "empty", 5, pin, &value, &err), ATOLL_OK, &err, "get of an empty value");
    check(value.len == 0 && value.data != NULL, "an empty value is a view that is not NULL");
    check_status(atoll_get(db, NULL, "pear", 4, pin, &value, &err), ATOLL_NOT_FOUND, &err, "get of a missing key");
    check_status(atoll_pin_version(pin, &lsn, NULL, NULL), ATOLL_NOT_FOUND, NULL, "a pin of a miss is empty");

    check_status(atoll_get_into(db, NULL, "apple", 5, buffer, sizeof buffer, &len, &err), ATOLL_OK, &err, "get_into");
    check(len == 3 && memcmp(buffer, "red", 3) == 0, "get_into copies");
    check_status(atoll_get_into(db, NULL, "apple", 5, buffer, 2, &len, &err), ATOLL_BUFFER_TOO_SMALL, &err,
                 "get_into with too small a buffer");
    check(len == 3, "it says how large it must be");
    check_status(atoll_get_into(db, NULL, "apple", 5, NULL, 0, &len, &err), ATOLL_BUFFER_TOO_SMALL, &err,
                 "get_into without a buffer");

    check_status(atoll_delete(db, NULL, "apple", 5, &err), ATOLL_OK, &err, "delete");
    check_status(atoll_get(db, NULL, "apple", 5, pin, &value, &err), ATOLL_NOT_FOUND, &err, "get of a deleted key");
    atoll_pin_reset(pin);
    atoll_pin_free(pin);
}

static void many(void)
{
    const uint8_t keys[] = "abmissingc";
    const uint32_t key_offsets[] = {0, 1, 2, 9, 10};
    const uint32_t backwards[] = {0, 2, 1, 9, 10};
    uint64_t value_offsets[5];
    uint8_t found[4];
    uint8_t values[16];
    size_t needed = 0;
    atoll_batch *batch = atoll_batch_new();
    uint64_t lsn = 0;

    check_status(atoll_batch_put(batch, "a", 1, "one", 3, 0, &err), ATOLL_OK, &err, "batch_put");
    check_status(atoll_batch_put(batch, "b", 1, "wrong", 5, 0, &err), ATOLL_OK, &err, "batch_put");
    check_status(atoll_batch_put(batch, "b", 1, "two", 3, 0, &err), ATOLL_OK, &err, "batch_put over a put");
    check_status(atoll_batch_put(batch, "c", 1, "three", 5, 0, &err), ATOLL_OK, &err, "batch_put");
    check_status(atoll_batch_delete(batch, "empty", 5, &err), ATOLL_OK, &err, "batch_delete");
    check(atoll_batch_len(batch) == 4, "a batch counts keys");
    check_status(atoll_write(db, NULL, batch, &lsn, &err), ATOLL_OK, &err, "write");
    check(lsn > 0, "write tells a position");
    atoll_batch_clear(batch);
    check(atoll_batch_len(batch) == 0, "a cleared batch is empty");
    check_status(atoll_write(db, NULL, batch, &lsn, &err), ATOLL_OK, &err, "write of an empty batch");
    check(lsn == 0, "an empty batch has no position");
    atoll_batch_free(batch);

    check_status(atoll_multi_get(db, NULL, keys, key_offsets, 4, values, sizeof values, value_offsets, found, &needed, &err),
                 ATOLL_OK, &err, "multi_get");
    check(needed == 11 && memcmp(values, "onetwothree", 11) == 0, "multi_get packs the values");
    check(found[0] && found[1] && !found[2] && found[3], "multi_get tells which keys have one");
    check(value_offsets[0] == 0 && value_offsets[2] == 6 && value_offsets[3] == 6 && value_offsets[4] == 11,
          "multi_get tells where they end");
    check_status(atoll_multi_get(db, NULL, keys, key_offsets, 4, values, 10, value_offsets, found, &needed, &err),
                 ATOLL_BUFFER_TOO_SMALL, &err, "multi_get with too small a buffer");
    check(needed == 11, "it says how large it must be");
    check_status(atoll_multi_get(db, NULL, keys, backwards, 4, values, 16, value_offsets, found, &needed, &err),
                 ATOLL_E_INVALID, &err, "multi_get with offsets that descend");
    check_status(atoll_multi_get(db, NULL, NULL, NULL, 0, NULL, 0, value_offsets, NULL, &needed, &err), ATOLL_OK, &err,
                 "multi_get of nothing");
}

static void snapshots_and_scans(void)
{
    atoll_snapshot *snapshot = NULL;
    atoll_iter *iter = NULL;
    atoll_kv entry;
    const atoll_kv *page;
    size_t n = 0, needed = 0;
    uint8_t buffer[64];
    uint32_t offsets[9];
    atoll_range range = ATOLL_RANGE_INIT;
    atoll_read_opts options = ATOLL_READ_OPTS_INIT;
    atoll_approximate about = ATOLL_APPROXIMATE_INIT;

    check_status(atoll_snapshot_new(db, &snapshot, &err), ATOLL_OK, &err, "snapshot_new");
    check(atoll_snapshot_lsn(snapshot) > 0, "a snapshot has a position");
    put("b", "changed");
    put("d", "new");
    options.snapshot = snapshot;
    range.lo = (const uint8_t *)"a";
    range.lo_len = 1;
    range.hi = (const uint8_t *)"z";
    range.hi_len = 1;
    check_status(atoll_scan(db, &options, &range, &iter, &err), ATOLL_OK, &err, "scan of a snapshot");
    check_status(atoll_iter_next(iter, &entry, &err), ATOLL_OK, &err, "iter_next");
    check(view_is(entry.key, "a") && view_is(entry.value, "one"), "the first entry");
    check_status(atoll_iter_next_page(iter, 10, 1000, &page, &n, &err), ATOLL_OK, &err, "iter_next_page");
    check(n == 2 && view_is(page[0].value, "two") && view_is(page[1].key, "c"), "the page is of the snapshot");
    check_status(atoll_iter_next_page(iter, 10, 1000, &page, &n, &err), ATOLL_END, &err, "iter_next_page at the end");
    check_status(atoll_iter_seek(iter, "b", 1, &err), ATOLL_OK, &err, "iter_seek");
    check_status(atoll_iter_next_packed(iter, buffer, 5, offsets, 4, &n, &needed, &err), ATOLL_OK, &err, "iter_next_packed");
    check(n == 1 && memcmp(buffer, "btwo", 4) == 0 && offsets[1] == 1 && offsets[2] == 4, "one entry fits");
    check_status(atoll_iter_next_packed(iter, buffer, 5, offsets, 4, &n, &needed, &err), ATOLL_BUFFER_TOO_SMALL, &err,
                 "the next one does not");
    check(n == 0 && needed == 6, "it says how large it is");
    check_status(atoll_iter_next(iter, &entry, &err), ATOLL_OK, &err, "and is not lost");
    check(view_is(entry.key, "c") && view_is(entry.value, "three"), "it comes next");
    check_status(atoll_iter_next(iter, &entry, &err), ATOLL_END, &err, "the end");
    atoll_iter_free(iter);
    atoll_snapshot_free(snapshot);

    range.flags = ATOLL_RANGE_REVERSE;
    range.limit = 2;
    check_status(atoll_scan(db, NULL, &range, &iter, &err), ATOLL_OK, &err, "scan backward");
    check_status(atoll_iter_next_page(iter, 10, 1000, &page, &n, &err), ATOLL_OK, &err, "a page backward");
    check(n == 2 && view_is(page[0].key, "d") && view_is(page[1].key, "c"), "from the end, as many as the limit");
    atoll_iter_free(iter);
    range = (atoll_range)ATOLL_RANGE_INIT;
    range.flags = 0x80;
    check_status(atoll_scan(db, NULL, &range, &iter, &err), ATOLL_E_UNSUPPORTED, &err, "a flag of the future is refused");
    check(iter == NULL, "no scan is made then");
    check_status(atoll_count_approximate(db, NULL, &about, &err), ATOLL_OK, &err, "count_approximate");
    check(about.records == 6 && about.struct_size == sizeof about, "few keys are counted");
}

static void conditions(void)
{
    atoll_expected expected = {ATOLL_EXPECT_ABSENT, 0, {NULL, 0}, 0, 0};
    atoll_bytes one = {(const uint8_t *)"1", 1}, two = {(const uint8_t *)"2", 1};
    atoll_transaction *mine = NULL, *other = NULL;
    atoll_bytes value;
    atoll_iter *iter = NULL;
    const atoll_kv *page;
    size_t n;
    uint64_t lsn;

    check_status(atoll_compare_and_set(db, NULL, "cas", 3, &expected, &one, &err), ATOLL_OK, &err, "set if absent");
    check_status(atoll_compare_and_set(db, NULL, "cas", 3, &expected, &two, &err), ATOLL_CONFLICT, &err, "it is not");
    expected.kind = ATOLL_EXPECT_VALUE;
    expected.value = one;
    check_status(atoll_compare_and_set(db, NULL, "cas", 3, &expected, &two, &err), ATOLL_OK, &err, "set if it is 1");
    expected.value = two;
    check_status(atoll_compare_and_set(db, NULL, "cas", 3, &expected, NULL, &err), ATOLL_OK, &err, "delete if it is 2");

    check_status(atoll_transaction_begin(db, &mine, &err), ATOLL_OK, &err, "transaction_begin");
    check_status(atoll_transaction_begin(db, &other, &err), ATOLL_OK, &err, "another one");
    check_status(atoll_transaction_get(mine, "a", 1, &value, &err), ATOLL_OK, &err, "transaction_get");
    check(view_is(value, "one"), "it reads the store");
    check_status(atoll_transaction_put(mine, "a", 1, "uno", 3, 0, &err), ATOLL_OK, &err, "transaction_put");
    check_status(atoll_transaction_delete(mine, "b", 1, &err), ATOLL_OK, &err, "transaction_delete");
    check_status(atoll_transaction_get(mine, "a", 1, &value, &err), ATOLL_OK, &err, "it reads its own writes");
    check(view_is(value, "uno"), "which nobody else sees");
    check_status(atoll_transaction_scan(mine, NULL, &iter, &err), ATOLL_OK, &err, "transaction_scan");
    check_status(atoll_iter_next_page(iter, 100, 1000, &page, &n, &err), ATOLL_OK, &err, "its page");
    check(n == 5 && view_is(page[1].value, "uno"), "with its own writes");
    check_status(atoll_iter_seek(iter, "a", 1, &err), ATOLL_E_UNSUPPORTED, &err, "such a scan does not go back");
    atoll_iter_free(iter);
    check_status(atoll_transaction_get(other, "a", 1, &value, &err), ATOLL_OK, &err, "the other reads it too");
    check_status(atoll_transaction_put(other, "c", 1, "x", 1, 0, &err), ATOLL_OK, &err, "and writes");
    check_status(atoll_transaction_commit(mine, NULL, &lsn, &err), ATOLL_OK, &err, "transaction_commit");
    check_status(atoll_transaction_commit(other, NULL, &lsn, &err), ATOLL_CONFLICT, &err, "the other one conflicts");
    check_status(atoll_transaction_put(mine, "a", 1, "x", 1, 0, &err), ATOLL_E_CLOSED, &err, "it has ended");
    check_status(atoll_transaction_rollback(mine, &err), ATOLL_OK, &err, "ending it again is allowed");
    atoll_transaction_free(mine);
    atoll_transaction_free(other);
}

static void options(const char *dir)
{
    atoll_options *set = atoll_options_new();
    atoll_option_info info;
    atoll_db *second = NULL;
    atoll_write_opts write_options = ATOLL_WRITE_OPTS_INIT;
    struct {
        atoll_write_opts known;
        uint64_t future;
    } newer = {ATOLL_WRITE_OPTS_INIT, 0};
    atoll_pin *pin = atoll_pin_new();
    atoll_bytes value;
    uint64_t expires = 0;
    size_t i;

    check_status(atoll_options_set(set, "segment_max_bytes", "4MiB", &err), ATOLL_OK, &err, "options_set");
    check(atoll_options_set(set, "segment_max_byte", "4MiB", &err) == ATOLL_E_INVALID &&
              strstr(atoll_error_message(err), "did you mean segment_max_bytes?") != NULL,
          "a wrong name is answered with the right one");
    atoll_error_free(err);
    err = NULL;
    check_status(atoll_options_set(set, "segment_max_bytes", "many", &err), ATOLL_E_INVALID, &err, "a wrong value is refused");
    {
        /* What a cluster knows and a store does not; it shows where it is used. */
        atoll_options *of_cluster = atoll_options_new();
        check_status(atoll_options_set(of_cluster, "compaction", "background+release_log", &err), ATOLL_OK, &err, "a value of clusters alone");
        check_status(atoll_db_open(dir, of_cluster, &second, &err), ATOLL_E_INVALID, &err, "is refused for a store");
        atoll_options_free(of_cluster);
    }
    for (i = 0; atoll_options_describe(i, &info) == ATOLL_OK; i++) {
        if (!info.scope || !info.name || !info.unit || !info.default_value || !info.doc) {
            check(0, "an option tells all about itself");
        }
    }
    check(i == atoll_options_count() && i > 10, "options can be listed");
    check_status(atoll_db_open(dir, set, &second, &err), ATOLL_E_LOCKED, &err, "a second opening is refused");
    check(second == NULL, "and makes no handle");
    atoll_options_free(set);

    write_options.durability = ATOLL_DURABILITY_SYNCED;
    write_options.ttl_ms = 3600000;
    check_status(atoll_put(db, &write_options, "ttl", 3, "v", 1, &err), ATOLL_OK, &err, "put, synced, with a time to live");
    check_status(atoll_get(db, NULL, "ttl", 3, pin, &value, &err), ATOLL_OK, &err, "get of it");
    atoll_pin_version(pin, NULL, NULL, &expires);
    check(expires > 1700000000000u, "a pin tells when its value is gone");
    write_options.expires_at_ms = 5;
    check_status(atoll_put(db, &write_options, "ttl", 3, "v", 1, &err), ATOLL_E_INVALID, &err, "two times are refused");
    write_options.ttl_ms = 0;
    check_status(atoll_put(db, &write_options, "ttl", 3, "v", 1, &err), ATOLL_OK, &err, "put of what is past");
    check_status(atoll_get(db, NULL, "ttl", 3, pin, &value, &err), ATOLL_NOT_FOUND, &err, "is gone at once");
    write_options.durability = 77;
    check_status(atoll_put(db, &write_options, "k", 1, "v", 1, &err), ATOLL_E_INVALID, &err, "an unknown durability is refused");
    newer.known.struct_size = sizeof newer;
    check_status(atoll_put(db, &newer.known, "newer", 5, "v", 1, &err), ATOLL_OK, &err, "a newer struct that sets nothing new");
    newer.future = 1;
    check_status(atoll_put(db, &newer.known, "newer", 5, "v", 1, &err), ATOLL_E_UNSUPPORTED, &err, "one that does is refused");
    write_options.struct_size = 0;
    check_status(atoll_put(db, &write_options, "k", 1, "v", 1, &err), ATOLL_E_INVALID, &err, "a struct without its size");
    atoll_pin_free(pin);
}

static void misuse(const char *dir)
{
    atoll_pin *pin = atoll_pin_new();
    atoll_bytes value;
    atoll_db *none = NULL;
    size_t len;

    check_status(atoll_get(NULL, NULL, "a", 1, pin, &value, &err), ATOLL_E_INVALID, &err, "NULL for a handle");
    check_status(atoll_get(db, NULL, NULL, 3, pin, &value, &err), ATOLL_E_INVALID, &err, "NULL for a key with a length");
    check_status(atoll_get(db, NULL, "a", (size_t)-1, pin, &value, &err), ATOLL_E_INVALID, &err, "a length that cannot be");
    check_status(atoll_get(db, NULL, "a", 1, NULL, &value, &err), ATOLL_E_INVALID, &err, "NULL for a pin");
    check_status(atoll_get_into(db, NULL, "a", 1, NULL, 9, &len, &err), ATOLL_E_INVALID, &err, "NULL for a buffer");
    check_status(atoll_get(db, NULL, NULL, 3, pin, &value, NULL), ATOLL_E_INVALID, NULL, "an error that nobody wants");
    check_status(atoll_db_open(NULL, NULL, &none, &err), ATOLL_E_INVALID, &err, "NULL for a path");
    check_status(atoll_db_open("/proc/version/x", NULL, &none, &err), ATOLL_E_IO, &err, "a path that cannot be");
    check_status(atoll_put(db, NULL, dir, ATOLL_MAX_KEY_BYTES + 1, "v", 1, &err), ATOLL_E_INVALID, &err, "too long a key");
    check_status(atoll_put(db, NULL, "k", 1, dir, ATOLL_MAX_VALUE_BYTES + 1, &err), ATOLL_E_INVALID, &err, "too long a value");
    check(atoll_error_code(NULL) == ATOLL_OK && atoll_error_os_errno(NULL) == 0, "no error is no error");
    atoll_db_free(NULL);
    atoll_pin_free(NULL);
    atoll_iter_free(NULL);
    atoll_snapshot_free(NULL);
    atoll_transaction_free(NULL);
    atoll_batch_free(NULL);
    atoll_options_free(NULL);
    atoll_buf_free(NULL);
    atoll_error_free(NULL);
    atoll_pin_free(pin);
}

static void closing(const char *dir)
{
    atoll_pin *pin = atoll_pin_new();
    atoll_bytes value, unread = {NULL, 0}, lent;
    atoll_snapshot *snapshot = NULL;
    atoll_transaction *transaction = NULL;
    atoll_iter *iter = NULL;
    atoll_kv entry;
    atoll_read_opts options = ATOLL_READ_OPTS_INIT;
    atoll_db *again = NULL;
    atoll_buf *json = NULL;
    uint64_t durable = 0;
    char first[64];
    size_t first_len;

    check_status(atoll_get(db, NULL, "a", 1, pin, &value, &err), ATOLL_OK, &err, "a value is pinned");
    check_status(atoll_snapshot_new(db, &snapshot, &err), ATOLL_OK, &err, "a snapshot");
    check_status(atoll_transaction_begin(db, &transaction, &err), ATOLL_OK, &err, "a transaction");
    check_status(atoll_scan(db, NULL, NULL, &iter, &err), ATOLL_OK, &err, "a scan");
    check_status(atoll_stats_json(db, &json, &err), ATOLL_OK, &err, "stats_json");
    check(atoll_buf_bytes(json).data[0] == '{', "figures are an object");
    atoll_buf_free(json);
    check_status(atoll_sync(db, &durable, &err), ATOLL_OK, &err, "sync");
    check(durable > 0, "sync tells a position");
    check_status(atoll_compact(db, &err), ATOLL_OK, &err, "compact");
    check_status(atoll_transaction_get(transaction, "a", 1, &lent, &err), ATOLL_OK, &err, "a transaction before close");
    check_status(atoll_iter_next(iter, &entry, &err), ATOLL_OK, &err, "a scan before close");
    first_len = entry.key.len < sizeof first ? entry.key.len : sizeof first;
    memcpy(first, entry.key.data, first_len);
    check_status(atoll_db_close(db, &err), ATOLL_OK, &err, "close");
    check_status(atoll_db_close(db, &err), ATOLL_OK, &err, "close again");
    check(view_is(value, "uno"), "what is pinned stays");
    check(view_is(lent, "uno"), "what a transaction has lent stays until its next call");
    check(entry.key.len == first_len && memcmp(entry.key.data, first, first_len) == 0, "and what a scan has lent");
    check_status(atoll_put(db, NULL, "a", 1, "x", 1, &err), ATOLL_E_CLOSED, &err, "put after close");
    options.snapshot = snapshot;
    check_status(atoll_get(db, &options, "a", 1, pin, &unread, &err), ATOLL_E_CLOSED, &err, "a snapshot after close");
    check_status(atoll_iter_next(iter, &entry, &err), ATOLL_E_CLOSED, &err, "a scan after close");
    check_status(atoll_transaction_get(transaction, "a", 1, &unread, &err), ATOLL_E_CLOSED, &err, "a transaction after close");
    check(unread.data == NULL, "outputs are left alone");

    check_status(atoll_db_open(dir, NULL, &again, &err), ATOLL_OK, &err, "open again while the old handle is there");
    atoll_db_free(db);
    db = again;
    check_status(atoll_get(db, NULL, "a", 1, pin, &value, &err), ATOLL_OK, &err, "what was written is there");
    check(view_is(value, "uno"), "as it was");
    atoll_transaction_free(transaction);
    atoll_snapshot_free(snapshot);
    atoll_iter_free(iter);
    check_status(atoll_snapshot_new(db, &snapshot, &err), ATOLL_OK, &err, "a snapshot that outlives its database");
    atoll_db_free(db);
    atoll_snapshot_free(snapshot);
    check(view_is(value, "uno"), "a value outlives its database");
    atoll_pin_free(pin);
}

int main(void)
{
    char *dir = fresh_dir();
    check_status(atoll_db_open(dir, NULL, &db, &err), ATOLL_OK, &err, "open");
    reads();
    many();
    snapshots_and_scans();
    conditions();
    options(dir);
    misuse(dir);
    closing(dir);
    free(dir);
    return check_failed;
}
