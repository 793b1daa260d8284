//! Keys as bytes, and topologies as tables, against a second implementation of their written definitions.
//!
//! `vectors/README.md` says what a row holds; other languages check the same files.

use atoll::ids::SlotId;
use atoll::routing::{
    KeyBuf, KeyEncoding, KeyRef, MovePhase, Router, RoutingError, decode_tuple, encode_key, encode_tuple,
};

const KEYS: &str = include_str!("vectors/key-encoding.tsv");
const PLACES: &str = include_str!("vectors/locate.tsv");

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// The elements that words such as `t:61`, `i:-1`, `(` and `)` stand for.
fn elements(words: &mut dyn Iterator<Item = &str>) -> Vec<KeyBuf> {
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        found.push(match word.split_once(':') {
            Some(("b", hex)) => KeyBuf::Bytes(unhex(hex)),
            Some(("t", hex)) => KeyBuf::Text(String::from_utf8(unhex(hex)).unwrap()),
            Some(("i", number)) => KeyBuf::Int(number.parse().unwrap()),
            Some(("u", hex)) => KeyBuf::Uuid(unhex(hex).try_into().unwrap()),
            None if word == "(" => KeyBuf::Tuple(elements(words)),
            None if word == ")" => return found,
            _ => panic!("{word:?} is no element"),
        });
    }
    found
}

#[test]
fn keys_have_the_bytes_that_are_defined() {
    let mut rows = 0;
    for row in KEYS.lines() {
        let fields: Vec<&str> = row.split('\t').collect();
        let encoded = |key: KeyRef<'_>, encoding: &str, hex: &str| {
            assert_eq!(*encode_key(&key, encoding.parse().unwrap()), *unhex(hex), "{row}");
        };
        match fields[..] {
            ["int", number, encoding, hex] => encoded(KeyRef::Int(number.parse().unwrap()), encoding, hex),
            ["bigint", number] => {
                let value: u64 = number.parse().unwrap();
                assert!(i64::try_from(value).is_err(), "{row}");
            }
            ["text", text, hex] => {
                encoded(
                    KeyRef::Text(std::str::from_utf8(&unhex(text)).unwrap()),
                    "binary",
                    hex,
                );
            }
            ["badtext", hex] => assert!(String::from_utf8(unhex(hex)).is_err(), "{row}"),
            ["uuid", uuid, hex] => encoded(KeyRef::Uuid(unhex(uuid).try_into().unwrap()), "decimal", hex),
            ["tuple", words, hex] => {
                let tuple = elements(&mut words.split_terminator(' '));
                assert_eq!(encode_tuple(&tuple), unhex(hex), "{row}");
                assert_eq!(decode_tuple(&unhex(hex)).unwrap(), tuple, "{row}");
            }
            ["badtuple", hex] => assert!(decode_tuple(&unhex(hex)).is_err(), "{row}"),
            _ => panic!("no such row: {row}"),
        }
        rows += 1;
    }
    assert!(rows > 300);
}

/// Both encoders of tuples go by the same rules, also where elements are borrowed.
#[test]
fn borrowed_elements_have_the_bytes_of_owned_ones() {
    let (text, inner) = ("a\0b", [KeyRef::Int(1), KeyRef::Uuid([9; 16])]);
    let borrowed = [KeyRef::Text(text), KeyRef::Tuple(&inner), KeyRef::Bytes(b"\0")];
    let owned = [
        KeyBuf::Text(text.into()),
        KeyBuf::Tuple(vec![KeyBuf::Int(1), KeyBuf::Uuid([9; 16])]),
        KeyBuf::Bytes(b"\0".to_vec()),
    ];
    let bytes = encode_key(&KeyRef::Tuple(&borrowed), KeyEncoding::Decimal);
    assert_eq!(*bytes, *encode_tuple(&owned));
}

#[test]
fn topologies_say_where_keys_are_as_is_defined() {
    let mut router: Option<Router> = None;
    let mut rows = 0;
    for row in PLACES.lines() {
        let fields: Vec<&str> = row.split('\t').collect();
        if let ["topology", _, version, slots, shards, members, hex] = fields[..] {
            let read = Router::from_bytes(&unhex(hex)).unwrap();
            let topology = read.topology().unwrap();
            assert_eq!(
                [
                    topology.version().to_string(),
                    topology.slots().to_string(),
                    topology.shards().len().to_string(),
                    topology.members().len().to_string(),
                ],
                [version, slots, shards, members]
            );
            router = Some(read);
            continue;
        }
        let router = router.as_ref().expect("a topology comes first");
        let topology = router.topology().unwrap();
        match fields[..] {
            ["outside", key] => {
                let refused = router.number(&unhex(key));
                assert!(
                    matches!(refused, Err(RoutingError::OutsideDomain { .. })),
                    "{row}"
                );
            }
            ["key", key, slot, shard, phase, to, residency, nodes] => {
                let key = unhex(key);
                let slot = SlotId(slot.parse().unwrap());
                assert_eq!(topology.slot_of(&key), slot, "{row}");
                assert_eq!(router.number(&key).unwrap(), i64::from(slot.0), "{row}");
                let answer = topology.answer(slot).unwrap();
                let (found, target) = match answer.moving {
                    None => ("none", answer.reads),
                    Some(moving) if moving.phase == MovePhase::Copying => ("copying", moving.to),
                    Some(moving) => ("frozen", moving.to),
                };
                assert_eq!(
                    (answer.reads.0.to_string().as_str(), found),
                    (shard, phase),
                    "{row}"
                );
                assert_eq!(target.0.to_string(), to, "{row}");
                assert_eq!(topology.residency(slot).to_string(), residency, "{row}");
                let mut owners = Vec::new();
                router.owners(&key, usize::from(u8::MAX), &mut owners).unwrap();
                let owners: Vec<String> = owners.iter().map(u16::to_string).collect();
                assert_eq!(owners.join(","), nodes, "{row}");
            }
            _ => panic!("no such row: {row}"),
        }
        rows += 1;
    }
    assert!(rows > 1_000);
}
