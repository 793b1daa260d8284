//! Single values: pinned where they lie, or copied.
//!
//! In: keys. Out: views held by a pin, bytes in the caller's buffer, or many values packed into one. Must never: let
//! a view outlive its pin, or allocate for a value that is there.

#![expect(unsafe_code, reason = "raw pointers come from C")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::c_void;

use atoll::store::Value;

use crate::bytes::{self, Packed, array_mut, atoll_bytes};
use crate::call::{Versioned, call, free, handle, out, versioned};
use crate::db::{Engine, atoll_db};
use crate::error::{Failure, atoll_error};
use crate::panic::guard;
use crate::snapshot::atoll_snapshot;
use crate::status::*;

/// What a read looks at. Initialise it with ATOLL_READ_OPTS_INIT; NULL stands for the defaults.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_read_opts {
    /// sizeof(atoll_read_opts).
    pub struct_size: usize,
    /// Read the store as it was then; NULL: as it is now.
    pub snapshot: *const atoll_snapshot,
    /// 0.
    pub flags: u64,
}

// SAFETY: numbers and a pointer, zero is each one's default, and the first one is the size.
unsafe impl Versioned for atoll_read_opts {
    const ZERO: Self = atoll_read_opts {
        struct_size: 0,
        snapshot: std::ptr::null(),
        flags: 0,
    };
    const NAME: &'static str = "atoll_read_opts";
}

impl atoll_read_opts {
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.flags == 0 {
            return Ok(());
        }
        Err(Failure::new(
            ATOLL_E_UNSUPPORTED,
            format!(
                "atoll_read_opts.flags {:#x} are not known to this library",
                self.flags
            ),
        ))
    }
}

/// Holds one value where it lies, without a copy.
///
/// One thread at a time. A pin that is held keeps the file with the value from being given back.
pub struct atoll_pin {
    value: Option<Value>,
}

impl atoll_pin {
    /// Holds `value` from now on, in place of what it held.
    pub(crate) fn hold(&mut self, value: Value) -> atoll_bytes {
        atoll_bytes::of(self.value.insert(value))
    }

    pub(crate) fn let_go(&mut self) {
        self.value = None;
    }
}

/// Makes an empty pin. Free it with atoll_pin_free().
///
/// Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_pin_new() -> *mut atoll_pin {
    guard(std::ptr::null_mut(), || {
        Box::into_raw(Box::new(atoll_pin { value: None }))
    })
}

/// Lets go of the value; its view must not be used any more. NULL is allowed.
///
/// One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_pin_reset(pin: *mut atoll_pin) {
    guard((), || {
        // SAFETY: the contract of the header.
        if let Some(pin) = unsafe { pin.as_mut() } {
            pin.let_go();
        }
    });
}

/// Frees a pin; the view of its value must not be used any more. NULL is allowed.
///
/// Any thread, also after the store has been closed and freed.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_pin_free(pin: *mut atoll_pin) {
    // SAFETY: the contract of the header.
    unsafe { free(pin) }
}

/// Tells which version of its key a pin holds.
///
/// `lsn`: position in the log; `hlc`: time stamp of the write; `expires_at_ms`: when the value is gone, in milliseconds
/// since 1970, 0 if it stays. Each may be NULL. Position and stamp together name a version: see atoll_compare_and_set().
/// ATOLL_NOT_FOUND if the pin is empty. One thread at a time.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_pin_version(
    pin: *const atoll_pin,
    lsn: *mut u64,
    hlc: *mut u64,
    expires_at_ms: *mut u64,
) -> atoll_status {
    call(std::ptr::null_mut(), || {
        // SAFETY: the contract of the header.
        let Some(value) = &unsafe { handle("pin", pin)? }.value else {
            return Ok(ATOLL_NOT_FOUND);
        };
        let answers = [
            (lsn, value.lsn().0),
            (hlc, value.hlc().0),
            (expires_at_ms, value.expires_at_ms().unwrap_or(0)),
        ];
        for (to, answer) in answers {
            // SAFETY: the contract of the header.
            if let Some(to) = unsafe { to.as_mut() } {
                *to = answer;
            }
        }
        Ok(ATOLL_OK)
    })
}

