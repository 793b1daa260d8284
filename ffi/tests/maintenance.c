/* Backups, checks, repairs, health, figures for Prometheus, and what the library has to say. */
#define _DEFAULT_SOURCE 1
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static atoll_error *err;

static int holds(const atoll_buf *buf, const char *text)
{
    atoll_bytes bytes = atoll_buf_bytes(buf);
    size_t len = strlen(text), i;
    for (i = 0; i + len <= bytes.len; i++) {
        if (memcmp(bytes.data + i, text, len) == 0) {
            return 1;
        }
    }
    return 0;
}

static char *below(const char *dir, const char *name)
{
    size_t len = strlen(dir) + strlen(name) + 2;
    char *path = (char *)malloc(len);
    snprintf(path, len, "%s/%s", dir, name);
    return path;
}

static void count_steps(void *ctx, uint64_t done, uint64_t total)
{
    uint64_t *steps = (uint64_t *)ctx;
    steps[0]++;
    steps[1] = done > total;
}

static void of_a_store(const char *dir)
{
    char *home = below(dir, "store"), *copy = below(dir, "copy"), *again = below(dir, "again"), *saved = below(dir, "saved");
    atoll_options *options = atoll_options_new();
    atoll_db *db = NULL;
    atoll_pin *pin = atoll_pin_new();
    atoll_snapshot *snapshot = NULL;
    atoll_health health = ATOLL_HEALTH_INIT;
    atoll_buf *json = NULL;
    atoll_bytes value;
    uint64_t damaged = 9, lost = 9, steps[2] = {0, 0};

    check_status(atoll_options_set(options, "create", "true", &err), ATOLL_OK, &err, "options");
    check_status(atoll_db_open(home, options, &db, &err), ATOLL_OK, &err, "open");
    check_status(atoll_put(db, NULL, "a", 1, "1", 1, &err), ATOLL_OK, &err, "put");
    check_status(atoll_put(db, NULL, "b", 1, "2", 1, &err), ATOLL_OK, &err, "put");
    check_status(atoll_delete(db, NULL, "b", 1, &err), ATOLL_OK, &err, "delete");
    check_status(atoll_get(db, NULL, "a", 1, pin, &value, &err), ATOLL_OK, &err, "get");

    check_status(atoll_db_health(db, &health, &json, &err), ATOLL_OK, &err, "db_health");
    check(health.state == ATOLL_HEALTH_OK && health.shards == 1 && health.shards_writable == 1 && health.replicas_up == 1, "it is well");
    check(atoll_buf_bytes(json).len == 0 && health.oldest_snapshot_ms == 0, "with no reason not to be");
    atoll_buf_free(json);
    check_status(atoll_snapshot_new(db, &snapshot, &err), ATOLL_OK, &err, "a snapshot");
    usleep(20000);
    check_status(atoll_db_health(db, &health, NULL, &err), ATOLL_OK, &err, "db_health again");
    check(health.oldest_snapshot_ms >= 10 && health.oldest_snapshot_ms < 100000, "tells how old the oldest snapshot is");
    atoll_snapshot_free(snapshot);
    check_status(atoll_db_health(db, NULL, NULL, &err), ATOLL_E_INVALID, &err, "nowhere to tell");
    health.struct_size = 3;
    check_status(atoll_db_health(db, &health, NULL, &err), ATOLL_E_INVALID, &err, "a size that cannot be");

    check_status(atoll_metrics(db, &json, &err), ATOLL_OK, &err, "metrics");
    check(holds(json, "atoll_ops_total{shard=\"0\",op=\"put\"} 2\n"), "counts puts");
    check(holds(json, "atoll_ops_total{shard=\"0\",op=\"delete\"} 1\n"), "counts deletions");
    check(holds(json, "atoll_ops_total{shard=\"0\",op=\"get\"} 1\n"), "counts look-ups");
    check(holds(json, "# TYPE atoll_log_poisoned gauge\natoll_log_poisoned{shard=\"0\"} 0\n"), "knows that the log is sound");
    atoll_buf_free(json);

    check_status(atoll_db_backup(db, copy, 0, count_steps, steps, &json, &err), ATOLL_OK, &err, "db_backup");
    check(steps[0] > 0 && steps[1] == 0, "tells how far it is");
    check(holds(json, "\"bytes_copied\":"), "and what it copied");
    atoll_buf_free(json);
    check_status(atoll_put(db, NULL, "c", 1, "3", 1, &err), ATOLL_OK, &err, "put after the backup");
    check_status(atoll_db_backup(db, copy, 2, NULL, NULL, &json, &err), ATOLL_E_UNSUPPORTED, &err, "a flag that is none");
    check_status(atoll_db_backup(db, home, 0, NULL, NULL, &json, &err), ATOLL_E_INVALID, &err, "a store onto itself");
    check(json == NULL, "makes no report");
    check_status(atoll_db_verify(db, NULL, NULL, &damaged, &json, &err), ATOLL_OK, &err, "db_verify");
    check(damaged == 0 && holds(json, "\"keys\":"), "finds it sound");
    atoll_buf_free(json);
    check_status(atoll_backup_verify(copy, NULL, NULL, &damaged, &json, &err), ATOLL_OK, &err, "backup_verify");
    check(damaged == 0, "finds the copy sound");
    atoll_buf_free(json);
    check_status(atoll_repair(home, saved, NULL, NULL, &lost, &json, &err), ATOLL_E_LOCKED, &err, "repair of a store that is open");
    check_status(atoll_db_close(db, &err), ATOLL_OK, &err, "close");
    check_status(atoll_db_health(db, &health, &json, &err), ATOLL_E_CLOSED, &err, "health after close");
    atoll_db_free(db);

    check_status(atoll_restore(copy, again, NULL, NULL, &json, &err), ATOLL_OK, &err, "restore");
    check(holds(json, "\"keys\":"), "tells what it restored");
    atoll_buf_free(json);
    check_status(atoll_restore(copy, again, NULL, NULL, &json, &err), ATOLL_E_INVALID, &err, "restore into what is there");
    check_status(atoll_restore(again, copy, NULL, NULL, &json, &err), ATOLL_E_INVALID, &err, "restore of what is no backup");
    check_status(atoll_db_open(again, NULL, &db, &err), ATOLL_OK, &err, "open the restored one");
    check_status(atoll_get(db, NULL, "a", 1, pin, &value, &err), ATOLL_OK, &err, "it has the key");
    check(view_is(value, "1"), "with its value");
    check_status(atoll_get(db, NULL, "c", 1, pin, &value, &err), ATOLL_NOT_FOUND, &err, "and not the later one");
    atoll_db_free(db);

    check_status(atoll_repair(home, saved, count_steps, steps, &lost, &json, &err), ATOLL_OK, &err, "repair");
    check(lost == 0 && holds(json, "\"lost\":[]"), "loses nothing of a sound store");
    atoll_buf_free(json);
    check_status(atoll_repair(dir, saved, NULL, NULL, &lost, &json, &err), ATOLL_E_INVALID, &err, "repair of what is no store");
    check_status(atoll_db_open(saved, NULL, &db, &err), ATOLL_OK, &err, "open the saved one");
    check_status(atoll_get(db, NULL, "c", 1, pin, &value, &err), ATOLL_OK, &err, "it has every key");
    atoll_db_free(db);
    atoll_pin_free(pin);
    atoll_options_free(options);
    free(home);
    free(copy);
    free(again);
    free(saved);
}

