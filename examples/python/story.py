"""A store, a router and two writers that disagree, in Python: python story.py DIRECTORY"""

import sys

import atoll

with atoll.open(sys.argv[1]) as db:
    # Write and read.
    db.put("user:42", "Kim", durability="synced")
    print("user:42 is", db["user:42"].decode())

    # Several writes as one, and a snapshot that does not see what comes after it.
    before = db.snapshot()
    with db.batch() as batch:
        batch["user:43"] = "Lee"
        batch["user:44"] = "Park"
        batch.delete("user:42")
    print("users now:", *(f"{key.decode()}={value.decode()}" for key, value in db.scan(prefix="user:")))
    print("user:42 in the snapshot:", before["user:42"].decode())

    # Two transactions that read and write the same key: one of them has to run again.
    first, second = db.transaction(), db.transaction()
    first.get("user:43"), second.get("user:43")
    first["user:43"], second["user:43"] = "Lee the first", "Lee the second"
    first.commit()
    try:
        second.commit()
    except atoll.Conflict:
        print("the second transaction: ATOLL_CONFLICT")

    # What was written, in order, as a subscriber sees it.
    with db.log(0) as log:
        print("the log says:", *(("" if c.value is not None else "-") + c.key.decode() for c in log.next(0)))

# Where keys live, and what a fourth node would change.
ring = atoll.Router.ring(["a", "b=2", "c"], hash="sha1")
print("user:42 lives on", ring.node("user:42") + ", with copies on", *ring.nodes("user:42", 3))
print("with a node d it lives on", ring.with_node("d").node("user:42"))

# Two writers that did not know of each other.
seoul, busan = atoll.VectorClock(), atoll.VectorClock()
seoul.tick("seoul")
busan.tick("busan")
print("concurrent:", "yes" if seoul.compare(busan) == "concurrent" else "no")
seoul.merge(busan)
print("merged:", seoul)

# Their writes of the same key stand side by side, until a rule decides.
route = atoll.SiblingSet()
for node, value in enumerate([b"the bridge", b"the ferry"], 1):
    route.put(atoll.Version(value, node=node, stamp=atoll.Stamp.at(1000 + node, 0, "clock").packed))
(latest,) = route.resolve(atoll.resolver("lww"), "route")
print(f"side by side: {', '.join(value.decode() for value in route.values())}; the latest write is {latest.value.decode()}")

# Shards and copies: a session reads what it has written, from any copy that has it.
with atoll.open_cluster(sys.argv[1] + "-cluster", shards=4, replicas=3) as cluster:
    session = cluster.session()
    session.put("note", "three copies", durability="replicated")
    print("a session reads its own write:", session.get("note").decode())
