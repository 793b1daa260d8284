/*
 * Answers that every language must give: routers, keys and places over the vectors of core/tests/routing/vectors,
 * routers and topologies as bytes, vector clocks and stamps of core/tests/compat/golden. Run from the root of the sources.
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

enum { FIELDS = 10 };

/* Cuts a row at its tabs, empty fields too; returns how many there are. */
static size_t cut(char *line, char *fields[FIELDS])
{
    size_t n = 0;
    line[strcspn(line, "\n")] = 0;
    for (;;) {
        fields[n++] = line;
        line = strchr(line, '\t');
        if (!line || n == FIELDS) {
            return n;
        }
        *line++ = 0;
    }
}

/* Hands every row of a file to `row`, which says whether it agrees; at least `least` must be there. */
static void rows_of(const char *path, size_t least, int (*row)(char *fields[FIELDS], size_t n), const char *name)
{
    char *line = NULL, *fields[FIELDS];
    size_t room = 0, compared = 0, wrong = 0;
    FILE *file = open_file(path);
    while (getline(&line, &room, file) >= 0) {
        size_t n = cut(line, fields);
        compared++;
        if (!row(fields, n)) {
            printf("# %s %s: %s\n", fields[0], n > 1 ? fields[1] : "", atoll_error_message(err));
            wrong++;
        }
        atoll_error_free(err);
        err = NULL;
    }
    free(line);
    fclose(file);
    printf("# %s: %zu rows, %zu mismatches\n", name, compared, wrong);
    check(compared >= least && wrong == 0, name);
}

static int same_bytes(const void *left, size_t len, const char *hex)
{
    size_t expected_len;
    uint8_t *expected = unhex(hex, strlen(hex), &expected_len);
    int same = len == expected_len && memcmp(left, expected, len) == 0;
    free(expected);
    return same;
}

static int same_text(const void *left, size_t len, const char *text)
{
    return len == strlen(text) && memcmp(left, text, len) == 0;
}

static int clock_is(const atoll_vclock *clock, const char *text)
{
    char buf[2048];
    atoll_buf *written = NULL;
    size_t len = 0;
    int same = atoll_vclock_to_text(clock, &written, &err) == ATOLL_OK && view_is(atoll_buf_bytes(written), text);
    atoll_buf_free(written);
    /* The byte form is that of the entries one by one, too. */
    return same && atoll_vclock_encode_into(clock, buf, sizeof buf, &len, &err) == ATOLL_OK;
}

static int compare_row(char *fields[FIELDS])
{
    static const char *const words[] = {"equal", "before", "after", "concurrent"};
    static const int32_t turned[] = {ATOLL_VC_EQUAL, ATOLL_VC_AFTER, ATOLL_VC_BEFORE, ATOLL_VC_CONCURRENT};
    atoll_vclock *a = NULL, *b = NULL;
    uint8_t left[2048], right[2048];
    size_t left_len = 0, right_len = 0;
    int32_t order = -1, back = -1, encoded = -1;
    int same = atoll_vclock_from_text(fields[1], strlen(fields[1]), &a, &err) == ATOLL_OK &&
               atoll_vclock_from_text(fields[2], strlen(fields[2]), &b, &err) == ATOLL_OK &&
               atoll_vclock_compare(a, b, &order, &err) == ATOLL_OK && atoll_vclock_compare(b, a, &back, &err) == ATOLL_OK &&
               atoll_vclock_encode_into(a, left, sizeof left, &left_len, &err) == ATOLL_OK &&
               atoll_vclock_encode_into(b, right, sizeof right, &right_len, &err) == ATOLL_OK &&
               atoll_vclock_compare_encoded(left, left_len, right, right_len, &encoded, &err) == ATOLL_OK && order >= 0 &&
               order <= 3 && strcmp(words[order], fields[3]) == 0 && back == turned[order] && encoded == order &&
               atoll_vclock_merge(a, b, &err) == ATOLL_OK && clock_is(a, fields[4]);
    atoll_vclock_free(a);
    atoll_vclock_free(b);
    return same;
}

static int hlc_row(char *fields[FIELDS])
{
    uint64_t stamp = 0;
    atoll_bytes node;
    char text[320];
    size_t len = 0;
    return atoll_hlc_from_text(fields[1], strlen(fields[1]), &stamp, &node, &err) == ATOLL_OK &&
           stamp == strtoull(fields[2], NULL, 10) && view_is(node, fields[3]) &&
           atoll_hlc_to_text(stamp, node.data, node.len, text, sizeof text, &len, &err) == ATOLL_OK &&
           same_text(text, len, fields[1]);
}