static void damage(const char *dir)
{
    char *home = below(dir, "hurt"), *copy = below(dir, "hurt-copy"), *again = below(dir, "hurt-again"), *file;
    atoll_options *options = atoll_options_new();
    atoll_db *db = NULL;
    atoll_buf *json = NULL;
    uint64_t damaged = 0;
    int fd;
    char command[600];

    check_status(atoll_options_set(options, "create", "true", &err), ATOLL_OK, &err, "options");
    check_status(atoll_db_open(home, options, &db, &err), ATOLL_OK, &err, "open");
    check_status(atoll_put(db, NULL, "key", 3, "a value that will be hurt", 25, &err), ATOLL_OK, &err, "put");
    check_status(atoll_db_backup(db, copy, 0, NULL, NULL, &json, &err), ATOLL_OK, &err, "db_backup");
    atoll_buf_free(json);
    atoll_db_free(db);
    /* One byte of the copied segment. */
    snprintf(command, sizeof command, "find '%s' -type f -path '*shard-*' -print -quit > '%s.name'", copy, copy);
    if (system(command) != 0) {
        check(0, "find");
    }
    file = below(copy, "");
    snprintf(command, sizeof command, "%s.name", copy);
    {
        FILE *list = fopen(command, "r");
        char name[500] = "";
        check(list && fgets(name, sizeof name, list) && strchr(name, '\n'), "a segment was copied");
        if (list) {
            fclose(list);
        }
        name[strcspn(name, "\n")] = 0;
        fd = open(name, O_RDWR);
        check(fd >= 0, "it can be opened");
        {
            char bytes[8192];
            ssize_t n = pread(fd, bytes, sizeof bytes, 0), i;
            for (i = 0; i + 4 < n && memcmp(bytes + i, "hurt", 4) != 0; i++) {
            }
            check(pwrite(fd, "HURT", 4, i) == 4, "and hurt");
        }
        close(fd);
    }
    check_status(atoll_backup_verify(copy, NULL, NULL, &damaged, &json, &err), ATOLL_OK, &err, "backup_verify");
    check(damaged > 0 && holds(json, "\"damage\":[{"), "names the place");
    atoll_buf_free(json);
    check_status(atoll_restore(copy, again, NULL, NULL, &json, &err), ATOLL_E_CORRUPT, &err, "restore of a damaged backup");
    check(access(again, F_OK) != 0, "leaves nothing there");
    atoll_options_free(options);
    free(home);
    free(copy);
    free(again);
    free(file);
}

