//! Command-line tool over the embedded engine.
fn main() {}
