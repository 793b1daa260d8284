/* Writes that stand side by side, and the clock that stamps them. */
#define _DEFAULT_SOURCE 1
#include "check.h"

static atoll_error *err;

static atoll_bytes view(const char *text)
{
    atoll_bytes bytes;
    bytes.data = (const uint8_t *)text;
    bytes.len = strlen(text);
    return bytes;
}

static atoll_version_view version(uint64_t node, uint64_t sequence, uint64_t stamp, const char *value)
{
    atoll_version_view made;
    memset(&made, 0, sizeof made);
    made.node = node;
    made.incarnation = 1;
    made.sequence = sequence;
    made.stamp = stamp;
    made.value = view(value);
    return made;
}

static size_t count(const atoll_siblings *set)
{
    atoll_versions *versions = NULL;
    size_t n = 0;
    check_status(atoll_siblings_versions(set, &versions, &err), ATOLL_OK, &err, "siblings_versions");
    n = atoll_versions_count(versions);
    atoll_versions_free(versions);
    return n;
}

static int same(const atoll_siblings *a, const atoll_siblings *b)
{
    atoll_buf *left = NULL, *right = NULL;
    atoll_bytes l, r;
    int is_same;
    check_status(atoll_siblings_encode(a, &left, &err), ATOLL_OK, &err, "encode one");
    check_status(atoll_siblings_encode(b, &right, &err), ATOLL_OK, &err, "encode the other");
    l = atoll_buf_bytes(left);
    r = atoll_buf_bytes(right);
    is_same = l.len == r.len && memcmp(l.data, r.data, l.len) == 0;
    atoll_buf_free(left);
    atoll_buf_free(right);
    return is_same;
}

static void two_nodes(void)
{
    atoll_siblings *here = atoll_siblings_new(), *there = atoll_siblings_new(), *third = NULL;
    atoll_buf *first = NULL, *second = NULL, *context = NULL, *bytes = NULL;
    atoll_resolver *lww = NULL;
    atoll_versions *resolved = NULL;
    atoll_version_view write = version(1, 1, 10, "here"), found;

    check(count(here) == 0, "a new set is empty");
    check_status(atoll_siblings_put(here, &write, &first, &err), ATOLL_OK, &err, "a write of this node");
    check_status(atoll_siblings_put(here, &write, NULL, &err), ATOLL_E_INVALID, &err, "a name that was used");
    write = version(2, 1, 20, "there");
    check_status(atoll_siblings_put(there, &write, &second, &err), ATOLL_OK, &err, "a write of another node");
    check_status(atoll_siblings_apply(here, atoll_buf_bytes(second).data, atoll_buf_bytes(second).len, &err), ATOLL_OK, &err, "apply");
    check_status(atoll_siblings_apply(here, atoll_buf_bytes(second).data, atoll_buf_bytes(second).len, &err), ATOLL_OK, &err, "twice");
    check(count(here) == 2, "neither had seen the other: both stand");
    check_status(atoll_siblings_merge(there, here, &err), ATOLL_OK, &err, "merge");
    check_status(atoll_siblings_merge(there, there, &err), ATOLL_OK, &err, "merge with itself");
    check(same(here, there), "two nodes that have seen the same hold the same");

    check_status(atoll_resolver_builtin("lww", &lww, &err), ATOLL_OK, &err, "a rule");
    check_status(atoll_siblings_resolve(here, lww, "k", 1, &resolved, &err), ATOLL_OK, &err, "resolve");
    check_status(atoll_versions_at(resolved, 0, &found, &err), ATOLL_OK, &err, "its answer");
    check(atoll_versions_count(resolved) == 1 && view_is(found.value, "there"), "is the latest write");
    check(count(here) == 2, "and the set is unchanged");
    atoll_versions_free(resolved);

    check_status(atoll_siblings_context(here, &context, &err), ATOLL_OK, &err, "context");
    write = version(1, 2, 15, "both");
    write.context = atoll_buf_bytes(context);
    check_status(atoll_siblings_put(here, &write, NULL, &err), ATOLL_E_INVALID, &err, "a stamp below what is replaced");
    check(count(here) == 2, "is refused whole");
    write.stamp = 30;
    atoll_buf_free(first);
    check_status(atoll_siblings_put(here, &write, &first, &err), ATOLL_OK, &err, "a write that has seen both");
    check(count(here) == 1, "replaces both");
    check_status(atoll_siblings_apply(there, atoll_buf_bytes(first).data, atoll_buf_bytes(first).len, &err), ATOLL_OK, &err, "shipped");
    check(same(here, there), "and the other node agrees");

    check_status(atoll_siblings_encode(here, &bytes, &err), ATOLL_OK, &err, "encode");
    check_status(atoll_siblings_decode(atoll_buf_bytes(bytes).data, atoll_buf_bytes(bytes).len, &third, &err), ATOLL_OK, &err, "decode");
    check(same(here, third), "is the same set");
    atoll_siblings_free(third);
    check_status(atoll_siblings_decode(atoll_buf_bytes(bytes).data, atoll_buf_bytes(bytes).len - 1, &third, &err), ATOLL_E_CORRUPT, &err,
                 "bytes that are cut off");
    check(third == NULL, "are no set");
    check_status(atoll_siblings_apply(here, "nonsense", 8, &err), ATOLL_E_CORRUPT, &err, "bytes that are no version");

    write = version(1, 3, 40, "");
    write.deleted = 1;
    atoll_buf_free(context);
    check_status(atoll_siblings_context(here, &context, &err), ATOLL_OK, &err, "context again");
    write.context = atoll_buf_bytes(context);
    check_status(atoll_siblings_put(here, &write, NULL, &err), ATOLL_OK, &err, "a deletion");
    check(count(here) == 1, "is a version, too");
    write = version(3, 1, 41, "blind");
    check_status(atoll_siblings_put(here, &write, NULL, &err), ATOLL_OK, &err, "a blind write");
    check(count(here) == 2, "stands beside it");
    check_status(atoll_siblings_put(NULL, &write, NULL, &err), ATOLL_E_INVALID, &err, "NULL");
    check_status(atoll_siblings_resolve(here, NULL, "k", 1, &resolved, &err), ATOLL_E_INVALID, &err, "no rule");
    check(resolved == NULL, "no answer");
    resolved = (atoll_versions *)&found;
    check_status(atoll_siblings_versions(NULL, &resolved, &err), ATOLL_E_INVALID, &err, "no set");
    check(resolved == NULL, "no versions");

    atoll_buf_free(first);
    atoll_buf_free(second);
    atoll_buf_free(context);
    atoll_buf_free(bytes);
    atoll_resolver_free(lww);
    atoll_siblings_free(here);
    atoll_siblings_free(there);
    atoll_siblings_free(NULL);
}

