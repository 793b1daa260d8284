/* Sessions of a cluster, many keys at once, reads into a buffer, ranges that are deleted, estimates. */
#define _DEFAULT_SOURCE 1
#include "check.h"

static atoll_error *err;
static atoll_cluster *cluster;

static void sessions(void)
{
    atoll_cluster_write_opts write = ATOLL_CLUSTER_WRITE_OPTS_INIT;
    atoll_cluster_read_opts read = ATOLL_CLUSTER_READ_OPTS_INIT;
    atoll_session *mine = atoll_session_new(), *theirs = atoll_session_new();
    atoll_pin *pin = atoll_pin_new();
    atoll_buf *token = NULL, *again = NULL, *written = NULL;
    atoll_bytes value;
    uint64_t count = 0;
    int i;

    check_status(atoll_session_token(mine, &token, &err), ATOLL_OK, &err, "a new session has a token");
    check_status(atoll_session_see(theirs, atoll_buf_bytes(token).data, atoll_buf_bytes(token).len, &err), ATOLL_OK, &err,
                 "that asks for nothing");
    atoll_buf_free(token);
    write.session = mine;
    write.durability = ATOLL_DURABILITY_REPLICATED;
    check_status(atoll_cluster_put(cluster, &write, "s", 1, "1", 1, &written, &err), ATOLL_OK, &err, "put in a session");
    read.session = mine;
    read.consistency = ATOLL_CONSISTENCY_READ_YOUR_WRITES;
    for (i = 0; i < 6; i++) {
        if (atoll_cluster_get(cluster, &read, "s", 1, pin, &value, &err) != ATOLL_OK || !view_is(value, "1")) {
            check(0, "a session reads its own write");
        }
    }
    check_status(atoll_session_token(mine, &token, &err), ATOLL_OK, &err, "the token of a session");
    check(atoll_buf_bytes(token).len == atoll_buf_bytes(written).len, "names one shard, as that of the write does");
    check_status(atoll_session_see(theirs, atoll_buf_bytes(token).data, atoll_buf_bytes(token).len, &err), ATOLL_OK, &err, "see");
    check_status(atoll_session_see(theirs, NULL, 0, &err), ATOLL_OK, &err, "see nothing");
    check_status(atoll_session_see(theirs, "nonsense", 8, &err), ATOLL_E_INVALID, &err, "see what is no token");
    check_status(atoll_session_token(theirs, &again, &err), ATOLL_OK, &err, "the other session's token");
    check(atoll_buf_bytes(again).len == atoll_buf_bytes(token).len &&
              memcmp(atoll_buf_bytes(again).data, atoll_buf_bytes(token).data, atoll_buf_bytes(token).len) == 0,
          "is the same");
    read.session = theirs;
    check_status(atoll_cluster_get(cluster, &read, "s", 1, pin, &value, &err), ATOLL_OK, &err, "read in the other session");
    check(view_is(value, "1"), "sees the write");
    read.token = atoll_buf_bytes(token).data;
    read.token_len = atoll_buf_bytes(token).len;
    check_status(atoll_cluster_get(cluster, &read, "s", 1, pin, &value, &err), ATOLL_E_INVALID, &err, "a session and a token");
    read.token = NULL;
    read.token_len = 0;
    /* Reads of any level are remembered. */
    read.consistency = ATOLL_CONSISTENCY_STRONG;
    check_status(atoll_cluster_count(cluster, &read, &count, &err), ATOLL_OK, &err, "count in a session");
    atoll_buf_free(again);
    check_status(atoll_session_token(theirs, &again, &err), ATOLL_OK, &err, "its token");
    check(atoll_buf_bytes(again).len > atoll_buf_bytes(token).len, "names every shard that was counted");
    check_status(atoll_cluster_delete(cluster, &write, "s", 1, NULL, &err), ATOLL_OK, &err, "delete in a session");
    read.session = mine;
    read.consistency = ATOLL_CONSISTENCY_READ_YOUR_WRITES;
    check_status(atoll_cluster_get(cluster, &read, "s", 1, pin, &value, &err), ATOLL_NOT_FOUND, &err, "it is gone for it");
    atoll_buf_free(again);
    check_status(atoll_session_token(NULL, &again, &err), ATOLL_E_INVALID, &err, "NULL has no token");
    check(again == NULL, "and makes none");
    atoll_buf_free(token);
    atoll_buf_free(written);
    atoll_session_free(mine);
    atoll_session_free(theirs);
    atoll_session_free(NULL);
    atoll_pin_free(pin);
}

