//! Link settings of the extension.
//!
//! pgrx keeps the SQL of each function in a section of its own that nothing refers to; a linker that
//! collects unused sections would drop it. libpq, PostgreSQL's client library, carries the connections to
//! other servers; pkg-config knows where it lies.

use std::process::Command;

fn main() {
    println!("cargo::rustc-link-arg-cdylib=-Wl,--no-gc-sections");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_PATH");
    let asked = Command::new("pkg-config")
        .args(["--variable=libdir", "libpq"])
        .output();
    if let Ok(answer) = asked
        && answer.status.success()
        && let Ok(libdir) = String::from_utf8(answer.stdout)
    {
        println!("cargo::rustc-link-search=native={}", libdir.trim());
    }
    println!("cargo::rustc-link-lib=dylib=pq");
}