static void loads(const char *dir)
{
    char *home = below(dir, "loaded"), *other = below(dir, "other");
    atoll_db *db = NULL, *second = NULL;
    atoll_load *load = NULL, *left = NULL;
    atoll_pin *pin = atoll_pin_new();
    atoll_bytes value;
    uint64_t keys = 0;
    int i;

    check_status(atoll_db_open(home, NULL, &db, &err), ATOLL_OK, &err, "open");
    check_status(atoll_db_open(other, NULL, &second, &err), ATOLL_OK, &err, "open another");
    check_status(atoll_put(db, NULL, "key-0007", 8, "old", 3, &err), ATOLL_OK, &err, "put");
    check_status(atoll_load_begin(db, &load, &err), ATOLL_OK, &err, "load_begin");
    for (i = 0; i < 5000; i++) {
        char key[16];
        size_t len = (size_t)snprintf(key, sizeof key, "key-%04d", i);
        if (atoll_load_put(load, key, len, key, len, 0, &err) != ATOLL_OK) {
            check_status(ATOLL_E_IO, ATOLL_OK, &err, "load_put");
        }
    }
    check_status(atoll_get(db, NULL, "key-0008", 8, pin, &value, &err), ATOLL_NOT_FOUND, &err, "nobody sees a pair before");
    check_status(atoll_load_finish(second, load, &keys, &err), ATOLL_E_INVALID, &err, "into another store");
    check_status(atoll_load_finish(db, load, &keys, &err), ATOLL_OK, &err, "load_finish");
    check(keys == 5000, "counts the keys");
    check_status(atoll_get(db, NULL, "key-0007", 8, pin, &value, &err), ATOLL_OK, &err, "everybody afterwards");
    check(view_is(value, "key-0007"), "in place of what was there");
    check_status(atoll_load_finish(db, load, NULL, &err), ATOLL_E_CLOSED, &err, "finish again");
    check_status(atoll_load_put(load, "z", 1, "z", 1, 0, &err), ATOLL_E_CLOSED, &err, "put after it");
    check_status(atoll_load_begin(db, &left, &err), ATOLL_OK, &err, "another load");
    check_status(atoll_load_put(left, "b", 1, "1", 1, 1000, &err), ATOLL_OK, &err, "a pair that goes by itself");
    check_status(atoll_load_put(left, "a", 1, "1", 1, 0, &err), ATOLL_E_INVALID, &err, "out of order");
    check_status(atoll_load_finish(db, left, NULL, &err), ATOLL_E_INVALID, &err, "of which a pair was refused");
    check_status(atoll_get(db, NULL, "b", 1, pin, &value, &err), ATOLL_NOT_FOUND, &err, "loads nothing");
    atoll_load_free(left);
    check_status(atoll_load_begin(db, &left, &err), ATOLL_OK, &err, "a load that is left");
    check_status(atoll_load_put(left, "c", 1, "1", 1, 0, &err), ATOLL_OK, &err, "with a pair");
    atoll_load_free(load);
    check_status(atoll_load_begin(NULL, &load, &err), ATOLL_E_INVALID, &err, "NULL");
    check(load == NULL, "makes none");
    check_status(atoll_db_close(db, &err), ATOLL_OK, &err, "close");
    check_status(atoll_load_finish(db, left, NULL, &err), ATOLL_E_CLOSED, &err, "finish after close");
    atoll_load_free(left);
    atoll_load_free(NULL);
    atoll_db_free(db);
    atoll_db_free(second);
    atoll_pin_free(pin);
    free(home);
    free(other);
}

