use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use crate::ids::Hlc;
use crate::versioning::conformance::{Law, Search};
use crate::versioning::resolve::counter::Counter;
use crate::versioning::resolve::{fields, *};
use crate::versioning::{Conflict, Context, Dot, SiblingSet};

fn version(node: u64, sequence: u64, stamp: u64, value: &[u8]) -> Version {
    Version {
        dot: Dot::new(node, 1, sequence),
        stamp: Hlc(stamp),
        context: Context::new(),
        value: Some(value.to_vec()),
    }
}

fn read(rule: &str, versions: &[Version]) -> String {
    let rule = resolver(rule).unwrap();
    match rule.resolve(b"k", versions).unwrap() {
        Outcome::One(version) => String::from_utf8(rule.present(&version.value.unwrap()).unwrap()).unwrap(),
        Outcome::Siblings(all) => format!("{} siblings", all.len()),
    }
}

fn json(random: u64) -> Vec<u8> {
    let leaf = |n: u64| match n % 5 {
        0 => "{}".to_owned(),
        1 => format!("{{\"x\":{}}}", n / 5 % 3),
        2 => format!("{{\"x\":{{\"z\":{}}},\"y\":1}}", n / 5 % 2),
        3 => "[1, 2]".to_owned(),
        _ => (n / 5 % 3).to_string(),
    };
    match random % 3 {
        0 => format!("{{\"a\":{}}}", leaf(random / 3)).into_bytes(),
        1 => format!("{{ \"b\": {} }}", leaf(random / 3)).into_bytes(),
        _ => format!("{{\"a\":{},\"b\":{}}}", leaf(random / 3), leaf(random / 60)).into_bytes(),
    }
}

fn counter(random: u64) -> Vec<u8> {
    let mut set = SiblingSet::new();
    let dot = Dot::new(1 + random % 3, 1, 1 + random / 3 % 2);
    let state = Counter::add(&set, dot, (random % 7) as i64 - 3).unwrap();
    set.put(dot, Hlc(1), &Context::new(), Some(state.to_bytes()))
        .unwrap();
    state.to_bytes()
}

#[test]
fn every_named_rule_keeps_the_laws() {
    for name in RESOLVERS.split(", ") {
        let rule = resolver(name).unwrap();
        assert_eq!(rule.name(), name);
        let value = |random: u64| match name {
            "fields" => json(random),
            "set_union" => format!("[{}, {}]", random % 3, random / 3 % 4).into_bytes(),
            "counter" => counter(random),
            "max" | "min" => [&b"1"[..], b"1.0", b"10", b"9", b"x", b""][random as usize % 6].to_vec(),
            _ => vec![b'a' + (random % 3) as u8],
        };
        if let Some(found) = Search::new(1).cases(20_000).run(&*rule, value) {
            panic!("{found}");
        }
    }
}

