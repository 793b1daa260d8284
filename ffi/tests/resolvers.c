/* Contexts, versions and resolvers: built-in rules, functions of the program, and what becomes of what was handed in. */
#define _DEFAULT_SOURCE 1
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <pthread.h>

static atoll_error *err;

/* Packed versions: as many as are added. */
typedef struct {
    uint8_t bytes[4096];
    uint32_t offsets[17];
    size_t n;
} packed;

static void add(packed *all, uint64_t node, uint64_t stamp, const char *value)
{
    atoll_version_view version;
    atoll_buf *encoded = NULL;
    atoll_bytes view;
    memset(&version, 0, sizeof version);
    version.node = node;
    version.incarnation = 1;
    version.sequence = all->n + 1;
    version.stamp = stamp;
    version.deleted = value == NULL;
    if (value) {
        version.value.data = (const uint8_t *)value;
        version.value.len = strlen(value);
    }
    check_status(atoll_version_encode(&version, &encoded, &err), ATOLL_OK, &err, "version_encode");
    view = atoll_buf_bytes(encoded);
    memcpy(all->bytes + all->offsets[all->n], view.data, view.len);
    all->offsets[all->n + 1] = all->offsets[all->n] + (uint32_t)view.len;
    all->n++;
    atoll_buf_free(encoded);
}

static atoll_status resolve(const atoll_resolver *rule, const packed *all, atoll_versions **found)
{
    return atoll_resolver_resolve(rule, "key", 3, all->bytes, all->offsets, all->n, found, &err);
}

/* Whether the versions come to one with this value; NULL stands for deleted. */
static int comes_to(const atoll_resolver *rule, const packed *all, const char *value)
{
    atoll_versions *found = NULL;
    atoll_version_view one;
    int same = resolve(rule, all, &found) == ATOLL_OK && atoll_versions_count(found) == 1 &&
               atoll_versions_at(found, 0, &one, &err) == ATOLL_OK &&
               (value ? !one.deleted && view_is(one.value, value) : one.deleted && one.value.len == 0);
    if (err) {
        printf("# %s\n", atoll_error_message(err));
        atoll_error_free(err);
        err = NULL;
    }
    atoll_versions_free(found);
    return same;
}

