//! Backups of a store on the real disk: beside writers and compaction, one after the other into the same
//! directory, with links, damaged, refused.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use atoll::ids::{Epoch, ShardId, Uuid};
use atoll::io::Env;
use atoll::store::backup::restore::{RestoreReport, restore};
use atoll::store::backup::{BackupError, BackupOptions, BackupReport, verify_backup};
use atoll::store::{CompactionLimits, Durability, Store, StoreIdentity, StoreOptions};

const COPY: BackupOptions = BackupOptions { link: false };
const LINK: BackupOptions = BackupOptions { link: true };

fn options() -> StoreOptions {
    StoreOptions {
        segment_max_bytes: 1 << 20,
        ..StoreOptions::new(StoreIdentity {
            cluster: Uuid::NIL,
            shard: ShardId(0),
            node: 9,
        })
    }
}

fn open(dir: &Path) -> Store {
    Store::open_standalone(&Env::os(), dir, &options()).expect("opened")
}

fn back_up(store: &Store, target: &Path, options: &BackupOptions) -> Result<BackupReport, BackupError> {
    let mut last = (0, 0);
    let report = store.backup(target, options, &mut |done, total| {
        assert!(last.0 <= done && done <= total, "{last:?} {done} of {total}");
        last = (done, total);
    })?;
    assert_eq!(last, (report.bytes, report.bytes), "progress ends at the end");
    Ok(report)
}

fn bring_back(backup: &Path, dir: &Path) -> Result<RestoreReport, BackupError> {
    restore(&Env::os(), backup, dir, &mut |_, _| {})
}

fn all(store: &Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let snapshot = store.snapshot();
    let scan = snapshot.scan(Bound::Unbounded, Bound::Unbounded).expect("scan");
    scan.map(|entry| {
        let entry = entry.expect("entry");
        let value = entry.value.as_ref().expect("a value").to_vec();
        assert_eq!(store.get(&entry.key).unwrap().as_deref(), Some(&value[..]));
        (entry.key.to_vec(), value)
    })
    .collect()
}

fn fill(store: &Store, from: u64, to: u64) {
    for n in from..to {
        let value = vec![n as u8; 1000 + (n % 97) as usize];
        store
            .put(&n.to_be_bytes(), &value, Durability::Buffered)
            .expect("put");
    }
}

/// A store with tables, sealed segments and an active one.
fn store_with_everything(dir: &Path) -> Store {
    let store = open(dir);
    fill(&store, 0, 3000);
    store
        .delete(&7u64.to_be_bytes(), Durability::Buffered)
        .expect("delete");
    store
        .compact(&CompactionLimits::default(), &mut |_| {})
        .expect("compacted");
    fill(&store, 2900, 5200);
    store
        .delete(&8u64.to_be_bytes(), Durability::Synced)
        .expect("delete");
    assert!(store.stats().tables > 0 && store.stats().segments > 2);
    store
}