struct Wrong<F>(&'static str, F);

impl<F: Fn(&[Version]) -> Vec<u8> + Send + Sync> Resolver for Wrong<F> {
    fn name(&self) -> &str {
        self.0
    }
    fn resolve(&self, _key: &[u8], versions: &[Version]) -> Result<Outcome, VersionError> {
        Ok(merged(versions, Some((self.1)(versions))))
    }
}

fn values(versions: &[Version]) -> impl Iterator<Item = &[u8]> {
    versions.iter().filter_map(|version| version.value.as_deref())
}

fn numbers(versions: &[Version]) -> impl Iterator<Item = u64> {
    values(versions).map(|value| std::str::from_utf8(value).unwrap().parse().unwrap())
}

#[test]
fn deliberately_wrong_rules_are_caught_with_a_small_example() {
    static CLOCK: AtomicU64 = AtomicU64::new(0);
    let text = |n: u64| n.to_string().into_bytes();
    let stamp = |v: &Version| v.stamp;
    let wrong: Vec<(Box<dyn Resolver>, usize)> = vec![
        (
            Box::new(Wrong("concat", |v: &[Version]| {
                values(v).collect::<Vec<_>>().concat()
            })),
            2,
        ),
        (
            Box::new(Wrong("average", move |v: &[Version]| {
                text(numbers(v).sum::<u64>() / (numbers(v).count() as u64).max(1))
            })),
            3,
        ),
        (
            Box::new(Wrong("first-wins", |v: &[Version]| {
                values(v).next().unwrap_or(b"0").to_vec()
            })),
            2,
        ),
        (
            Box::new(Wrong("last-in-list", |v: &[Version]| {
                values(v).last().unwrap_or(b"0").to_vec()
            })),
            2,
        ),
        (
            Box::new(Wrong("clock", move |_: &[Version]| {
                text(CLOCK.fetch_add(1, Ordering::Relaxed))
            })),
            1,
        ),
        (
            Box::new(Wrong("hash-map-order", |v: &[Version]| {
                let map: HashMap<_, _> = v.iter().map(|v| (v.dot, v.value.clone())).collect();
                map.into_values().flatten().flatten().collect()
            })),
            2,
        ),
        (
            Box::new(Wrong("lww-without-tie-break", move |v: &[Version]| {
                let mut best = &v[0];
                v.iter().for_each(|v| {
                    if v.stamp > best.stamp {
                        best = v
                    }
                });
                best.value.clone().unwrap_or_default()
            })),
            2,
        ),
        (
            Box::new(Wrong("counter-by-addition", move |v: &[Version]| {
                text(numbers(v).fold(0, u64::wrapping_add))
            })),
            2,
        ),
        (
            Box::new(Wrong("number-of-siblings", move |v: &[Version]| {
                text(v.len() as u64)
            })),
            2,
        ),
        (
            Box::new(Wrong("median", move |v: &[Version]| {
                let mut all: Vec<u64> = numbers(v).collect();
                all.sort_unstable();
                text(all.get(all.len() / 2).copied().unwrap_or(0))
            })),
            3,
        ),
        (
            Box::new(Wrong("xor", move |v: &[Version]| {
                text(numbers(v).fold(0, |a, b| a ^ b))
            })),
            2,
        ),
        (
            Box::new(Wrong("most-recent-stamp-plus-one", move |v: &[Version]| {
                text(numbers(v).max().unwrap_or(0) + v.iter().map(stamp).max().map_or(0, |s| s.0))
            })),
            2,
        ),
    ];
    for (rule, at_most) in wrong {
        let found = Search::new(3).run(&*rule, move |random| text(random % 4));
        let found = found.unwrap_or_else(|| panic!("{} was not caught", rule.name()));
        assert!(found.versions.len() <= at_most, "{found}");
        assert!(found.to_string().contains(rule.name()));
        if rule.name() == "clock" {
            assert_eq!(found.law, Law::Determinism);
        }
    }
}

#[test]
fn lww_breaks_ties_by_the_lower_node_and_priority_ignores_time() {
    let both = [
        version(2, 1, 5, b"two"),
        version(1, 1, 5, b"one"),
        version(3, 1, 4, b"three"),
    ];
    assert_eq!(read("lww", &both), "one");
    let rule = NodePriority::new(vec![NodeId(3)]);
    let Outcome::One(won) = rule.resolve(b"k", &both).unwrap() else {
        panic!()
    };
    assert_eq!(won.value.as_deref(), Some(&b"three"[..]));
    assert_eq!(read("siblings", &both), "3 siblings");
    assert_eq!(
        read("max", &[version(1, 1, 1, b"9"), version(2, 1, 1, b"10")]),
        "10"
    );
    assert_eq!(
        read("min", &[version(1, 1, 1, b"9"), version(2, 1, 1, b"10")]),
        "9"
    );
    assert_eq!(
        read(
            "set_union",
            &[version(1, 1, 1, b"[\"b\" , 1]"), version(2, 1, 1, b"[\"a b\",1]")]
        ),
        "[\"a b\",\"b\",1]"
    );
}

/// Two writers read the same document and write at once; what does a reader see?
fn edited(base: &str, left: &str, right: &str) -> String {
    let first = version(1, 1, 1, base.as_bytes());
    let Outcome::One(read_before) = fields::Fields.resolve(b"k", &[first]).unwrap() else {
        panic!()
    };
    let edit = |node: u64, stamp: u64, map: &str| {
        let value = fields::write(
            Some(&read_before),
            map.as_bytes(),
            Dot::new(node, 1, 2),
            Hlc(stamp),
        )
        .unwrap();
        version(node, 2, stamp, &value)
    };
    read("fields", &[edit(1, 2, left), edit(2, 3, right)])
}

#[test]
fn fields_keep_what_each_writer_changed() {
    let check = |base, left, right, expected: &str| assert_eq!(edited(base, left, right), expected);
    check(
        r#"{"a":1,"b":1}"#,
        r#"{"a":2,"b":1}"#,
        r#"{"a":1,"b":2}"#,
        r#"{"a":2,"b":2}"#,
    );
    check(r#"{"a":1,"b":1}"#, r#"{"b":1}"#, r#"{"a":1,"b":2}"#, r#"{"b":2}"#);
    check(r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#, r#"{"a":3}"#);
    check(
        r#"{"n":{"x":1,"y":1}}"#,
        r#"{"n":{"x":2,"y":1}}"#,
        r#"{"n":{"x":1}}"#,
        r#"{"n":{"x":2}}"#,
    );
    check(r#"{"n":{"x":1}}"#, r#"{"n":{"x":2}}"#, r#"{"n":7}"#, r#"{"n":7}"#);
    check(r#"{"n":7}"#, r#"{"n":8}"#, r#"{"n":{"x":1}}"#, r#"{"n":{"x":1}}"#);
    check(
        r#"{"n":{"x":1}}"#,
        r#"{"n":{"x":1}}"#,
        r#"{"n":{}}"#,
        r#"{"n":{}}"#,
    );
    check(
        r#"{"n":12345678901234567890123}"#,
        r#"{"n":12345678901234567890123,"m":1.10}"#,
        r#"{"n":12345678901234567890123}"#,
        r#"{"m":1.10,"n":12345678901234567890123}"#,
    );
}

#[test]
fn message_pack_maps_merge_too_and_never_beside_json() {
    // {"a": 1, "b": ext 4 bytes} and {"a": 1, "c": {"d": -1}}
    let left = b"\x82\xa1a\x01\xa1b\xd6\x05wxyz";
    let right = b"\x82\xa1a\x01\xa1c\x81\xa1d\xff";
    let rule = fields::Fields;
    let Outcome::One(both) = rule
        .resolve(b"k", &[version(1, 1, 1, left), version(2, 1, 2, right)])
        .unwrap()
    else {
        panic!()
    };
    assert_eq!(
        rule.present(&both.value.unwrap()).unwrap(),
        b"\x83\xa1a\x01\xa1b\xd6\x05wxyz\xa1c\x81\xa1d\xff"
    );
    let mixed = rule.resolve(b"k", &[version(1, 1, 1, left), version(2, 1, 2, b"{}")]);
    assert!(mixed.unwrap_err().to_string().contains("JSON beside MessagePack"));
    for bad in [
        &b"{\"a\":1,\"a\":2}"[..],
        b"[1]",
        b"\xdf\xff\xff\xff\xff",
        b"\x81\x01",
        b"",
        b"\xc1",
    ] {
        assert!(rule.resolve(b"k", &[version(1, 1, 1, bad)]).is_err(), "{bad:?}");
    }
}

#[test]
fn a_counter_survives_a_deletion_beside_an_old_copy_of_its_share() {
    let (a, b) = (|n| Dot::new(1, 1, n), |n| Dot::new(2, 1, n));
    let add = |set: &mut SiblingSet, dot, stamp, delta| {
        let value = Counter::add(set, dot, delta).unwrap().to_bytes();
        let context = set.context().clone();
        set.put(dot, Hlc(stamp), &context, Some(value)).unwrap()
    };
    let mut here = SiblingSet::new();
    add(&mut here, a(1), 1, 5);
    let mut there = here.clone();
    add(&mut there, b(1), 2, 1);
    let context = here.context().clone();
    here.delete(a(2), Hlc(3), &context).unwrap();
    add(&mut here, a(3), 4, 2);
    here.merge(&there).unwrap();
    assert_eq!(read("counter", here.versions()), "8");
    add(&mut here, a(4), 5, -3);
    assert_eq!(read("counter", here.versions()), "5");
}

#[test]
fn a_conflict_can_be_replayed_under_another_rule() {
    let mut set = SiblingSet::new();
    set.put(Dot::new(1, 1, 1), Hlc(2), &Context::new(), Some(b"3".to_vec()))
        .unwrap();
    assert!(Conflict::report(b"k", &set, &lww::Lww).unwrap().is_none());
    set.put(Dot::new(2, 1, 1), Hlc(1), &Context::new(), Some(b"4".to_vec()))
        .unwrap();
    let conflict = Conflict::report(b"k", &set, &lww::Lww).unwrap().unwrap();
    assert!(conflict.to_string().ends_with("-> \"3\""), "{conflict}");
    let other = conflict.replay(&Extreme::Max).unwrap();
    assert!(
        other
            .to_string()
            .ends_with("under max: [0000000000000001.1:1 = \"3\"] [0000000000000002.1:1 = \"4\"] -> \"4\"")
    );
}

/// A map as the rule keeps it, of either form.
fn stamped(random: u64) -> Vec<u8> {
    let plain = match random % 2 {
        0 => json(random / 2),
        // {"a": 1, "b": {"x": nil}} as MessagePack.
        _ => vec![0x82, 0xA1, b'a', 1, 0xA1, b'b', 0x81, 0xA1, b'x', 0xC0],
    };
    let versions = [version(1, 1, 5, &plain), version(2, 1, 4 + random % 3, &plain)];
    match resolver("fields").unwrap().resolve(b"k", &versions).unwrap() {
        Outcome::One(one) => one.value.unwrap(),
        Outcome::Siblings(_) => unreachable!("fields always merges"),
    }
}

proptest! {
    #[test]
    fn no_value_makes_a_rule_panic_and_what_it_made_it_can_show(
        random: u64,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut: prop::sample::Index,
        raw: Vec<u8>,
    ) {
        for whole in [counter(random), stamped(random), json(random), raw] {
            let mut value = whole.clone();
            for (at, byte) in &flips {
                if !value.is_empty() {
                    let at = at.index(value.len());
                    value[at] ^= byte;
                }
            }
            if flips.is_empty() {
                value.truncate(cut.index(value.len() + 1));
            }
            for name in RESOLVERS.split(", ") {
                let rule = resolver(name).unwrap();
                let _ = rule.present(&value);
                let versions = [version(1, 1, 1, &value), version(2, 1, 2, &whole)];
                if let Ok(Outcome::One(one)) = rule.resolve(b"k", &versions)
                    && let Some(value) = &one.value
                {
                    prop_assert!(rule.present(value).is_ok(), "{} cannot show {:?}", name, value);
                }
            }
            if let Ok(counter) = Counter::from_bytes(&value) {
                prop_assert_eq!(counter.to_bytes(), value);
            }
        }
    }
}

#[test]
fn stamped_fields_can_be_taken_apart_and_put_together_in_any_order() {
    let map = br#"{"a":{"b":1.10,"c":[1, 2]},"d":{},"e":null}"#;
    let first = fields::write(None, map, Dot::new(1, 1, 1), Hlc(1)).unwrap();
    let stored = version(1, 1, 1, &first);
    let second = fields::write(
        Some(&stored),
        br#"{"a":{"b":1.10},"d":2}"#,
        Dot::new(2, 1, 1),
        Hlc(2),
    )
    .unwrap();
    let mut apart = fields::json_fields(&second).unwrap();
    assert_eq!(apart.iter().filter(|field| field.value.is_none()).count(), 2);
    assert_eq!(apart[0].path, ["a", "b"]);
    assert_eq!((apart[0].stamp, apart[1].stamp), (Hlc(1), Hlc(2)));
    apart.reverse();
    assert_eq!(fields::from_json_fields(apart.clone()).unwrap(), second);

    // What no stored document holds is refused: no path, no JSON, a field below one that replaces it.
    for change in [
        &|field: &mut fields::StampedField| field.path.clear(),
        &|field: &mut fields::StampedField| field.value = Some(b"1 2".to_vec()),
        &|field: &mut fields::StampedField| field.dot.sequence = 0,
        &|field: &mut fields::StampedField| (field.path, field.stamp) = (vec!["a".into()], Hlc(9)),
    ] as [&dyn Fn(&mut fields::StampedField); 4]
    {
        let mut wrong = apart.clone();
        change(&mut wrong[0]);
        assert!(fields::from_json_fields(wrong.clone()).is_err(), "{wrong:?}");
    }
    let packed = fields::write(None, b"\x81\xa1a\x01", Dot::new(1, 1, 1), Hlc(1)).unwrap();
    assert!(
        fields::json_fields(&packed)
            .unwrap_err()
            .to_string()
            .contains("JSON")
    );
}