static void built_in(void)
{
    static packed all;
    atoll_resolver *rule = NULL;
    atoll_versions *found = NULL;
    atoll_version_view one;
    size_t names = 0;
    const uint32_t order[] = {0, 3, 6};

    while (atoll_resolver_builtin_name(names)) {
        const char *name = atoll_resolver_builtin_name(names++);
        check_status(atoll_resolver_builtin(name, &rule, &err), ATOLL_OK, &err, name);
        check(strcmp(atoll_resolver_name(rule), name) == 0, "a rule knows its name");
        atoll_resolver_free(rule);
    }
    check(names == 8 && atoll_resolver_builtin_name((size_t)-1) == NULL, "there are eight rules");
    check_status(atoll_resolver_builtin("latest", &rule, &err), ATOLL_E_INVALID, &err, "an unknown rule");
    check(rule == NULL, "makes no resolver");

    add(&all, 2, 10, "3");
    add(&all, 1, 20, "12");
    add(&all, 3, 15, "7");
    atoll_resolver_builtin("lww", &rule, NULL);
    check(comes_to(rule, &all, "12"), "lww takes the latest");
    atoll_resolver_free(rule);
    atoll_resolver_builtin("max", &rule, NULL);
    check(comes_to(rule, &all, "12"), "max compares numbers");
    atoll_resolver_free(rule);
    atoll_resolver_builtin("min", &rule, NULL);
    check(comes_to(rule, &all, "3"), "min too");
    atoll_resolver_free(rule);
    atoll_resolver_builtin("siblings", &rule, NULL);
    check_status(resolve(rule, &all, &found), ATOLL_OK, &err, "siblings");
    check(atoll_versions_count(found) == 3, "leaves all of them");
    check_status(atoll_versions_at(found, 0, &one, &err), ATOLL_OK, &err, "the first");
    check(one.node == 1 && one.sequence == 2 && one.stamp == 20 && one.incarnation == 1, "is that of the lowest node");
    check_status(atoll_versions_at(found, 3, &one, &err), ATOLL_END, &err, "there is no fourth one");
    atoll_versions_free(found);
    check_status(atoll_resolver_resolve(rule, NULL, 0, NULL, NULL, 0, &found, &err), ATOLL_OK, &err, "nothing to resolve");
    check(atoll_versions_count(found) == 0, "comes to nothing");
    atoll_versions_free(found);
    atoll_resolver_free(rule);

    check_status(atoll_resolver_node_priority((const uint8_t *)"n-1n-2", order, 2, &rule, &err), ATOLL_OK, &err, "node_priority");
    check(comes_to(rule, &all, "12"), "nodes that are not listed come by their number");
    atoll_resolver_free(rule);

    atoll_resolver_builtin("counter", &rule, NULL);
    check_status(resolve(rule, &all, &found), ATOLL_E_INVALID, &err, "a value that is no counter");
    check(found == NULL, "comes to nothing");
    {
        atoll_buf *presented = NULL;
        check_status(atoll_resolver_present(rule, "?", 1, &presented, &err), ATOLL_E_INVALID, &err, "and is not shown as one");
        check(presented == NULL, "nothing is shown");
    }
    all.offsets[1]--;
    check_status(resolve(rule, &all, &found), ATOLL_E_CORRUPT, &err, "bytes that are no version");
    all.offsets[1]++;
    atoll_resolver_free(rule);
}

/* What the functions below are told to do, and what happened. */
typedef struct {
    int calls;
    int freed;
    char what;
    atoll_resolver *other;
} story;

static void let_go(void *ctx)
{
    ((story *)ctx)->freed++;
}

static atoll_status decide(void *ctx, atoll_bytes key, const atoll_version_view *versions, size_t n, atoll_out *out)
{
    story *told = (story *)ctx;
    size_t i, longest = 0;
    told->calls++;
    if (!view_is(key, "key") || n < 2) {
        return ATOLL_E_INVALID;
    }
    for (i = 1; i < n; i++) {
        if (versions[i].value.len > versions[longest].value.len) {
            longest = i;
        }
    }
    switch (told->what) {
    case 'c': return atoll_out_choose(out, longest);
    case 'o': return atoll_out_choose(out, n);
    case 'd': return atoll_out_delete(out);
    case 'e': return atoll_out_write(out, NULL, 0);
    case 's': return ATOLL_OK;
    case 'f': atoll_out_fail(out, "the moon is full"); return ATOLL_E_CALLBACK;
    case 'F': return ATOLL_NOT_FOUND;
    case 'h': return atoll_out_write(out, "x", (size_t)-1);
    case 'w':
        atoll_out_write(out, "<", 1);
        for (i = 0; i < n; i++) {
            atoll_out_write(out, versions[i].value.data, versions[i].value.len);
        }
        return atoll_out_write(out, ">", 1);
    default: {
        /* Asks another rule in the middle of it. */
        static packed all;
        atoll_versions *found = NULL;
        atoll_version_view one;
        atoll_status status;
        all.n = 0;
        add(&all, 1, 1, "inner");
        add(&all, 2, 2, "other");
        status = resolve(told->other, &all, &found);
        if (status == ATOLL_OK && atoll_versions_at(found, 0, &one, NULL) == ATOLL_OK) {
            status = atoll_out_write(out, one.value.data, one.value.len);
        }
        atoll_versions_free(found);
        return status;
    }
    }
}

