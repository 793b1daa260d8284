/*
 * Reads a store as a C program does, through the shared library: `calls STORE KEYS`, with the lines and answers of `calls read` in
 * benches/src/bin/calls.rs.
 */
#define _POSIX_C_SOURCE 200809L
#include <atoll.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEY 16
#define VALUE 100
#define MANY 1000

static void must(atoll_status status, atoll_error *err)
{
    if (status != ATOLL_OK) {
        fprintf(stderr, "C: %s: %s\n", atoll_status_name(status), err ? atoll_error_message(err) : "");
        exit(1);
    }
}

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Bytes of all values. */
static size_t pass(atoll_db *db, int many, const uint8_t *keys, size_t n)
{
    static uint8_t values[VALUE * MANY], found[MANY];
    static uint32_t offsets[MANY + 1];
    static uint64_t ends[MANY + 1];
    size_t bytes = 0, i, len;
    atoll_error *err = NULL;
    if (!many) {
        for (i = 0; i < n; i++) {
            must(atoll_get_into(db, NULL, keys + KEY * i, KEY, values, VALUE, &len, &err), err);
            bytes += len;
        }
        return bytes;
    }
    if (offsets[1] == 0) {
        for (i = 0; i <= MANY; i++) {
            offsets[i] = (uint32_t)(KEY * i);
        }
    }
    for (i = 0; i < n; i += MANY) {
        must(atoll_multi_get(db, NULL, keys + KEY * i, offsets, n - i < MANY ? n - i : MANY, values, sizeof values, ends, found, &len, &err), err);
        bytes += len;
    }
    return bytes;
}

int main(int argc, char **argv)
{
    FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    uint8_t *keys;
    long length;
    char line[256], work[16];
    size_t first, count, turns;
    if (!file || fseek(file, 0, SEEK_END) != 0 || (length = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0) {
        fprintf(stderr, "usage: calls STORE KEYS\n");
        return 2;
    }
    keys = malloc((size_t)length + 1);
    if (!keys || fread(keys, 1, (size_t)length, file) != (size_t)length) {
        return 1;
    }
    fclose(file);
    while (fgets(line, sizeof line, stdin)) {
        atoll_db *db = NULL;
        atoll_error *err = NULL;
        size_t bytes = 0, turn, at, slice, n = 0;
        double begin, *slices;
        if (sscanf(line, "%15s %zu %zu %zu", work, &first, &count, &turns) != 4 || KEY * (first + count) > (size_t)length) {
            return 1;
        }
        must(atoll_db_open(argv[1], NULL, &db, &err), err);
        pass(db, strcmp(work, "many") == 0, keys + KEY * first, count);
        slices = malloc((turns * (count / MANY + 1) + 1) * sizeof *slices);
        if (!slices) {
            return 1;
        }
        for (turn = 0; turn < turns; turn++) {
            for (at = 0; at < count; at += slice) {
                slice = count - at < MANY ? count - at : MANY;
                begin = now();
                bytes += pass(db, strcmp(work, "many") == 0, keys + KEY * (first + at), slice);
                slices[n++] = (now() - begin) / (double)slice;
            }
        }
        if (bytes != VALUE * count * turns) {
            fprintf(stderr, "C: a value is missing\n");
            return 1;
        }
        must(atoll_db_close(db, &err), err);
        atoll_db_free(db);
        qsort(slices, n, sizeof *slices, ascending);
        printf("%f\n", n ? slices[n / 2] : 0);
        free(slices);
        fflush(stdout);
    }
    free(keys);
    return 0;
}
