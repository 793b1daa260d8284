//! Keys in order.
//!
//! In: bounds, a direction, a limit. Out: `atoll_iter`, which hands out one entry, a page of views, or a packed copy of
//! many. Must never: leave an entry out because a buffer was small, or lend a view past the next call.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::c_void;
use std::ops::Bound;
use std::sync::Arc;

use atoll::store::{Approximate, Entry, Scan, ScanOptions};
use parking_lot::Mutex;

use crate::bytes::{self, array_mut, atoll_bytes, atoll_kv};
use crate::call::{Versioned, call, exclusive, free, fresh, handle, out, versioned};
use crate::db::{atoll_db, share};
use crate::error::{Failure, atoll_error};
use crate::read::atoll_read_opts;
use crate::snapshot::View;
use crate::status::*;

/// From the end of the range to its start.
pub const ATOLL_RANGE_REVERSE: u32 = 1;
/// `lo` is a prefix: the keys that begin with it; `hi` must be empty.
pub const ATOLL_RANGE_PREFIX: u32 = 2;

/// A range of keys. Initialise it with ATOLL_RANGE_INIT; NULL stands for all keys.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_range {
    /// sizeof(atoll_range).
    pub struct_size: usize,
    /// First key, inclusive; NULL for the first one there is.
    pub lo: *const u8,
    /// Bytes of `lo`.
    pub lo_len: usize,
    /// End, exclusive; NULL for none.
    pub hi: *const u8,
    /// Bytes of `hi`.
    pub hi_len: usize,
    /// ATOLL_RANGE_REVERSE, ATOLL_RANGE_PREFIX.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
    /// Ends after so many entries; 0 for all.
    pub limit: u64,
}

// SAFETY: numbers and pointers, zero is each one's default, and the first one is the size.
unsafe impl Versioned for atoll_range {
    const ZERO: Self = atoll_range {
        struct_size: 0,
        lo: std::ptr::null(),
        lo_len: 0,
        hi: std::ptr::null(),
        hi_len: 0,
        flags: 0,
        reserved: 0,
        limit: 0,
    };
    const NAME: &'static str = "atoll_range";
}

/// A range with bytes of its own.
#[derive(Clone)]
pub(crate) struct Range {
    pub(crate) lo: Bound<Vec<u8>>,
    pub(crate) hi: Bound<Vec<u8>>,
    pub(crate) options: ScanOptions,
}

impl Range {
    /// # Safety
    /// `range` is NULL or valid, and so is what it points to.
    pub(crate) unsafe fn read(range: *const atoll_range) -> Result<Range, Failure> {
        // SAFETY: the caller's promise, here and below.
        let range = unsafe { versioned(range)? };
        if range.flags & !(ATOLL_RANGE_REVERSE | ATOLL_RANGE_PREFIX) != 0 || range.reserved != 0 {
            return Err(Failure::new(
                ATOLL_E_UNSUPPORTED,
                format!(
                    "atoll_range.flags {:#x} are not known to this library",
                    range.flags
                ),
            ));
        }
        let bound = |data: *const u8, len| {
            if data.is_null() && len == 0 {
                return Ok::<_, Failure>(None);
            }
            // SAFETY: as before.
            Ok(Some(unsafe { bytes::key(data.cast(), len)? }.to_vec()))
        };
        let (lo, hi) = (bound(range.lo, range.lo_len)?, bound(range.hi, range.hi_len)?);
        let hi = if range.flags & ATOLL_RANGE_PREFIX == 0 {
            hi.map_or(Bound::Unbounded, Bound::Excluded)
        } else if hi.is_some() {
            return Err(Failure::invalid("a range of a prefix takes no range.hi"));
        } else {
            end_of_prefix(lo.as_deref().unwrap_or_default())
        };
        Ok(Range {
            lo: lo.map_or(Bound::Unbounded, Bound::Included),
            hi,
            options: ScanOptions {
                reverse: range.flags & ATOLL_RANGE_REVERSE != 0,
                limit: (range.limit > 0).then_some(range.limit),
                ..ScanOptions::default()
            },
        })
    }

    pub(crate) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (
            self.lo.as_ref().map(Vec::as_slice),
            self.hi.as_ref().map(Vec::as_slice),
        )
    }

    /// The range, for what has neither a direction nor a limit.
    pub(crate) fn whole(self, what: &str) -> Result<Range, Failure> {
        if self.options.limit.is_some() {
            return Err(Failure::invalid(format!("{what} takes no range.limit")));
        }
        if self.options.reverse {
            return Err(Failure::invalid(format!("{what} takes no ATOLL_RANGE_REVERSE")));
        }
        Ok(self)
    }

    /// Whether a scan from `key` on is still within.
    fn from(&self, key: &[u8]) -> Range {
        let mut range = self.clone();
        let key_bound = Bound::Included(key.to_vec());
        if self.options.reverse {
            let beyond = match &self.hi {
                Bound::Unbounded => false,
                Bound::Included(hi) => key > hi.as_slice(),
                Bound::Excluded(hi) => key >= hi.as_slice(),
            };
            if !beyond {
                range.hi = key_bound;
            }
        } else {
            let before = match &self.lo {
                Bound::Unbounded => false,
                Bound::Included(lo) | Bound::Excluded(lo) => key < lo.as_slice(),
            };
            if !before {
                range.lo = key_bound;
            }
        }
        range
    }
}

