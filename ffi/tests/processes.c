/* A store shared by processes: readers beside the writer, a second writer, a child of fork. */
#define _DEFAULT_SOURCE 1
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

static atoll_error *err;

static void write_one(atoll_db *db, const char *key, const char *value)
{
    check_status(atoll_put(db, NULL, key, strlen(key), value, strlen(value), &err), ATOLL_OK, &err, "the writer writes");
}

/* Whether `key` has the value, as read through `db`. */
static int has(atoll_db *db, const char *key, const char *value)
{
    char buffer[64];
    size_t len = 0;
    atoll_status status = atoll_get_into(db, NULL, key, strlen(key), buffer, sizeof buffer, &len, NULL);
    return status == ATOLL_OK && len == strlen(value) && memcmp(buffer, value, len) == 0;
}

/* In another process: reads, is told that it cannot write, and keeps a snapshot. Answers by its exit status. */
static int reader_process(const char *dir, int go_on, int ready)
{
    atoll_db *reader = NULL;
    atoll_snapshot *snapshot = NULL;
    atoll_iter *iter = NULL;
    const atoll_kv *page;
    atoll_read_opts options = ATOLL_READ_OPTS_INIT;
    atoll_buf *json = NULL;
    size_t n = 0;
    char byte = 'r';

    if (atoll_db_open_reader(dir, &reader, &err) != ATOLL_OK) {
        printf("# %s\n", atoll_error_message(err));
        return 1;
    }
    if (!has(reader, "a", "1") || atoll_put(reader, NULL, "b", 1, "x", 1, NULL) != ATOLL_E_NOT_PRIMARY) {
        return 2;
    }
    if (atoll_snapshot_new(reader, &snapshot, NULL) != ATOLL_OK || atoll_stats_json(reader, &json, NULL) != ATOLL_OK) {
        return 3;
    }
    atoll_buf_free(json);
    if (write(ready, &byte, 1) != 1 || read(go_on, &byte, 1) != 1) {
        return 4;
    }
    /* The writer has written in between. */
    options.snapshot = snapshot;
    if (!has(reader, "b", "2") || atoll_scan(reader, &options, NULL, &iter, NULL) != ATOLL_OK ||
        atoll_iter_next_page(iter, 10, 1000, &page, &n, NULL) != ATOLL_OK || n != 1 || !view_is(page[0].value, "1")) {
        return 5;
    }
    atoll_iter_free(iter);
    atoll_db_free(reader);
    atoll_snapshot_free(snapshot);
    return 0;
}

static void readers(const char *program, const char *dir, atoll_db *db)
{
    int there[2], back[2], status = 0;
    char byte, go_on[16], ready[16];
    pid_t child;

    if (pipe(there) != 0 || pipe(back) != 0) {
        exit(2);
    }
    snprintf(go_on, sizeof go_on, "%d", there[0]);
    snprintf(ready, sizeof ready, "%d", back[1]);
    child = fork();
    if (child == 0) {
        execl(program, program, "reader", dir, go_on, ready, (char *)NULL);
        _exit(9);
    }
    close(there[0]);
    close(back[1]);
    check(read(back[0], &byte, 1) == 1, "a reader in another process opens the store");
    write_one(db, "b", "2");
    check(write(there[1], "w", 1) == 1 && waitpid(child, &status, 0) == child, "it goes on");
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "it sees what was written, and its snapshot does not");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        printf("# status %d\n", status);
    }
}

static void forked(const char *dir, atoll_db *db)
{
    int status = 0, said[2];
    char wrong = 0;
    atoll_snapshot *snapshot = NULL;
    atoll_transaction *transaction = NULL;
    atoll_iter *iter = NULL;
    pid_t child;

    check_status(atoll_snapshot_new(db, &snapshot, &err), ATOLL_OK, &err, "a snapshot");
    check_status(atoll_transaction_begin(db, &transaction, &err), ATOLL_OK, &err, "a transaction");
    check_status(atoll_scan(db, NULL, NULL, &iter, &err), ATOLL_OK, &err, "a scan");
    if (pipe(said) != 0) {
        exit(2);
    }
    fflush(stdout);
    child = fork();
    if (child == 0) {
        atoll_db *second = NULL;
        size_t len;
        char buffer[8];
        int bits = atoll_put(db, NULL, "c", 1, "x", 1, NULL) != ATOLL_E_FORKED;
        bits |= (atoll_get_into(db, NULL, "a", 1, buffer, sizeof buffer, &len, NULL) != ATOLL_E_FORKED) << 1;
        bits |= (atoll_db_close(db, NULL) != ATOLL_E_FORKED) << 2;
        bits |= (atoll_db_open(dir, NULL, &second, NULL) != ATOLL_E_LOCKED) << 3;
        wrong = (char)(bits | 64);
        /* Freeing is allowed, and touches nothing of the parent's. */
        atoll_transaction_free(transaction);
        atoll_snapshot_free(snapshot);
        atoll_iter_free(iter);
        atoll_db_free(db);
        /* Its exit status may be that of a leak checker: what it holds of the parent's is never freed. */
        _exit(write(said[1], &wrong, 1) != 1);
    }
    close(said[1]);
    check(read(said[0], &wrong, 1) == 1 && wrong == 64, "a child of fork is told so, and can free its handles");
    check(waitpid(child, &status, 0) == child && WIFEXITED(status), "it ends by itself");
    close(said[0]);
    check(has(db, "a", "1"), "the parent goes on reading");
    write_one(db, "c", "3");
    check_status(atoll_transaction_rollback(transaction, &err), ATOLL_OK, &err, "and ends what it had begun");
    atoll_transaction_free(transaction);
    atoll_snapshot_free(snapshot);
    atoll_iter_free(iter);
}

int main(int argc, char **argv)
{
    char *dir;
    atoll_db *db = NULL, *reader = NULL;

    if (argc == 5) {
        return reader_process(argv[2], atoi(argv[3]), atoi(argv[4]));
    }
    /* Whoever waits for a process that has gone wrong does not wait for ever. */
    alarm(120);
    dir = fresh_dir();
    check_status(atoll_db_open_reader(dir, &reader, &err), ATOLL_E_INVALID, &err, "an empty directory has nothing to read");
    check_status(atoll_db_open(dir, NULL, &db, &err), ATOLL_OK, &err, "open");
    write_one(db, "a", "1");
    readers(argv[0], dir, db);
    forked(dir, db);
    check_status(atoll_db_open_reader(dir, &reader, &err), ATOLL_OK, &err, "a reader in the process of the writer");
    check(has(reader, "c", "3"), "reads");
    check_status(atoll_compact(reader, &err), ATOLL_E_NOT_PRIMARY, &err, "and does nothing else");
    check_status(atoll_db_close(db, &err), ATOLL_OK, &err, "close");
    atoll_db_free(db);
    check(has(reader, "c", "3"), "a reader goes on without its writer");
    check_status(atoll_db_open(dir, NULL, &db, &err), ATOLL_OK, &err, "open again");
    write_one(db, "d", "4");
    check(has(reader, "d", "4"), "a reader follows the next writer");
    check_status(atoll_db_close(reader, &err), ATOLL_OK, &err, "close a reader");
    check(!has(reader, "d", "4"), "it is closed");
    atoll_db_free(reader);
    atoll_db_free(db);
    free(dir);
    return check_failed;
}