fn files_of(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("listed") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_restored_store_has_everything_and_lives_a_life_of_its_own() {
    let temp = tempfile::tempdir().unwrap();
    let (data, target, again) = (
        temp.path().join("a"),
        temp.path().join("b"),
        temp.path().join("c"),
    );
    let store = store_with_everything(&data);
    let expected = all(&store);
    let report = back_up(&store, &target, &COPY).unwrap();
    assert_eq!(report.positions, [(store.epoch(), store.tail())]);
    assert_eq!((report.sequence, report.bytes_copied), (1, report.bytes));
    let checked = verify_backup(&Env::os(), &target, &mut |_, _| {}).unwrap();
    assert_eq!((checked.damage.len(), checked.bytes), (0, report.bytes));

    let restored = bring_back(&target, &again).unwrap();
    assert_eq!(restored.position, (store.epoch(), store.tail()));
    let copy = open(&again);
    assert!(copy.recovery().was_clean());
    assert_eq!(all(&copy), expected);
    assert!(copy.get(&7u64.to_be_bytes()).unwrap().is_none());
    assert_eq!(copy.verify(&mut |_, _| {}).unwrap().damage, []);
    // Another store, in a life and an epoch that the first one can never come to.
    assert_ne!(copy.store_id(), store.store_id());
    assert!(copy.incarnation() > store.incarnation() + 1_000_000);
    assert!(copy.epoch() > Epoch(store.epoch().0 + 1_000_000));
    let of_both: Vec<_> = copy.epoch_vector();
    assert_eq!(of_both[..of_both.len() - 1], store.epoch_vector()[..]);
    // It goes on by itself, compacts, and is backed up in its turn.
    fill(&copy, 5200, 6000);
    copy.compact(&CompactionLimits::default(), &mut |_| {}).unwrap();
    assert_eq!(all(&copy).len(), expected.len() + 800);
    assert_eq!(all(&store), expected);
    let refused = back_up(&copy, &target, &COPY).unwrap_err();
    assert!(matches!(refused, BackupError::Foreign { .. }), "{refused}");
    let third = temp.path().join("d");
    back_up(&copy, &third, &COPY).unwrap();
    copy.close().unwrap();
    let later = bring_back(&third, &temp.path().join("e")).unwrap();
    assert!(later.incarnation > restored.incarnation);
}

#[test]
fn the_next_backup_copies_only_what_is_new_and_removes_what_is_old() {
    let temp = tempfile::tempdir().unwrap();
    let (data, target) = (temp.path().join("a"), temp.path().join("b"));
    let store = open(&data);
    fill(&store, 0, 5000);
    store.sync().unwrap();
    let first = back_up(&store, &target, &COPY).unwrap();
    let again = back_up(&store, &target, &COPY).unwrap();
    assert_eq!((again.sequence, again.bytes), (2, first.bytes));
    assert!(again.bytes_kept > 3 << 20, "{again:?}");
    assert!(
        again.bytes_copied < 2 << 20,
        "only what was being written: {again:?}"
    );
    assert_eq!(files_of(&target, ".tail").len(), 1);

    store.compact(&CompactionLimits::default(), &mut |_| {}).unwrap();
    fill(&store, 5000, 5100);
    let compacted = back_up(&store, &target, &COPY).unwrap();
    assert!(compacted.files_removed > 0, "{compacted:?}");
    assert!(!files_of(&target, ".tbl").is_empty());
    let unchanged = back_up(&store, &target, &COPY).unwrap();
    assert!(unchanged.bytes_copied < 1 << 20, "tables are kept: {unchanged:?}");
    let dir = temp.path().join("c");
    bring_back(&target, &dir).unwrap();
    assert_eq!(all(&open(&dir)), all(&store));
}

#[test]
fn links_cost_no_space_and_outlive_compaction() {
    let temp = tempfile::tempdir().unwrap();
    let (data, target) = (temp.path().join("a"), temp.path().join("b"));
    let store = store_with_everything(&data);
    let expected = all(&store);
    let report = back_up(&store, &target, &LINK).unwrap();
    assert!(report.bytes_linked > report.bytes_copied, "{report:?}");
    assert_eq!(report.bytes_linked + report.bytes_copied, report.bytes);
    fill(&store, 0, 6000);
    store.compact(&CompactionLimits::default(), &mut |_| {}).unwrap();
    drop(store);
    fs::remove_dir_all(&data).unwrap();
    let dir = temp.path().join("c");
    bring_back(&target, &dir).unwrap();
    assert_eq!(all(&open(&dir)), expected);
}

#[test]
fn empty_store_empty_key_and_korean_keys_come_back() {
    let temp = tempfile::tempdir().unwrap();
    let env = Env::os();
    let data = temp.path().join("백업");
    let store = Store::open(&env, &data, &options()).unwrap();
    back_up(&store, &temp.path().join("b0"), &COPY).unwrap();
    bring_back(&temp.path().join("b0"), &temp.path().join("c0/")).unwrap();
    assert_eq!(all(&open(&temp.path().join("c0"))).len(), 0);
    drop(store);
    let store = open(&data);
    for key in ["".as_bytes(), "열쇠".as_bytes(), &[0xff; 10_000]] {
        store.put(key, "값".as_bytes(), Durability::Buffered).unwrap();
    }
    back_up(&store, &temp.path().join("b1"), &COPY).unwrap();
    bring_back(&temp.path().join("b1"), &temp.path().join("c1")).unwrap();
    assert_eq!(all(&open(&temp.path().join("c1"))), all(&store));
}

/// Writers put (k, n) for ascending n, each for itself, and tell what was acknowledged; backups are taken
/// beside them and beside compaction. A backup must hold, for each writer, a prefix of its writes that has
/// everything acknowledged before it began.
#[test]
fn a_backup_beside_writers_and_compaction_is_one_instant() {
    const WRITERS: u64 = 3;
    let temp = tempfile::tempdir().unwrap();
    let (data, target) = (temp.path().join("a"), temp.path().join("b"));
    let store = open(&data);
    let stop = AtomicBool::new(false);
    /// Ends the threads also when a check fails: the scope would wait for them for ever.
    struct Stop<'s>(&'s AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let acknowledged: [AtomicU64; WRITERS as usize] = Default::default();
    let mut taken = 0;
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        for (writer, mine) in acknowledged.iter().enumerate() {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                for n in 1u64.. {
                    if stop.load(Ordering::Acquire) {
                        break;
                    }
                    let mut value = n.to_be_bytes().to_vec();
                    value.resize(300, writer as u8);
                    let key = [&(writer as u64).to_be_bytes()[..], &(n % 500).to_be_bytes()].concat();
                    store.put(&key, &value, Durability::Buffered).expect("put");
                    mine.store(n, Ordering::Release);
                }
            });
        }
        let (compacted, stopping) = (&store, &stop);
        scope.spawn(move || {
            while !stopping.load(Ordering::Acquire) {
                compacted
                    .compact_step(&CompactionLimits::default())
                    .expect("step");
                std::thread::sleep(std::time::Duration::from_millis(3));
            }
        });
        for round in 0..8 {
            std::thread::sleep(std::time::Duration::from_millis(40));
            let before: Vec<u64> = acknowledged.iter().map(|n| n.load(Ordering::Acquire)).collect();
            let options = if round % 2 == 0 { COPY } else { LINK };
            back_up(&store, &target, &options).expect("backup");
            let after: Vec<u64> = acknowledged.iter().map(|n| n.load(Ordering::Acquire)).collect();
            let dir = temp.path().join(format!("c{round}"));
            bring_back(&target, &dir).expect("restored");
            let copy = open(&dir);
            for writer in 0..WRITERS {
                let newest = (0..500u64)
                    .filter_map(|k| {
                        let key = [&writer.to_be_bytes()[..], &k.to_be_bytes()].concat();
                        let value = copy.get(&key).expect("get")?;
                        let n = u64::from_be_bytes(value[..8].try_into().expect("eight bytes"));
                        assert_eq!(n % 500, k);
                        Some(n)
                    })
                    .collect::<Vec<_>>();
                let last = newest.iter().copied().max().unwrap_or(0);
                let at = writer as usize;
                assert!(
                    before[at] <= last && last <= after[at] + 1,
                    "round {round}, writer {writer}: {last} outside {}..={}",
                    before[at],
                    after[at] + 1
                );
                // A prefix: of the last 500 writes each is there.
                let mut expected: Vec<u64> = (last.saturating_sub(499).max(1)..=last).collect();
                expected.sort_by_key(|n| n % 500);
                assert_eq!(newest, expected, "round {round}, writer {writer}");
            }
            drop(copy);
            fs::remove_dir_all(&dir).expect("removed");
            taken += 1;
        }
    });
    println!(
        "{taken} backups beside {WRITERS} writers ({} writes) and compaction: each one instant",
        acknowledged
            .iter()
            .map(|n| n.load(Ordering::Relaxed))
            .sum::<u64>()
    );
}