/// The first key past all that begin with `prefix`.
fn end_of_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte < u8::MAX);
    kept.map_or(Bound::Unbounded, |last| {
        let mut end = prefix[..=last].to_vec();
        end[last] += 1;
        Bound::Excluded(end)
    })
}

/// A scan under way. One thread at a time.
///
/// What it shows does not change by writes that come after it began. It keeps the space of newer versions from being
/// given back: free it when it has served.
pub struct atoll_iter {
    state: Mutex<State>,
}

struct State {
    entries: Entries,
    /// What the last call has lent.
    page: Vec<Entry>,
    views: Vec<atoll_kv>,
    /// Taken from the scan and not handed out: it did not fit.
    kept: Option<(Vec<u8>, Vec<u8>)>,
    /// Kept before and lent now.
    lent: Option<(Vec<u8>, Vec<u8>)>,
}

/// Keys and values that somebody else finds.
pub(crate) type OwnedEntries = Box<dyn Iterator<Item = Result<(Vec<u8>, Vec<u8>), Failure>> + Send>;

enum Entries {
    /// Of a snapshot.
    Live {
        scan: Box<Scan>,
        view: Arc<View>,
        range: Range,
    },
    /// From elsewhere, with bytes of their own; what was taken last is kept, since it is lent.
    Owned {
        rest: OwnedEntries,
        lent: Vec<(Vec<u8>, Vec<u8>)>,
    },
}

impl atoll_iter {
    /// A scan of entries that somebody else finds.
    pub(crate) fn of(rest: OwnedEntries) -> *mut atoll_iter {
        atoll_iter::hand_over(Entries::Owned {
            rest,
            lent: Vec::new(),
        })
    }

    fn hand_over(entries: Entries) -> *mut atoll_iter {
        Box::into_raw(Box::new(atoll_iter {
            state: Mutex::new(State {
                entries,
                page: Vec::new(),
                views: Vec::new(),
                kept: None,
                lent: None,
            }),
        }))
    }
}

/// A key and a value, as views.
fn view_of(key: &[u8], value: &[u8]) -> atoll_kv {
    atoll_kv {
        key: atoll_bytes::of(key),
        value: atoll_bytes::of(value),
    }
}

impl State {
    fn check(&self) -> Result<(), Failure> {
        match &self.entries {
            Entries::Live { view, .. } => view.db().check_open(),
            Entries::Owned { .. } => Ok(()),
        }
    }

    /// Fills the page with up to `max` entries, or until they have `max_bytes`; at least one if there is one.
    fn turn_page(&mut self, max: usize, max_bytes: usize) -> Result<(), Failure> {
        self.check()?;
        self.page.clear();
        self.views.clear();
        let mut bytes = 0;
        let mut is_full = |view: &atoll_kv, n: usize| {
            bytes += view.key.len + view.value.len;
            n >= max || bytes >= max_bytes
        };
        // An entry that did not fit elsewhere becomes a page of its own: it is not where the scan's are.
        if let Some((key, value)) = &self.kept {
            self.views.push(view_of(key, value));
            return Ok(());
        }
        if let Entries::Owned { rest, lent } = &mut self.entries {
            lent.clear();
            for entry in rest.by_ref() {
                lent.push(entry?);
                let (key, value) = &lent[lent.len() - 1];
                // Vectors in a vector stay where they are when it grows: only their heads move.
                self.views.push(view_of(key, value));
                if is_full(&self.views[self.views.len() - 1], self.views.len()) {
                    break;
                }
            }
            return Ok(());
        }
        let Entries::Live { scan, .. } = &mut self.entries else {
            return Ok(());
        };
        for entry in scan.by_ref() {
            let entry = entry?;
            self.page.push(entry);
            let entry = &self.page[self.page.len() - 1];
            self.views
                .push(view_of(&entry.key, entry.value.as_deref().unwrap_or_default()));
            if is_full(&self.views[self.views.len() - 1], self.views.len()) {
                break;
            }
        }
        Ok(())
    }

