//! Command-line tool over the embedded engine.
#![allow(dead_code)]
mod input;
fn main() {}
