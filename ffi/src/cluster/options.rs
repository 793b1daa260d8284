//! How a cluster is written and read: levels, tokens, sessions.
//!
//! In: the structs of the caller, of whatever version. Out: what the engine is asked for. Must never: take a token or a
//! session for granted where the level asked for would not look at it.

#![expect(unsafe_code, reason = "raw pointers come from C")]

use atoll::cluster::{Consistency, ReadOptions, Session, Token, WriteDurability};

use super::session::atoll_session;
use crate::bytes::slice;
use crate::call::Versioned;
use crate::db::ATOLL_DURABILITY_SYNCED;
use crate::error::Failure;
use crate::status::*;

/// As many copies as the quorum of the shard has are on their devices.
pub const ATOLL_DURABILITY_REPLICATED: u32 = 2;

/// The newest acknowledged value: a quorum proves that nobody else leads.
pub const ATOLL_CONSISTENCY_STRONG: u32 = 0;
/// A value that was current a moment ago, from any copy in turn.
pub const ATOLL_CONSISTENCY_EVENTUAL: u32 = 1;
/// Everything the token or the session speaks of, from any copy that has it.
pub const ATOLL_CONSISTENCY_READ_YOUR_WRITES: u32 = 2;

/// How a cluster is written. Initialise it with ATOLL_CLUSTER_WRITE_OPTS_INIT; NULL stands for the defaults.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_cluster_write_opts {
    /// sizeof(atoll_cluster_write_opts).
    pub struct_size: usize,
    /// ATOLL_DURABILITY_SYNCED (default), ATOLL_DURABILITY_BUFFERED or ATOLL_DURABILITY_REPLICATED. The quorum of the cluster is a
    /// floor for all of them.
    pub durability: u32,
    /// 0.
    pub flags: u32,
    /// The value is gone this many milliseconds after the write; 0: it stays.
    pub ttl_ms: u64,
    /// The write is seen by this session's reads from now on; NULL for none.
    pub session: *const atoll_session,
}

// SAFETY: numbers and a pointer, `ZERO` holds each one's default, and the first one is the size.
unsafe impl Versioned for atoll_cluster_write_opts {
    const ZERO: Self = atoll_cluster_write_opts {
        struct_size: 0,
        durability: ATOLL_DURABILITY_SYNCED,
        flags: 0,
        ttl_ms: 0,
        session: std::ptr::null(),
    };
    const NAME: &'static str = "atoll_cluster_write_opts";
}

impl atoll_cluster_write_opts {
    pub(super) fn durability(&self) -> Result<WriteDurability, Failure> {
        if self.flags != 0 {
            return Err(Failure::new(
                ATOLL_E_UNSUPPORTED,
                format!(
                    "atoll_cluster_write_opts.flags {:#x} are not known to this library",
                    self.flags
                ),
            ));
        }
        Ok(match self.durability {
            crate::db::ATOLL_DURABILITY_BUFFERED => WriteDurability::Buffered,
            ATOLL_DURABILITY_SYNCED => WriteDurability::Synced,
            ATOLL_DURABILITY_REPLICATED => WriteDurability::Replicated,
            other => return Err(Failure::invalid(format!("there is no durability {other}"))),
        })
    }
}

/// How a cluster is read. Initialise it with ATOLL_CLUSTER_READ_OPTS_INIT; NULL stands for the defaults.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct atoll_cluster_read_opts {
    /// sizeof(atoll_cluster_read_opts).
    pub struct_size: usize,
    /// ATOLL_CONSISTENCY_STRONG (default), ATOLL_CONSISTENCY_EVENTUAL or ATOLL_CONSISTENCY_READ_YOUR_WRITES, which needs a token.
    pub consistency: u32,
    /// 0.
    pub flags: u32,
    /// Bytes of a token of this cluster, of any language; NULL for none.
    pub token: *const u8,
    /// Bytes of `token`.
    pub token_len: usize,
    /// What is read is remembered by this session: it never reads an older state afterwards. With
    /// ATOLL_CONSISTENCY_READ_YOUR_WRITES the session stands for the token, which must be NULL. NULL for none.
    pub session: *const atoll_session,
}

// SAFETY: numbers and a pointer, zero is each one's default, and the first one is the size.
unsafe impl Versioned for atoll_cluster_read_opts {
    const ZERO: Self = atoll_cluster_read_opts {
        struct_size: 0,
        consistency: 0,
        flags: 0,
        token: std::ptr::null(),
        token_len: 0,
        session: std::ptr::null(),
    };
    const NAME: &'static str = "atoll_cluster_read_opts";
}

/// How to read, and who remembers it.
pub(super) struct Reading<'a> {
    pub(super) options: ReadOptions,
    pub(super) session: Option<&'a Session>,
}

impl atoll_cluster_read_opts {
    /// # Safety
    /// The contract of the header; nothing that it points to is freed during `'a`.
    pub(super) unsafe fn reading<'a>(&self) -> Result<Reading<'a>, Failure> {
        if self.flags != 0 {
            return Err(Failure::new(
                ATOLL_E_UNSUPPORTED,
                format!(
                    "atoll_cluster_read_opts.flags {:#x} are not known to this library",
                    self.flags
                ),
            ));
        }
        // SAFETY: the caller's promise.
        let bytes = unsafe { slice("token", self.token.cast(), self.token_len)? };
        let token = if bytes.is_empty() {
            None
        } else {
            Some(token_of(bytes)?)
        };
        // SAFETY: the caller's promise.
        let session = unsafe { self.session.as_ref() }.map(|session| &session.session);
        if session.is_some() && token.is_some() {
            return Err(Failure::invalid(
                "a read takes a token or a session: let the session see the token",
            ));
        }
        let options = match (self.consistency, token, session) {
            (ATOLL_CONSISTENCY_READ_YOUR_WRITES, Some(token), _) => ReadOptions::after(token),
            (ATOLL_CONSISTENCY_READ_YOUR_WRITES, None, Some(session)) => session.options(),
            (ATOLL_CONSISTENCY_READ_YOUR_WRITES, None, None) => {
                return Err(Failure::invalid(
                    "read-your-writes needs a session, or the token of the writes to be seen",
                ));
            }
            (ATOLL_CONSISTENCY_STRONG | ATOLL_CONSISTENCY_EVENTUAL, Some(_), _) => {
                return Err(Failure::invalid(
                    "a token means nothing for this consistency: it belongs to ATOLL_CONSISTENCY_READ_YOUR_WRITES",
                ));
            }
            (ATOLL_CONSISTENCY_STRONG, None, _) => ReadOptions::new(Consistency::Strong),
            (ATOLL_CONSISTENCY_EVENTUAL, None, _) => ReadOptions::new(Consistency::Eventual),
            (other, ..) => return Err(Failure::invalid(format!("there is no consistency {other}"))),
        };
        Ok(Reading { options, session })
    }
}

pub(super) fn token_of(bytes: &[u8]) -> Result<Token, Failure> {
    Token::from_bytes(bytes).map_err(|error| Failure::invalid(error.to_string()))
}
