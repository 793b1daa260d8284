//! Link settings of the extension.
//!
//! pgrx keeps the SQL of each function in a section of its own that nothing refers to; a linker that
//! collects unused sections would drop it.

fn main() {
    println!("cargo::rustc-link-arg-cdylib=-Wl,--no-gc-sections");
    println!("cargo::rerun-if-changed=build.rs");
}
