"""Versions, contexts, and rules that decide: built in and functions."""

import gc
import json
import threading
import weakref

import pytest

import atoll
from atoll import Version


def versions(*values):
    return [Version(value, stamp=i + 1, node=i + 1) for i, value in enumerate(values)]


def test_versions_travel():
    for version in (
        Version(b""), Version(b"v" * 100000, stamp=2**64 - 1, node=2**64 - 1, sequence=2**64 - 1, incarnation=2**32 - 1),
        Version(b"", sequence=7, deleted=True),
    ):  # fmt: skip
        assert Version.from_bytes(version.to_bytes()) == version
    assert Version.from_bytes(Version(b"v", context=b"").to_bytes()) == Version(b"v")
    for wrong in (Version(b"v", sequence=0), Version(b"v", deleted=True), Version(b"", node=2**64), Version(b"", incarnation=2**32)):
        with pytest.raises(atoll.InvalidArgument):
            wrong.to_bytes()
    with pytest.raises(atoll.Corrupt):
        Version(b"v", context=b"nonsense").to_bytes()
    with pytest.raises(atoll.Corrupt):
        Version.from_bytes(b"\xff\xff")
    with pytest.raises(TypeError):
        Version(None).to_bytes()


def test_contexts_compare_and_merge():
    nothing = Version(b"").context
    assert atoll.compare_contexts(b"", nothing) == "equal" and atoll.merge_contexts(b"", b"") == nothing
    with pytest.raises(atoll.Corrupt):
        atoll.compare_contexts(b"nonsense", b"")
    with pytest.raises(atoll.Corrupt):
        atoll.merge_contexts(b"", b"nonsense")


def test_rules_that_are_built_in():
    names = atoll.Resolver.builtin_names()
    assert {"lww", "node_priority", "fields", "set_union", "counter", "max", "min", "siblings"} <= set(names)
    two = versions(b"b", b"a")
    assert [one.value for one in atoll.resolver("lww").resolve(b"k", two)] == [b"a"]
    assert [one.value for one in atoll.resolver("max").resolve(b"k", two)] == [b"b"]
    assert sorted(one.value for one in atoll.resolver("siblings").resolve("k", two)) == [b"a", b"b"]
    assert atoll.resolver("lww").resolve(b"k", []) == []
    assert atoll.resolver("node_priority", nodes=["a", "b"]).name() == "node_priority"
    assert repr(atoll.resolver("min")) == "<atoll.Resolver min>"
    with pytest.raises(atoll.InvalidArgument, match="lww"):
        atoll.resolver("newest")
    with pytest.raises(TypeError):
        atoll.resolver("lww", nodes=["a"])
    with pytest.raises(TypeError):
        atoll.resolver("lww", name="mine")
    with pytest.raises(TypeError):
        atoll.resolver(7)


def test_a_function_is_a_rule():
    seen = []

    @atoll.resolver
    def joined(key, found):
        seen.append((key, [one.value for one in found]))
        return b"+".join(sorted(set(b"+".join(one.value for one in found).split(b"+"))))

    assert joined.name() == "joined"
    (answer,) = joined.resolve("k", versions(b"b", b"a"))
    assert answer.value == b"a+b" and not answer.deleted and answer.stamp == 2
    assert seen == [(b"k", [b"b", b"a"])]
    assert joined.resolve(b"k", versions(b"only")) == versions(b"only") and len(seen) == 1
    assert joined.check([b"x", b"y", b"z+x"], cases=50) is None


def test_a_function_chooses_deletes_and_gives_text():
    two = versions(b"x", b"yy")
    assert atoll.resolver(lambda key, found: found[0], name="first").resolve(b"k", two)[0].value == b"x"
    assert atoll.resolver(lambda key, found: None, name="gone").resolve(b"k", two)[0].deleted
    assert atoll.resolver(lambda key, found: "섬", name="text").resolve(b"k", two)[0].value == "섬".encode()
    for wrong in (1, True, [b"x"], Version(b"new"), 1.5):
        with pytest.raises(atoll.CallbackFailed, match="TypeError") as failed:
            atoll.resolver(lambda key, found, wrong=wrong: wrong, name="wrong").resolve(b"k", two)
        assert isinstance(failed.value.__cause__, TypeError)


def test_what_a_function_raises_is_the_cause():
    error = ZeroDivisionError("on purpose")

    @atoll.resolver
    def failing(key, found):
        raise error

    with pytest.raises(atoll.CallbackFailed, match="ZeroDivisionError: on purpose") as failed:
        failing.resolve(b"k", versions(b"a", b"b"))
    assert failed.value.__cause__ is error and failed.value.__cause__.__traceback__

    @atoll.resolver
    def stopping(key, found):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopping.resolve(b"k", versions(b"a", b"b"))
    for wrong in ("", "lww"):
        with pytest.raises(atoll.InvalidArgument):
            atoll.resolver(lambda key, found: None, name=wrong)


def test_a_rule_that_depends_on_the_order_is_found():
    @atoll.resolver
    def sticky(key, found):
        return found[0].value + found[-1].value

    found = sticky.check([b"a", b"b"], seed=3)
    assert found and isinstance(found, str)