static void foreign(const char *dir)
{
    atoll_cluster_write_opts write = ATOLL_CLUSTER_WRITE_OPTS_INIT;
    atoll_cluster_read_opts read = ATOLL_CLUSTER_READ_OPTS_INIT;
    atoll_session *session = atoll_session_new();
    atoll_cluster *other = NULL;
    uint64_t count = 9;

    check_status(atoll_cluster_create(dir, "n1,n2", 2, 2, NULL, &other, &err), ATOLL_OK, &err, "another cluster");
    write.session = session;
    check_status(atoll_cluster_put(cluster, &write, "f", 1, "1", 1, NULL, &err), ATOLL_OK, &err, "put in the first");
    check_status(atoll_cluster_put(other, &write, "f", 1, "1", 1, NULL, &err), ATOLL_E_INVALID, &err, "a session of another cluster");
    check_status(atoll_cluster_count(other, NULL, &count, &err), ATOLL_OK, &err, "and what was refused");
    check(count == 0, "was not written");
    read.session = session;
    check_status(atoll_cluster_count(other, &read, &count, &err), ATOLL_E_INVALID, &err, "nor is it read");
    atoll_cluster_free(other);
    atoll_session_free(session);
}

static void many_at_once(void)
{
    atoll_cluster_read_opts read = ATOLL_CLUSTER_READ_OPTS_INIT;
    atoll_session *session = atoll_session_new();
    const char *keys = "m-1m-2absentm-3m-1";
    const uint32_t offsets[6] = {0, 3, 6, 12, 15, 18};
    uint8_t values[16], found[5];
    uint64_t ends[6];
    size_t needed = 0, len = 99;
    char buffer[8];

    check_status(atoll_cluster_put(cluster, NULL, "m-1", 3, "one", 3, NULL, &err), ATOLL_OK, &err, "put");
    check_status(atoll_cluster_put(cluster, NULL, "m-2", 3, "", 0, NULL, &err), ATOLL_OK, &err, "put an empty value");
    check_status(atoll_cluster_put(cluster, NULL, "m-3", 3, "three", 5, NULL, &err), ATOLL_OK, &err, "put a third");
    read.session = session;
    check_status(atoll_cluster_multi_get(cluster, &read, (const uint8_t *)keys, offsets, 5, values, sizeof values, ends, found,
                                         &needed, &err),
                 ATOLL_OK, &err, "cluster_multi_get");
    check(needed == 11 && memcmp(values, "onethreeone", 11) == 0, "has the values in order");
    check(ends[0] == 0 && ends[1] == 3 && ends[2] == 3 && ends[3] == 3 && ends[4] == 8 && ends[5] == 11, "knows where each ends");
    check(found[0] && found[1] && !found[2] && found[3] && found[4], "tells empty from absent");
    check_status(atoll_cluster_multi_get(cluster, NULL, (const uint8_t *)keys, offsets, 5, values, 10, ends, found, &needed, &err),
                 ATOLL_BUFFER_TOO_SMALL, &err, "a buffer that is too small");
    check(needed == 11 && ends[5] == 11 && found[4], "is told what is needed");
    check_status(atoll_cluster_multi_get(cluster, NULL, NULL, offsets, 0, NULL, 0, ends, NULL, &needed, &err), ATOLL_OK, &err,
                 "no keys at all");
    check(needed == 0, "need nothing");
    check_status(atoll_cluster_get_into(cluster, NULL, "m-3", 3, buffer, sizeof buffer, &len, &err), ATOLL_OK, &err, "cluster_get_into");
    check(len == 5 && memcmp(buffer, "three", 5) == 0, "copies the value");
    check_status(atoll_cluster_get_into(cluster, &read, "m-3", 3, buffer, 4, &len, &err), ATOLL_BUFFER_TOO_SMALL, &err, "no room");
    check(len == 5, "is told how long it is");
    check_status(atoll_cluster_get_into(cluster, NULL, "absent", 6, NULL, 0, &len, &err), ATOLL_NOT_FOUND, &err, "no value");
    atoll_session_free(session);
}

