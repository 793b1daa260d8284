/* Plans of routers, typed keys, vector clocks: what the golden files do not ask. */
#define _DEFAULT_SOURCE 1
#include "check.h"

static atoll_error *err;

static atoll_router *ring_of(const char *const *nodes, size_t n)
{
    atoll_router_spec *spec = NULL;
    atoll_router *router = NULL;
    size_t i;
    check_status(atoll_router_spec_new("ring", &spec, &err), ATOLL_OK, &err, "router_spec_new");
    check_status(atoll_router_spec_set(spec, "vnodes", "160", &err), ATOLL_OK, &err, "router_spec_set");
    for (i = 0; i < n; i++) {
        check_status(atoll_router_spec_add_node(spec, nodes[i], strlen(nodes[i]), 1, NULL, NULL, &err), ATOLL_OK, &err, "add_node");
    }
    check_status(atoll_router_new(spec, &router, &err), ATOLL_OK, &err, "router_new");
    atoll_router_spec_free(spec);
    return router;
}

static void plans(void)
{
    static const char *const names[] = {"a", "b", "c"};
    atoll_router *router = ring_of(names, 3), *after = NULL;
    atoll_buf *json = NULL;
    atoll_bytes was, is, found[5];
    size_t n = 0, moved = 0, elsewhere = 0, i;
    uint32_t offsets[3] = {0, 1, 2}, weight = 0;
    int64_t answers[2];

    check(atoll_router_node_count(router) == 3 && atoll_router_places(router) == 3, "a ring of three nodes");
    check_status(atoll_router_node_at(router, 2, &is, &weight), ATOLL_OK, NULL, "node_at");
    check(view_is(is, "c") && weight == 1, "its last node");
    check_status(atoll_router_node_at(router, 3, &is, NULL), ATOLL_END, NULL, "there is no fourth one");
    check_status(atoll_router_plan_add(router, "d", 1, 1, &json, &after, &err), ATOLL_OK, &err, "plan_add");
    check(strstr((const char *)atoll_buf_bytes(json).data, "\"moved_between_old_nodes\":0.0") != NULL, "nothing moves between old nodes");
    for (i = 0; i < 2000; i++) {
        char key[16];
        size_t len = (size_t)snprintf(key, sizeof key, "key-%zu", i);
        atoll_router_node(router, key, len, &was, NULL);
        atoll_router_node(after, key, len, &is, NULL);
        if (was.len != is.len || memcmp(was.data, is.data, is.len) != 0) {
            moved++;
            elsewhere += !view_is(is, "d");
        }
    }
    check(moved > 300 && moved < 700 && elsewhere == 0, "the keys that move go to the new node");
    check_status(atoll_router_nodes(router, "k", 1, found, 5, &n, &err), ATOLL_OK, &err, "nodes");
    check(n == 3, "there are no more than three");
    check_status(atoll_router_route_many(router, (const uint8_t *)"xy", offsets, 2, answers, &err), ATOLL_OK, &err, "route_many");
    check(answers[0] >= 0 && answers[0] < 3, "its answers are nodes");
    atoll_buf_free(json);
    atoll_router_free(router);
    router = after;
    after = NULL;
    check_status(atoll_router_plan_remove(router, "nobody", 6, &json, NULL, &err), ATOLL_E_INVALID, &err, "a node that is not there");
    check_status(atoll_router_plan_remove(router, "a", 1, &json, &after, &err), ATOLL_OK, &err, "plan_remove");
    check(atoll_router_node_count(after) == 3, "one is gone");
    atoll_buf_free(json);
    atoll_router_free(router);
    atoll_router_free(after);
}

static void refusals(void)
{
    atoll_router_spec *spec = NULL;
    atoll_router *router = NULL;
    check_status(atoll_router_spec_new("roundrobin", &spec, &err), ATOLL_E_INVALID, &err, "an unknown algorithm");
    check(spec == NULL, "makes no description");
    atoll_router_spec_new("jump", &spec, NULL);
    check_status(atoll_router_new(spec, &router, &err), ATOLL_E_INVALID, &err, "no nodes");
    check_status(atoll_router_spec_set(spec, "speed", "9", &err), ATOLL_E_INVALID, &err, "an unknown option");
    check_status(atoll_router_spec_set(spec, "vnodes", "many", &err), ATOLL_E_INVALID, &err, "a wrong value");
    check_status(atoll_router_spec_set(spec, "vnodes", "9", &err), ATOLL_OK, &err, "an option of another algorithm");
    check_status(atoll_router_spec_set(spec, "buckets", "9", &err), ATOLL_OK, &err, "buckets");
    check_status(atoll_router_new(spec, &router, &err), ATOLL_E_INVALID, &err, "is refused when it is made");
    check_status(atoll_router_spec_add_node(spec, "a\nb", 3, 1, NULL, NULL, &err), ATOLL_E_INVALID, &err, "a bad name");
    atoll_router_spec_free(spec);
    check_status(atoll_router_decode("nonsense", 8, &router, &err), ATOLL_E_CORRUPT, &err, "bytes that are none");
    check_status(atoll_router_from_json("{}", &router, &err), ATOLL_E_INVALID, &err, "JSON that is none");
    check(router == NULL && atoll_router_node_count(NULL) == 0, "no router");
    atoll_router_free(NULL);
    atoll_router_spec_free(NULL);
}