static void functions(void)
{
    static packed all;
    story told = {0, 0, 'c', NULL};
    atoll_resolver *rule = NULL;
    atoll_versions *found = NULL;
    packed one;

    add(&all, 2, 30, "short");
    add(&all, 1, 20, "the longest");
    add(&all, 3, 10, NULL);
    check_status(atoll_resolver_new("mine", decide, &told, let_go, &rule, &err), ATOLL_OK, &err, "resolver_new");
    check(strcmp(atoll_resolver_name(rule), "mine") == 0 && told.freed == 0, "it has a name and keeps what it was handed");
    check(comes_to(rule, &all, "the longest") && told.calls == 1, "a function chooses");
    told.what = 'w';
    check(comes_to(rule, &all, "<the longestshort>"), "it writes, and is shown versions in the order of who wrote them");
    told.what = 'e';
    check(comes_to(rule, &all, ""), "an empty value is one");
    told.what = 'd';
    check(comes_to(rule, &all, NULL), "it deletes");
    told.what = 'i';
    check_status(atoll_resolver_builtin("lww", &told.other, &err), ATOLL_OK, &err, "another rule");
    check(comes_to(rule, &all, "other"), "it may ask another rule");
    atoll_resolver_free(told.other);

    told.what = 's';
    check_status(resolve(rule, &all, &found), ATOLL_E_CALLBACK, &err, "a function that says nothing");
    told.what = 'o';
    check_status(resolve(rule, &all, &found), ATOLL_E_CALLBACK, &err, "one that chooses what is not there");
    told.what = 'h';
    check_status(resolve(rule, &all, &found), ATOLL_E_CALLBACK, &err, "one that writes more than there can be");
    told.what = 'F';
    check_status(resolve(rule, &all, &found), ATOLL_E_CALLBACK, &err, "one that answers something else");
    told.what = 'f';
    check(resolve(rule, &all, &found) == ATOLL_E_CALLBACK && found == NULL && strstr(atoll_error_message(err), "the moon is full"),
          "its reason is told");
    atoll_error_free(err);
    err = NULL;
    told.calls = 0;
    memset(&one, 0, sizeof one);
    add(&one, 1, 1, "alone");
    check(comes_to(rule, &one, "alone") && told.calls == 0, "one version needs no function");
    atoll_resolver_free(rule);
    check(told.freed == 1, "what was handed in is let go of once");

    check_status(atoll_resolver_new("mine", NULL, &told, let_go, &rule, &err), ATOLL_E_INVALID, &err, "no function");
    check(told.freed == 2 && rule == NULL, "lets go of it too");
    check_status(atoll_resolver_new("lww", decide, &told, let_go, &rule, &err), ATOLL_E_INVALID, &err, "the name of another rule");
    check_status(atoll_resolver_new("", decide, &told, let_go, &rule, &err), ATOLL_E_INVALID, &err, "no name");
    check_status(atoll_resolver_new(NULL, decide, &told, let_go, &rule, &err), ATOLL_E_INVALID, &err, "a name that is NULL");
    check_status(atoll_resolver_new("\xff", decide, &told, let_go, &rule, &err), ATOLL_E_INVALID, &err, "a name that is no text");
    check_status(atoll_resolver_new("mine", decide, &told, let_go, NULL, &err), ATOLL_E_INVALID, &err, "nowhere to put it");
    check(told.freed == 7, "each time once");
    check_status(atoll_resolver_new("mine", decide, &told, NULL, &rule, &err), ATOLL_OK, &err, "nothing to let go of");
    atoll_resolver_free(rule);
    atoll_resolver_free(NULL);
    check(told.freed == 7, "nothing is let go of");
    check(atoll_out_write(NULL, "x", 1) == ATOLL_E_INVALID && atoll_out_choose(NULL, 0) == ATOLL_E_INVALID &&
              atoll_out_delete(NULL) == ATOLL_E_INVALID && atoll_out_fail(NULL, "x") == ATOLL_E_INVALID,
          "there is no result without a call");
}