/* Rows of versions.tsv; clocks() has looked at the clocks. */
static int version_row(char *fields[FIELDS], size_t n)
{
    if (n == 3 && strcmp(fields[0], "clock") == 0) {
        return 1;
    }
    if (n == 5 && strcmp(fields[0], "compare") == 0) {
        return compare_row(fields);
    }
    if (n == 4 && strcmp(fields[0], "hlc") == 0) {
        return hlc_row(fields);
    }
    if (n == 2 && strcmp(fields[0], "badclock") == 0) {
        atoll_vclock *clock = NULL;
        return atoll_vclock_from_text(fields[1], strlen(fields[1]), &clock, &err) == ATOLL_E_INVALID && clock == NULL;
    }
    if (n == 2 && strcmp(fields[0], "badhlc") == 0) {
        uint64_t stamp = 0;
        atoll_bytes node;
        return atoll_hlc_from_text(fields[1], strlen(fields[1]), &stamp, &node, &err) == ATOLL_E_INVALID;
    }
    return 0;
}

static int stamp_row(char *fields[FIELDS], size_t n)
{
    static uint8_t last[300];
    static uint64_t last_stamp;
    static size_t last_len;
    uint64_t stamp = 0, again = 0;
    atoll_bytes node, same_node;
    uint8_t form[300];
    size_t len = 0;
    int32_t order = 9;
    int same = n == 2 && atoll_hlc_from_text(fields[0], strlen(fields[0]), &stamp, &node, &err) == ATOLL_OK &&
               atoll_hlc_encode_into(stamp, node.data, node.len, form, sizeof form, &len, &err) == ATOLL_OK &&
               same_bytes(form, len, fields[1]) &&
               atoll_hlc_decode(form, len, &again, &same_node, &err) == ATOLL_OK && again == stamp &&
               same_node.len == node.len && memcmp(same_node.data, node.data, node.len) == 0;
    if (same && last_len && last_stamp != stamp) {
        same = atoll_hlc_compare_encoded(last, last_len, form, len, &order, &err) == ATOLL_OK &&
               order == (last_stamp < stamp ? -1 : 1);
    }
    memcpy(last, form, len);
    last_len = len;
    last_stamp = stamp;
    return same;
}

enum { PARTS = 256 };

/* The parts that words such as t:61 and i:-1 stand for; their bytes are to be freed. */
static size_t parts_of(char *words, atoll_key_part parts[PARTS])
{
    size_t n = 0;
    char *save = NULL, *word;
    for (word = strtok_r(words, " ", &save); word && n < PARTS; word = strtok_r(NULL, " ", &save), n++) {
        memset(&parts[n], 0, sizeof parts[n]);
        switch (word[0]) {
        case 'b': parts[n].kind = ATOLL_KEY_BYTES; break;
        case 't': parts[n].kind = ATOLL_KEY_TEXT; break;
        case 'i': parts[n].kind = ATOLL_KEY_INT; break;
        case 'u': parts[n].kind = ATOLL_KEY_UUID; break;
        case '(': parts[n].kind = ATOLL_KEY_BEGIN; break;
        default: parts[n].kind = ATOLL_KEY_END; break;
        }
        if (word[0] == 'i') {
            parts[n].integer = (int64_t)strtoll(word + 2, NULL, 10);
        } else if (word[1] == ':') {
            parts[n].bytes.data = unhex(word + 2, strlen(word + 2), &parts[n].bytes.len);
        }
    }
    return n;
}

static int tuple_row(char *fields[FIELDS])
{
    atoll_key_part parts[PARTS], again[PARTS];
    size_t n = parts_of(fields[1], parts), found = 0, i;
    atoll_buf *made = NULL, *contents = NULL;
    atoll_bytes view;
    int same = atoll_encode_key_tuple(parts, n, &made, &err) == ATOLL_OK;
    view = atoll_buf_bytes(made);
    same = same && same_bytes(view.data, view.len, fields[2]) &&
           (n == 0 || atoll_decode_key_tuple(view.data, view.len, again, n - 1, &found, &contents, &err) == ATOLL_BUFFER_TOO_SMALL) &&
           contents == NULL && found == n &&
           atoll_decode_key_tuple(view.data, view.len, again, PARTS, &found, &contents, &err) == ATOLL_OK && found == n;
    for (i = 0; i < n; i++) {
        same = same && parts[i].kind == again[i].kind && parts[i].integer == again[i].integer &&
               parts[i].bytes.len == again[i].bytes.len &&
               (parts[i].bytes.len == 0 || memcmp(parts[i].bytes.data, again[i].bytes.data, parts[i].bytes.len) == 0);
        free((void *)parts[i].bytes.data);
    }
    atoll_buf_free(made);
    atoll_buf_free(contents);
    return same;
}