static void members(const char *dir)
{
    char *home = below(dir, "members");
    const char *add = "{\"add\":{\"name\":\"n4\"}}", *nonsense = "{\"melt\":1}";
    atoll_cluster *cluster = NULL;
    atoll_buf *json = NULL;
    uint64_t count = 0, steps[2] = {0, 0};
    int i;

    check_status(atoll_cluster_create(home, "n1,n2,n3", 4, 2, NULL, &cluster, &err), ATOLL_OK, &err, "create");
    for (i = 0; i < 300; i++) {
        char key[16];
        size_t len = (size_t)snprintf(key, sizeof key, "key-%03d", i);
        if (atoll_cluster_put(cluster, NULL, key, len, key, len, NULL, &err) != ATOLL_OK) {
            check_status(ATOLL_E_IO, ATOLL_OK, &err, "put");
        }
    }
    check_status(atoll_cluster_plan(cluster, add, strlen(add), &json, &err), ATOLL_OK, &err, "cluster_plan");
    check(holds(json, "\"moved_between_old_nodes\":0"), "moves nothing between old nodes");
    atoll_buf_free(json);
    check_status(atoll_cluster_plan(cluster, nonsense, strlen(nonsense), &json, &err), ATOLL_E_INVALID, &err, "a change that is none");
    check_status(atoll_cluster_rebalance(cluster, "{\"remove\":\"n9\"}", 15, NULL, NULL, &json, &err), ATOLL_E_INVALID, &err, "nobody's removal");
    check(json == NULL, "makes no report");
    check_status(atoll_cluster_rebalance_resume(cluster, NULL, NULL, &json, &err), ATOLL_NOT_FOUND, &err, "nothing to resume");
    check_status(atoll_cluster_rebalance(cluster, add, strlen(add), count_steps, steps, &json, &err), ATOLL_OK, &err, "cluster_rebalance");
    check(holds(json, "\"keys_between_old_nodes\":0") && steps[0] > 0 && steps[1] == 0, "moves what the plan says");
    atoll_buf_free(json);
    check_status(atoll_cluster_count(cluster, NULL, &count, &err), ATOLL_OK, &err, "count");
    check(count == 300, "and every key is there");
    check_status(atoll_cluster_compact(cluster, &json, &err), ATOLL_OK, &err, "cluster_compact");
    check(holds(json, "\"bytes_after\":"), "tells what it did");
    atoll_buf_free(json);
    check_status(atoll_cluster_events_json(cluster, &json, &err), ATOLL_OK, &err, "cluster_events_json");
    check(atoll_buf_bytes(json).data[0] == '[', "is an array");
    atoll_buf_free(json);
    check_status(atoll_cluster_close(cluster, &err), ATOLL_OK, &err, "close");
    check_status(atoll_cluster_events_json(cluster, &json, &err), ATOLL_E_CLOSED, &err, "events after close");
    atoll_cluster_free(cluster);
    free(home);
}

/* What the logger was told. */
static struct {
    pthread_mutex_t lock;
    unsigned messages;
    unsigned recovered;
    unsigned freed;
    atoll_status from_within;
} told = {PTHREAD_MUTEX_INITIALIZER, 0, 0, 0, 0};

static void on_message(void *ctx, uint32_t level, atoll_bytes target, atoll_bytes message)
{
    char line[400];
    size_t len = message.len < sizeof line - 1 ? message.len : sizeof line - 1;
    memcpy(line, message.data, len);
    line[len] = 0;
    pthread_mutex_lock(&told.lock);
    told.messages++;
    told.recovered += level == ATOLL_LOG_LEVEL_INFO && strstr(line, "ecovered") != NULL;
    told.from_within = atoll_set_logger(NULL, NULL, NULL, 0, NULL);
    pthread_mutex_unlock(&told.lock);
    if (ctx != &told || target.len < 5 || memcmp(target.data, "atoll", 5) != 0) {
        abort();
    }
    /* The library may be used from here. */
    atoll_buf_free(NULL);
    atoll_snapshot_free(NULL);
}

static void on_free(void *ctx)
{
    (void)ctx;
    told.freed++;
}

