//! One table file as facts, without opening the store it belongs to.
//!
//! In: the path of a table. Out: its header and footer, and its entries up to the first damage. Never
//! writes, never needs a lock: the file may belong to a running store.

use std::path::Path;

use super::error::TableError;
use super::format::{EntryView, TableFooter, TableHeader};
use super::reader::Table;
use crate::io::Disk;

/// Facts of one table.
#[derive(Clone, Debug)]
pub struct TableFacts {
    /// First page.
    pub header: TableHeader,
    /// Last page.
    pub footer: TableFooter,
    /// Length of the file.
    pub file_bytes: u64,
    /// Damaged places: file offset and what is wrong.
    pub damage: Vec<(u64, String)>,
}

/// Reads the table at `path`, calling `each` with the offset of every entry and the entry, up to the
/// first one that is damaged; then checks all of it.
///
/// # Errors
/// [`TableError::Damaged`] when header or footer are not valid, and the disk's.
pub fn dump(
    disk: &dyn Disk,
    path: &Path,
    mut each: impl FnMut(usize, &EntryView<'_>),
) -> Result<TableFacts, TableError> {
    let table = Table::open(disk, path, 0)?;
    let read = table.for_each(|offset, entry| {
        each(offset, &entry);
        Ok::<(), TableError>(())
    });
    let mut defects = table.defects(16);
    if defects.is_empty() {
        defects.extend(read.err());
    }
    let damage = defects.into_iter().map(|defect| match defect {
        TableError::Damaged { offset, what, .. } => (offset, what),
        other => (0, other.to_string()),
    });
    Ok(TableFacts {
        header: table.header().clone(),
        footer: table.footer().clone(),
        file_bytes: table.file_bytes(),
        damage: damage.collect(),
    })
}
