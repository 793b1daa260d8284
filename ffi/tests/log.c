/* The log through the header: following it, waiting for it, looking into it, and applying it to a copy. */
#define _DEFAULT_SOURCE 1
#include "check.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

static atoll_db *db;
static atoll_error *err;

static void put(const char *key, const char *value)
{
    if (atoll_put(db, NULL, key, strlen(key), value, strlen(value), &err) != ATOLL_OK) {
        check_status(ATOLL_E_PANIC, ATOLL_OK, &err, "put");
    }
}

static int readable(const atoll_log_reader *reader, int ms)
{
    struct pollfd fd = {atoll_log_fd(reader), POLLIN, 0};
    return poll(&fd, 1, ms) == 1;
}

static void entries(void)
{
    atoll_log_reader *reader = NULL;
    atoll_batch *batch = atoll_batch_new();
    atoll_log_cursor cursor = {0, 0};
    atoll_log_entry entry;
    atoll_bytes records;
    uint64_t first = 1, next = 0;
    uint8_t *copy;

    put("one", "1");
    atoll_batch_put(batch, "two", 3, "2", 1, 0, &err);
    atoll_batch_delete(batch, "one", 3, &err);
    check_status(atoll_write(db, NULL, batch, NULL, &err), ATOLL_OK, &err, "write");
    atoll_batch_free(batch);
    check_status(atoll_log_open(db, 0, &reader, &err), ATOLL_OK, &err, "log_open at the beginning");
    check(readable(reader, 0), "the descriptor says that there is something");
    check_status(atoll_log_next(reader, 1 << 20, 0, &records, &first, &next, &err), ATOLL_OK, &err, "log_next");
    check(first == 0 && next > first && !readable(reader, 0), "all of it, and the descriptor is silent");

    check_status(atoll_log_entry_next(records.data, records.len, &cursor, &entry, &err), ATOLL_OK, &err, "first entry");
    check(view_is(entry.key, "one") && view_is(entry.value, "1") && entry.kind == ATOLL_LOG_PUT && entry.flags == 0
              && entry.lsn > 0 && entry.hlc > 0 && entry.expires_at_ms == 0,
          "the put");
    check_status(atoll_log_entry_next(records.data, records.len, &cursor, &entry, &err), ATOLL_OK, &err, "second entry");
    check(view_is(entry.key, "two") && entry.flags == ATOLL_LOG_MORE_IN_BATCH, "the first of the batch");
    check_status(atoll_log_entry_next(records.data, records.len, &cursor, &entry, &err), ATOLL_OK, &err, "third entry");
    check(view_is(entry.key, "one") && entry.kind == ATOLL_LOG_DELETE && entry.value.len == 0 && entry.value.data
              && entry.flags == 0,
          "the deletion ends it");
    check_status(atoll_log_entry_next(records.data, records.len, &cursor, &entry, &err), ATOLL_END, &err, "the end");
    check_status(atoll_log_entry_next(records.data, records.len - 1, &cursor, &entry, &err), ATOLL_E_CORRUPT, &err,
                 "a frame that was cut off");
    copy = (uint8_t *)malloc(records.len);
    memcpy(copy, records.data, records.len);
    copy[records.len - 20] ^= 1;
    cursor.at = cursor.batch_end = 0;
    while (atoll_log_entry_next(copy, records.len, &cursor, &entry, &err) == ATOLL_OK) {
    }
    check(atoll_error_code(err) == ATOLL_E_CORRUPT, "a damaged record is told");
    atoll_error_free(err);
    err = NULL;
    free(copy);
    check_status(atoll_log_next(reader, 1, 0, &records, NULL, NULL, &err), ATOLL_TIMEOUT, &err, "nothing more");
    put("three", "3");
    check(readable(reader, 1000), "the descriptor tells of a write");
    check_status(atoll_log_next(reader, 1, 0, &records, &first, NULL, &err), ATOLL_OK, &err, "log_next goes on");
    check(first == next, "where it had stopped");
    atoll_log_free(reader);

    check_status(atoll_log_open(db, next, &reader, &err), ATOLL_OK, &err, "log_open at a place kept");
    check_status(atoll_log_next(reader, 1, 0, &records, &first, NULL, &err), ATOLL_OK, &err, "log_next from there");
    check(first == next, "it goes on there");
    atoll_log_free(reader);
    check_status(atoll_log_open(db, ATOLL_LOG_FROM_NOW, &reader, &err), ATOLL_OK, &err, "log_open from now on");
    check_status(atoll_log_next(reader, 1, 20, &records, NULL, NULL, &err), ATOLL_TIMEOUT, &err, "nothing within 20 ms");
    atoll_log_free(reader);
    check_status(atoll_log_open(db, 1u << 30, &reader, &err), ATOLL_E_INVALID, &err, "log_open past the end");
    check(reader == NULL, "no reader after an error");
    check_status(atoll_log_open(NULL, 0, &reader, &err), ATOLL_E_INVALID, &err, "log_open of no database");
    check_status(atoll_log_next(NULL, 1, 0, &records, NULL, NULL, &err), ATOLL_E_INVALID, &err, "log_next of no reader");
    check(atoll_log_fd(NULL) == -1, "no reader has no descriptor");
    atoll_log_interrupt(NULL);
    atoll_log_free(NULL);
}

