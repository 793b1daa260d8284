//! The index of a writer that died without closing it, on a machine that has not restarted since.
//!
//! In: the pages as the page cache has them, and the page `LIVE`, which says how many there are and that
//! every version below some position is in them (`log/live.rs`). Out: an index to which the caller adds
//! the records from that position on; or the reason to build a new one.
//!
//! The stores of a process that is killed are all there, so what can be wrong with the pages is only what
//! its threads were in the middle of: a page held (odd sequence), with its counts behind its slots; a
//! division under way, with keys in both halves, or in two places of one; a new page that was not ready. Those are finished or
//! undone. Every page is then compared with itself: any other contradiction means a new index. After a
//! power cut none of this holds, since pages reach the disk in any order: the boot id tells.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crossbeam::utils::CachePadded;
use parking_lot::Mutex;

use super::chunks::{Chunks, MAX_PAGES};
use super::directory::Directory;
use super::page::{Area, MIN_DEPTH};
use super::{Closure, Distrust, Index, catalogue_path};
use crate::io::Disk;

impl Index {
    /// Opens the index in `dir` as a dead writer left it, `used` pages of it. See the head of this file for
    /// what the caller must know before, and must do afterwards.
    ///
    /// # Errors
    /// The reason not to use it; [`Index::create`] and a replay of the log make a new one.
    pub(in crate::store) fn inherit(
        disk: Arc<dyn Disk>,
        dir: &Path,
        seed: u64,
        used: u32,
    ) -> Result<Index, Distrust> {
        let path = catalogue_path(dir);
        let has_catalogue = disk.exists(&path).map_err(Distrust::io("look for", &path))?;
        if has_catalogue || !(1 << MIN_DEPTH..=MAX_PAGES).contains(&used) {
            // The first change takes the catalogue away: these pages are not those of that writer.
            return Err(Distrust::NotClosed);
        }
        let chunks = Chunks::open(disk.clone(), dir, used)?;
        chunks.populate()?;
        let areas = settle(&chunks, used)?;
        let directory = Directory::of_areas(areas.iter().copied(), false)
            .ok_or(Distrust::Areas { path: dir.to_owned() })?;
        let mut keys = 0;
        for number in 0..areas.len() as u32 {
            let page = chunks.page(number);
            if let Some(what) = page.contradiction() {
                let (path, offset) = chunks.locate(number);
                return Err(Distrust::Page { path, offset, what });
            }
            keys += page.count();
        }
        Ok(Index {
            disk,
            dir: dir.to_owned(),
            seed,
            chunks,
            directory,
            keys: CachePadded::new(AtomicU64::new(keys)),
            checks: None,
            is_open: AtomicBool::new(true),
            distrusted: AtomicBool::new(false),
            closure: Mutex::new(Closure::Open),
        })
    }
}

/// Finishes or undoes what the dead writer's threads were in the middle of; returns the area of each page.
fn settle(chunks: &Chunks, used: u32) -> Result<Vec<Area>, Distrust> {
    let mut ready = used;
    // Handed out and not ready: nobody was led there yet. The keys are still in the page being divided.
    while ready > 0 && chunks.page(ready - 1).ready_area().is_none() {
        ready -= 1;
    }
    chunks.shrink(ready);
    let mut areas = Vec::with_capacity(ready as usize);
    let mut held = Vec::new();
    for number in 0..ready {
        let page = chunks.page(number);
        let Some(area) = page.ready_area() else {
            // One that was not ready before another that was: rare enough to start anew.
            let (path, offset) = chunks.locate(number);
            let what = "left before it was ready";
            return Err(Distrust::Page { path, offset, what });
        };
        areas.push(area);
        if page.is_held() {
            held.push(number);
        }
    }
    if held.is_empty() {
        return Ok(areas);
    }
    let keyed = |area: Area| (area.depth, area.prefix);
    let by_area: BTreeMap<(u32, u32), u32> = areas.iter().map(|area| keyed(*area)).zip(0..).collect();
    for number in held {
        let page = chunks.page(number);
        let guard = page.inherit();
        let area = areas[number as usize];
        let division = area
            .halves()
            .and_then(|(lower, upper)| Some((lower, *by_area.get(&keyed(upper))?)));
        if let Some((lower, upper_page)) = division {
            // Its slots were all there before its area was; its counts perhaps not.
            chunks.page(upper_page).recount();
            guard.keep_lower_half(lower);
            areas[number as usize] = lower;
        }
        guard.drop_doubles();
        page.recount();
    }
    Ok(areas)
}

#[cfg(test)]
mod tests {
    use super::super::page::PAGE_BYTES;
    use super::*;
    use crate::io::os::OsDisk;
    use crate::store::index::{IndexError, Location};

    const SEED: u64 = 5;