def test_functions_call_each_other_and_run_in_many_threads():
    inner = atoll.resolver("max")

    @atoll.resolver
    def outer(key, found):
        if key == b"bad":
            try:
                failing.resolve(b"x", found)
            except atoll.CallbackFailed as failed:
                assert isinstance(failed.__cause__, LookupError)
                raise ValueError("outer") from failed
        return inner.resolve(key, found)[0].value

    @atoll.resolver
    def failing(key, found):
        raise LookupError("inner")

    failures = []

    def work():
        try:
            for _ in range(200):
                assert outer.resolve(b"k", versions(b"a", b"c", b"b"))[0].value == b"c"
            with pytest.raises(atoll.CallbackFailed, match="outer") as failed:
                outer.resolve(b"bad", versions(b"a", b"b"))
            assert isinstance(failed.value.__cause__, ValueError)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_rule_lets_go_of_its_function():
    class Rule:
        def __call__(self, key, found):
            return found[0]

    rule = Rule()
    made = atoll.resolver(rule, name="rule")
    assert made.resolve(b"k", versions(b"a", b"b"))
    gone = weakref.ref(rule)
    del rule, made
    gc.collect()
    assert gone() is None


def test_fields_are_shown_as_a_plain_object():
    rule = atoll.resolver("fields")
    left, right = versions(b'{"a":1}', b'{"b":2}')
    (merged,) = rule.resolve(b"k", [left, right])
    assert json.loads(rule.present(merged.value)) == {"a": 1, "b": 2}
    with pytest.raises(atoll.InvalidArgument):
        atoll.resolver("counter").resolve(b"k", versions(b"no", b"counter"))


def test_a_write_can_depend_on_a_version(db):
    assert db.get_version(b"k") is None
    db.put(b"k", b"v", ttl=1000)
    first = db.get_version(b"k")
    assert first.value == b"v" and first.lsn > 0 and first.expires_at > 1.7e9
    db[b"k"] = b"w"
    db[b"k"] = b"v"
    second = db.get_version(b"k")
    assert second.value == first.value and second != first and second.expires_at is None
    assert not db.compare_and_set(b"k", first, b"lost")
    with pytest.raises(TypeError):
        db.compare_and_set(b"k", (second.lsn, second.hlc), b"lost")
    with db.snapshot() as snapshot:
        assert db.compare_and_set(b"k", second, b"won") and db[b"k"] == b"won"
        assert snapshot.get_version(b"k") == second


def test_siblings_agree_whatever_the_order():
    here, there = atoll.SiblingSet(), atoll.SiblingSet()
    first = here.put(atoll.Version(b"seoul", stamp=10, node=1))
    second = there.put(atoll.Version(b"busan", stamp=20, node=2))
    here.apply(second)
    here.apply(second)
    there.apply(atoll.Version.from_bytes(first))
    assert here == there and here.values() == [b"seoul", b"busan"]
    assert atoll.SiblingSet.from_bytes(here.to_bytes()) == here
    assert [version.value for version in here.resolve(atoll.resolver("lww"), b"k")] == [b"busan"]
    assert len(here.resolve(atoll.resolver("siblings"), b"k")) == 2
    with pytest.raises(atoll.InvalidArgument):
        here.put(atoll.Version(b"again", stamp=30, node=1))
    with pytest.raises(atoll.InvalidArgument):
        here.put(atoll.Version(b"early", here.context, stamp=15, node=1, sequence=2))
    here.put(atoll.Version(b"both", here.context, stamp=30, node=1, sequence=2))
    assert here.values() == [b"both"]
    there.merge(here)
    assert there == here
    gone = atoll.Version(b"", here.context, stamp=40, node=2, sequence=2, deleted=True)
    there.put(gone)
    assert there.values() == [] and [version.deleted for version in there.versions()] == [True]
    with pytest.raises(TypeError):
        here.merge(b"bytes")
    with pytest.raises(atoll.Corrupt):
        here.apply(b"nonsense")
    with pytest.raises(atoll.Corrupt):
        atoll.SiblingSet.from_bytes(b"")


def test_a_clock_never_goes_back():
    clock = atoll.HybridClock()
    first = clock.send(1000)
    assert first.packed >> 16 == 1000 and first.persist == clock.mark and first.ahead_ms == 0
    second = clock.send(400)
    assert second.packed > first.packed and second.ahead_ms == 600 and second.persist == 0
    assert clock.observe(1400 << 16, 1000) is not None
    assert clock.send(1000).packed > 1400 << 16
    last = clock.last
    assert clock.observe(20_000 << 16, 1000) is None and clock.last == last
    again = atoll.HybridClock(clock.mark)
    assert again.send(0).packed > last
    assert atoll.HybridClock().send().packed >> 16 > 1_700_000_000_000
    with pytest.raises(atoll.InvalidArgument):
        atoll.HybridClock(max_skew_ms=100, reserve_ms=100)
    with pytest.raises(atoll.InvalidArgument):
        clock.send(1 << 48)
    with pytest.raises(atoll.InvalidArgument):
        clock.send(-1)