#[test]
fn a_flipped_byte_anywhere_in_a_backup_is_found_and_the_file_named() {
    let temp = tempfile::tempdir().unwrap();
    let (data, target) = (temp.path().join("a"), temp.path().join("b"));
    let store = store_with_everything(&data);
    back_up(&store, &target, &COPY).unwrap();
    let dir = temp.path().join("c");
    let mut cases = 0;
    let kinds = [".seg", ".tail", ".tbl", "BACKUP"];
    for path in kinds.iter().filter_map(|kind| files_of(&target, kind).pop()) {
        let sound = fs::read(&path).unwrap();
        for part in 0..12 {
            let mut bytes = sound.clone();
            let at = (bytes.len() - 1) * part / 11;
            bytes[at] ^= 1 << (part % 8);
            fs::write(&path, &bytes).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let error = bring_back(&target, &dir).unwrap_err();
            let damage = error.damage().unwrap_or_else(|| panic!("{name} {at}: {error}"));
            assert_eq!(damage.path, path, "{error}");
            assert_eq!(error.exit_code(), 3);
            assert!(!dir.exists(), "{name} {at}: nothing may be there");
            match verify_backup(&Env::os(), &target, &mut |_, _| {}) {
                Ok(report) => assert_eq!(report.damage[0].path, path),
                Err(error) => assert_eq!(error.damage().expect("damage").path, path),
            }
            cases += 1;
        }
        // Shorter, and gone.
        fs::write(&path, &sound[..sound.len() / 2]).unwrap();
        assert_eq!(
            bring_back(&target, &dir).unwrap_err().damage().unwrap().path,
            path
        );
        fs::remove_file(&path).unwrap();
        let error = bring_back(&target, &dir).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&*path.file_name().unwrap().to_string_lossy()),
            "{error}"
        );
        fs::write(&path, &sound).unwrap();
        cases += 2;
    }
    assert_eq!(cases, 4 * 14);
    bring_back(&target, &dir).unwrap();
}

