// A store, a router and two writers that disagree, in C++17. Build: c++ -std=c++17 story.cpp $(pkg-config --cflags --libs atoll)
#include <atoll.hpp>

#include <cstdlib>
#include <iostream>

int main(int argc, char **argv)
{
    if (argc != 2) {
        std::cerr << "usage: story DIRECTORY\n";
        return 2;
    }
    // Open, write, read.
    auto db = atolldb::Db::open(argv[1]);
    if (!db) {
        std::cerr << db.error().message() << '\n';
        return 1;
    }
    db->put("user:42", "Kim", atolldb::Write::synced()).check();
    auto name = db->get("user:42").value();
    std::cout << "user:42 is " << name->view() << '\n';

    // Several writes as one, and a snapshot that does not see what comes after it.
    auto before = db->snapshot().value();
    atolldb::Batch batch;
    batch.put("user:43", "Lee").check();
    batch.put("user:44", "Park").check();
    batch.remove("user:42").check();
    db->apply(batch).check();
    std::cout << "users now:";
    auto scan = db->scan(atolldb::Range::prefix("user:")).value();
    for (auto [key, value] : scan) {
        std::cout << ' ' << key << '=' << value;
    }
    scan.result().check();
    std::cout << "\nuser:42 in the snapshot: " << db->get("user:42", &before).value()->view() << '\n';

    // Two transactions that read and write the same key: one of them has to run again.
    auto first = db->begin().value(), second = db->begin().value();
    first.get("user:43").check();
    second.get("user:43").check();
    first.put("user:43", "Lee the first").check();
    second.put("user:43", "Lee the second").check();
    first.commit().check();
    auto refused = second.commit();
    std::cout << "the second transaction: " << atoll_status_name(refused.error().status()) << '\n';

    // What was written, in order, as a subscriber sees it.
    auto log = db->log(0).value();
    std::cout << "the log says:";
    atolldb::Log::for_each(log.next(0).value()->records, [](const atoll_log_entry &entry) {
        std::cout << (entry.kind == ATOLL_LOG_DELETE ? " -" : " ")
                  << std::string_view(reinterpret_cast<const char *>(entry.key.data), entry.key.len);
    }).check();
    std::cout << '\n';

    // Where keys live, and what a fourth node would change.
    auto ring = atolldb::Router::of("ring", {"a", {"b", 2}, "c"}, {{"hash", "sha1"}, {"vnodes", "160"}}).value();
    std::cout << "user:42 lives on " << ring.node("user:42").value() << ", with copies on";
    for (auto node : ring.nodes("user:42", 3).value()) {
        std::cout << ' ' << node;
    }
    auto [plan, after] = ring.plan_add("d").value();
    std::cout << "\nwith a node d it lives on " << after.node("user:42").value() << '\n';

    // Two writers that did not know of each other.
    atolldb::VectorClock seoul, busan;
    seoul.tick("seoul").check();
    busan.tick("busan").check();
    std::cout << "concurrent: " << (seoul.compare(busan).value() == atolldb::Order::concurrent ? "yes" : "no") << '\n';
    seoul.merge(busan).check();
    std::cout << "merged: " << seoul.text().value().view() << '\n';

    // Their writes of the same key stand side by side, until a rule decides.
    atolldb::Siblings route;
    for (std::string_view value : {"the bridge", "the ferry"}) {
        atoll_version_view write{};
        write.node = write.stamp = route.versions().value().size() + 1;
        write.sequence = 1;
        write.value = atolldb::bytes_of(value);
        route.put(write).check();
    }
    auto both = route.versions().value();
    auto latest = route.resolve(atolldb::Resolver::builtin("lww").value(), "route").value();
    std::cout << "side by side: " << atolldb::view_of(both[0].value) << ", " << atolldb::view_of(both[1].value)
              << "; the latest write is " << atolldb::view_of(latest[0].value) << '\n';

    // Shards and copies: a session reads what it has written, from any copy that has it.
    auto cluster = atolldb::Cluster::create((std::string(argv[1]) + "-cluster").c_str(), "n1,n2,n3", 4, 3).value();
    atolldb::Session session;
    cluster.put("note", "three copies", atolldb::ClusterWrite::replicated().in(session)).check();
    auto note = cluster.get("note", atolldb::ClusterRead::in(session)).value();
    std::cout << "a session reads its own write: " << note->view() << '\n';

    cluster.close().check();
    db->close().check();
    return 0;
}
