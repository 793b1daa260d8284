//! The frame of every exported call.
//!
//! In: the body of a call. Out: its status, with the error handed over or counted as a panic. Also how
//! handles are looked at and given back, and structs that grow with versions are read. Must never: unwind,
//! touch `err` when all is well, or trust a size that the caller claims.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::error::{Failure, atoll_error};
use crate::status::*;

/// What a body gives back: a status of 0 or more, or an error.
pub(crate) type Outcome = Result<atoll_status, Failure>;

/// Runs `body`; a panic becomes [`ATOLL_E_PANIC`].
#[inline]
pub(crate) fn call(err: *mut *mut atoll_error, body: impl FnOnce() -> Outcome) -> atoll_status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(status)) => status,
        Ok(Err(failure)) if failure.status > 0 => failure.status,
        Ok(Err(failure)) => failure.hand_over(err),
        Err(payload) => panicked(payload).hand_over(err),
    }
}

/// As [`call`], for a handle that takes no more writes after a panic.
#[inline]
pub(crate) fn call_poisoning(
    poisoned: &AtomicBool,
    err: *mut *mut atoll_error,
    body: impl FnOnce() -> Outcome,
) -> atoll_status {
    let checked = || {
        if poisoned.load(Ordering::Relaxed) {
            return Err(Failure::new(
                ATOLL_E_PANIC,
                "a call on this handle panicked earlier: close it and open it again",
            ));
        }
        body()
    };
    let status = call(err, checked);
    if status == ATOLL_E_PANIC {
        poisoned.store(true, Ordering::Relaxed);
    }
    status
}

#[cold]
fn panicked(payload: Box<dyn std::any::Any + Send>) -> Failure {
    let message = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "of a kind that cannot be shown".to_owned()
    };
    // Dropping the payload runs code of whoever panicked, which may panic in turn.
    std::mem::forget(payload);
    Failure::new(
        ATOLL_E_PANIC,
        format!("the library panicked, which is a defect of it: {message}"),
    )
}

/// The handle behind `pointer`.
///
/// # Safety
/// `pointer` is NULL or came from this library, and has not been freed and will not be during `'a`.
#[inline]
pub(crate) unsafe fn handle<'a, T>(what: &str, pointer: *const T) -> Result<&'a T, Failure> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(|| Failure::invalid(format!("{what} is NULL")))
}

/// Where a result goes.
///
/// # Safety
/// `pointer` is NULL or may be written, by nobody else during `'a`. What it holds need not be initialised
/// if `T` is a pointer or a number: it is only ever overwritten.
#[inline]
pub(crate) unsafe fn out<'a, T>(what: &str, pointer: *mut T) -> Result<&'a mut T, Failure> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or_else(|| Failure::invalid(format!("{what} is NULL")))
}

/// Where a handle goes that the call makes; NULL from now on, so that it is NULL after an error. To be asked for before anything can
/// fail.
///
/// # Safety
/// As for [`out`].
#[inline]
pub(crate) unsafe fn fresh<'a, T>(what: &str, pointer: *mut *mut T) -> Result<&'a mut *mut T, Failure> {
    // SAFETY: the caller's promise.
    let out = unsafe { out(what, pointer)? };
    *out = std::ptr::null_mut();
    Ok(out)
}

/// Gives back what `Box::into_raw` made.
///
/// # Safety
/// `pointer` is NULL or came from `Box::into_raw` and is given back once.
pub(crate) unsafe fn free<T>(pointer: *mut T) {
    crate::panic::guard((), || {
        if !pointer.is_null() {
            // SAFETY: the caller's promise.
            drop(unsafe { Box::from_raw(pointer) });
        }
    });
}

/// A struct whose first field is its size in the caller's build.
///
/// # Safety
/// Plain data: any bytes are a value, zero is the default of every field, and the first field is
/// `struct_size: usize`.
pub(crate) unsafe trait Versioned: Copy {
    /// All fields at their defaults.
    const ZERO: Self;
    /// Name of the struct, for messages.
    const NAME: &'static str;
}

/// The longest struct that any version may have: more than this is no size but a mistake.
const LONGEST: usize = 4096;

/// Reads a struct of any version: what an older caller does not know is zero, and what a newer caller sets
/// and this build does not know is refused. NULL stands for the defaults.
///
/// # Safety
/// `pointer` is NULL or points to a struct with as many readable bytes as its first field says.
#[inline]
pub(crate) unsafe fn versioned<T: Versioned>(pointer: *const T) -> Result<T, Failure> {
    let mut value = T::ZERO;
    if pointer.is_null() {
        return Ok(value);
    }
    // SAFETY: the first field is a size, by the promise of the trait and of the caller.
    let size = unsafe { pointer.cast::<usize>().read_unaligned() };
    if size == size_of::<T>() {
        // SAFETY: as many bytes as the caller says are there.
        return Ok(unsafe { pointer.read_unaligned() });
    }
    if !(size_of::<usize>()..=LONGEST).contains(&size) {
        return Err(Failure::invalid(format!(
            "{}.struct_size is {size}: initialise the struct with its INIT macro",
            T::NAME
        )));
    }
    let known = size.min(size_of::<T>());
    // SAFETY: `known` bytes are readable by the caller's promise and writable here, and any bytes are a `T`.
    unsafe { std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut value).cast::<u8>(), known) };
    for i in known..size {
        // SAFETY: `size` bytes are readable by the caller's promise.
        if unsafe { pointer.cast::<u8>().add(i).read() } != 0 {
            return Err(Failure::new(
                ATOLL_E_UNSUPPORTED,
                format!(
                    "{} sets a field that this library (older than the header) does not know",
                    T::NAME
                ),
            ));
        }
    }
    Ok(value)
}

/// Fills in a struct of any version, as far as the caller's build knows it.
///
/// # Safety
/// As for [`versioned`], writable; NULL is refused.
pub(crate) unsafe fn fill_in<T: Versioned>(pointer: *mut T, mut value: T) -> Result<(), Failure> {
    if pointer.is_null() {
        return Err(Failure::invalid(format!("{} is NULL", T::NAME)));
    }
    // SAFETY: the first field is a size, by the promise of the trait and of the caller.
    let size = unsafe { pointer.cast::<usize>().read_unaligned() };
    if !(size_of::<usize>()..=LONGEST).contains(&size) {
        return Err(Failure::invalid(format!(
            "{}.struct_size is {size}: initialise the struct with its INIT macro",
            T::NAME
        )));
    }
    let known = size.min(size_of::<T>());
    // The caller's size stays as it is.
    // SAFETY: the first field of `value` is its size, by the promise of the trait.
    unsafe { (&raw mut value).cast::<usize>().write(size) };
    // SAFETY: `known` bytes are writable by the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), pointer.cast::<u8>(), known) };
    Ok(())
}

/// The state of a handle that serves one call at a time, for this call.
pub(crate) fn exclusive<'a, T>(what: &str, state: &'a Mutex<T>) -> Result<MutexGuard<'a, T>, Failure> {
    state.try_lock().ok_or_else(|| Failure::busy(what))
}
