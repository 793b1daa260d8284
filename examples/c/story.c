/* A store, a router and two writers that disagree, in C. Build: cc story.c $(pkg-config --cflags --libs atoll) */
#include <atoll.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program with the message of a failure. */
static void must(atoll_status status, atoll_error *err)
{
    if (status != ATOLL_OK) {
        fprintf(stderr, "%s: %s\n", atoll_status_name(status), atoll_error_message(err));
        exit(1);
    }
}

static void print(const char *before, atoll_bytes bytes)
{
    printf("%s%.*s", before, (int)bytes.len, (const char *)bytes.data);
}

static void store(atoll_db *db)
{
    atoll_error *err = NULL;
    atoll_write_opts synced = ATOLL_WRITE_OPTS_INIT;
    atoll_range users = ATOLL_RANGE_INIT;
    atoll_read_opts then = ATOLL_READ_OPTS_INIT;
    atoll_pin *pin = atoll_pin_new();
    atoll_batch *batch = atoll_batch_new();
    atoll_snapshot *before = NULL;
    atoll_iter *scan = NULL;
    const atoll_kv *page;
    atoll_bytes value;
    size_t n, i;

    /* Write and read; the value is where it lies, as long as the pin holds it. */
    synced.durability = ATOLL_DURABILITY_SYNCED;
    must(atoll_put(db, &synced, "user:42", 7, "Kim", 3, &err), err);
    must(atoll_get(db, NULL, "user:42", 7, pin, &value, &err), err);
    print("user:42 is ", value);

    /* Several writes as one, and a snapshot that does not see what comes after it. */
    must(atoll_snapshot_new(db, &before, &err), err);
    must(atoll_batch_put(batch, "user:43", 7, "Lee", 3, 0, &err), err);
    must(atoll_batch_put(batch, "user:44", 7, "Park", 4, 0, &err), err);
    must(atoll_batch_delete(batch, "user:42", 7, &err), err);
    must(atoll_write(db, NULL, batch, NULL, &err), err);
    users.lo = (const uint8_t *)"user:";
    users.lo_len = 5;
    users.flags = ATOLL_RANGE_PREFIX;
    must(atoll_scan(db, NULL, &users, &scan, &err), err);
    printf("\nusers now:");
    while (atoll_iter_next_page(scan, 100, 65536, &page, &n, &err) == ATOLL_OK) {
        for (i = 0; i < n; i++) {
            print(" ", page[i].key);
            print("=", page[i].value);
        }
    }
    then.snapshot = before;
    must(atoll_get(db, &then, "user:42", 7, pin, &value, &err), err);
    print("\nuser:42 in the snapshot: ", value);
    printf("\n");
    atoll_iter_free(scan);
    atoll_snapshot_free(before);
    atoll_batch_free(batch);
    atoll_pin_free(pin);
}

/* Two transactions that read and write the same key: one of them has to run again. */
static void transactions(atoll_db *db)
{
    atoll_error *err = NULL;
    atoll_transaction *first = NULL, *second = NULL;
    atoll_bytes value;
    must(atoll_transaction_begin(db, &first, &err), err);
    must(atoll_transaction_begin(db, &second, &err), err);
    must(atoll_transaction_get(first, "user:43", 7, &value, &err), err);
    must(atoll_transaction_get(second, "user:43", 7, &value, &err), err);
    must(atoll_transaction_put(first, "user:43", 7, "Lee the first", 13, 0, &err), err);
    must(atoll_transaction_put(second, "user:43", 7, "Lee the second", 14, 0, &err), err);
    must(atoll_transaction_commit(first, NULL, NULL, &err), err);
    printf("the second transaction: %s\n", atoll_status_name(atoll_transaction_commit(second, NULL, NULL, NULL)));
    atoll_transaction_free(first);
    atoll_transaction_free(second);
}

/* Where keys live, and what a fourth node would change. */
static void routing(void)
{
    atoll_error *err = NULL;
    atoll_router_spec *spec = NULL;
    atoll_router *ring = NULL, *after = NULL;
    atoll_buf *plan = NULL;
    atoll_bytes name, copies[3];
    size_t n, i;
    must(atoll_router_spec_new("ring", &spec, &err), err);
    must(atoll_router_spec_set(spec, "hash", "sha1", &err), err);
    must(atoll_router_spec_add_node(spec, "a", 1, 1, NULL, NULL, &err), err);
    must(atoll_router_spec_add_node(spec, "b", 1, 2, NULL, NULL, &err), err);
    must(atoll_router_spec_add_node(spec, "c", 1, 1, NULL, NULL, &err), err);
    must(atoll_router_new(spec, &ring, &err), err);
    must(atoll_router_node(ring, "user:42", 7, &name, &err), err);
    print("user:42 lives on ", name);
    must(atoll_router_nodes(ring, "user:42", 7, copies, 3, &n, &err), err);
    printf(", with copies on");
    for (i = 0; i < n; i++) {
        print(" ", copies[i]);
    }
    must(atoll_router_plan_add(ring, "d", 1, 1, &plan, &after, &err), err);
    must(atoll_router_node(after, "user:42", 7, &name, &err), err);
    print("\nwith a node d it lives on ", name);
    printf("\n");
    atoll_buf_free(plan);
    atoll_router_free(after);
    atoll_router_free(ring);
    atoll_router_spec_free(spec);
}