    fn hash(key: u64) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(&key.to_le_bytes(), SEED)
    }

    fn location(key: u64) -> Location {
        Location::new((key >> 20) as u16 + 1, (key & 0xF_FFFF) as u32 + 1).expect("in range")
    }

    fn filled(dir: &Path, keys: u64) -> Index {
        let index = Index::create(Arc::new(OsDisk::new()), dir, SEED).expect("created");
        for key in 0..keys {
            index.insert(hash(key), location(key)).expect("inserted");
        }
        index
    }

    fn inherit(dir: &Path, used: u32) -> Result<Index, Distrust> {
        Index::inherit(Arc::new(OsDisk::new()), dir, SEED, used)
    }

    fn assert_holds(index: &Index, keys: u64) {
        assert_eq!(index.len(), keys);
        for key in 0..keys {
            let found = index.get(hash(key), |at| Ok::<_, IndexError>(at == location(key)));
            assert_eq!(found.expect("sound"), Some(location(key)), "key {key}");
        }
    }

    fn store_word(dir: &Path, page: usize, word: usize, change: impl FnOnce(u64) -> u64) {
        // The first chunk has sixteen pages, the second as many.
        let (name, page) = if page < 16 {
            ("index.0", page)
        } else {
            ("index.1", page - 16)
        };
        let path = dir.join(name);
        let mut bytes = std::fs::read(&path).expect("read");
        let at = page * PAGE_BYTES + word * 8;
        let old = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a word"));
        bytes[at..at + 8].copy_from_slice(&change(old).to_le_bytes());
        std::fs::write(&path, bytes).expect("written");
    }

    #[test]
    fn pages_left_whole_are_used_as_they_are() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let index = filled(dir.path(), 20_000);
        let used = index.chunks.used();
        drop(index);
        let again = inherit(dir.path(), used).expect("inherited");
        assert_holds(&again, 20_000);
        for key in 20_000..30_000 {
            again.insert(hash(key), location(key)).expect("inserted");
        }
        assert_holds(&again, 30_000);
    }

    #[test]
    fn counts_of_a_page_whose_writer_died_are_made_right() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let used = filled(dir.path(), 9_000).chunks.used();
        store_word(dir.path(), 3, 0, |sequence| sequence + 1);
        store_word(dir.path(), 3, 2, |count| count - 1);
        store_word(dir.path(), 3, 3, |overflow| overflow ^ 0xFF);
        assert_holds(&inherit(dir.path(), used).expect("inherited"), 9_000);
    }

    #[test]
    fn a_division_cut_short_at_any_step_loses_and_doubles_no_key() {
        for step in 0..5 {
            let dir = tempfile::tempdir().expect("temporary directory");
            let index = filled(dir.path(), 3_000);
            let number = (0..index.chunks.used())
                .max_by_key(|number| index.chunks.page(*number).count())
                .expect("pages");
            let guard = index.chunks.page(number).lock();
            let (lower, upper) = guard.area().and_then(Area::halves).expect("divisible");
            let new = index.chunks.allocate().expect("allocated");
            let used = index.chunks.used();
            if step >= 1 {
                guard.copy_upper_half(index.chunks.page(new), upper);
            }
            if step == 4 {
                guard.keep_lower_half(lower);
            }
            // The guard is never let go, as by a thread that is killed.
            std::mem::forget(guard);
            drop(index);
            match step {
                // Killed before the area was there, after some slots were.
                2 => store_word(dir.path(), new as usize, 1, |_| 0),
                // Killed before the counts were there.
                3 => store_word(dir.path(), new as usize, 2, |_| 0),
                _ => {}
            }
            let again = inherit(dir.path(), used).unwrap_or_else(|e| panic!("step {step}: {e}"));
            assert_holds(&again, 3_000);
        }
    }

    #[test]
    fn a_key_on_its_way_within_a_page_is_there_once() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let index = filled(dir.path(), 3_000);
        let (number, used) = (3, index.chunks.used());
        std::mem::forget(index.chunks.page(number).lock());
        drop(index);
        // Each key that stands at home also stands in the next bucket, a step away, where there is room.
        let bytes = std::fs::read(dir.path().join("index.0")).expect("read");
        let word = |slot: usize| {
            let at = number as usize * PAGE_BYTES + slot * 8;
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a word"))
        };
        let mut doubled = 0;
        for slot in 8..504 {
            if word(slot) >> 60 == 0 && word(slot) != 0 && word(slot + 8) == 0 {
                store_word(dir.path(), number as usize, slot + 8, |_| word(slot) | 1 << 60);
                doubled += 1;
            }
        }
        assert!(doubled > 0);
        let again = inherit(dir.path(), used).expect("inherited");
        assert_holds(&again, 3_000);
        for key in 0..3_000 {
            assert!(again.remove_at(hash(key), location(key)).expect("sound"));
            let found = again.get(hash(key), |at| Ok::<_, IndexError>(at == location(key)));
            assert_eq!(found.expect("sound"), None, "key {key} after its removal");
        }
    }

    #[test]
    fn a_stale_or_torn_page_means_a_new_index() {
        type Damage = (&'static str, fn(&Path));
        let damage: [Damage; 5] = [
            ("slot gone", |dir| {
                for slot in 8..512 {
                    store_word(dir, 2, slot, |_| 0);
                }
            }),
            ("one slot gone", |dir| {
                let mut found = false;
                for slot in 8..512 {
                    store_word(dir, 2, slot, |word| {
                        if word != 0 && !std::mem::replace(&mut found, true) {
                            0
                        } else {
                            word
                        }
                    });
                }
            }),
            ("no magic", |dir| store_word(dir, 2, 4, |_| 0)),
            ("blank header", |dir| store_word(dir, 2, 1, |_| 0)),
            ("older area", |dir| {
                store_word(dir, 2, 1, |area| {
                    (area & 0xFF).saturating_sub(1) | (area >> 9 << 8)
                })
            }),
        ];
        for (what, damage) in damage {
            let dir = tempfile::tempdir().expect("temporary directory");
            let used = filled(dir.path(), 10_000).chunks.used();
            damage(dir.path());
            assert!(inherit(dir.path(), used).is_err(), "{what}");
        }
    }

    #[test]
    fn pages_that_are_missing_or_lied_about_mean_a_new_index() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let used = filled(dir.path(), 10_000).chunks.used();
        for lie in [0, 1, 15, used - 1, used + 100_000, u32::MAX] {
            assert!(inherit(dir.path(), lie).is_err(), "{lie} pages of {used}");
        }
        std::fs::remove_file(dir.path().join("index.1")).expect("removed");
        assert!(inherit(dir.path(), used).is_err());
    }
}