static void ranges(void)
{
    atoll_cluster_write_opts write = ATOLL_CLUSTER_WRITE_OPTS_INIT;
    atoll_range range = ATOLL_RANGE_INIT;
    atoll_approximate about = ATOLL_APPROXIMATE_INIT;
    atoll_router *router = NULL;
    atoll_location location = ATOLL_LOCATION_INIT;
    atoll_buf *token = NULL;
    uint64_t deleted = 0, count = 0, in_slot = 0;
    int i;

    for (i = 0; i < 200; i++) {
        char key[16];
        size_t len = (size_t)snprintf(key, sizeof key, "r-%03d", i);
        if (atoll_cluster_put(cluster, NULL, key, len, key, len, NULL, &err) != ATOLL_OK) {
            check_status(ATOLL_E_IO, ATOLL_OK, &err, "put");
        }
    }
    range.lo = (const uint8_t *)"r-";
    range.lo_len = 2;
    range.flags = ATOLL_RANGE_PREFIX;
    check_status(atoll_cluster_count_approximate(cluster, &range, ATOLL_SLOT_ANY, &about, &err), ATOLL_OK, &err, "count_approximate");
    check(about.records > 150 && about.records < 250 && about.bytes > 0, "is near what there is");
    check_status(atoll_cluster_router(cluster, &router, &err), ATOLL_OK, &err, "router");
    check_status(atoll_router_locate(router, "r-007", 5, &location, &err), ATOLL_OK, &err, "locate");
    check_status(atoll_cluster_count_approximate(cluster, NULL, location.slot, &about, &err), ATOLL_OK, &err, "of one slot");
    in_slot = about.records;
    check(in_slot >= 1 && in_slot < 200, "is less");
    check_status(atoll_cluster_count_approximate(cluster, NULL, 1000000, &about, &err), ATOLL_E_INVALID, &err, "of a slot that is not");
    atoll_router_free(router);
    range.limit = 5;
    check_status(atoll_cluster_delete_range(cluster, NULL, &range, &deleted, NULL, &err), ATOLL_E_INVALID, &err, "a limit");
    range.limit = 0;
    write.ttl_ms = 1;
    check_status(atoll_cluster_delete_range(cluster, &write, &range, &deleted, NULL, &err), ATOLL_E_INVALID, &err, "a time to live");
    check_status(atoll_cluster_delete_range(cluster, NULL, &range, NULL, NULL, &err), ATOLL_E_INVALID, &err, "nowhere to count");
    check_status(atoll_cluster_delete_range(cluster, NULL, &range, &deleted, &token, &err), ATOLL_OK, &err, "delete_range");
    check(deleted == 200 && token != NULL, "deletes all of the prefix");
    check_status(atoll_cluster_count(cluster, NULL, &count, &err), ATOLL_OK, &err, "count");
    check(count == 4, "and nothing else");
    check_status(atoll_cluster_delete_range(cluster, NULL, &range, &deleted, NULL, &err), ATOLL_OK, &err, "again");
    check(deleted == 0, "finds nothing");
    atoll_buf_free(token);
}