/* What was written, in order, as a subscriber sees it. */
static void follow(atoll_db *db)
{
    atoll_error *err = NULL;
    atoll_log_reader *reader = NULL;
    atoll_log_cursor cursor = {0, 0};
    atoll_log_entry entry;
    atoll_bytes records;
    must(atoll_log_open(db, 0, &reader, &err), err);
    must(atoll_log_next(reader, 1 << 20, 0, &records, NULL, NULL, &err), err);
    printf("the log says:");
    while (atoll_log_entry_next(records.data, records.len, &cursor, &entry, &err) == ATOLL_OK) {
        print(entry.kind == ATOLL_LOG_DELETE ? " -" : " ", entry.key);
    }
    printf("\n");
    atoll_error_free(err);
    atoll_log_free(reader);
}

/* Two writers that did not know of each other. */
static void clocks(void)
{
    atoll_error *err = NULL;
    atoll_vclock *seoul = atoll_vclock_new(), *busan = atoll_vclock_new();
    atoll_buf *text = NULL;
    int32_t order = 0;
    must(atoll_vclock_tick(seoul, "seoul", 5, NULL, &err), err);
    must(atoll_vclock_tick(busan, "busan", 5, NULL, &err), err);
    must(atoll_vclock_compare(seoul, busan, &order, &err), err);
    printf("concurrent: %s\n", order == ATOLL_VC_CONCURRENT ? "yes" : "no");
    must(atoll_vclock_merge(seoul, busan, &err), err);
    must(atoll_vclock_to_text(seoul, &text, &err), err);
    print("merged: ", atoll_buf_bytes(text));
    printf("\n");
    atoll_buf_free(text);
    atoll_vclock_free(seoul);
    atoll_vclock_free(busan);
}

/* Their writes of the same key stand side by side, until a rule decides. */
static void conflict(void)
{
    atoll_error *err = NULL;
    atoll_siblings *route = atoll_siblings_new();
    atoll_resolver *latest = NULL;
    atoll_versions *both = NULL, *winner = NULL;
    atoll_version_view write, found;
    size_t i;
    memset(&write, 0, sizeof write);
    write.sequence = 1;
    for (i = 0; i < 2; i++) {
        const char *value = i == 0 ? "the bridge" : "the ferry";
        write.node = i + 1;
        must(atoll_hlc_pack(1000 + i, 0, &write.stamp, &err), err);
        write.value.data = (const uint8_t *)value;
        write.value.len = strlen(value);
        must(atoll_siblings_put(route, &write, NULL, &err), err);
    }
    must(atoll_siblings_versions(route, &both, &err), err);
    for (i = 0; atoll_versions_at(both, i, &found, &err) == ATOLL_OK; i++) {
        print(i == 0 ? "side by side: " : ", ", found.value);
    }
    must(atoll_resolver_builtin("lww", &latest, &err), err);
    must(atoll_siblings_resolve(route, latest, "route", 5, &winner, &err), err);
    must(atoll_versions_at(winner, 0, &found, &err), err);
    print("; the latest write is ", found.value);
    printf("\n");
    atoll_versions_free(both);
    atoll_versions_free(winner);
    atoll_resolver_free(latest);
    atoll_siblings_free(route);
}

/* Shards and copies: a session reads what it has written, from any copy that has it. */
static void copies(const char *directory)
{
    atoll_error *err = NULL;
    atoll_cluster *cluster = NULL;
    atoll_session *session = atoll_session_new();
    atoll_cluster_write_opts write = ATOLL_CLUSTER_WRITE_OPTS_INIT;
    atoll_cluster_read_opts read = ATOLL_CLUSTER_READ_OPTS_INIT;
    atoll_pin *pin = atoll_pin_new();
    atoll_bytes value;
    char path[4096];
    snprintf(path, sizeof path, "%s-cluster", directory);
    must(atoll_cluster_create(path, "n1,n2,n3", 4, 3, NULL, &cluster, &err), err);
    write.durability = ATOLL_DURABILITY_REPLICATED;
    write.session = session;
    must(atoll_cluster_put(cluster, &write, "note", 4, "three copies", 12, NULL, &err), err);
    read.consistency = ATOLL_CONSISTENCY_READ_YOUR_WRITES;
    read.session = session;
    must(atoll_cluster_get(cluster, &read, "note", 4, pin, &value, &err), err);
    print("a session reads its own write: ", value);
    printf("\n");
    must(atoll_cluster_close(cluster, &err), err);
    atoll_pin_free(pin);
    atoll_session_free(session);
    atoll_cluster_free(cluster);
}

int main(int argc, char **argv)
{
    atoll_error *err = NULL;
    atoll_db *db = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: story DIRECTORY\n");
        return 2;
    }
    must(atoll_db_open(argv[1], NULL, &db, &err), err);
    store(db);
    transactions(db);
    follow(db);
    routing();
    clocks();
    conflict();
    copies(argv[1]);
    must(atoll_db_close(db, &err), err);
    atoll_db_free(db);
    return 0;
}