/* Lays values end to end: what comes out depends on what was merged before. */
static atoll_status concat(void *ctx, atoll_bytes key, const atoll_version_view *versions, size_t n, atoll_out *out)
{
    size_t i;
    (void)ctx;
    (void)key;
    for (i = 0; i < n; i++) {
        atoll_out_write(out, versions[i].value.data, versions[i].value.len);
    }
    return ATOLL_OK;
}

/* The largest value by its bytes; a deletion is the smallest. */
static atoll_status largest(void *ctx, atoll_bytes key, const atoll_version_view *versions, size_t n, atoll_out *out)
{
    size_t i, best = 0;
    (void)ctx;
    (void)key;
    for (i = 1; i < n; i++) {
        size_t least = versions[i].value.len < versions[best].value.len ? versions[i].value.len : versions[best].value.len;
        int order = memcmp(versions[i].value.data, versions[best].value.data, least);
        if (versions[best].deleted || (!versions[i].deleted && (order > 0 || (order == 0 && versions[i].value.len > least)))) {
            best = i;
        }
    }
    return atoll_out_choose(out, best);
}

static void laws(void)
{
    const uint8_t values[] = "abab";
    const uint32_t offsets[] = {0, 1, 2, 4};
    atoll_resolver *rule = NULL;
    atoll_buf *example = NULL;
    atoll_resolver_new("concat", concat, NULL, NULL, &rule, NULL);
    check_status(atoll_resolver_check(rule, 7, 0, values, offsets, 3, &example, &err), ATOLL_OK, &err, "resolver_check");
    check(example != NULL && strstr((const char *)atoll_buf_bytes(example).data, "concat breaks Associativity"),
          "it finds what a wrong rule does");
    atoll_buf_free(example);
    atoll_resolver_free(rule);
    atoll_resolver_new("largest", largest, NULL, NULL, &rule, NULL);
    check_status(atoll_resolver_check(rule, 7, 300, values, offsets, 3, &example, &err), ATOLL_OK, &err, "resolver_check");
    check(example == NULL, "and nothing against a right one");
    check_status(atoll_resolver_check(rule, 7, 0, NULL, NULL, 0, &example, &err), ATOLL_E_INVALID, &err, "without values");
    atoll_resolver_free(rule);
}

