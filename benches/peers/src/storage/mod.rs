//! Storage engines side by side: the same keys, the same work, one run.
//!
//! In: which engines, how many keys, how long. Out: figures of every engine for every row, ratios, a
//! section of the page, JSON and plots. Every engine lives in a process of its own (`worker`), so that
//! its memory and its writes can be told apart, and is asked for one row at a time while the others
//! rest (`conductor`): what disturbs the machine disturbs all of them. Read `engine` (what an engine
//! has to offer), then `work` (what is measured), then `rows` (what is made of it).
//!
//! What must never happen: an answer counts that nobody has looked at (every value read is compared
//! with what was written); a row measures one engine with less work than another.

pub mod conductor;
pub mod engine;
pub mod engines;
pub mod keys;
pub mod lines;
pub mod machine;
pub mod measure;
pub mod plan;
pub mod plot;
pub mod process;
pub mod report;
pub mod results;
pub mod rows;
pub mod unit;
pub mod work;
pub mod worker;

/// Any engine's error: a comparison that fails is reported, not handled.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;
/// What everything here returns.
pub type Result<T> = std::result::Result<T, Fault>;
