//! Which library is loaded.
//!
//! In: nothing. Out: versions of the library and of its binary interface. Must never: fail, allocate or
//! need any other call before it, so that a program can ask first and refuse politely.

#![expect(
    unsafe_code,
    reason = "exported symbol names are promised to the linker with `unsafe(no_mangle)`"
)]

use std::ffi::{CStr, c_char};

use crate::panic::guard;

/// Number of the binary interface. A change that breaks programs already linked raises it, together with
/// the SONAME in `build.rs`.
pub(crate) const ABI_VERSION: u32 = 0;

/// The version with its terminating NUL.
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a package version holds no NUL"),
};

/// Major, minor and patch in one comparable number.
const VERSION_NUMBER: u32 = part(env!("CARGO_PKG_VERSION_MAJOR"), 0xffff) << 16
    | part(env!("CARGO_PKG_VERSION_MINOR"), 0xff) << 8
    | part(env!("CARGO_PKG_VERSION_PATCH"), 0xff);

/// Reads one decimal part of the version at compile time, where `str::parse` is not available.
const fn part(text: &str, max: u32) -> u32 {
    let digits = text.as_bytes();
    let mut value = 0;
    let mut i = 0;
    while i < digits.len() {
        value = value * 10 + (digits[i] - b'0') as u32;
        i += 1;
    }
    assert!(
        value <= max,
        "this part of the version does not fit into its bits"
    );
    value
}

/// Returns the version of the library that is loaded, such as "0.1.0".
///
/// The string ends with NUL, lives as long as the library stays loaded, is never NULL and must not be
/// freed. Safe from any thread, before any other call.
// SAFETY: no other symbol of this program is called `atoll_version`; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_version() -> *const c_char {
    guard(VERSION.as_ptr(), || VERSION.as_ptr())
}

/// Returns the version of the library that is loaded as one number: major << 16 | minor << 8 | patch.
///
/// Compare it with ATOLL_VERSION_NUMBER, the version of the header a program was compiled with. Safe from
/// any thread, before any other call.
// SAFETY: no other symbol of this program is called `atoll_version_number`; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_version_number() -> u32 {
    guard(VERSION_NUMBER, || VERSION_NUMBER)
}

/// Returns the number of the binary interface of the library that is loaded.
///
/// If it differs from ATOLL_ABI_VERSION of the header a program was compiled with, the program must not
/// call anything else. Safe from any thread, before any other call.
// SAFETY: no other symbol of this program is called `atoll_abi_version`; the prefix is this library's.
#[unsafe(no_mangle)]
pub extern "C" fn atoll_abi_version() -> u32 {
    guard(ABI_VERSION, || ABI_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_engine() {
        assert_eq!(VERSION.to_str(), Ok(atoll::VERSION));
    }

    #[test]
    fn parts_of_a_version_are_read_in_decimal() {
        assert_eq!(part("0", 0xff), 0);
        assert_eq!(part("255", 0xff), 255);
        assert_eq!(part("1024", 0xffff), 1024);
    }

    #[test]
    fn the_number_orders_as_versions_do() {
        let mut parts = atoll::VERSION.split('.').map(|p| p.parse::<u32>().unwrap());
        let (major, minor, patch) = (
            parts.next().unwrap(),
            parts.next().unwrap(),
            parts.next().unwrap(),
        );
        assert_eq!(atoll_version_number(), major << 16 | minor << 8 | patch);
    }
}
