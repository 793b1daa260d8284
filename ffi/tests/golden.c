/*
 * Answers that every language must give: routers over the vectors of core/tests/routing/vectors, routers and
 * topologies as bytes, vector clocks of core/tests/compat/golden/versions.tsv. Run from the root of the sources.
 */
#define _DEFAULT_SOURCE 1
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <errno.h>

#define VECTORS "core/tests/routing/vectors/"
#define MAX_NODES 4096

static atoll_error *err;

typedef struct {
    uint8_t *bytes;
    size_t len;
    /* For u64 and i64: the number as it is written. */
    uint64_t number;
} key;

typedef struct {
    key *all;
    size_t n;
} keys;

static FILE *open_file(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        printf("not ok %s: %s\n", path, strerror(errno));
        exit(1);
    }
    return file;
}

/* Reads pairs of digits; the bytes belong to the caller. */
static uint8_t *unhex(const char *text, size_t digits, size_t *len)
{
    uint8_t *bytes = (uint8_t *)malloc(digits / 2 + 1);
    size_t i;
    *len = digits / 2;
    for (i = 0; i < *len; i++) {
        unsigned value = 0;
        sscanf(text + 2 * i, "%2x", &value);
        bytes[i] = (uint8_t)value;
    }
    return bytes;
}

/* The bytes of an integer in an encoding, through the header. */
static key integer_key(int64_t integer, uint32_t encoding)
{
    atoll_key_part part = {ATOLL_KEY_INT, 0, 0, {NULL, 0}};
    atoll_buf *buf = NULL;
    key made;
    part.integer = integer;
    if (atoll_encode_key(&part, 1, encoding, &buf, NULL) != ATOLL_OK) {
        exit(1);
    }
    made.len = atoll_buf_bytes(buf).len;
    made.bytes = (uint8_t *)malloc(made.len);
    memcpy(made.bytes, atoll_buf_bytes(buf).data, made.len);
    made.number = (uint64_t)integer;
    atoll_buf_free(buf);
    return made;
}

static keys read_keys(const char *input, uint32_t encoding)
{
    char path[128], *line = NULL;
    size_t room = 0;
    ssize_t len;
    keys found = {NULL, 0};
    FILE *file;
    int is_hex = strcmp(input, "hex") == 0;
    snprintf(path, sizeof path, VECTORS "%s", is_hex ? "keys.hex" : strcmp(input, "i64") == 0 ? "i64.txt" : "u64.txt");
    file = open_file(path);
    while ((len = getline(&line, &room, file)) >= 0) {
        key one;
        while (len > 0 && line[len - 1] == '\n') {
            len--;
        }
        if (is_hex) {
            one.bytes = unhex(line, (size_t)len, &one.len);
            one.number = 0;
        } else if (strcmp(input, "i64") == 0) {
            one = integer_key((int64_t)strtoll(line, NULL, 10), encoding);
        } else {
            one.bytes = NULL;
            one.len = 0;
            one.number = strtoull(line, NULL, 10);
        }
        found.all = (key *)realloc(found.all, (found.n + 1) * sizeof *found.all);
        found.all[found.n++] = one;
    }
    free(line);
    fclose(file);
    return found;
}

static void free_keys(keys *some)
{
    size_t i;
    for (i = 0; i < some->n; i++) {
        free(some->all[i].bytes);
    }
    free(some->all);
}

/* One configuration: the options of `atoll route`. */
typedef struct {
    atoll_router *router;
    char *names[MAX_NODES];
    size_t nodes;
    size_t replicas;
    const char *input;
    uint32_t encoding;
    int by_number;
} configuration;

