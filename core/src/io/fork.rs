//! Noticing `fork`.
//!
//! In: the descriptors of locks. Out: a number that differs in every process a fork has made. Threads
//! and writable maps do not follow into a child, so a store opened before the fork answers there with
//! an error. The locks would follow: an open file description lock stays held as long as any copy of
//! its descriptor is open, and a child that outlives its parent would keep the store locked for
//! nobody. So the child lets its copies go, within the fork itself.

#![expect(
    unsafe_code,
    reason = "std has no hook for fork, and only system calls are allowed within one"
)]

use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// Locks of one process that a child lets go. A process with more stores open keeps the rest locked
/// in its children until these end.
const LOCKS: usize = 4096;
const NONE: i32 = -1;

static GENERATION: AtomicU64 = AtomicU64::new(0);
static HELD: [AtomicI32; LOCKS] = [const { AtomicI32::new(NONE) }; LOCKS];
static REGISTER: Once = Once::new();

/// Changes in the child with each fork since the first call.
#[must_use]
#[inline]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Starts watching for forks.
pub(super) fn watch() {
    REGISTER.call_once(|| {
        // SAFETY: the handler does nothing but system calls and atomics, as it must.
        let status = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        assert_eq!(status, 0, "no memory for a fork handler");
    });
}

/// Remembers a descriptor whose lock children must not keep.
pub(super) fn hold(descriptor: i32) {
    watch();
    for slot in &HELD {
        if slot
            .compare_exchange(NONE, descriptor, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        {
            return;
        }
    }
}

/// Forgets a descriptor; called before it is closed.
pub(super) fn release(descriptor: i32) {
    for slot in &HELD {
        if slot
            .compare_exchange(descriptor, NONE, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        {
            return;
        }
    }
}

unsafe extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    // The number stays taken, so that whoever owns it closes nobody else's file later on.
    // SAFETY: a constant, NUL-terminated path.
    let null = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
    if null < 0 {
        return;
    }
    for slot in &HELD {
        let descriptor = slot.load(Ordering::Relaxed);
        if descriptor != NONE {
            // SAFETY: both are descriptors of this process; replacing one is atomic.
            unsafe { libc::dup3(null, descriptor, libc::O_CLOEXEC) };
        }
    }
    // SAFETY: opened above and used nowhere else.
    unsafe { libc::close(null) };
}