/// The value of one key, as the options want it.
#[inline]
fn find(db: &atoll_db, options: *const atoll_read_opts, key: &[u8]) -> Result<Option<Value>, Failure> {
    if options.is_null() {
        return db.engine()?.get(key);
    }
    find_with(db, options, key)
}

fn find_with(db: &atoll_db, options: *const atoll_read_opts, key: &[u8]) -> Result<Option<Value>, Failure> {
    // SAFETY: the contract of the header, which every caller of this function has from C.
    let options = unsafe { versioned(options)? };
    options.check()?;
    // SAFETY: as before.
    match unsafe { options.snapshot.as_ref() } {
        None => db.engine()?.get(key),
        Some(snapshot) => {
            snapshot.check_of(db)?;
            snapshot.get(key)
        }
    }
}

/// Reads the value of a key without copying it: `*value` is a view that `pin` holds, until the pin is used for another
/// read, reset or freed.
///
/// What the pin held before is let go. ATOLL_NOT_FOUND for a key without a value; `*value` is left alone then. Any thread,
/// each with a pin of its own; may wait for the disk.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_get(
    db: *mut atoll_db,
    options: *const atoll_read_opts,
    key: *const c_void,
    key_len: usize,
    pin: *mut atoll_pin,
    value: *mut atoll_bytes,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (db, key, pin, value) = unsafe {
            (
                handle("db", db)?,
                bytes::key(key, key_len)?,
                out("pin", pin)?,
                out("value", value)?,
            )
        };
        match find(db, options, key)? {
            Some(found) => {
                *value = pin.hold(found);
                Ok(ATOLL_OK)
            }
            None => {
                pin.let_go();
                Ok(ATOLL_NOT_FOUND)
            }
        }
    })
}

/// Reads the value of a key into a buffer of `capacity` bytes.
///
/// `*len` is set to the length of the value, also with ATOLL_BUFFER_TOO_SMALL, when nothing is copied. `buffer` may be NULL
/// if `capacity` is 0. ATOLL_NOT_FOUND for a key without a value. Any thread; may wait for the disk.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_get_into(
    db: *mut atoll_db,
    options: *const atoll_read_opts,
    key: *const c_void,
    key_len: usize,
    buffer: *mut c_void,
    capacity: usize,
    len: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (db, key, buffer, len) = unsafe {
            (
                handle("db", db)?,
                bytes::key(key, key_len)?,
                array_mut("buffer", buffer.cast::<u8>(), capacity)?,
                out("len", len)?,
            )
        };
        let mut copy = |value: &[u8]| {
            *len = value.len();
            match buffer.get_mut(..value.len()) {
                Some(room) => {
                    room.copy_from_slice(value);
                    ATOLL_OK
                }
                None => ATOLL_BUFFER_TOO_SMALL,
            }
        };
        if options.is_null()
            && let Engine::Store(store) = &*db.engine()?
        {
            return Ok(store.get_with(key, &mut copy)?.unwrap_or(ATOLL_NOT_FOUND));
        }
        Ok(find_with(db, options, key)?.map_or(ATOLL_NOT_FOUND, |value| copy(&value)))
    })
}

/// Values on their way into the caller's buffer.
pub(crate) struct Filling<'a> {
    values: &'a mut [u8],
    ends: &'a mut [u64],
    found: &'a mut [u8],
    len: usize,
    fits: bool,
}

