//! The boundary that no panic crosses.
//!
//! In: the body of an exported function. Out: its value, or the caller's stand-in if it panicked.
//! Must never: unwind. A panic that leaves an `extern "C"` function aborts the whole program, and the
//! program is not ours.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body` and returns its value, or `on_panic` if it panics.
///
/// The panic's message goes where the program's panic hook sends it (by default to standard error).
/// `body` need not be unwind-safe: what a panic may leave half done is reached only through a handle,
/// and a handle is the place to remember that it must not be used again.
pub(crate) fn guard<T>(on_panic: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        // Dropping the payload runs code of whoever panicked, which may panic in turn. Leaking the few
        // bytes of a message is the price of being certain.
        std::mem::forget(payload);
        on_panic
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_returns_gives_its_value() {
        assert_eq!(guard(-1, || 7), 7);
    }

    #[test]
    fn a_panic_becomes_the_stand_in() {
        assert_eq!(guard(-1, || panic!("on purpose")), -1);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_does_not_get_through() {
        struct Spiteful;
        impl Drop for Spiteful {
            fn drop(&mut self) {
                panic!("dropped on purpose");
            }
        }
        assert_eq!(guard(-1, || std::panic::panic_any(Spiteful)), -1);
    }
}
