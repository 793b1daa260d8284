//! What an engine has to offer to be measured.
//!
//! In: a directory and a promise. Out: writers and readers, one per thread. Everything is generic, so
//! no engine pays for a call through a table. An engine that is only a log implements [`Engine`] alone.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Result;

/// Every key is as long as this.
pub type Key = [u8; 16];

/// When a put is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// Once the process may die; or sooner, where an engine has no such mode (the row of lost puts tells).
    Buffered,
    /// Once the machine may lose power.
    Durable,
}

/// How an engine is opened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Where its files are; made if missing.
    pub dir: PathBuf,
    /// What its puts promise.
    pub promise: Promise,
    /// Whether it may tidy up in the background, where that can be chosen.
    pub tidies: bool,
}

/// Bytes of memory that engines with a cache of their own may use for it.
pub const CACHE_BYTES: usize = 2 << 30;

/// Something that takes puts.
pub trait Engine: Sized + Sync {
    /// Puts of one thread.
    type Writer<'e>: Writer
    where
        Self: 'e;

    /// Puts that one transaction should hold, for engines to which each transaction costs much.
    const BATCH: Option<usize> = None;

    /// Opens or creates.
    fn open(setup: &Setup) -> Result<Self>;

    /// For thread number `thread`.
    fn writer(&self, thread: usize) -> Result<Self::Writer<'_>>;

    /// Brings the files into the order that reads like best, by the engine's own means. Engines
    /// that have none return at once.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// Ends cleanly.
    fn close(self) -> Result<()>;
}

/// Puts of one thread.
pub trait Writer {
    /// One put, acknowledged on return as promised.
    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()>;

    /// Several, together or not at all, acknowledged on return.
    fn put_many(&mut self, pairs: &[(Key, Vec<u8>)]) -> Result<()>;
}

/// An engine that finds again what it was given.
pub trait Store: Engine {
    /// Reads of one thread.
    type Reader<'e>: Reader
    where
        Self: 'e;

    /// A reader that sees, with every call, the newest there is; or, if `held`, what there was when it
    /// was made.
    fn reader(&self, held: bool) -> Result<Self::Reader<'_>>;
}

/// Reads of one thread.
pub trait Reader {
    /// Shows the value of `key`, in the engine's memory where it offers that. Whether there was one.
    fn get(&mut self, key: &Key, see: impl FnOnce(&[u8])) -> Result<bool>;

    /// Shows the values of all `keys`, by the best means the engine has, with their places in `keys`.
    fn multi_get(&mut self, keys: &[Key], see: impl FnMut(usize, &[u8])) -> Result<()>;

    /// Shows at most `limit` keys from `from` on, in order.
    fn scan(&mut self, from: &Key, limit: usize, see: impl FnMut(&[u8], &[u8])) -> Result<()>;
}
