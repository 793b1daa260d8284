//! Clocks and stamps against `golden/versions.tsv`, which `golden/versions.py` made from the written definition.

use atoll::versioning::{HlcStamp, VectorClock};

const ROWS: &str = include_str!("golden/versions.tsv");
const STAMPS: &str = include_str!("golden/stamps.tsv");

fn clock(text: &str) -> VectorClock {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn clocks_and_stamps_are_as_defined() {
    let mut counts = std::collections::BTreeMap::new();
    for row in ROWS.lines() {
        let fields: Vec<&str> = row.split('\t').collect();
        match fields[..] {
            ["clock", text, hex] => {
                let clock = clock(text);
                let bytes: String = clock
                    .to_bytes()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                assert_eq!((clock.to_string().as_str(), bytes.as_str()), (text, hex));
                assert_eq!(VectorClock::from_bytes(&clock.to_bytes()).unwrap(), clock);
            }
            ["compare", left, right, answer, merged] => {
                let (mut left, right) = (clock(left), clock(right));
                assert_eq!(left.compare(&right).as_str(), answer, "{row}");
                assert_eq!(right.compare(&left), left.compare(&right).reverse(), "{row}");
                let encoded = VectorClock::compare_encoded(&left.to_bytes(), &right.to_bytes());
                assert_eq!(encoded.unwrap().as_str(), answer, "{row}");
                left.merge(&right);
                assert_eq!(left.to_string(), merged, "{row}");
            }
            ["hlc", text, packed, node] => {
                let stamp: HlcStamp = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
                assert_eq!((stamp.hlc().0.to_string().as_str(), stamp.node()), (packed, node));
                assert_eq!(stamp.to_string(), text);
            }
            ["badclock", text] => assert!(text.parse::<VectorClock>().is_err(), "{text}"),
            ["badhlc", text] => assert!(text.parse::<HlcStamp>().is_err(), "{text}"),
            _ => panic!("no such row: {row}"),
        }
        *counts.entry(fields[0]).or_insert(0) += 1;
    }
    assert!(counts["clock"] > 100 && counts["compare"] > 200 && counts["hlc"] > 100);
}

#[test]
fn stamps_have_the_bytes_that_are_defined() {
    for row in STAMPS.lines() {
        let (text, hex) = row.split_once('\t').unwrap();
        let stamp: HlcStamp = text.parse().unwrap();
        let bytes: String = stamp
            .to_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(bytes, hex, "{text}");
        assert_eq!(HlcStamp::from_bytes(&stamp.to_bytes()).unwrap(), stamp);
    }
    assert_eq!(STAMPS.lines().count(), 107);
}