static void of_a_cluster(const char *dir)
{
    char *home = below(dir, "cluster"), *copy = below(dir, "cluster-copy"), *again = below(dir, "cluster-again");
    atoll_cluster *cluster = NULL;
    atoll_health health = ATOLL_HEALTH_INIT;
    atoll_buf *json = NULL;
    uint64_t damaged = 9, count = 0;
    int status = 0;
    pid_t child;

    check_status(atoll_cluster_create(home, "n1,n2,n3", 2, 3, NULL, &cluster, &err), ATOLL_OK, &err, "create");
    check_status(atoll_cluster_put(cluster, NULL, "k", 1, "v", 1, NULL, &err), ATOLL_OK, &err, "put");
    check_status(atoll_cluster_health(cluster, &health, &json, &err), ATOLL_OK, &err, "cluster_health");
    check(health.state == ATOLL_HEALTH_OK && health.shards == 2 && health.shards_writable == 2, "it is well");
    check(health.replicas == 6 && health.replicas_up == 6 && atoll_buf_bytes(json).len == 0, "with all its copies");
    atoll_buf_free(json);
    check_status(atoll_cluster_metrics(cluster, &json, &err), ATOLL_OK, &err, "cluster_metrics");
    check(holds(json, "atoll_node_up{node=\"n2\"} 1\n"), "knows the nodes");
    check(holds(json, "op=\"put\"} 1\n"), "counts puts once, however many copies");
    check(holds(json, "# TYPE atoll_replication_lag_bytes gauge\n"), "and how far copies lag");
    atoll_buf_free(json);
    check_status(atoll_cluster_verify(cluster, NULL, NULL, &damaged, &json, &err), ATOLL_OK, &err, "cluster_verify");
    check(damaged == 0, "finds it sound");
    atoll_buf_free(json);
    check_status(atoll_cluster_backup(cluster, copy, ATOLL_BACKUP_LINK, NULL, NULL, &json, &err), ATOLL_OK, &err, "cluster_backup");
    atoll_buf_free(json);
    check_status(atoll_cluster_close(cluster, &err), ATOLL_OK, &err, "close");
    atoll_cluster_free(cluster);
    check_status(atoll_restore(copy, again, NULL, NULL, &json, &err), ATOLL_OK, &err, "restore of a cluster");
    atoll_buf_free(json);
    check_status(atoll_cluster_open(again, NULL, &cluster, &err), ATOLL_OK, &err, "open it");
    check_status(atoll_cluster_count(cluster, NULL, &count, &err), ATOLL_OK, &err, "count");
    check(count == 1, "it has the key");
    atoll_cluster_free(cluster);

    /* A process that ends without closing leaves something to tell. */
    fflush(stdout);
    child = fork();
    if (child == 0) {
        atoll_cluster *left = NULL;
        if (atoll_cluster_open(home, NULL, &left, NULL) != ATOLL_OK || atoll_cluster_put(left, NULL, "x", 1, "y", 1, NULL, NULL) != ATOLL_OK) {
            _exit(1);
        }
        _exit(0);
    }
    check(waitpid(child, &status, 0) == child && status == 0, "a process ends without closing");
    check_status(atoll_set_logger(on_message, &told, on_free, 9, &err), ATOLL_E_INVALID, &err, "a level that is none");
    check(told.freed == 1, "lets go of what was handed in");
    check_status(atoll_set_logger(on_message, &told, on_free, ATOLL_LOG_LEVEL_INFO, &err), ATOLL_OK, &err, "set_logger");
    check_status(atoll_cluster_open(home, NULL, &cluster, &err), ATOLL_OK, &err, "open after that");
    check_status(atoll_set_logger(NULL, NULL, NULL, 0, &err), ATOLL_OK, &err, "no logger any more");
    check(told.recovered > 0, "the program was told of recoveries");
    check(told.from_within == ATOLL_E_BUSY, "a logger does not replace itself");
    check(told.freed == 2, "and let go of once");
    {
        unsigned before = told.messages;
        atoll_cluster_free(cluster);
        check_status(atoll_cluster_open(again, NULL, &cluster, &err), ATOLL_OK, &err, "open without a logger");
        check(told.messages == before, "tells nobody");
        atoll_cluster_free(cluster);
    }
    free(home);
    free(copy);
    free(again);
}

int main(void)
{
    char *dir = fresh_dir();
    of_a_store(dir);
    damage(dir);
    of_a_cluster(dir);
    members(dir);
    loads(dir);
    free(dir);
    return check_failed;
}
