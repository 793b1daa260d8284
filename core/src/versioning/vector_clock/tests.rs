use proptest::prelude::*;

use super::*;

fn clock(text: &str) -> VectorClock {
    text.parse().unwrap()
}

pub(in crate::versioning) fn clocks() -> impl Strategy<Value = VectorClock> {
    let name = prop_oneof![Just("A"), Just("B"), Just("b\"\\"), Just("노드"), Just("C")];
    proptest::collection::btree_map(name, prop_oneof![0u64..4, Just(u64::MAX)], 0..5)
        .prop_map(|map| VectorClock::from_entries(map).unwrap())
}

#[test]
fn the_four_answers_are_exact() {
    let check = |a: &str, b: &str, expected: Causality| {
        let (a, b) = (clock(a), clock(b));
        assert_eq!(a.compare(&b), expected, "{a} {b}");
        assert_eq!(b.compare(&a), expected.reverse(), "{b} {a}");
        assert_eq!(
            VectorClock::compare_encoded(&a.to_bytes(), &b.to_bytes()),
            Ok(expected)
        );
    };
    check("{}", "{}", Causality::Equal);
    check("{}", r#"{"A":1}"#, Causality::Before);
    check(r#"{"A":1,"B":0}"#, r#"{"A":1}"#, Causality::Equal);
    check(r#"{"A":1}"#, r#"{"B":1}"#, Causality::Concurrent);
    check(r#"{"A":2,"B":1}"#, r#"{"A":1,"B":1}"#, Causality::After);
    check(r#"{"A":2,"B":1}"#, r#"{"A":1,"B":2}"#, Causality::Concurrent);
    check(r#"{"A":2,"C":1}"#, r#"{"A":2,"B":1,"C":1}"#, Causality::Before);
    check(r#"{"A":3}"#, r#"{"A":2,"Z":1}"#, Causality::Concurrent);
}

#[test]
fn a_counter_at_its_end_refuses_to_tick_and_stays() {
    let mut clock = VectorClock::from_entries([("A", u64::MAX - 1)]).unwrap();
    assert_eq!(clock.tick("A"), Ok(u64::MAX));
    assert!(matches!(
        clock.tick("A"),
        Err(VersionError::CounterOverflow { .. })
    ));
    assert_eq!(clock.get("A"), u64::MAX);
}

#[test]
fn bad_names_are_refused_everywhere() {
    let long = "x".repeat(256);
    for name in ["", "a\nb", "\u{7f}", &long] {
        assert!(VectorClock::new().tick(name).is_err());
        assert!(VectorClock::from_entries([(name, 1)]).is_err());
    }
    assert_eq!(VectorClock::new().tick(&"x".repeat(255)), Ok(1));
}

#[test]
fn pruning_is_refused_by_name() {
    let mut clock = clock(r#"{"A":1}"#);
    assert!(matches!(clock.prune("A"), Err(VersionError::PruneRefused { node }) if node == "A"));
    assert_eq!(clock.get("A"), 1);
}

#[test]
fn any_json_spelling_is_read_and_one_is_written() {
    let check = |text: &str, canonical: &str| assert_eq!(clock(text).to_string(), canonical);
    check(" { \"B\" : 3 , \"A\" : 1 } ", r#"{"A":1,"B":3}"#);
    check(
        r#"{"a\u0022b":1,"\\":2,"é":3,"Z":0}"#,
        r#"{"\\":2,"a\"b":1,"é":3}"#,
    );
    check(r#"{"A":18446744073709551615}"#, r#"{"A":18446744073709551615}"#);
}

#[test]
fn what_is_no_clock_is_refused_with_the_reason() {
    let check = |text: &str, part: &str| {
        let error = text.parse::<VectorClock>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    };
    check("", "EOF");
    check("[]", "expected an object of node names");
    check(r#"{"A":-1}"#, "expected u64");
    check(r#"{"A":1.0}"#, "expected u64");
    check(r#"{"A":01}"#, "invalid number");
    check(r#"{"A":18446744073709551616}"#, "expected u64");
    check(r#"{"A":1,"A":2}"#, "given twice");
    check(r#"{"A":0,"A":2}"#, "given twice");
    check(r#"{"":1}"#, "empty");
    check(r#"{"\u0000":1}"#, "control");
    check(r#"{"A":"1"}"#, "expected u64");
    check(r#"{"A":1,}"#, "trailing comma");
    check(r#"{"A":1}x"#, "trailing characters");
}

#[test]
fn a_lying_count_allocates_nothing() {
    let mut bytes = vec![FORMAT];
    put_varint(&mut bytes, u64::MAX);
    assert!(VectorClock::from_bytes(&bytes).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn merge_is_the_least_upper_bound(a in clocks(), b in clocks(), c in clocks()) {
        let join = |x: &VectorClock, y: &VectorClock| { let mut z = x.clone(); z.merge(y); z };
        prop_assert_eq!(join(&a, &b), join(&b, &a));
        prop_assert_eq!(join(&join(&a, &b), &c), join(&a, &join(&b, &c)));
        prop_assert_eq!(join(&a, &a), a.clone());
        prop_assert!(a <= join(&a, &b));
        if a <= c && b <= c { prop_assert!(join(&a, &b) <= c); }
    }

    #[test]
    fn both_forms_round_trip_and_compare_alike(a in clocks(), b in clocks()) {
        prop_assert_eq!(&a.to_string().parse::<VectorClock>().unwrap(), &a);
        prop_assert_eq!(&VectorClock::from_bytes(&a.to_bytes()).unwrap(), &a);
        prop_assert_eq!(VectorClock::compare_encoded(&a.to_bytes(), &b.to_bytes()), Ok(a.compare(&b)));
        prop_assert_eq!(a.compare(&b) == Causality::Equal, a == b);
        prop_assert_eq!(a.compare(&b), b.compare(&a).reverse());
    }

    #[test]
    fn bytes_have_one_reading_or_none(mut bytes in proptest::collection::vec(any::<u8>(), 0..40),
                                      a in clocks(), flip in any::<(usize, u8)>()) {
        if let Ok(clock) = VectorClock::from_bytes(&bytes) { prop_assert_eq!(clock.to_bytes(), bytes.clone()); }
        bytes = a.to_bytes();
        let at = flip.0 % bytes.len();
        bytes[at] ^= flip.1;
        let whole = VectorClock::from_bytes(&bytes);
        if let Ok(clock) = &whole { prop_assert_eq!(clock.to_bytes(), bytes.clone()); }
        let answer = VectorClock::compare_encoded(&bytes, &a.to_bytes());
        prop_assert_eq!(answer.is_ok(), whole.is_ok());
    }
}
