//! Every decoder under coverage-guided mutation: arbitrary bytes give an error or a value, never a panic.
//!
//! The environment variable `DECODER` names the one to try. What decodes is encoded again and must come to
//! the same bytes where a format has exactly one form. Checksums are repaired first, or hardly any mutation
//! would get behind them; the unrepaired bytes are tried as well.

#![no_main]

use std::sync::OnceLock;

use atoll::ids::{Hlc, Lsn};
use atoll::log::format::CrcSeed;
use atoll::log::header::{Control, SegmentFooter, SegmentHeader};
use atoll::log::payload::{EpochStart, Group, SlotsFrozen, SlotsOwned};
use atoll::log::view::RecordView;
use atoll::replication::token::Token;
use atoll::routing::{Plan, Router, Topology, decode_tuple};
use atoll::store::manifest::Manifest;
use atoll::store::table::format::{EntryView, TableFooter, TableHeader, Widths};
use atoll::versioning::resolve::{Outcome, RESOLVERS, counter::Counter, fields, resolver};
use atoll::versioning::{Context, Dot, HlcStamp, SiblingSet, VectorClock, Version};
use libfuzzer_sys::fuzz_target;

const PAGE: usize = 4096;

/// The bytes as a page with a fitting checksum.
fn page(data: &[u8]) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    let len = data.len().min(PAGE - 4);
    page[..len].copy_from_slice(&data[..len]);
    let crc = crc32c::crc32c(&page[..PAGE - 4]);
    page[PAGE - 4..].copy_from_slice(&crc.to_le_bytes());
    page
}

/// The bytes with a fitting checksum in place of the last four.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    if let Some(body) = data.len().checked_sub(4) {
        let crc = crc32c::crc32c(&data[..body]);
        bytes[body..].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

fn pages(data: &[u8]) {
    let page = page(data);
    let _ = SegmentHeader::decode(&page).map(|header| SegmentHeader::decode(&header.encode()).unwrap());
    let _ = SegmentFooter::decode(&page).map(|footer| SegmentFooter::decode(&footer.encode()).unwrap());
    let _ = Control::decode(&page).map(|control| Control::decode(&control.encode()).unwrap());
}

fn records(data: &[u8]) {
    let seed = CrcSeed::new(
        atoll::ids::Uuid::NIL,
        atoll::ids::ShardId(0),
        atoll::ids::Epoch(1),
    );
    if let Ok(record) = RecordView::parse_unchecked(data, Lsn(0)) {
        let _ = (record.verify_header(seed), record.verify_payload(seed));
        let _ = (
            record.key(),
            record.value(),
            record.ext(),
            record.hlc(),
            record.prev(),
        );
        for member in record.members(seed) {
            let _ = member.map(|member| member.verify_payload(seed));
        }
    }
}

fn payloads(data: &[u8]) {
    let _ = (Group::decode(data).is_ok(), EpochStart::decode(data).is_ok());
    let _ = (
        SlotsFrozen::decode(data).is_ok(),
        SlotsOwned::decode(data).is_ok(),
    );
}

fn topology(data: &[u8]) {
    let _ = Topology::from_bytes(data).is_ok();
    if let Ok(topology) = Topology::from_bytes(&sealed(data)) {
        assert_eq!(
            Topology::from_bytes(&topology.to_bytes()).unwrap().to_bytes(),
            topology.to_bytes()
        );
        let _ = topology.slot_of(data);
    }
}

/// Numbers of the payload stay below 128: a router of 16 Mi points is served, and takes seconds.
fn router(data: &[u8]) {
    let _ = Router::from_bytes(data).is_ok();
    let mut bytes = b"ATOLLRTR\x01\0\0\0".to_vec();
    bytes.extend_from_slice(&(data.len() as u64).to_le_bytes());
    bytes.extend(data.iter().map(|byte| byte & 0x7f));
    bytes.extend_from_slice(&[0; 4]);
    if let Ok(router) = Router::from_bytes(&sealed(&bytes)) {
        let json = Router::from_json(&router.to_json()).unwrap();
        assert_eq!(json.to_bytes(), router.to_bytes());
        let _ = router.number(data).unwrap();
        let _ = router.nodes_of(data, 3).is_ok();
    }
}

fn json(data: &[u8]) {
    if let Ok(topology) = Topology::from_json_bytes(data) {
        assert!(Topology::from_bytes(&topology.to_bytes()).is_ok());
    }
    let _ = Plan::from_json_bytes(data).is_ok();
}

fn manifest(data: &[u8]) {
    let _ = Manifest::decode(data).is_ok();
    let _ = Manifest::decode(&sealed(data)).is_ok();
}