static void add_nodes(atoll_router_spec *spec, configuration *c, char *list)
{
    char *save = NULL, *item;
    for (item = strtok_r(list, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
        char *equals = strrchr(item, '=');
        uint32_t weight = 1;
        if (equals) {
            *equals = 0;
            weight = (uint32_t)strtoul(equals + 1, NULL, 10);
        }
        c->names[c->nodes++] = item;
        if (atoll_router_spec_add_node(spec, item, strlen(item), weight, NULL, NULL, &err) != ATOLL_OK) {
            check_status(ATOLL_E_INVALID, ATOLL_OK, &err, item);
        }
    }
}

static void add_splits(atoll_router_spec *spec, const configuration *c, char *list)
{
    char *save = NULL, *item;
    for (item = strtok_r(list, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
        key split;
        if (strcmp(c->input, "i64") == 0) {
            split = integer_key((int64_t)strtoll(item, NULL, 10), c->encoding);
        } else {
            split.bytes = unhex(item, strlen(item), &split.len);
        }
        atoll_router_spec_add_split(spec, split.bytes, split.len, NULL);
        free(split.bytes);
    }
}

/* Builds the router that a line asks for; `options` is cut up. */
static void build(configuration *c, char *options)
{
    char *words[64], *save = NULL, *word, *splits = NULL;
    size_t n = 0, i;
    atoll_router_spec *spec = NULL;
    memset(c, 0, sizeof *c);
    c->replicas = 1;
    c->input = "hex";
    for (word = strtok_r(options, " ", &save); word && n < 64; word = strtok_r(NULL, " ", &save)) {
        words[n++] = word;
    }
    for (i = 0; i + 1 < n; i++) {
        const char *value = words[i + 1];
        if (strcmp(words[i], "--algorithm") == 0) {
            atoll_router_spec_new(value, &spec, NULL);
        } else if (strcmp(words[i], "--input") == 0) {
            c->input = value;
        } else if (strcmp(words[i], "--encoding") == 0 && strcmp(value, "decimal") == 0) {
            c->encoding = ATOLL_ENCODING_DECIMAL;
        }
    }
    for (i = 0; i < n; i++) {
        const char *name = words[i] + 2;
        char *value = i + 1 < n ? words[i + 1] : NULL;
        if (strcmp(name, "json") == 0) {
            c->by_number = 1;
        } else if (strcmp(name, "nodes") == 0) {
            add_nodes(spec, c, value);
        } else if (strcmp(name, "split-at") == 0) {
            splits = value;
        } else if (strcmp(name, "replicas") == 0) {
            c->replicas = strtoul(value, NULL, 10);
        } else if (strcmp(name, "table-size") == 0) {
            atoll_router_spec_set(spec, "table_size", value, NULL);
        } else if (strncmp(words[i], "--", 2) == 0 && strcmp(name, "algorithm") != 0 && strcmp(name, "input") != 0) {
            if (atoll_router_spec_set(spec, name, value, &err) != ATOLL_OK) {
                check_status(ATOLL_E_INVALID, ATOLL_OK, &err, name);
            }
        }
    }
    if (splits) {
        add_splits(spec, c, splits);
    }
    check_status(atoll_router_new(spec, &c->router, &err), ATOLL_OK, &err, "a router of the vectors is made");
    c->by_number |= c->nodes == 0;
    atoll_router_spec_free(spec);
}

/* Whether an answer of the file is the router's. */
static int agrees(const configuration *c, const key *asked, const char *answer)
{
    atoll_bytes names[16];
    size_t found = 0, i;
    if (strcmp(c->input, "u64") == 0) {
        uint32_t bucket = 0;
        return atoll_router_bucket_of(c->router, asked->number, &bucket, NULL) == ATOLL_OK && bucket == strtoul(answer, NULL, 10);
    }
    if (c->by_number) {
        int64_t number = 0;
        return atoll_router_number(c->router, asked->bytes, asked->len, &number, NULL) == ATOLL_OK &&
               number == (int64_t)strtoll(answer, NULL, 10);
    }
    if (atoll_router_nodes(c->router, asked->bytes, asked->len, names, c->replicas, &found, NULL) != ATOLL_OK) {
        return 0;
    }
    for (i = 0; i < found; i++) {
        char *end;
        size_t position = strtoul(answer, &end, 10);
        if (end == answer || position >= c->nodes || !view_is(names[i], c->names[position])) {
            return 0;
        }
        answer = *end == ',' ? end + 1 : end;
    }
    return *answer == 0 && found > 0;
}

/* Compares a file of vectors; also after a journey through bytes and JSON. */
static void routes(const char *file_name)
{
    char path[128], *line = NULL;
    size_t room = 0, compared = 0, wrong = 0;
    FILE *file;
    snprintf(path, sizeof path, VECTORS "%s.tsv", file_name);
    file = open_file(path);
    while (getline(&line, &room, file) >= 0) {
        configuration *c = (configuration *)malloc(sizeof *c);
        char *answers = strchr(line, '\t'), *save = NULL, *answer;
        size_t i = 0;
        keys asked;
        atoll_buf *bytes = NULL, *json = NULL;
        atoll_router *again = NULL;
        char *text;
        *answers++ = 0;
        build(c, line);
        asked = read_keys(c->input, c->encoding);
        for (answer = strtok_r(answers, " \n", &save); answer; answer = strtok_r(NULL, " \n", &save), i++) {
            if (strcmp(answer, "x") == 0) {
                continue;
            }
            compared++;
            wrong += i >= asked.n || !agrees(c, &asked.all[i], answer);
            if (i == asked.n / 2 && !again) {
                /* From here on a router that has been bytes and JSON in between. */
                atoll_router_encode(c->router, &bytes, NULL);
                atoll_router_decode(atoll_buf_bytes(bytes).data, atoll_buf_bytes(bytes).len, &again, &err);
                atoll_router_free(c->router);
                c->router = NULL;
                atoll_router_to_json(again, &json, NULL);
                text = (char *)calloc(1, atoll_buf_bytes(json).len + 1);
                memcpy(text, atoll_buf_bytes(json).data, atoll_buf_bytes(json).len);
                atoll_router_from_json(text, &c->router, &err);
                atoll_router_free(again);
                again = c->router;
                free(text);
                atoll_buf_free(bytes);
                atoll_buf_free(json);
            }
        }
        wrong += i != asked.n;
        free_keys(&asked);
        atoll_router_free(c->router);
        free(c);
    }
    free(line);
    fclose(file);
    printf("# %s: %zu answers, %zu mismatches\n", file_name, compared, wrong);
    check(compared > 0 && wrong == 0, file_name);
}

/* Routers and topologies as bytes are read and written back. */
static void bytes_of_routers(const char *name)
{
    char path[128], *text = (char *)calloc(1, 8192);
    size_t len = 0, digits = 0, i;
    FILE *file;
    uint8_t *bytes;
    atoll_router *router = NULL;
    atoll_buf *again = NULL;
    snprintf(path, sizeof path, "core/tests/routing/golden/%s.hex", name);
    file = open_file(path);
    len = fread(text, 1, 8191, file);
    fclose(file);
    for (i = 0; i < len; i++) {
        if (text[i] != '\n' && text[i] != ' ') {
            text[digits++] = text[i];
        }
    }
    bytes = unhex(text, digits, &len);
    check_status(atoll_router_decode(bytes, len, &router, &err), ATOLL_OK, &err, name);
    check_status(atoll_router_encode(router, &again, &err), ATOLL_OK, &err, name);
    check(atoll_router_epoch(router) > 0, name);
    atoll_buf_free(again);
    atoll_router_free(router);
    router = NULL;
    bytes[len / 2] ^= 1;
    check_status(atoll_router_decode(bytes, len, &router, &err), ATOLL_E_CORRUPT, &err, "a flipped bit is noticed");
    check(router == NULL, "and makes no router");
    free(bytes);
    free(text);
}

static void clocks(void)
{
    char *line = NULL;
    size_t room = 0, compared = 0, wrong = 0;
    FILE *file = open_file("core/tests/compat/golden/versions.tsv");
    while (getline(&line, &room, file) >= 0) {
        char *save = NULL, *kind = strtok_r(line, "\t\n", &save), *text = strtok_r(NULL, "\t\n", &save);
        char *hex = strtok_r(NULL, "\t\n", &save);
        atoll_vclock *from_text = NULL, *from_bytes = NULL;
        atoll_buf *encoded = NULL, *written = NULL;
        uint8_t *bytes;
        size_t len;
        int32_t order = -1;
        if (!kind || strcmp(kind, "clock") != 0 || !hex) {
            continue;
        }
        compared++;
        bytes = unhex(hex, strlen(hex), &len);
        if (atoll_vclock_from_text(text, strlen(text), &from_text, &err) != ATOLL_OK ||
            atoll_vclock_decode(bytes, len, &from_bytes, &err) != ATOLL_OK ||
            atoll_vclock_encode(from_text, &encoded, &err) != ATOLL_OK ||
            atoll_vclock_to_text(from_bytes, &written, &err) != ATOLL_OK ||
            atoll_vclock_compare(from_text, from_bytes, &order, &err) != ATOLL_OK || order != ATOLL_VC_EQUAL ||
            atoll_buf_bytes(encoded).len != len || memcmp(atoll_buf_bytes(encoded).data, bytes, len) != 0 ||
            !view_is(atoll_buf_bytes(written), text)) {
            printf("# %s: %s\n", text, atoll_error_message(err));
            wrong++;
        }
        atoll_buf_free(encoded);
        atoll_buf_free(written);
        atoll_vclock_free(from_text);
        atoll_vclock_free(from_bytes);
        free(bytes);
    }
    free(line);
    fclose(file);
    printf("# clocks: %zu, %zu mismatches\n", compared, wrong);
    check(compared > 5 && wrong == 0, "vector clocks as text and as bytes");
}

int main(void)
{
    static const char *const files[] = {"modulo", "ring", "jump", "hrw", "maglev", "ketama", "ketama-copies", "ketama-uhashring",
                                        "nginx", "redis", "cassandra", "range", "slots"};
    size_t i;
    for (i = 0; i < sizeof files / sizeof *files; i++) {
        routes(files[i]);
    }
    bytes_of_routers("topology-1-hash");
    bytes_of_routers("topology-1-range");
    bytes_of_routers("topology-1-features");
    clocks();
    return check_failed;
}
