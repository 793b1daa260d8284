//! Names of prepared transactions.
//!
//! In: the running local transaction. Out: `atoll_<system>_<database>_<transaction>_<node>`, all decimal,
//! at most 89 bytes of the 199 that PostgreSQL allows. Must never: be made twice: the system identifier
//! differs between servers, and the full transaction identifier never wraps around.

#![expect(
    unsafe_code,
    reason = "reads the identifiers of the system and the transaction"
)]

use pgrx::pg_sys;

/// A local transaction, as other servers know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gid {
    /// With epoch, so that it never comes again.
    pub(super) transaction: u64,
}

impl Gid {
    /// Assigns an identifier to the running transaction if it has none.
    pub(super) fn of_this_transaction() -> Self {
        // SAFETY: a transaction runs.
        let transaction = unsafe { pg_sys::GetTopFullTransactionId() }.value;
        Self { transaction }
    }

    /// What all names of this database begin with.
    pub(super) fn prefix() -> String {
        // SAFETY: reads values that are fixed for the backend.
        let (system, database) = unsafe { (pg_sys::GetSystemIdentifier(), pg_sys::MyDatabaseId) };
        format!("atoll_{system}_{}_", u32::from(database))
    }

    /// The name on a node.
    pub(super) fn on(&self, node: i32) -> String {
        format!("{}{}_{node}", Self::prefix(), self.transaction)
    }

    /// A name that `on` made for this database.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (transaction, node) = name.strip_prefix(&Self::prefix())?.split_once('_')?;
        node.parse::<i32>().ok()?;
        Some(Self {
            transaction: transaction.parse().ok()?,
        })
    }

    /// True while the local transaction can still end either way.
    pub(super) fn is_running(&self) -> bool {
        let xid = pg_sys::TransactionId::from(self.transaction as u32);
        // SAFETY: the epoch is compared first: of older ones nothing can run any more.
        unsafe {
            let next = pg_sys::ReadNextFullTransactionId().value;
            self.transaction >= next
                || (next - self.transaction < 1 << 31 && pg_sys::TransactionIdIsInProgress(xid))
        }
    }
}