/* Rows of key-encoding.tsv. */
static int key_row(char *fields[FIELDS], size_t n)
{
    uint8_t made[2048], *given = NULL;
    size_t len = 0, given_len = 0;
    int same = 0;
    if (n == 4 && strcmp(fields[0], "int") == 0) {
        uint32_t encoding = strcmp(fields[2], "decimal") == 0 ? ATOLL_ENCODING_DECIMAL : ATOLL_ENCODING_BINARY;
        long long value = strtoll(fields[1], NULL, 10);
        same = atoll_encode_key_i64((int64_t)value, encoding, made, sizeof made, &len, &err) == ATOLL_OK && same_bytes(made, len, fields[3]) &&
               atoll_encode_key_i64((int64_t)value, encoding, made, len - 1, &len, &err) == ATOLL_BUFFER_TOO_SMALL;
        if (same && value >= 0) {
            same = atoll_encode_key_u64((uint64_t)value, encoding, made, sizeof made, &len, &err) == ATOLL_OK &&
                   same_bytes(made, len, fields[3]);
        }
        return same;
    }
    if (n == 2 && strcmp(fields[0], "bigint") == 0) {
        return atoll_encode_key_u64(strtoull(fields[1], NULL, 10), ATOLL_ENCODING_BINARY, made, sizeof made, &len, &err) == ATOLL_E_INVALID;
    }
    if (n == 3 && strcmp(fields[0], "tuple") == 0) {
        return tuple_row(fields);
    }
    given = unhex(fields[1], strlen(fields[1]), &given_len);
    if (n == 3 && strcmp(fields[0], "text") == 0) {
        same = atoll_encode_key_text(given, given_len, made, sizeof made, &len, &err) == ATOLL_OK && same_bytes(made, len, fields[2]);
    } else if (n == 2 && strcmp(fields[0], "badtext") == 0) {
        same = atoll_encode_key_text(given, given_len, made, sizeof made, &len, &err) == ATOLL_E_INVALID;
    } else if (n == 3 && strcmp(fields[0], "uuid") == 0) {
        same = atoll_encode_key_uuid(given, made, sizeof made, &len, &err) == ATOLL_OK && same_bytes(made, len, fields[2]);
    } else if (n == 2 && strcmp(fields[0], "badtuple") == 0) {
        atoll_key_part parts[4];
        atoll_buf *contents = NULL;
        same = atoll_decode_key_tuple(given, given_len, parts, 4, &len, &contents, &err) == ATOLL_E_INVALID && contents == NULL;
    }
    free(given);
    return same;
}

/* Rows of locate.tsv: a topology, and then where its keys are. */
static atoll_router *located;

static int place_row(char *fields[FIELDS], size_t n)
{
    static const char *const phases[] = {"none", "copying", "frozen"};
    atoll_location place = ATOLL_LOCATION_INIT, by_slot = ATOLL_LOCATION_INIT;
    uint8_t *bytes;
    uint32_t nodes[8], owners[8], shard = 0;
    size_t len = 0, found = 0, owner_count = 0, i;
    int same;
    if (n == 7 && strcmp(fields[0], "topology") == 0) {
        bytes = unhex(fields[6], strlen(fields[6]), &len);
        atoll_router_free(located);
        same = atoll_router_decode(bytes, len, &located, &err) == ATOLL_OK &&
               atoll_router_epoch(located) == strtoull(fields[2], NULL, 10) &&
               atoll_router_places(located) == strtoul(fields[3], NULL, 10) &&
               atoll_router_shard_count(located) == strtoul(fields[4], NULL, 10) &&
               atoll_router_node_count(located) == strtoul(fields[5], NULL, 10);
        free(bytes);
        return same;
    }
    bytes = unhex(fields[1], strlen(fields[1]), &len);
    if (n == 2 && strcmp(fields[0], "outside") == 0) {
        same = atoll_router_locate(located, bytes, len, &place, &err) == ATOLL_E_INVALID;
        free(bytes);
        return same;
    }
    same = n == 8 && atoll_router_locate(located, bytes, len, &place, &err) == ATOLL_OK &&
           place.struct_size == sizeof place && place.version == atoll_router_epoch(located) &&
           place.slot == strtoul(fields[2], NULL, 10) && place.shard == strtoul(fields[3], NULL, 10) && place.phase < 3 &&
           strcmp(phases[place.phase], fields[4]) == 0 && place.moving_to == strtoul(fields[5], NULL, 10) &&
           place.residency == strtoull(fields[6], NULL, 10) &&
           atoll_router_slot_at(located, place.slot, &by_slot, &err) == ATOLL_OK && memcmp(&place, &by_slot, sizeof place) == 0 &&
           atoll_router_shard(located, bytes, len, &shard, &err) == ATOLL_OK && shard == place.shard &&
           atoll_router_shard_nodes(located, place.shard, nodes, 8, &found, &err) == ATOLL_OK && found > 0 &&
           atoll_router_owners(located, bytes, len, 8, owners, &owner_count, &err) == ATOLL_OK && owner_count == found;
    for (i = 0; same && i < found; i++) {
        char *end;
        same = strtoul(fields[7], &end, 10) == nodes[i] && nodes[i] == owners[i] && *end == (i + 1 < found ? ',' : 0);
        fields[7] = end + 1;
    }
    free(bytes);
    return same;
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
    rows_of("core/tests/compat/golden/versions.tsv", 400, version_row, "clocks and stamps as defined");
    rows_of("core/tests/compat/golden/stamps.tsv", 100, stamp_row, "stamps as bytes");
    rows_of(VECTORS "key-encoding.tsv", 300, key_row, "keys of every type");
    rows_of(VECTORS "locate.tsv", 1000, place_row, "places in topologies");
    atoll_router_free(located);
    return check_failed;
}