static void clocks(void)
{
    atoll_hlc_clock *clock = NULL, *again = NULL;
    uint64_t stamp = 0, before = 0, persist = 0, ahead = 9, last = 0, mark = 0, peer = 0;

    check_status(atoll_hlc_clock_new(0, 100, 100, &clock, &err), ATOLL_E_INVALID, &err, "a reserve as large as the skew");
    check(clock == NULL, "makes no clock");
    check_status(atoll_hlc_clock_new(0, 0, 0, &clock, &err), ATOLL_OK, &err, "a clock");
    check_status(atoll_hlc_clock_send(clock, 1000, &stamp, &persist, &ahead, &err), ATOLL_OK, &err, "send");
    check(stamp >> 16 == 1000 && persist > stamp && ahead == 0, "is the wall clock, with a mark to persist");
    before = stamp;
    check_status(atoll_hlc_clock_send(clock, 400, &stamp, &persist, &ahead, &err), ATOLL_OK, &err, "the wall clock goes back");
    check(stamp > before && persist == 0 && ahead == 600, "stamps do not, and tell by how much");
    check_status(atoll_hlc_pack(1400, 7, &peer, &err), ATOLL_OK, &err, "a peer's stamp");
    check_status(atoll_hlc_clock_observe(clock, 1000, peer, &persist, &err), ATOLL_OK, &err, "observe");
    check_status(atoll_hlc_clock_send(clock, 1000, &stamp, &persist, NULL, &err), ATOLL_OK, &err, "send after it");
    check(stamp > peer, "is above it");
    check_status(atoll_hlc_pack(11000, 0, &peer, &err), ATOLL_OK, &err, "a peer ten seconds ahead");
    before = stamp;
    check_status(atoll_hlc_clock_observe(clock, 1000, peer, &persist, &err), ATOLL_CONFLICT, &err, "is set aside");
    check_status(atoll_hlc_clock_last(clock, &last, &mark, &err), ATOLL_OK, &err, "last");
    check(last == before && mark >= last, "and the clock is untouched");
    check_status(atoll_hlc_clock_send(clock, (uint64_t)1 << 48, &stamp, &persist, NULL, &err), ATOLL_E_INVALID, &err, "49 bits");
    check_status(atoll_hlc_clock_observe(clock, (uint64_t)1 << 50, 1, &persist, &err), ATOLL_E_INVALID, &err, "51 bits");
    check_status(atoll_hlc_clock_new(mark, 1000, 100, &again, &err), ATOLL_OK, &err, "opened again from its mark");
    check_status(atoll_hlc_clock_send(again, 0, &stamp, &persist, NULL, &err), ATOLL_OK, &err, "send");
    check(stamp > last, "is above all it gave before");
    check_status(atoll_hlc_clock_send(again, ATOLL_WALL_NOW, &stamp, &persist, NULL, &err), ATOLL_OK, &err, "this machine's clock");
    check(stamp >> 16 > 1700000000000u, "is of this century");
    check_status(atoll_hlc_clock_send(NULL, 0, &stamp, &persist, NULL, &err), ATOLL_E_INVALID, &err, "NULL");
    atoll_hlc_clock_free(clock);
    atoll_hlc_clock_free(again);
    atoll_hlc_clock_free(NULL);
}

int main(void)
{
    two_nodes();
    clocks();
    return check_failed;
}