static void of_a_store(const char *dir)
{
    atoll_options *options = atoll_options_new();
    atoll_write_opts write = ATOLL_WRITE_OPTS_INIT;
    atoll_range range = ATOLL_RANGE_INIT;
    atoll_db *db = NULL;
    uint64_t deleted = 0;

    check_status(atoll_options_set(options, "create", "true", &err), ATOLL_OK, &err, "options");
    check_status(atoll_db_open(dir, options, &db, &err), ATOLL_OK, &err, "open a store");
    check_status(atoll_put(db, NULL, "a", 1, "1", 1, &err), ATOLL_OK, &err, "put");
    check_status(atoll_put(db, NULL, "b", 1, "2", 1, &err), ATOLL_OK, &err, "put");
    check_status(atoll_put(db, NULL, "c", 1, "3", 1, &err), ATOLL_OK, &err, "put");
    range.lo = (const uint8_t *)"b";
    range.lo_len = 1;
    range.flags = ATOLL_RANGE_REVERSE;
    check_status(atoll_delete_range(db, NULL, &range, &deleted, &err), ATOLL_E_INVALID, &err, "backward");
    range.flags = 0;
    write.durability = ATOLL_DURABILITY_SYNCED;
    check_status(atoll_delete_range(db, &write, &range, &deleted, &err), ATOLL_OK, &err, "delete_range of a store");
    check(deleted == 2, "deletes two of three");
    check_status(atoll_delete_range(db, NULL, NULL, &deleted, &err), ATOLL_OK, &err, "all keys");
    check(deleted == 1, "deletes the last one");
    check_status(atoll_db_close(db, &err), ATOLL_OK, &err, "close");
    check_status(atoll_delete_range(db, NULL, NULL, &deleted, &err), ATOLL_E_CLOSED, &err, "after close");
    atoll_db_free(db);
    atoll_options_free(options);
}

/* Not one copy can be opened. */
static void nobody(const char *dir)
{
    atoll_cluster *left = NULL;
    atoll_pin *pin = atoll_pin_new();
    atoll_health health = ATOLL_HEALTH_INIT;
    atoll_bytes value;
    char command[700];

    check_status(atoll_cluster_create(dir, "n1,n2", 1, 2, NULL, &left, &err), ATOLL_OK, &err, "create");
    check_status(atoll_cluster_put(left, NULL, "k", 1, "v", 1, NULL, &err), ATOLL_OK, &err, "put");
    check_status(atoll_cluster_close(left, &err), ATOLL_OK, &err, "close");
    atoll_cluster_free(left);
    snprintf(command, sizeof command, "for f in '%s'/nodes/*/shard-*/CONTROL; do printf damage | dd of=$f bs=1 seek=16 conv=notrunc status=none; done", dir);
    check(system(command) == 0, "every copy is damaged");
    check_status(atoll_cluster_open(dir, NULL, &left, &err), ATOLL_OK, &err, "open");
    check_status(atoll_cluster_get(left, NULL, "k", 1, pin, &value, &err), ATOLL_E_NO_QUORUM, &err, "a read that nobody can answer");
    check_status(atoll_cluster_put(left, NULL, "k", 1, "v", 1, NULL, &err), ATOLL_E_NO_QUORUM, &err, "a write that nobody can take");
    check_status(atoll_cluster_health(left, &health, NULL, &err), ATOLL_OK, &err, "cluster_health");
    check(health.state == ATOLL_HEALTH_FAILED && health.shards_writable == 0 && health.replicas_up == 0, "has failed");
    atoll_cluster_free(left);
    atoll_pin_free(pin);
}

int main(void)
{
    char *dir = fresh_dir(), *second = fresh_dir(), *store = fresh_dir(), *third = fresh_dir();

    check_status(atoll_cluster_create(dir, "n1,n2,n3", 4, 3, NULL, &cluster, &err), ATOLL_OK, &err, "create");
    sessions();
    foreign(second);
    many_at_once();
    ranges();
    of_a_store(store);
    nobody(third);
    free(third);
    atoll_cluster_free(cluster);
    free(dir);
    free(second);
    free(store);
    return check_failed;
}