static void contexts(void)
{
    atoll_version_view version, again;
    atoll_buf *first = NULL, *second = NULL, *both = NULL;
    atoll_bytes bytes;
    int32_t order = -1;
    /* Format 1, one actor, node 7, incarnation 1, all up to 2, no others. */
    const uint8_t seen[] = {1, 1, 7, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0}, other[] = {1, 1, 8, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0};
    check_status(atoll_context_compare(NULL, 0, seen, sizeof seen, &order, &err), ATOLL_OK, &err, "context_compare");
    check(order == ATOLL_VC_BEFORE, "nothing comes before something");
    check_status(atoll_context_compare(seen, sizeof seen, other, sizeof other, &order, &err), ATOLL_OK, &err, "context_compare");
    check(order == ATOLL_VC_CONCURRENT, "two that do not know each other");
    check_status(atoll_context_merge(seen, sizeof seen, other, sizeof other, &both, &err), ATOLL_OK, &err, "context_merge");
    bytes = atoll_buf_bytes(both);
    check_status(atoll_context_compare(bytes.data, bytes.len, other, sizeof other, &order, &err), ATOLL_OK, &err, "of both");
    check(order == ATOLL_VC_AFTER, "the union has seen more");
    check_status(atoll_context_compare(seen, sizeof seen - 1, other, sizeof other, &order, &err), ATOLL_E_CORRUPT, &err, "half a context");
    check_status(atoll_context_merge(seen, 1, other, sizeof other, &first, &err), ATOLL_E_CORRUPT, &err, "a byte of one");
    check(first == NULL, "gives nothing");

    memset(&version, 0, sizeof version);
    version.context = bytes;
    version.value.data = (const uint8_t *)"value";
    version.value.len = 5;
    version.node = 7;
    version.incarnation = 1;
    version.sequence = 2;
    version.stamp = 99;
    check_status(atoll_version_encode(&version, &first, &err), ATOLL_E_INVALID, &err, "a version that has seen itself");
    version.sequence = 0;
    check_status(atoll_version_encode(&version, &first, &err), ATOLL_E_INVALID, &err, "a version without a number");
    version.sequence = 3;
    version.deleted = 1;
    check_status(atoll_version_encode(&version, &first, &err), ATOLL_E_INVALID, &err, "a deletion with a value");
    version.deleted = 0;
    check_status(atoll_version_encode(&version, &first, &err), ATOLL_OK, &err, "a version");
    check_status(atoll_version_decode(atoll_buf_bytes(first).data, atoll_buf_bytes(first).len, &again, &err), ATOLL_OK, &err, "is read");
    check(view_is(again.value, "value") && again.node == 7 && again.sequence == 3 && again.stamp == 99 && !again.deleted &&
              again.context.len == bytes.len && memcmp(again.context.data, bytes.data, bytes.len) == 0,
          "as it was written");
    check_status(atoll_version_encode(&again, &second, &err), ATOLL_OK, &err, "and written again");
    check(atoll_buf_bytes(first).len == atoll_buf_bytes(second).len &&
              memcmp(atoll_buf_bytes(first).data, atoll_buf_bytes(second).data, atoll_buf_bytes(first).len) == 0,
          "with the same bytes");
    check_status(atoll_version_decode("nonsense", 8, &again, &err), ATOLL_E_CORRUPT, &err, "bytes that are no version");
    atoll_buf_free(first);
    atoll_buf_free(second);
    atoll_buf_free(both);
}

/* One rule and its function, used by several threads at the same time. */
static atoll_resolver *common;

static void *use(void *argument)
{
    static const char *const values[] = {"abc", "abd", "ab"};
    packed *all = (packed *)calloc(1, sizeof *all);
    size_t i, *wrong = (size_t *)argument;
    atoll_version_view version, one;
    for (i = 0; i < 3; i++) {
        atoll_buf *encoded = NULL;
        atoll_bytes view;
        memset(&version, 0, sizeof version);
        version.node = i + 1;
        version.sequence = 1;
        version.value.data = (const uint8_t *)values[i];
        version.value.len = strlen(values[i]);
        *wrong += atoll_version_encode(&version, &encoded, NULL) != ATOLL_OK;
        view = atoll_buf_bytes(encoded);
        memcpy(all->bytes + all->offsets[i], view.data, view.len);
        all->offsets[i + 1] = all->offsets[i] + (uint32_t)view.len;
        atoll_buf_free(encoded);
    }
    for (i = 0; i < 200; i++) {
        atoll_versions *found = NULL;
        *wrong += atoll_resolver_resolve(common, "k", 1, all->bytes, all->offsets, 3, &found, NULL) != ATOLL_OK ||
                  atoll_versions_at(found, 0, &one, NULL) != ATOLL_OK || !view_is(one.value, "abd");
        atoll_versions_free(found);
    }
    free(all);
    return NULL;
}

static void threads(void)
{
    pthread_t all[4];
    size_t wrong[4] = {0, 0, 0, 0}, i;
    atoll_resolver_new("largest", largest, NULL, NULL, &common, NULL);
    for (i = 0; i < 4; i++) {
        pthread_create(&all[i], NULL, use, &wrong[i]);
    }
    for (i = 0; i < 4; i++) {
        pthread_join(all[i], NULL);
    }
    check(wrong[0] + wrong[1] + wrong[2] + wrong[3] == 0, "a rule serves several threads at the same time");
    atoll_resolver_free(common);
}

int main(void)
{
    built_in();
    functions();
    laws();
    contexts();
    threads();
    return check_failed;
}