    /// Calls `take` with every entry until it declines one, which comes first next time.
    fn each(&mut self, mut take: impl FnMut(&[u8], &[u8]) -> bool) -> Result<(), Failure> {
        self.check()?;
        if let Some((key, value)) = &self.kept {
            if !take(key, value) {
                return Ok(());
            }
            self.kept = None;
        }
        match &mut self.entries {
            Entries::Owned { rest, .. } => {
                for entry in rest.by_ref() {
                    let (key, value) = entry?;
                    if !take(&key, &value) {
                        self.kept = Some((key, value));
                        return Ok(());
                    }
                }
            }
            Entries::Live { scan, .. } => {
                while let Some(entry) = scan.next_entry()? {
                    let value = entry.value.unwrap_or_default();
                    if !take(entry.key, value) {
                        self.kept = Some((entry.key.to_vec(), value.to_vec()));
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

/// Begins a scan of a range, at the options' snapshot or at one of its own taken now. Free it with atoll_iter_free().
///
/// `options` and `range` may be NULL. `*iter` is NULL after an error. Any thread; the first scan after many writes sorts them,
/// which takes a moment.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_scan(
    db: *mut atoll_db,
    options: *const atoll_read_opts,
    range: *const atoll_range,
    iter: *mut *mut atoll_iter,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let out = unsafe { fresh("iter", iter)? };
        // SAFETY: the contract of the header.
        let (db, options, range) = unsafe { (share(db)?, versioned(options)?, Range::read(range)?) };
        options.check()?;
        // SAFETY: the contract of the header.
        let view = match unsafe { options.snapshot.as_ref() } {
            Some(snapshot) => {
                snapshot.check_of(&db)?;
                Arc::clone(snapshot.view())
            }
            None => View::take(db)?,
        };
        let scan = Box::new(view.scan(range.bounds(), range.options)?);
        *out = atoll_iter::hand_over(Entries::Live { scan, view, range });
        Ok(ATOLL_OK)
    })
}

/// Goes to `key`, or to the next one there is in the direction of the scan, within its range. The limit counts anew.
///
/// What the last call has lent must not be used any more. One thread at a time. ATOLL_E_UNSUPPORTED for a scan of a
/// transaction or of a cluster.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_iter_seek(
    iter: *mut atoll_iter,
    key: *const c_void,
    key_len: usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (iter, key) = unsafe { (handle("iter", iter)?, bytes::key(key, key_len)?) };
        let mut state = exclusive("scan", &iter.state)?;
        let Entries::Live { scan, view, range } = &mut state.entries else {
            return Err(Failure::new(
                ATOLL_E_UNSUPPORTED,
                "a scan of a transaction or of a cluster cannot go back: begin another one",
            ));
        };
        view.db().check_open()?;
        let from = range.from(key);
        **scan = view.scan(from.bounds(), from.options)?;
        (state.kept, state.lent) = (None, None);
        state.page.clear();
        state.views.clear();
        Ok(ATOLL_OK)
    })
}

/// Gives the next entry. Its views are valid until the next call on the scan.
///
/// ATOLL_END after the last one. One thread at a time. Each call costs a crossing of the boundary: atoll_iter_next_page() and
/// atoll_iter_next_packed() are several times as fast.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_iter_next(
    iter: *mut atoll_iter,
    entry: *mut atoll_kv,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (iter, entry) = unsafe { (handle("iter", iter)?, out("entry", entry)?) };
        let mut state = exclusive("scan", &iter.state)?;
        if state.kept.is_none() {
            state.check()?;
            if let Entries::Live { scan, .. } = &mut state.entries {
                let Some(next) = scan.next_entry()? else {
                    return Ok(ATOLL_END);
                };
                *entry = view_of(next.key, next.value.unwrap_or_default());
                return Ok(ATOLL_OK);
            }
        }
        first_of_page(&mut state, entry)
    })
}

fn first_of_page(state: &mut State, entry: &mut atoll_kv) -> Result<atoll_status, Failure> {
    state.turn_page(1, usize::MAX)?;
    let lent = state.views.first().copied();
    state.forget_kept();
    Ok(match lent {
        Some(view) => {
            *entry = view;
            ATOLL_OK
        }
        None => ATOLL_END,
    })
}

impl State {
    /// What was kept has been lent: it stays where it is until the next call, but is not given again.
    fn forget_kept(&mut self) {
        if let Some(kept) = self.kept.take() {
            self.lent = Some(kept);
        }
    }
}

/// Gives the next entries, at most `max_entries` of them or until they have `max_bytes` of keys and values, and at least one.
///
/// `*entries` points to `*n` entries that belong to the scan; they and their views are valid until the next call on it.
/// ATOLL_END after the last one, with `*n` 0. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_iter_next_page(
    iter: *mut atoll_iter,
    max_entries: usize,
    max_bytes: usize,
    entries: *mut *const atoll_kv,
    n: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (iter, entries, n) = unsafe { (handle("iter", iter)?, out("entries", entries)?, out("n", n)?) };
        (*entries, *n) = (std::ptr::null(), 0);
        if max_entries == 0 {
            return Err(Failure::invalid("max_entries must be at least 1"));
        }
        let mut state = exclusive("scan", &iter.state)?;
        state.turn_page(max_entries, max_bytes)?;
        state.forget_kept();
        (*entries, *n) = (state.views.as_ptr(), state.views.len());
        Ok(if state.views.is_empty() {
            ATOLL_END
        } else {
            ATOLL_OK
        })
    })
}

