//! Link settings of the shared library.
//!
//! Rust gives a shared library no SONAME, so a program would record the file's path instead. The number
//! is `ABI_VERSION` of `src/version.rs`; `scripts/test-c.sh` compares the two.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libatoll.so.0");
    println!("cargo::rerun-if-changed=build.rs");
}