/// Entries by both ways of reading them, which must agree; first and last pages with their checksums right.
fn tables(data: &[u8]) {
    let page = page(data);
    if let Ok(Ok(header)) = TableHeader::decode(&page) {
        assert_eq!(TableHeader::decode(&header.encode()).unwrap().unwrap(), header);
    }
    let Some((head, entries)) = data.split_first_chunk::<10>() else {
        return;
    };
    let file_bytes = u64::from(u16::from_le_bytes([head[0], head[1]])) * PAGE as u64;
    if let Ok(Ok(footer)) = TableFooter::decode(&page, file_bytes) {
        assert_eq!(
            TableFooter::decode(&footer.encode(), file_bytes)
                .unwrap()
                .unwrap(),
            footer
        );
    }
    let widths = Widths {
        lsn_base: Lsn(u64::from(u32::from_le_bytes([head[2], head[3], head[4], head[5]])) * 8),
        hlc_base: Hlc(u64::from(u16::from_le_bytes([head[6], head[7]]))),
        lsn_bytes: head[8] % 9,
        hlc_bytes: head[9] % 9,
    };
    let mut at = 0;
    while at < entries.len() {
        let slowly = EntryView::parse(entries, at, &widths);
        let quickly = EntryView::parse_quickly(entries, at, &widths);
        assert_eq!(format!("{slowly:?}"), format!("{quickly:?}"));
        let Ok(entry) = slowly else { break };
        let mut bytes = Vec::new();
        entry.parts().encode_into(&widths, entry.same_key, &mut bytes);
        let again = EntryView::parse(&bytes, 0, &widths).unwrap();
        assert_eq!(format!("{:?}", again.parts()), format!("{:?}", entry.parts()));
        assert!(entry.end > at);
        at = entry.end;
    }
}

/// The same bytes as one value, as two, and as what a rule made of them.
fn resolvers(data: &[u8]) {
    let (left, right) = data.split_at(data.len() / 2);
    let version = |node, value: &[u8]| Version {
        dot: Dot::new(node, 1, 1),
        stamp: Hlc(node),
        context: Context::new(),
        value: Some(value.to_vec()),
    };
    for name in RESOLVERS.split(", ") {
        let rule = resolver(name).expect("it is in the list");
        let _ = rule.present(data).is_ok();
        for versions in [vec![version(1, data)], vec![version(1, left), version(2, right)]] {
            if let Ok(Outcome::One(one)) = rule.resolve(b"k", &versions)
                && let Some(value) = &one.value
            {
                rule.present(value).expect("what a rule made it can show");
            }
        }
    }
}

fn clocks(data: &[u8]) {
    if let Ok(clock) = VectorClock::from_bytes(data) {
        assert_eq!(clock.to_bytes(), data);
    }
    if let Ok(stamp) = HlcStamp::from_bytes(data) {
        assert_eq!(stamp.to_bytes(), data);
    }
    let _ = data
        .split_at_checked(data.len() / 2)
        .map(|(a, b)| VectorClock::compare_encoded(a, b).is_ok());
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(clock) = text.parse::<VectorClock>() {
            assert_eq!(clock.to_string().parse::<VectorClock>().unwrap(), clock);
        }
        if let Ok(stamp) = text.parse::<HlcStamp>() {
            assert_eq!(stamp.to_string(), text);
        }
    }
}

fn siblings(data: &[u8]) {
    if let Ok(set) = SiblingSet::from_bytes(data) {
        assert_eq!(set.to_bytes(), data);
    }
    if let Ok(context) = Context::from_bytes(data) {
        assert_eq!(context.to_bytes(), data);
    }
    if let Ok(version) = Version::from_bytes(data) {
        let mut bytes = Vec::new();
        version.encode_into(&mut bytes);
        assert_eq!(bytes, data);
    }
    let _ = Dot::from_bytes(data).is_ok();
}

fn values(data: &[u8]) {
    let _ = (Counter::from_bytes(data).is_ok(), fields::check(data).is_ok());
    if let Ok(apart) = fields::json_fields(data) {
        assert_eq!(fields::from_json_fields(apart).unwrap(), data);
    }
}

fn tuples_and_tokens(data: &[u8]) {
    let _ = decode_tuple(data).is_ok();
    if let Ok(token) = Token::from_bytes(data) {
        assert!(Token::from_bytes(&token.to_bytes()).is_ok());
    }
}

type Decoder = (&'static str, fn(&[u8]));

const DECODERS: [Decoder; 13] = [
    ("pages", pages),
    ("records", records),
    ("payloads", payloads),
    ("topology", topology),
    ("router", router),
    ("json", json),
    ("manifest", manifest),
    ("tables", tables),
    ("clocks", clocks),
    ("siblings", siblings),
    ("values", values),
    ("resolvers", resolvers),
    ("tuples_and_tokens", tuples_and_tokens),
];

fuzz_target!(|data: &[u8]| {
    static CHOSEN: OnceLock<fn(&[u8])> = OnceLock::new();
    let decoder = CHOSEN.get_or_init(|| {
        let name = std::env::var("DECODER").expect("DECODER names what to try");
        let found = DECODERS.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("no decoder {name:?}")).1
    });
    decoder(data);
});
