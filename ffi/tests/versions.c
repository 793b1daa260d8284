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

/* Plans of a topology and of weights, and what a router knows of its nodes. */
static void topologies(void)
{
    static const char json[] = "{\"algorithm\":\"slots\",\"slots\":64,\"replicas\":2,\"nodes\":["
                               "{\"name\":\"a\",\"zone\":\"x\"},{\"name\":\"b\",\"zone\":\"y\",\"rack\":\"1\"},{\"name\":\"c\",\"weight\":2}]}";
    static const char grown[] = "{\"add\":{\"name\":\"d\",\"weight\":2,\"zone\":\"z\"}}";
    atoll_router *router = NULL, *after = NULL, *last = NULL;
    atoll_buf *plan = NULL;
    atoll_node node = ATOLL_NODE_INIT;
    atoll_location place = ATOLL_LOCATION_INIT;
    uint32_t nodes[4], shard = 0, slot, on_their_way = 0;
    size_t n = 9;

    check_status(atoll_router_from_json(json, &router, &err), ATOLL_OK, &err, "from_json of slots");
    check(atoll_router_epoch(router) == 1 && atoll_router_places(router) == 64, "the first version of a topology");
    check(strcmp(atoll_router_algorithm(router), "slots") == 0 && atoll_router_encoding(router) == ATOLL_ENCODING_BINARY, "of slots");
    check_status(atoll_router_node_info(router, 1, &node, &err), ATOLL_OK, &err, "node_info");
    check(view_is(node.name, "b") && view_is(node.zone, "y") && view_is(node.rack, "1") && node.weight == 1 &&
              node.state == ATOLL_NODE_ACTIVE && node.struct_size == sizeof node,
          "tells all of a node");
    check_status(atoll_router_node_info(router, 3, &node, &err), ATOLL_END, &err, "there is no fourth one");
    node.struct_size = 3;
    check_status(atoll_router_node_info(router, 0, &node, &err), ATOLL_E_INVALID, &err, "a size that cannot be");

    check_status(atoll_router_plan_add(router, "d", 1, 1, &plan, &after, &err), ATOLL_OK, &err, "plan_add of a topology");
    check(strstr((const char *)atoll_buf_bytes(plan).data, "\"slots\":{") != NULL, "names the slots");
    check(atoll_router_epoch(after) == 2 && atoll_router_node_count(after) == 4, "the next version has the node");
    for (slot = 0; slot < 64; slot++) {
        check_status(atoll_router_slot_at(after, slot, &place, &err), ATOLL_OK, &err, "slot_at");
        on_their_way += place.phase == ATOLL_MOVE_COPYING && place.moving_to != place.shard;
    }
    check(on_their_way > 8 && on_their_way < 64, "some of its slots are on their way");
    check_status(atoll_router_slot_at(after, 64, &place, &err), ATOLL_END, &err, "there is no slot 64");
    check_status(atoll_router_shard_nodes(after, 0, nodes, 1, &n, &err), ATOLL_BUFFER_TOO_SMALL, &err, "room for one node");
    check(n == 2, "there are two");
    check_status(atoll_router_shard_nodes(after, 10000, nodes, 4, &n, &err), ATOLL_END, &err, "there is no such shard");
    atoll_buf_free(plan);
    atoll_router_free(after);
    check_status(atoll_router_plan(router, grown, sizeof grown - 1, &plan, &after, &err), ATOLL_OK, &err, "plan of a change in JSON");
    check_status(atoll_router_node_info(after, 3, (node.struct_size = sizeof node, &node), &err), ATOLL_OK, &err, "node_info");
    check(view_is(node.zone, "z") && node.weight == 2, "zone and weight are those of the change");
    check_status(atoll_router_plan_remove(after, "a", 1, NULL, &last, &err), ATOLL_OK, &err, "plan_remove of a topology");
    check_status(atoll_router_node_info(last, 0, &node, &err), ATOLL_OK, &err, "node_info");
    check(node.state == ATOLL_NODE_LEAVING, "the node is on its way out");
    atoll_buf_free(plan);
    atoll_router_free(last);
    atoll_router_free(after);
    check_status(atoll_router_plan_reweight(router, "c", 1, 1, &plan, NULL, &err), ATOLL_OK, &err, "plan_reweight of a topology");
    atoll_buf_free(plan);
    check_status(atoll_router_plan(router, "\"level\"", 7, &plan, &after, &err), ATOLL_E_INVALID, &err, "a change of no node");
    check_status(atoll_router_plan(router, "[]", 2, &plan, &after, &err), ATOLL_E_INVALID, &err, "JSON that is no change");
    check(plan == NULL && after == NULL, "give nothing");
    atoll_router_free(router);

    {
        static const char *const names[] = {"a", "b"};
        router = ring_of(names, 2);
    }
    check_status(atoll_router_plan_reweight(router, "a", 1, 3, &plan, &after, &err), ATOLL_OK, &err, "plan_reweight of a ring");
    check(strstr((const char *)atoll_buf_bytes(plan).data, "\"moved_between_old_nodes\":0.0") != NULL, "moves to that node alone");
    check_status(atoll_router_node_at(after, 0, NULL, &shard), ATOLL_OK, NULL, "node_at");
    check(shard == 3, "the router afterwards has the weight");
    atoll_buf_free(plan);
    atoll_router_free(after);
    check_status(atoll_router_plan_reweight(router, "z", 1, 3, &plan, &after, &err), ATOLL_E_INVALID, &err, "a node that is not there");
    check_status(atoll_router_locate(router, "k", 1, &place, &err), ATOLL_E_INVALID, &err, "a ring is no topology");
    check_status(atoll_router_shard(router, "k", 1, &shard, &err), ATOLL_E_INVALID, &err, "it has no shards");
    check(atoll_router_epoch(router) == 0 && atoll_router_shard_count(router) == 0, "nor versions");
    check_status(atoll_router_owner(router, "k", 1, &shard, &err), ATOLL_OK, &err, "owner");
    check(shard < 2, "is a node");
    check_status(atoll_router_owner(router, "k", (size_t)-1, &shard, &err), ATOLL_E_INVALID, &err, "a key of a length that cannot be");
    check_status(atoll_router_owners(router, "k", 1, (size_t)-1, NULL, &n, &err), ATOLL_E_INVALID, &err, "no room for what there is");
    check_status(atoll_router_owners(router, "k", 1, 0, NULL, &n, &err), ATOLL_OK, &err, "no nodes are wanted");
    check(n == 0, "none are told");
    atoll_router_free(router);
}

