//! A writing process is killed at any moment; what it had acknowledged is there.
//!
//! `make kills COUNT=2000` runs as many rounds as it is told to.

use std::collections::HashMap;
use std::io::Read;
use std::time::Duration;

use atoll::io::Env;
use atoll::store::{IndexState, ReaderOptions, RecoveryKind, Store, Value};

use crate::helper::{KEYS, LINE, MARK, THREADS, key, value};
use crate::{open, start};

/// Newest acknowledged number of each key.
type Acknowledged = HashMap<Vec<u8>, (u32, u64)>;

/// Takes the reports out of what a helper has printed; the last one may be cut off.
fn reports(printed: &[u8], into: &mut Acknowledged, last: &mut [u64]) -> usize {
    let start = printed.windows(MARK.len()).position(|window| window == MARK);
    let Some(start) = start else { return 0 };
    let mut count = 0;
    for line in printed[start..].chunks_exact(LINE) {
        assert_eq!(&line[..4], MARK, "reports are written whole");
        let thread = u32::from_le_bytes(line[4..8].try_into().expect("four bytes"));
        let number = u64::from_le_bytes(line[8..].try_into().expect("eight bytes"));
        into.insert(key(thread, number), (thread, number));
        let last = &mut last[thread as usize];
        *last = number.max(*last);
        count += 1;
    }
    count
}

fn check(who: &str, all: &Acknowledged, get: impl Fn(&[u8]) -> Option<Value>) {
    for (key, (thread, number)) in all {
        let name = String::from_utf8_lossy(key);
        let found = get(key).unwrap_or_else(|| panic!("{who}: acknowledged key {name} is missing"));
        let newer = u64::from_le_bytes(found[..8].try_into().expect("a number"));
        assert!(
            newer >= *number && newer % KEYS == number % KEYS,
            "{who}: {name} holds {newer}, {number} was acknowledged"
        );
        assert_eq!(
            &found[..],
            value(*thread, newer),
            "{who}: {name} is not what was written"
        );
    }
}

#[test]
fn every_acknowledged_write_survives_the_kill_of_its_process() {
    let count: u32 = std::env::var("ATOLL_KILLS").map_or(20, |count| count.parse().expect("a number"));
    let mut written = 0;
    let mut inherited = 0;
    let mut dir = tempfile::tempdir().expect("temporary directory");
    let mut all = Acknowledged::new();
    let mut last = vec![0u64; THREADS as usize];
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for round in 0..count {
        if round % 40 == 39 {
            dir = tempfile::tempdir().expect("temporary directory");
            all.clear();
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let first = last.iter().max().expect("several threads") + 1;
        let mut child = start("write", dir.path(), first);
        let mut out = child.stdout.take().expect("piped");
        let (said, hears) = std::sync::mpsc::channel();
        let listener = std::thread::spawn(move || {
            let mut printed = Vec::new();
            let mut piece = [0u8; 4096];
            loop {
                let len = out.read(&mut piece).expect("read");
                if len == 0 {
                    return printed;
                }
                printed.extend_from_slice(&piece[..len]);
                if printed.windows(MARK.len()).any(|word| word == MARK) {
                    // Nobody listens in most rounds.
                    let _ = said.send(());
                }
            }
        });
        // What is opened again below was killed while it wrote; the others at any moment, the opening of
        // the store included, however slow the machine is.
        if round % 4 == 0 {
            hears
                .recv_timeout(Duration::from_secs(60))
                .expect("the helper writes");
        }
        std::thread::sleep(Duration::from_micros(5_000 + random % 60_000));
        child.kill().expect("killed");
        child.wait().expect("waited");
        let printed = listener.join().expect("joined");
        written += reports(&printed, &mut all, &mut last);
        if all.is_empty() {
            continue;
        }
        // A reader finds everything before any writer has opened the store again.
        let reader = Store::open_reader(&Env::os(), dir.path(), &ReaderOptions::default());
        match reader {
            Ok(reader) => {
                check("reader", &all, |key| reader.get(key).expect("readable"));
                drop(reader.snapshot().expect("a dead writer keeps nobody waiting"));
            }
            // Killed while it was opening the store.
            Err(atoll::store::StoreError::NeedsRecovery { .. }) => {}
            Err(error) => panic!("round {round}: {error}"),
        }
        if round % 4 == 0 {
            let store = open(dir.path());
            assert_ne!(store.recovery().kind, RecoveryKind::PowerLoss);
            inherited += u32::from(
                store.recovery().kind == RecoveryKind::SameBoot
                    && *store.index_state() == IndexState::Trusted,
            );
            check("writer", &all, |key| store.get(key).expect("readable"));
            let report = store.verify(&mut |_, _| {}).expect("verified");
            assert_eq!(report.damage, [], "round {round}");
            if round % 8 == 0 {
                store.close().expect("closed");
            }
        }
    }
    eprintln!("{count} kills, {written} acknowledged writes, {inherited} indexes taken over");
    assert!(
        inherited > count / 20,
        "the index outlives most kills: {inherited} of {count}"
    );
    assert!(
        written > u64::from(count) as usize,
        "the helpers wrote before they were killed"
    );
}
