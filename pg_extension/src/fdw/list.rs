//! PostgreSQL's lists, read.
//!
//! In: lists of pointers or integers, or null for an empty one. Out: their elements. Must never: write.

#![expect(unsafe_code, reason = "follows pointers of the server's lists")]

use std::ffi::CStr;

use pgrx::pg_sys;

/// How many elements a list has.
///
/// # Safety
/// A list, or null.
pub(crate) unsafe fn len(list: *const pg_sys::List) -> usize {
    if list.is_null() {
        return 0;
    }
    // SAFETY: as the caller says.
    unsafe { (*list).length as usize }
}

unsafe fn cell(list: *const pg_sys::List, n: usize) -> pg_sys::ListCell {
    // SAFETY: as the callers below say, and n is checked.
    unsafe {
        assert!(n < len(list), "a list has fewer elements than expected");
        *(*list).elements.add(n)
    }
}

/// An element of a list of pointers.
///
/// # Safety
/// A list of pointers to `T`. Panics when it is too short.
pub(crate) unsafe fn pointer<T>(list: *const pg_sys::List, n: usize) -> *mut T {
    // SAFETY: as the caller says.
    unsafe { cell(list, n).ptr_value.cast() }
}

/// All elements of a list of pointers.
///
/// # Safety
/// A list of pointers to `T`, or null.
pub(crate) unsafe fn pointers<T>(list: *const pg_sys::List) -> Vec<*mut T> {
    // SAFETY: as the caller says.
    unsafe { (0..len(list)).map(|n| pointer(list, n)).collect() }
}

/// All elements of a list of integers.
///
/// # Safety
/// A list of integers, or null.
pub(crate) unsafe fn integers(list: *const pg_sys::List) -> Vec<i32> {
    // SAFETY: as the caller says.
    unsafe { (0..len(list)).map(|n| cell(list, n).int_value).collect() }
}

/// A string node in a list.
///
/// # Safety
/// A list of nodes whose element n is a `String`.
pub(crate) unsafe fn string(list: *const pg_sys::List, n: usize) -> String {
    // SAFETY: as the caller says; the string ends with a zero.
    unsafe {
        CStr::from_ptr((*pointer::<pg_sys::String>(list, n)).sval)
            .to_string_lossy()
            .into_owned()
    }
}

/// A Boolean node in a list.
///
/// # Safety
/// A list of nodes whose element n is a `Boolean`.
pub(crate) unsafe fn boolean(list: *const pg_sys::List, n: usize) -> bool {
    // SAFETY: as the caller says.
    unsafe { (*pointer::<pg_sys::Boolean>(list, n)).boolval }
}
