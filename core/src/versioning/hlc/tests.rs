use proptest::prelude::*;

use super::*;

#[test]
fn stamps_rise_while_the_wall_clock_goes_back() {
    let mut clock = HybridClock::new();
    let mut last = Hlc::ZERO;
    for wall in [1_000, 1_000, 10, 0, 1_001, 999] {
        let tick = clock.send(wall).unwrap();
        assert!(tick.stamp > last && clock.mark() >= tick.stamp);
        assert_eq!(tick.ahead_ms, tick.stamp.wall_ms() - wall);
        last = tick.stamp;
    }
}

#[test]
fn a_full_counter_runs_into_the_next_millisecond() {
    let mut clock = HybridClock::reopen(pack(5, u16::MAX).unwrap());
    assert_eq!(clock.send(5).unwrap().stamp, pack(6, 0).unwrap());
}

#[test]
fn the_bound_is_exact_and_quarantine_leaves_the_clock_alone() {
    let mut clock = HybridClock::new();
    assert!(matches!(
        clock.observe(1_000, pack(1_500, 9).unwrap()),
        Received::Accepted { .. }
    ));
    let before = clock.clone();
    let answer = clock.observe(1_000, pack(1_501, 0).unwrap());
    assert!(matches!(
        answer,
        Received::Quarantined {
            ahead_ms: 501,
            max_skew_ms: 500,
            ..
        }
    ));
    assert_eq!((clock.last(), clock.mark()), (before.last(), before.mark()));
    assert!(clock.receive(1_000, pack(1_501, 0).unwrap()).unwrap().is_err());
    assert_eq!(clock.send(1_000).unwrap().stamp, pack(1_500, 10).unwrap());
}

#[test]
fn a_reopened_clock_is_above_all_it_gave_and_within_its_peers_bound() {
    let mut clock = HybridClock::new();
    let (mut mark, mut last) = (Hlc::ZERO, Hlc::ZERO);
    for wall in 1_000..3_000 {
        let tick = clock.send(wall).unwrap();
        mark = tick.persist.unwrap_or(mark);
        last = tick.stamp;
        let again = HybridClock::reopen(mark).send(wall).unwrap();
        assert!(again.stamp > last && again.ahead_ms <= DEFAULT_MAX_SKEW_MS);
    }
    assert!(last <= mark);
    assert!(HybridClock::new().with_bounds(100, 100).is_err());
}

#[test]
fn the_last_stamp_is_the_last() {
    let mut clock = HybridClock::reopen(Hlc(u64::MAX));
    assert_eq!(clock.send(0), Err(VersionError::ClockExhausted));
    assert!(HybridClock::new().send(1 << 48).is_err());
    assert!(pack(1 << 48, 0).is_err());
}

#[test]
fn text_is_read_in_one_form_only() {
    let bad = |text: &str, part: &str| {
        let error = text.parse::<HlcStamp>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    };
    bad("2026-11-23T02:00:00.123Z/0007", "no @node");
    bad("2026-11-23T02:00:00.123Z@a", "no /counter");
    bad("2026-11-23T02:00:00.123+00:00/0007@a", "must end in Z");
    bad("2026-11-23 02:00:00.123Z/0007@a", "no T");
    bad("2026-11-23T02:00:00.123Z/000A@a", "hexadecimal");
    bad("2026-11-23T02:00:00.123Z/00007@a", "hexadecimal");
    bad("2026-02-29T02:00:00.123Z/0007@a", "no such day");
    bad("1969-12-31T23:59:59.999Z/0000@a", "before 1970");
    bad("2026-11-23T24:00:00.000Z/0007@a", "no such time");
    bad("2026-11-23T23:59:60.000Z/0007@a", "no such time");
    bad("2026-11-23T2:00:00.000Z/0007@a", "HH:MM:SS.mmm");
    bad("2026-11-23T02:00:00Z/0007@a", "HH:MM:SS.mmm");
    bad("2026-1-23T02:00:00.000Z/0007@a", "YYYY-MM-DD");
    bad("10889-08-03T00:00:00.000Z/0000@a", "48 bits");
    bad("99999-12-31T23:59:59.999Z/0000@a", "48 bits");
    bad("2026-11-23T02:00:00.123Z/0007@", "empty");
    bad("2026-11-23T02:00:00.123Z/000A@a", "at byte 25");
    bad("2026-11-23T02:00:00.123Z/0007", "at byte 29");
    bad("2026-11-23T25:00:00.123Z/0007@a", "at byte 11");
    bad("", "at byte 0");
    let at = "2026-11-23T02:00:00.123Z/0007@a@b/c".parse::<HlcStamp>().unwrap();
    assert_eq!(at.node(), "a@b/c");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn text_round_trips_over_the_whole_range(packed in any::<u64>()) {
        let stamp = HlcStamp::new(Hlc(packed), "노드").unwrap();
        prop_assert_eq!(stamp.to_string().parse::<HlcStamp>().unwrap(), stamp);
    }

    #[test]
    fn bytes_round_trip_and_order_as_the_stamps_do(
        a in (0u64..3, "[a-c섬]{1,3}"), b in (0u64..3, "[a-c섬]{1,3}"), high in any::<u32>()
    ) {
        let stamp = |(low, node): &(u64, String)| HlcStamp::new(Hlc(u64::from(high) << 32 | low), node).unwrap();
        let (a, b) = (stamp(&a), stamp(&b));
        prop_assert_eq!(HlcStamp::from_bytes(&a.to_bytes()).unwrap(), a.clone());
        prop_assert_eq!(HlcStamp::compare_encoded(&a.to_bytes(), &b.to_bytes()).unwrap(), a.cmp(&b));
    }

    #[test]
    fn decoding_arbitrary_bytes_never_panics_and_accepts_only_the_one_form(
        bytes in proptest::collection::vec(any::<u8>(), 0..20), node in "[ -~]{0,3}", cut in 0usize..14
    ) {
        let mut near = HlcStamp::new(Hlc(7), "n").unwrap().to_bytes();
        near.truncate(10);
        near.push(node.len() as u8);
        near.extend_from_slice(node.as_bytes());
        near.truncate(cut);
        for bytes in [bytes, near] {
            if let Ok(stamp) = HlcStamp::from_bytes(&bytes) {
                prop_assert_eq!(stamp.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn parsing_never_panics(text in "\\PC*", cut in any::<usize>(), with in any::<char>()) {
        let _ = text.parse::<HlcStamp>();
        let mut near: Vec<char> = "2026-11-23T02:00:00.123Z/0007@node".chars().collect();
        let at = cut % near.len();
        near[at] = with;
        let _ = near.into_iter().collect::<String>().parse::<HlcStamp>();
    }

    #[test]
    fn two_clocks_that_talk_never_go_back(steps in proptest::collection::vec((any::<bool>(), 0u64..2_000), 1..60)) {
        let mut clocks = [HybridClock::new(), HybridClock::new()];
        for (which, wall) in steps {
            let (from, to) = (usize::from(which), usize::from(!which));
            let sent = clocks[from].send(wall).unwrap();
            let before = clocks[to].last();
            if let Ok(tick) = clocks[to].receive(wall, sent.stamp).unwrap() {
                prop_assert!(tick.stamp > sent.stamp && tick.stamp > before);
            } else {
                prop_assert_eq!(clocks[to].last(), before);
            }
        }
    }
}