impl<'a> Filling<'a> {
    /// Room for `n` values.
    ///
    /// # Safety
    /// The arrays are NULL or as long as said, and nobody else's during `'a`.
    pub(crate) unsafe fn new(
        n: usize,
        values: *mut u8,
        capacity: usize,
        value_offsets: *mut u64,
        found: *mut u8,
    ) -> Result<Filling<'a>, Failure> {
        // SAFETY: the caller's promise.
        let (values, ends, found) = unsafe {
            (
                array_mut("values", values, capacity)?,
                array_mut("value_offsets", value_offsets, n.saturating_add(1))?,
                array_mut("found", found, n)?,
            )
        };
        ends[0] = 0;
        Ok(Filling {
            values,
            ends,
            found,
            len: 0,
            fits: true,
        })
    }

    /// Says how many bytes the values have, and whether they are all there.
    pub(crate) fn finish(self, needed: &mut usize) -> atoll_status {
        *needed = self.len;
        if self.fits {
            ATOLL_OK
        } else {
            ATOLL_BUFFER_TOO_SMALL
        }
    }

    /// The value of key `i`; to be called in the order of the keys.
    pub(crate) fn add(&mut self, i: usize, value: Option<&[u8]>) {
        self.found[i] = u8::from(value.is_some());
        let value = value.unwrap_or_default();
        let end = self.len.saturating_add(value.len());
        match self.values.get_mut(self.len..end) {
            Some(room) if self.fits => room.copy_from_slice(value),
            _ => self.fits = false,
        }
        self.len = end;
        self.ends[i + 1] = end as u64;
    }
}

/// Keys looked up at once without a list on the heap.
const GROUP: usize = 32;

/// Reads many keys at once, with their memory accesses overlapping, into one buffer.
///
/// Key i is the bytes from key_offsets[i] to key_offsets[i + 1] of `keys`; there are `n` + 1 offsets, the first is 0. Value i
/// is the bytes from value_offsets[i] to value_offsets[i + 1] of `values` (`n` + 1 offsets are written), and found[i] is 1 if
/// the key has a value. `*needed` is set to the bytes of all values; if that is more than `capacity` the call answers
/// ATOLL_BUFFER_TOO_SMALL, found and value_offsets are right, and `values` holds nothing of use. The values are those of `n`
/// single reads: for one common moment give a snapshot. Any thread; may wait for the disk.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_multi_get(
    db: *mut atoll_db,
    options: *const atoll_read_opts,
    keys: *const u8,
    key_offsets: *const u32,
    n: usize,
    values: *mut u8,
    capacity: usize,
    value_offsets: *mut u64,
    found: *mut u8,
    needed: *mut usize,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let (db, keys, mut filling, needed, options) = unsafe {
            (
                handle("db", db)?,
                Packed::new(keys, key_offsets, n)?,
                Filling::new(n, values, capacity, value_offsets, found)?,
                out("needed", needed)?,
                versioned(options)?,
            )
        };
        options.check()?;
        // SAFETY: as before.
        match unsafe { options.snapshot.as_ref() } {
            None => now(db, &keys, &mut filling)?,
            Some(snapshot) => {
                snapshot.check_of(db)?;
                for (i, key) in keys.iter().enumerate() {
                    filling.add(i, snapshot.get(key)?.as_deref());
                }
            }
        }
        Ok(filling.finish(needed))
    })
}

fn now(db: &atoll_db, keys: &Packed<'_>, filling: &mut Filling<'_>) -> Result<(), Failure> {
    let engine = db.engine()?;
    let mut group: [&[u8]; GROUP] = [&[]; GROUP];
    let (mut first, mut rest) = (0, keys.iter());
    loop {
        let len = group
            .iter_mut()
            .zip(&mut rest)
            .map(|(slot, key)| *slot = key)
            .count();
        if len == 0 {
            return Ok(());
        }
        match &*engine {
            Engine::Store(store) => {
                store.multi_get_with(&group[..len], |i, value| filling.add(first + i, value))?;
            }
            Engine::Reader(reader) => {
                for (i, value) in reader.multi_get(&group[..len])?.iter().enumerate() {
                    filling.add(first + i, value.as_deref());
                }
            }
        }
        first += len;
    }
}