/* Entries of clocks one by one, and the forms that fill a buffer of the caller. */
static void entries(void)
{
    const uint8_t names[] = "BAzero";
    const uint32_t offsets[] = {0, 1, 2, 6}, twice[] = {0, 1, 1};
    const uint64_t counters[] = {3, 1, 0};
    atoll_vclock *clock = NULL;
    atoll_bytes name;
    uint64_t count = 0;
    char form[16];
    size_t len = 0;
    uint64_t stamp = 0;

    check_status(atoll_vclock_from_entries(names, offsets, counters, 3, &clock, &err), ATOLL_OK, &err, "vclock_from_entries");
    check_status(atoll_vclock_entry(clock, 0, &name, &count, &err), ATOLL_OK, &err, "vclock_entry");
    check(view_is(name, "A") && count == 1, "entries ascend");
    check_status(atoll_vclock_entry(clock, 1, NULL, &count, &err), ATOLL_OK, &err, "vclock_entry");
    check(count == 3, "by their names");
    check_status(atoll_vclock_entry(clock, 2, &name, NULL, &err), ATOLL_END, &err, "a count of 0 is no entry");
    check_status(atoll_vclock_encode_into(clock, NULL, 0, &len, &err), ATOLL_BUFFER_TOO_SMALL, &err, "encode_into without a buffer");
    check(len == 8, "says how long it is");
    check_status(atoll_vclock_encode_into(clock, form, sizeof form, &len, &err), ATOLL_OK, &err, "encode_into");
    check(memcmp(form, "\1\2\1A\1\1B\3", 8) == 0, "the bytes of the format");
    atoll_vclock_free(clock);
    clock = NULL;
    check_status(atoll_vclock_from_entries(names, twice, counters, 2, &clock, &err), ATOLL_E_INVALID, &err, "an empty name");
    check_status(atoll_vclock_from_entries((const uint8_t *)"AA", offsets, counters, 2, &clock, &err), ATOLL_E_INVALID, &err, "a name twice");
    check(clock == NULL, "make none");
    check_status(atoll_hlc_pack(1000, 7, &stamp, &err), ATOLL_OK, &err, "hlc_pack");
    check(stamp == (1000u << 16 | 7), "packs");
    check_status(atoll_hlc_pack((uint64_t)1 << 48, 0, &stamp, &err), ATOLL_E_INVALID, &err, "more than 48 bits");
    check_status(atoll_hlc_to_text(stamp, "", 0, form, sizeof form, &len, &err), ATOLL_E_INVALID, &err, "a stamp of nobody");
    check_status(atoll_hlc_to_text(stamp, "n", 1, form, sizeof form, &len, &err), ATOLL_BUFFER_TOO_SMALL, &err, "too small a buffer");
    check(len == 31, "it says how large it must be");
    check_status(atoll_hlc_decode(form, 3, &stamp, &name, &err), ATOLL_E_CORRUPT, &err, "bytes that are no stamp");
}

int main(void)
{
    plans();
    refusals();
    typed_keys();
    clocks();
    topologies();
    entries();
    return check_failed;
}
