// The C++ owners: each method once, and what a failure looks like.
#include <atoll.hpp>

#include <atomic>
#include <filesystem>
#include <iostream>

namespace {

int failed = 0;

void check(bool is_so, const char *name)
{
    std::cout << (is_so ? "ok " : "not ok ") << name << '\n';
    failed |= !is_so;
}

bool holds(std::string_view text, std::string_view part)
{
    return text.find(part) != std::string_view::npos;
}

atoll_version_view version(std::uint64_t node, std::uint64_t sequence, std::uint64_t stamp, std::string_view value)
{
    atoll_version_view made{};
    made.node = node;
    made.incarnation = 1;
    made.sequence = sequence;
    made.stamp = stamp;
    made.value = atolldb::bytes_of(value);
    return made;
}

void of_a_store(const std::string &dir)
{
    const std::string home = dir + "/store", copy = dir + "/copy", again = dir + "/again", saved = dir + "/saved";
    auto db = atolldb::Db::open(home.c_str()).value();
    for (const char *key : {"a", "b", "c", "d"}) {
        db.put(key, key).check();
    }
    auto many = db.get_many({"a", "none", "d"}).value();
    check(many[0] == "a" && !many[1] && many[2] == "d", "get_many");
    check(db.remove_range(atolldb::Range::prefix("c")).value() == 1, "remove_range");
    check(db.count_approximate().value().records >= 3, "count_approximate");
    auto load = db.load().value();
    load.put("x", "1").check();
    check(load.put("w", "1").error().status() == ATOLL_E_INVALID, "a load out of order");
    auto sorted = db.load().value();
    sorted.put("y", "2").check();
    check(db.finish(sorted).value() == 1 && db.get("y").value()->view() == "2" && !db.get("x").value(), "load");
    auto health = db.health().value();
    check(health.state == ATOLL_HEALTH_OK && health.reasons.empty(), "health");
    check(holds(db.metrics().value().view(), "atoll_ops_total"), "metrics");
    std::uint64_t steps = 0;
    check(holds(db.backup(copy.c_str(), 0, [&](auto, auto) { steps++; }).value().view(), "bytes_copied") && steps > 0, "backup");
    check(db.verify().value().damaged == 0, "verify");
    check(atolldb::verify_backup(copy.c_str()).value().damaged == 0, "verify_backup");
    check(atolldb::repair(home.c_str(), saved.c_str()).error().status() == ATOLL_E_LOCKED, "repair of what is open");
    db.close().check();
    check(db.health().error().status() == ATOLL_E_CLOSED, "health after close");
    check(holds(atolldb::restore(copy.c_str(), again.c_str()).value().view(), "keys"), "restore");
    check(atolldb::repair(home.c_str(), saved.c_str()).value().damaged == 0, "repair");
    check(atolldb::Db::open(again.c_str()).value().get("d").value()->view() == "d", "what was restored");
}

void of_a_cluster(const std::string &dir)
{
    const std::string home = dir + "/cluster", copy = dir + "/cluster-copy", again = dir + "/cluster-again";
    auto cluster = atolldb::Cluster::create(home.c_str(), "n1,n2,n3", 4, 3).value();
    atolldb::Session mine, theirs;
    auto token = cluster.put("k", "v", atolldb::ClusterWrite::replicated().in(mine)).value();
    check(cluster.get("k", atolldb::ClusterRead::in(mine)).value()->view() == "v", "a session reads its own write");
    check(cluster.get("k", atolldb::ClusterRead::after(token.view())).value()->view() == "v", "and so does its token");
    theirs.see(mine.token().value().view()).check();
    check(cluster.get("k", atolldb::ClusterRead::in(theirs)).value()->view() == "v", "and a session that was told");
    check(theirs.see("nonsense").error().status() == ATOLL_E_INVALID, "what is no token");
    check(cluster.get("k", atolldb::ClusterRead::eventual()).ok() && !cluster.get("none").value(), "other reads");
    auto many = cluster.get_many({"k", "none"}).value();
    check(many[0] == "v" && !many[1], "get_many");
    atolldb::Batch batch;
    batch.put("k", "w").check();
    cluster.apply(batch).value();
    std::string seen;
    auto scan = cluster.scan().value();
    for (auto [key, value] : scan) {
        seen += std::string(key) + std::string(value);
    }
    check(seen == "kw" && cluster.count().value() == 1, "apply, scan and count");
    check(cluster.count_approximate().value().records == 1, "count_approximate");
    check(cluster.router().value().nodes("k", 3).value().size() == 3, "router");
    check(holds(cluster.status().value().view(), "shards") && cluster.health().value().replicas_up == 12, "status and health");
    check(holds(cluster.metrics().value().view(), "atoll_node_up{node=\"n1\"} 1"), "metrics");
    check(cluster.verify().value().damaged == 0, "verify");
    cluster.backup(copy.c_str(), ATOLL_BACKUP_LINK).value();
    check(holds(cluster.plan("{\"add\":{\"name\":\"n4\"}}").value().view(), "moves"), "plan");
    check(holds(cluster.rebalance("{\"add\":{\"name\":\"n4\"}}").value().view(), "keys_moved"), "rebalance");
    check(cluster.resume_rebalance().error().status() == ATOLL_NOT_FOUND, "nothing to resume");
    check(holds(cluster.compact().value().view(), "bytes_after") && cluster.events().value().view()[0] == '[', "compact and events");
    cluster.remove("k").value();
    check(cluster.remove_range({}).value() == 0, "remove and remove_range");
    cluster.close().check();

    std::atomic<int> said = 0;
    atolldb::set_logger([&](std::uint32_t, std::string_view, std::string_view) { said++; }, ATOLL_LOG_LEVEL_DEBUG).check();
    atolldb::restore(copy.c_str(), again.c_str()).value();
    check(atolldb::Cluster::open(again.c_str()).value().count().value() == 1, "restore of a cluster");
    atolldb::set_logger({}).check();
    check(atolldb::set_logger([&](auto...) {}, 99).error().status() == ATOLL_E_INVALID, "a level that is none");
}

void of_versions()
{
    atolldb::Siblings here, there;
    auto first = here.put(version(1, 1, 10, "seoul")).value();
    there.put(version(2, 1, 20, "busan")).value();
    there.apply(first.view()).check();
    here.merge(there).check();
    check(here.encode().value().view() == there.encode().value().view(), "two nodes agree");
    check(here.versions().value().size() == 2, "both writes stand");
    auto rule = atolldb::Resolver::builtin("lww").value();
    auto winner = here.resolve(rule, "k").value();
    check(winner.size() == 1 && atolldb::view_of(winner[0].value) == "busan" && rule.name() == std::string("lww"), "the later one wins");
    check(rule.resolve("k", {first.view()}).value().size() == 1 && rule.present("x").value().view() == "x", "resolve and present");
    auto context = here.context().value();
    auto both = version(1, 2, 30, "both");
    both.context = atolldb::bytes_of(context.view());
    here.put(both).value();
    check(atolldb::Siblings::decode(here.encode().value().view()).value().versions().value().size() == 1, "a later write replaces both");
    check(atolldb::Resolver::builtin("nonsense").error().status() == ATOLL_E_INVALID, "no such rule");

    auto clock = atolldb::HlcClock::open().value();
    auto tick = clock.send(1000).value();
    check(clock.send(400).value().stamp > tick.stamp && tick.persist > 0, "stamps do not go back");
    check(clock.observe(std::uint64_t{20000} << 16, 1000).error().status() == ATOLL_CONFLICT, "a peer that is far ahead");
    check(clock.observe(tick.stamp, 1000).ok(), "one that is not");
}

} // namespace

int main()
{
    const char *base = std::getenv("TEST_DIR");
    std::string dir = std::string(base ? base : "/tmp") + "/owners-XXXXXX";
    if (!mkdtemp(dir.data())) {
        return 2;
    }
    of_a_store(dir);
    of_a_cluster(dir);
    of_versions();
    return failed;
}
