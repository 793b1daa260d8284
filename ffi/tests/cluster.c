/* Clusters through the header: every verb, tokens, what misuse is answered with. */
#define _DEFAULT_SOURCE 1
#include "check.h"

static atoll_error *err;
static atoll_cluster *cluster;

static void writes_and_reads(void)
{
    atoll_cluster_write_opts write = ATOLL_CLUSTER_WRITE_OPTS_INIT;
    atoll_cluster_read_opts read = ATOLL_CLUSTER_READ_OPTS_INIT;
    atoll_pin *pin = atoll_pin_new();
    atoll_bytes value;
    atoll_buf *token = NULL, *second = NULL, *merged = NULL;
    uint64_t count = 0;
    int i;

    for (i = 0; i < 50; i++) {
        char key[16];
        size_t len = (size_t)snprintf(key, sizeof key, "key-%02d", i);
        if (atoll_cluster_put(cluster, NULL, key, len, key, len, NULL, &err) != ATOLL_OK) {
            check_status(ATOLL_E_IO, ATOLL_OK, &err, "put");
        }
    }
    write.ttl_ms = 5;
    check_status(atoll_cluster_delete(cluster, &write, "none", 4, NULL, &err), ATOLL_E_INVALID, &err, "a deletion takes no time to live");
    write.ttl_ms = 0;
    write.durability = ATOLL_DURABILITY_REPLICATED;
    check_status(atoll_cluster_put(cluster, &write, "k", 1, "v", 1, &token, &err), ATOLL_OK, &err, "put, replicated");
    check(atoll_buf_bytes(token).len > 16, "a write has a token");
    check_status(atoll_cluster_get(cluster, NULL, "k", 1, pin, &value, &err), ATOLL_OK, &err, "a strong read");
    check(view_is(value, "v"), "sees it");
    read.consistency = ATOLL_CONSISTENCY_READ_YOUR_WRITES;
    check_status(atoll_cluster_get(cluster, &read, "k", 1, pin, &value, &err), ATOLL_E_INVALID, &err, "read-your-writes without a token");
    read.token = atoll_buf_bytes(token).data;
    read.token_len = atoll_buf_bytes(token).len;
    check_status(atoll_cluster_get(cluster, &read, "k", 1, pin, &value, &err), ATOLL_OK, &err, "read your writes");
    check(view_is(value, "v"), "sees it, too");
    read.token_len--;
    check_status(atoll_cluster_get(cluster, &read, "k", 1, pin, &value, &err), ATOLL_E_INVALID, &err, "a token that is cut off");
    read.token_len++;
    read.consistency = ATOLL_CONSISTENCY_EVENTUAL;
    check_status(atoll_cluster_get(cluster, &read, "k", 1, pin, &value, &err), ATOLL_E_INVALID, &err, "a token where it means nothing");
    read.token = NULL;
    read.token_len = 0;
    check_status(atoll_cluster_get(cluster, &read, "key-07", 6, pin, &value, &err), ATOLL_OK, &err, "an eventual read");
    check_status(atoll_cluster_delete(cluster, NULL, "k", 1, &second, &err), ATOLL_OK, &err, "delete");
    check_status(atoll_cluster_get(cluster, NULL, "k", 1, pin, &value, &err), ATOLL_NOT_FOUND, &err, "it is gone");
    check_status(atoll_token_merge(atoll_buf_bytes(token).data, atoll_buf_bytes(token).len, atoll_buf_bytes(second).data,
                                   atoll_buf_bytes(second).len, &merged, &err),
                 ATOLL_OK, &err, "token_merge");
    atoll_buf_free(merged);
    check_status(atoll_token_merge(NULL, 0, atoll_buf_bytes(second).data, atoll_buf_bytes(second).len, &merged, &err), ATOLL_OK, &err,
                 "token_merge with nothing");
    check(atoll_buf_bytes(merged).len == atoll_buf_bytes(second).len, "is the other one");
    check_status(atoll_cluster_count(cluster, NULL, &count, &err), ATOLL_OK, &err, "count");
    check(count == 50, "counts what is there");
    atoll_buf_free(token);
    atoll_buf_free(second);
    atoll_buf_free(merged);
    atoll_pin_free(pin);
}