static void typed_keys(void)
{
    atoll_key_part parts[2] = {{ATOLL_KEY_INT, 0, -1, {NULL, 0}}, {ATOLL_KEY_TEXT, 0, 0, {(const uint8_t *)"a\0b", 3}}};
    atoll_buf *key = NULL;
    check_status(atoll_encode_key(parts, 1, ATOLL_ENCODING_BINARY, &key, &err), ATOLL_OK, &err, "encode_key of an integer");
    check(atoll_buf_bytes(key).len == 8 && memcmp(atoll_buf_bytes(key).data, "\x7f\xff\xff\xff\xff\xff\xff\xff", 8) == 0, "in byte order");
    atoll_buf_free(key);
    atoll_encode_key(parts, 1, ATOLL_ENCODING_DECIMAL, &key, NULL);
    check(view_is(atoll_buf_bytes(key), "-1"), "in decimal");
    atoll_buf_free(key);
    check_status(atoll_encode_key(parts, 2, ATOLL_ENCODING_BINARY, &key, &err), ATOLL_OK, &err, "encode_key of a tuple");
    check(atoll_buf_bytes(key).len > 12, "of both parts");
    atoll_buf_free(key);
    parts[0].kind = ATOLL_KEY_UUID;
    check_status(atoll_encode_key(parts, 1, ATOLL_ENCODING_BINARY, &key, &err), ATOLL_E_INVALID, &err, "a UUID without its bytes");
    check_status(atoll_encode_key(parts, 0, ATOLL_ENCODING_BINARY, &key, &err), ATOLL_E_INVALID, &err, "a key without parts");
}

static void clocks(void)
{
    atoll_vclock *a = atoll_vclock_new(), *b = NULL;
    atoll_buf *text = NULL, *left = NULL, *right = NULL;
    uint64_t count = 0;
    int32_t answer = -1;
    check_status(atoll_vclock_tick(a, "A", 1, &count, &err), ATOLL_OK, &err, "tick");
    b = atoll_vclock_clone(a);
    check_status(atoll_vclock_tick(a, "A", 1, &count, &err), ATOLL_OK, &err, "tick again");
    check(count == 2, "counts");
    check(atoll_vclock_compare(b, a, &answer, NULL) == ATOLL_OK && answer == ATOLL_VC_BEFORE, "before");
    check(atoll_vclock_compare(a, b, &answer, NULL) == ATOLL_OK && answer == ATOLL_VC_AFTER, "after");
    check(atoll_vclock_compare(a, a, &answer, NULL) == ATOLL_OK && answer == ATOLL_VC_EQUAL, "equal to itself");
    atoll_vclock_tick(b, "B", 1, NULL, NULL);
    check(atoll_vclock_compare(a, b, &answer, NULL) == ATOLL_OK && answer == ATOLL_VC_CONCURRENT, "concurrent");
    atoll_vclock_encode(a, &left, NULL);
    atoll_vclock_encode(b, &right, NULL);
    check(atoll_vclock_compare_encoded(atoll_buf_bytes(left).data, atoll_buf_bytes(left).len, atoll_buf_bytes(right).data,
                                       atoll_buf_bytes(right).len, &answer, NULL) == ATOLL_OK &&
              answer == ATOLL_VC_CONCURRENT, "and as bytes");
    atoll_buf_free(left);
    atoll_buf_free(right);
    check_status(atoll_vclock_merge(a, b, &err), ATOLL_OK, &err, "merge");
    check_status(atoll_vclock_merge(a, a, &err), ATOLL_OK, &err, "merge into itself");
    atoll_vclock_to_text(a, &text, NULL);
    check(view_is(atoll_buf_bytes(text), "{\"A\":2,\"B\":1}"), "as text");
    atoll_buf_free(text);
    check(atoll_vclock_get(a, "C", 1, &count, NULL) == ATOLL_OK && count == 0, "absent is 0");
    check_status(atoll_vclock_tick(a, "", 0, NULL, &err), ATOLL_E_INVALID, &err, "a node without a name");
    atoll_vclock_free(b);
    b = NULL;
    check_status(atoll_vclock_from_text("{\"A\":-1}", 8, &b, &err), ATOLL_E_INVALID, &err, "a text that is no clock");
    check_status(atoll_vclock_decode("\x09", 1, &b, &err), ATOLL_E_CORRUPT, &err, "bytes that are no clock");
    check(b == NULL && atoll_vclock_clone(NULL) == NULL, "make none");
    atoll_vclock_free(a);
    atoll_vclock_free(NULL);
}

int main(void)
{
    plans();
    refusals();
    typed_keys();
    clocks();
    return check_failed;
}