static void copies(const char *dir)
{
    atoll_log_reader *reader = NULL;
    atoll_db *replica = NULL;
    atoll_pin *pin = atoll_pin_new();
    atoll_bytes records, value;
    uint64_t applied = 0, next = 0;
    int frames = 0;
    atoll_status status;

    check_status(atoll_db_open_replica(dir, NULL, &replica, &err), ATOLL_OK, &err, "open_replica");
    check_status(atoll_put(replica, NULL, "k", 1, "v", 1, &err), ATOLL_E_NOT_PRIMARY, &err, "a replica takes no writes");
    check_status(atoll_log_open(db, 0, &reader, &err), ATOLL_OK, &err, "log_open");
    while ((status = atoll_log_next(reader, 100, 0, &records, NULL, &next, &err)) == ATOLL_OK) {
        if (atoll_log_apply(replica, records.data, records.len, &applied, &err) != ATOLL_OK
            || atoll_log_apply(replica, records.data, records.len, &applied, &err) != ATOLL_OK || applied != next) {
            break;
        }
        frames++;
    }
    check_status(status, ATOLL_TIMEOUT, &err, "every frame applies, twice");
    check(frames > 2 && applied == next, "the copy is where its source is");
    check_status(atoll_get(replica, NULL, "three", 5, pin, &value, &err), ATOLL_OK, &err, "get from the copy");
    check(view_is(value, "3"), "as in its source");
    check_status(atoll_get(replica, NULL, "one", 3, pin, &value, &err), ATOLL_NOT_FOUND, &err, "deletions come, too");
    check_status(atoll_log_apply(replica, "nonsense", 8, &applied, &err), ATOLL_E_CORRUPT, &err, "apply nonsense");
    check_status(atoll_log_apply(replica, NULL, 8, NULL, &err), ATOLL_E_INVALID, &err, "apply NULL");
    put("four", "4");
    put("five", "5");
    check_status(atoll_log_next(reader, 1, 0, &records, NULL, NULL, &err), ATOLL_OK, &err, "a frame that gets lost");
    check_status(atoll_log_next(reader, 1, 0, &records, NULL, NULL, &err), ATOLL_OK, &err, "the one behind it");
    check_status(atoll_log_apply(replica, records.data, records.len, &applied, &err), ATOLL_E_INVALID, &err,
                 "a gap is refused");
    atoll_log_free(reader);
    check_status(atoll_log_open(db, next, &reader, &err), ATOLL_OK, &err, "log_open where the copy is");
    while (atoll_log_next(reader, 1 << 20, 0, &records, NULL, NULL, &err) == ATOLL_OK) {
        check_status(atoll_log_apply(replica, records.data, records.len, &applied, &err), ATOLL_OK, &err, "it catches up");
    }
    check_status(atoll_get(replica, NULL, "five", 4, pin, &value, &err), ATOLL_OK, &err, "with everything");
    check_status(atoll_sync(replica, NULL, &err), ATOLL_OK, &err, "sync of a replica");
    atoll_pin_free(pin);
    atoll_log_free(reader);
    atoll_db_free(replica);
}

struct waiting {
    atoll_log_reader *reader;
    int64_t timeout_ms;
    atoll_status status;
};

static void *wait_for_next(void *argument)
{
    struct waiting *waiting = (struct waiting *)argument;
    atoll_bytes records;
    waiting->status = atoll_log_next(waiting->reader, 1 << 20, waiting->timeout_ms, &records, NULL, NULL, NULL);
    return NULL;
}

static atoll_status after(struct waiting *waiting, void (*what)(atoll_log_reader *))
{
    pthread_t thread;
    pthread_create(&thread, NULL, wait_for_next, waiting);
    usleep(30000);
    what(waiting->reader);
    pthread_join(thread, NULL);
    return waiting->status;
}

static void write_one(atoll_log_reader *reader)
{
    (void)reader;
    put("wake", "up");
}

static void interrupt(atoll_log_reader *reader)
{
    atoll_bytes records;
    check(atoll_log_next(reader, 1, 0, &records, NULL, NULL, NULL) == ATOLL_E_BUSY, "one thread at a time");
    atoll_log_interrupt(reader);
}

static void close_database(atoll_log_reader *reader)
{
    (void)reader;
    check_status(atoll_db_close(db, &err), ATOLL_OK, &err, "close beside a reader that waits");
}

static void waits(void)
{
    struct waiting waiting = {NULL, -1, ATOLL_OK};
    atoll_bytes records;

    check_status(atoll_log_open(db, ATOLL_LOG_FROM_NOW, &waiting.reader, &err), ATOLL_OK, &err, "log_open");
    check(after(&waiting, write_one) == ATOLL_OK, "a write wakes who waits");
    check(after(&waiting, interrupt) == ATOLL_TIMEOUT, "an interrupt, too");
    atoll_log_interrupt(waiting.reader);
    check(atoll_log_next(waiting.reader, 1, -1, &records, NULL, NULL, NULL) == ATOLL_TIMEOUT, "or the next one that would");
    check(after(&waiting, close_database) == ATOLL_E_CLOSED, "and the end of the store");
    check(readable(waiting.reader, 0), "which the descriptor says as well");
    check(atoll_log_next(waiting.reader, 1, -1, &records, NULL, NULL, NULL) == ATOLL_E_CLOSED, "from then on");
    atoll_db_free(db);
    atoll_log_free(waiting.reader);
}

int main(void)
{
    char *dir = fresh_dir(), *copy = fresh_dir();
    check_status(atoll_db_open(dir, NULL, &db, &err), ATOLL_OK, &err, "open");
    entries();
    copies(copy);
    waits();
    free(dir);
    free(copy);
    return check_failed;
}
