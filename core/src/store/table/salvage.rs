//! What is left of a damaged table.
//!
//! In: an open table, some of whose pages do not fit their checksums. Out: every entry that stands on
//! sound pages, and the stretches in between. Each page is compared with its own checksum, whatever the
//! checksum over the index section says: where that section is damaged, a page and a checksum that fit
//! each other are still believed. After a damaged stretch it goes on at the next anchor whose offset,
//! prefix and entry agree.

use std::ops::Range;

use super::format::{DATA_START, EntryView};
use super::tree::prefix_of;
use super::{Table, TableError};
use crate::log::header::PAGE_BYTES;

/// A piece of a table.
#[derive(Debug)]
pub(in crate::store) enum Piece<'t> {
    /// A whole entry.
    Sound(EntryView<'t>),
    /// An entry whose value is damaged: key, position and stamp are sound.
    ValueLost(EntryView<'t>, TableError),
    /// Bytes that tell nothing.
    Lost(Range<usize>, TableError),
}

/// Which pages fit their checksums, as far as they have been compared.
struct Pages<'t> {
    table: &'t Table,
    fits: Vec<Option<bool>>,
}

impl<'t> Pages<'t> {
    fn fit(&mut self, from: usize, to: usize) -> Result<(), TableError> {
        let first = (from - DATA_START) / PAGE_BYTES;
        let last = (to.max(from + 1) - 1 - DATA_START) / PAGE_BYTES;
        for page in first..=last {
            match self.fits[page] {
                Some(true) => {}
                Some(false) => return self.table.compare_page(page),
                None => {
                    let compared = self.table.compare_page(page);
                    self.fits[page] = Some(compared.is_ok());
                    compared?;
                }
            }
        }
        Ok(())
    }

    /// The entry at `offset`, or what is left of it.
    fn piece_at(&mut self, offset: usize) -> Result<Piece<'t>, TableError> {
        self.fit(offset, offset + 1)?;
        let table = self.table;
        let entry = EntryView::parse(table.data(), offset, &table.header().widths)
            .map_err(|error| TableError::damaged(table.path(), offset as u64, error))?;
        self.fit(offset, entry.value_start)?;
        Ok(match self.fit(offset, entry.end) {
            Ok(()) => Piece::Sound(entry),
            Err(error) => Piece::ValueLost(entry, error),
        })
    }

    /// Where an entry begins after `offset`, in the middle of which all is lost.
    fn next_start(&mut self, offset: usize) -> usize {
        let table = self.table;
        let user_end = table.user_end();
        if offset >= user_end {
            return table.data().len();
        }
        let shared = usize::from(table.footer().shared_bytes);
        for (start, prefix) in table.anchors_as_written() {
            if (offset + 1..user_end).contains(&start)
                && let Ok(Piece::Sound(entry) | Piece::ValueLost(entry, _)) = self.piece_at(start)
                && !entry.same_key
                && !entry.is_system()
                && prefix_of(entry.key, shared) == prefix
            {
                return start;
            }
        }
        user_end
    }
}

impl Table {
    /// Calls `each` on the pieces of the table, in order.
    ///
    /// # Errors
    /// Those of `each` only.
    pub(in crate::store) fn salvage<E>(
        &self,
        mut each: impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut pages = Pages {
            table: self,
            fits: vec![None; self.footer().data_pages()],
        };
        let mut at = DATA_START;
        while at < self.data().len() {
            let piece = pages.piece_at(at).unwrap_or_else(|error| {
                let next = pages.next_start(at);
                Piece::Lost(at..next, error)
            });
            at = match &piece {
                Piece::Sound(entry) | Piece::ValueLost(entry, _) => entry.end,
                Piece::Lost(range, _) => range.end,
            };
            each(piece)?;
        }
        Ok(())
    }
}
