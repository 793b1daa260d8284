//! Settings of a session, `atoll.*`.
//!
//! In: what SET says, also before the library is loaded. Out: values. Must never: let a setting open what
//! only rights should.

use std::ffi::CStr;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static ALLOW_KEY_UPDATE: GucSetting<bool> = GucSetting::<bool>::new(false);

const KEY: (&CStr, &CStr, &CStr) = (
    c"atoll.allow_key_update",
    c"Lets UPDATE set the column that distributes a table.",
    c"The row is deleted where it lies and inserted where its new key belongs, in the same transaction.",
);

/// Called when the library is loaded.
pub(crate) fn define() {
    let (name, short, long) = KEY;
    GucRegistry::define_bool_guc(
        name,
        short,
        long,
        &ALLOW_KEY_UPDATE,
        GucContext::Userset,
        GucFlags::default(),
    );
}

/// `atoll.allow_key_update`.
pub(crate) fn allow_key_update() -> bool {
    ALLOW_KEY_UPDATE.get()
}