static void batches_and_scans(void)
{
    atoll_batch *batch = atoll_batch_new();
    atoll_iter *iter = NULL;
    atoll_range range = ATOLL_RANGE_INIT;
    const atoll_kv *page;
    uint8_t buffer[16];
    uint32_t offsets[21];
    size_t n = 0, needed = 0, total = 0;
    atoll_kv entry;

    check_status(atoll_cluster_write(cluster, NULL, batch, NULL, &err), ATOLL_E_INVALID, &err, "an empty batch");
    atoll_batch_put(batch, "key-00", 6, "x", 1, 0, NULL);
    check_status(atoll_cluster_write(cluster, NULL, batch, NULL, &err), ATOLL_OK, &err, "a batch of one slot");
    atoll_batch_put(batch, "key-01", 6, "x", 1, 0, NULL);
    check_status(atoll_cluster_write(cluster, NULL, batch, NULL, &err), ATOLL_E_CROSS_SLOT, &err, "a batch of two slots");
    atoll_batch_free(batch);

    range.lo = (const uint8_t *)"key-1";
    range.lo_len = 5;
    range.flags = ATOLL_RANGE_PREFIX;
    check_status(atoll_cluster_scan(cluster, NULL, &range, &iter, &err), ATOLL_OK, &err, "scan");
    check_status(atoll_iter_next(iter, &entry, &err), ATOLL_OK, &err, "iter_next");
    check(view_is(entry.key, "key-10") && view_is(entry.value, "key-10"), "in order");
    check_status(atoll_iter_next_packed(iter, buffer, 12, offsets, 10, &n, &needed, &err), ATOLL_OK, &err, "iter_next_packed");
    check(n == 1 && memcmp(buffer, "key-11key-11", 12) == 0, "as many as fit");
    check_status(atoll_iter_next_packed(iter, buffer, 11, offsets, 10, &n, &needed, &err), ATOLL_BUFFER_TOO_SMALL, &err, "too small");
    while (atoll_iter_next_page(iter, 3, 1000, &page, &n, &err) == ATOLL_OK) {
        total += n;
        check(page[0].key.len == 6, "a page");
    }
    check(total == 8, "none is lost");
    check_status(atoll_iter_seek(iter, "a", 1, &err), ATOLL_E_UNSUPPORTED, &err, "such a scan does not go back");
    atoll_iter_free(iter);
    range.flags |= ATOLL_RANGE_REVERSE;
    check_status(atoll_cluster_scan(cluster, NULL, &range, &iter, &err), ATOLL_E_UNSUPPORTED, &err, "nor backward");
    check(iter == NULL, "and makes no scan");
}

static void facts(const char *dir)
{
    atoll_buf *json = NULL;
    atoll_router *router = NULL;
    atoll_cluster *second = NULL;
    atoll_bytes names[3];
    size_t found = 0;
    check_status(atoll_cluster_status_json(cluster, &json, &err), ATOLL_OK, &err, "status_json");
    check(atoll_buf_bytes(json).data[0] == '{', "is an object");
    atoll_buf_free(json);
    check_status(atoll_cluster_router(cluster, &router, &err), ATOLL_OK, &err, "router");
    check_status(atoll_router_nodes(router, "key-00", 6, names, 3, &found, &err), ATOLL_OK, &err, "of the cluster");
    check(found == 2 && atoll_router_epoch(router) > 0, "knows every copy");
    atoll_router_free(router);
    check_status(atoll_cluster_open(dir, NULL, &second, &err), ATOLL_E_LOCKED, &err, "a second opening");
    check_status(atoll_cluster_create(dir, "n1,n2", 1, 1, NULL, &second, &err), ATOLL_E_INVALID, &err, "where there is one already");
    check(second == NULL, "makes none");
}

int main(void)
{
    char *dir = fresh_dir(), *other = fresh_dir();
    atoll_options *options = atoll_options_new();
    atoll_pin *pin = atoll_pin_new();
    atoll_bytes value;
    atoll_buf *token = NULL;

    check_status(atoll_cluster_open(dir, NULL, &cluster, &err), ATOLL_E_INVALID, &err, "an empty directory is no cluster");
    check_status(atoll_cluster_create(other, "n1,n1", 2, 2, NULL, &cluster, &err), ATOLL_E_INVALID, &err, "two nodes of one name");
    check_status(atoll_cluster_create(other, "n1,n2", 2, 1000, NULL, &cluster, &err), ATOLL_E_INVALID, &err, "more copies than can be");
    check_status(atoll_options_set(options, "segment_max_bytes", "1MiB", &err), ATOLL_OK, &err, "an option");
    check_status(atoll_cluster_create(dir, "n1,n2=2,n3", 3, 2, options, &cluster, &err), ATOLL_OK, &err, "create");
    atoll_options_free(options);
    writes_and_reads();
    batches_and_scans();
    facts(dir);
    check_status(atoll_cluster_get(NULL, NULL, "k", 1, pin, &value, &err), ATOLL_E_INVALID, &err, "NULL for a handle");
    check_status(atoll_cluster_close(cluster, &err), ATOLL_OK, &err, "close");
    check_status(atoll_cluster_close(cluster, &err), ATOLL_OK, &err, "close again");
    token = (atoll_buf *)&value;
    check_status(atoll_cluster_put(cluster, NULL, "k", 1, "v", 1, &token, &err), ATOLL_E_CLOSED, &err, "put after close");
    check(token == NULL, "makes no token");
    token = (atoll_buf *)&value;
    check_status(atoll_cluster_delete(NULL, NULL, "k", 1, &token, &err), ATOLL_E_INVALID, &err, "delete without a cluster");
    check(token == NULL, "makes none, too");
    atoll_cluster_free(cluster);
    cluster = NULL;
    check_status(atoll_cluster_open(dir, NULL, &cluster, &err), ATOLL_OK, &err, "open again");
    check_status(atoll_cluster_get(cluster, NULL, "key-49", 6, pin, &value, &err), ATOLL_OK, &err, "what was written is there");
    atoll_cluster_free(cluster);
    check(view_is(value, "key-49"), "a value outlives its cluster");
    atoll_pin_free(pin);
    atoll_cluster_free(NULL);
    free(dir);
    free(other);
    return check_failed;
}