#[test]
fn damage_of_the_store_is_not_backed_up() {
    let temp = tempfile::tempdir().unwrap();
    let (data, target) = (temp.path().join("a"), temp.path().join("b"));
    let store = store_with_everything(&data);
    back_up(&store, &target, &COPY).unwrap();
    fill(&store, 6000, 9000);
    store.sync().unwrap();
    let segments = files_of(&data, ".seg");
    let path = &segments[segments.len() - 2];
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"!", 300_001).unwrap();
    let error = back_up(&store, &target, &COPY).unwrap_err();
    assert_eq!(&error.damage().unwrap().path, path, "{error}");
    // The backup before it is still whole.
    assert_eq!(
        verify_backup(&Env::os(), &target, &mut |_, _| {}).unwrap().damage,
        []
    );
    bring_back(&target, &temp.path().join("c")).unwrap();
}

#[test]
fn directories_of_others_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let (data, target) = (temp.path().join("a"), temp.path().join("b"));
    let store = open(&data);
    fill(&store, 0, 10);
    let inside = back_up(&store, &data.join("backup"), &COPY).unwrap_err();
    assert!(matches!(inside, BackupError::Inside { .. }), "{inside}");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("holiday.jpg"), b"x").unwrap();
    let not_empty = back_up(&store, &target, &COPY).unwrap_err();
    assert!(not_empty.to_string().contains("holiday.jpg"), "{not_empty}");
    fs::remove_file(target.join("holiday.jpg")).unwrap();
    let unfinished = bring_back(&target, &temp.path().join("c")).unwrap_err();
    assert!(
        matches!(unfinished, BackupError::NotABackup { .. }),
        "{unfinished}"
    );
    back_up(&store, &target, &COPY).unwrap();
    let full = bring_back(&target, &data).unwrap_err();
    assert!(matches!(full, BackupError::NotEmpty { .. }), "{full}");
    assert!(matches!(
        bring_back(&data, &temp.path().join("c")).unwrap_err(),
        BackupError::NotABackup { .. }
    ));
    assert_eq!(all(&store).len(), 10);
}