/// Copies the next entries into `buffer`: key, value, key, value, …
///
/// offsets[0] is 0; entry i has its key from offsets[2 i] to offsets[2 i + 1] and its value from there to offsets[2 i + 2]; so
/// there is room for 2 `max_entries` + 1 offsets. `*n` is set to the number of entries. ATOLL_END after the last one. If not even
/// the next entry fits: ATOLL_BUFFER_TOO_SMALL, with the bytes it needs in `*needed`; it comes first next time. One thread at a
/// time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_iter_next_packed(
    iter: *mut atoll_iter,
    buffer: *mut u8,
    capacity: usize,
    offsets: *mut u32,
    max_entries: usize,
    n: *mut usize,
    needed: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (iter, n, needed) = unsafe { (handle("iter", iter)?, out("n", n)?, out("needed", needed)?) };
        (*n, *needed) = (0, 0);
        if max_entries == 0 {
            return Err(Failure::invalid("max_entries must be at least 1"));
        }
        let offsets_len = max_entries.saturating_mul(2).saturating_add(1);
        // SAFETY: the contract of the header. Offsets have 32 bits, so no more of the buffer is of use.
        let (buffer, offsets) = unsafe {
            (
                array_mut("buffer", buffer, capacity.min(u32::MAX as usize))?,
                array_mut("offsets", offsets, offsets_len)?,
            )
        };
        offsets[0] = 0;
        let mut end = 0;
        let mut state = exclusive("scan", &iter.state)?;
        state.each(|key, value| {
            if *n == max_entries {
                return false;
            }
            let key_end = end + key.len();
            let value_end = key_end + value.len();
            if value_end > buffer.len() {
                *needed = key.len() + value.len();
                return false;
            }
            buffer[end..key_end].copy_from_slice(key);
            buffer[key_end..value_end].copy_from_slice(value);
            offsets[2 * *n + 1] = key_end as u32;
            offsets[2 * *n + 2] = value_end as u32;
            end = value_end;
            *n += 1;
            true
        })?;
        Ok(match (*n, *needed) {
            (0, 0) => ATOLL_END,
            (0, _) => ATOLL_BUFFER_TOO_SMALL,
            _ => ATOLL_OK,
        })
    })
}

/// Ends a scan. NULL is allowed; what it has lent must not be used any more.
///
/// Any thread, also after the store has been closed and freed.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_iter_free(iter: *mut atoll_iter) {
    // SAFETY: the contract of the header.
    unsafe { free(iter) }
}

/// About how much a range holds.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_approximate {
    /// sizeof(atoll_approximate).
    pub struct_size: usize,
    /// Keys with a value.
    pub records: u64,
    /// Bytes of those keys and values.
    pub bytes: u64,
    /// In about 19 of 20 cases `records` is off by no more than this; 0: they were counted.
    pub records_error: u64,
    /// The same of `bytes`.
    pub bytes_error: u64,
}

// SAFETY: numbers only, zero is each one's default, and the first one is the size.
unsafe impl Versioned for atoll_approximate {
    const ZERO: Self = atoll_approximate {
        struct_size: 0,
        records: 0,
        bytes: 0,
        records_error: 0,
        bytes_error: 0,
    };
    const NAME: &'static str = "atoll_approximate";
}

impl atoll_approximate {
    pub(crate) fn of(found: &Approximate) -> atoll_approximate {
        atoll_approximate {
            struct_size: 0,
            records: found.records,
            bytes: found.bytes,
            records_error: found.records_error,
            bytes_error: found.bytes_error,
        }
    }
}

/// Estimates how many keys and bytes a range holds, from about 4 MiB of samples.
///
/// `range` may be NULL for all; its flags may be ATOLL_RANGE_PREFIX, its limit must be 0. Initialise `*answer` with
/// ATOLL_APPROXIMATE_INIT. Any thread; takes some milliseconds.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_count_approximate(
    db: *mut atoll_db,
    range: *const atoll_range,
    answer: *mut atoll_approximate,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (db, range) = unsafe { (handle("db", db)?, Range::read(range)?.whole("an estimate")?) };
        let (lo, hi) = range.bounds();
        let found = db.engine()?.writer()?.approximate(lo, hi)?;
        // SAFETY: the contract of the header.
        unsafe { crate::call::fill_in(answer, atoll_approximate::of(&found))? };
        Ok(ATOLL_OK)
    })
}
