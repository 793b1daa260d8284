//! A mapped region of a file, or of the heap that stands in for one.

/// Placeholder replaced below.
#[derive(Debug)]
pub struct Map;
