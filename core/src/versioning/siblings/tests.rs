use proptest::prelude::*;

use super::*;

static BLIND: std::sync::LazyLock<Context> = std::sync::LazyLock::new(Context::new);

#[test]
fn two_alternating_clients_do_not_multiply_siblings() {
    // Plain version vectors with server ids keep up to 100 siblings here.
    let mut set = SiblingSet::new();
    let mut contexts = [Context::new(), Context::new()];
    for n in 1..=100u64 {
        let which = n as usize % 2;
        set.put(Dot::new(1, 1, n), Hlc(n), &contexts[which], Some(vec![n as u8]))
            .unwrap();
        contexts[which] = set.get().1;
        assert!(set.versions().len() <= 2);
    }
}

#[test]
fn a_successor_wins_over_a_later_stamp_and_blind_writes_stay() {
    let mut a = SiblingSet::new();
    let old = a
        .put(Dot::new(1, 1, 1), Hlc(900), &BLIND, Some(b"old".to_vec()))
        .unwrap();
    let context = a.get().1;
    let mut b = SiblingSet::new();
    // Written where the old value has not arrived: its stamp is lower, yet it comes after.
    let new = b
        .put(Dot::new(2, 1, 1), Hlc(5), &context, Some(b"new".to_vec()))
        .unwrap();
    for order in [[&old, &new], [&new, &old]] {
        let mut c = SiblingSet::new();
        order.into_iter().for_each(|version| c.apply(version).unwrap());
        assert_eq!(c.get().0, [b"new"]);
    }
    a.put(Dot::new(1, 1, 2), Hlc(901), &BLIND, Some(b"blind".to_vec()))
        .unwrap();
    a.merge(&b).unwrap();
    assert_eq!(a.get().0, [b"blind".as_slice(), b"new"]);
}

#[test]
fn a_reused_dot_and_a_stale_one_are_refused_and_change_nothing() {
    let mut set = SiblingSet::new();
    let mut version = set.put(Dot::new(1, 1, 5), Hlc(9), &BLIND, None).unwrap();
    version.value = Some(b"other".to_vec());
    let before = set.clone();
    assert!(matches!(set.apply(&version), Err(VersionError::ReusedDot { .. })));
    assert!(matches!(
        set.put(Dot::new(1, 1, 4), Hlc(10), &BLIND, None),
        Err(VersionError::StaleDot { .. })
    ));
    let seen = set.get().1;
    assert!(matches!(
        set.put(Dot::new(1, 1, 6), Hlc(9), &seen, None),
        Err(VersionError::StampNotAfter { .. })
    ));
    assert_eq!(set, before);
}

#[test]
fn a_tombstone_goes_only_when_every_member_has_seen_all_of_the_key() {
    let mut set = SiblingSet::new();
    set.put(Dot::new(1, 1, 1), Hlc(1), &BLIND, Some(b"x".to_vec()))
        .unwrap();
    let seen = set.get().1;
    set.delete(Dot::new(2, 1, 8), Hlc(2), &seen).unwrap();
    assert!(set.get().0.is_empty());
    let mut stable = Context::new();
    stable.insert_through(Dot::new(2, 1, 8));
    assert!(!set.purgeable(&stable));
    stable.insert_through(Dot::new(1, 1, 1));
    assert!(set.purgeable(&stable));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn bytes_have_one_reading_or_none(writes in proptest::collection::vec((0u64..3, any::<bool>(), any::<bool>()), 1..8),
                                      flips in proptest::collection::vec(any::<(usize, u8)>(), 0..3),
                                      noise in proptest::collection::vec(any::<u8>(), 0..90)) {
        let mut set = SiblingSet::new();
        for (n, (node, blind, deleted)) in (1u64..).zip(writes) {
            let context = if blind { Context::new() } else { set.get().1 };
            set.put(Dot::new(node, 1, n), Hlc(n), &context, (!deleted).then(|| vec![7; n as usize])).unwrap();
        }
        let mut bytes = set.to_bytes();
        prop_assert_eq!(SiblingSet::from_bytes(&bytes).unwrap(), set);
        for (at, with) in flips { let at = at % bytes.len(); bytes[at] ^= with; }
        for bytes in [bytes, noise] {
            if let Ok(set) = SiblingSet::from_bytes(&bytes) { prop_assert_eq!(set.to_bytes(), bytes.clone()); }
            if let Ok(dot) = Dot::from_bytes(&bytes) { prop_assert_eq!(dot.to_bytes().to_vec(), bytes.clone()); }
            if let Ok(version) = Version::from_bytes(&bytes) {
                let mut again = Vec::new();
                version.encode_into(&mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
