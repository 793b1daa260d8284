//! What the running transaction has written, and no store has yet.
//!
//! In: changes of keys with the command and the subtransaction that made them. Out: the newest change that a
//! command may see, and at commit the last one of each key. Must never: show a command its own changes, or
//! forget what a rolled-back savepoint has hidden.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use atoll::ids::Lsn;

/// What a change makes of a key: a value and when it goes, or nothing.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) value: Option<Rc<[u8]>>,
    /// Milliseconds since 1970; of an updated row, as it was.
    pub(super) expires_at_ms: Option<u64>,
}

struct Version {
    command: u32,
    level: i32,
    change: Change,
}

struct Row {
    /// Position of the store's version that was there when the key was first changed; none if there was no
    /// such key. At commit it must still be so.
    seen: Option<Lsn>,
    /// Oldest first.
    versions: Vec<Version>,
}

/// Keys with their changes.
#[derive(Default)]
pub(super) struct Pending {
    rows: BTreeMap<Vec<u8>, Row>,
    /// Keys changed at each level of subtransactions, from 1.
    touched: BTreeMap<i32, Vec<Vec<u8>>>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The change of a key that a command with this number sees.
    pub(super) fn get(&self, key: &[u8], command: u32) -> Option<&Change> {
        self.rows.get(key)?.visible(command)
    }

    /// The change made last, whoever made it.
    pub(super) fn newest(&self, key: &[u8]) -> Option<&Change> {
        let version = self.rows.get(key)?.versions.last()?;
        Some(&version.change)
    }

    /// Whether the key's last change is of this command.
    pub(super) fn is_changed_by(&self, key: &[u8], command: u32) -> bool {
        let version = self.rows.get(key).and_then(|row| row.versions.last());
        version.is_some_and(|version| version.command == command)
    }

    /// The first key between the bounds, or the last, that has a change for a command with this number.
    pub(super) fn next(
        &self,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        reverse: bool,
        command: u32,
    ) -> Option<(&[u8], &Change)> {
        if is_empty(bounds) {
            return None;
        }
        let mut range = self.rows.range::<[u8], _>(bounds);
        let found = if reverse {
            range.rfind(|(_, row)| row.visible(command).is_some())
        } else {
            range.find(|(_, row)| row.visible(command).is_some())
        };
        let (key, row) = found?;
        Some((key, row.visible(command)?))
    }

    /// Notes a change. `seen` counts only if it is the key's first.
    pub(super) fn put(&mut self, key: Vec<u8>, seen: Option<Lsn>, command: u32, level: i32, change: Change) {
        let row = self.rows.entry(key.clone()).or_insert(Row {
            seen,
            versions: Vec::new(),
        });
        row.versions.push(Version {
            command,
            level,
            change,
        });
        self.touched.entry(level).or_default().push(key);
    }

    /// The subtransaction at this level is part of the one around it from now on.
    pub(super) fn keep(&mut self, level: i32) {
        let Some(keys) = self.touched.remove(&level) else {
            return;
        };
        for key in &keys {
            let versions = self.rows.get_mut(key).map(|row| &mut row.versions);
            for version in versions
                .into_iter()
                .flatten()
                .filter(|version| version.level == level)
            {
                version.level = level - 1;
            }
        }
        self.touched.entry(level - 1).or_default().extend(keys);
    }

    /// The subtransaction at this level has never been.
    pub(super) fn drop_level(&mut self, level: i32) {
        for key in self.touched.remove(&level).unwrap_or_default() {
            if let Some(row) = self.rows.get_mut(&key) {
                row.versions.retain(|version| version.level < level);
                if row.versions.is_empty() {
                    self.rows.remove(&key);
                }
            }
        }
    }

    /// The last change of each key, with what must still be there.
    pub(super) fn last(&self) -> impl Iterator<Item = (&[u8], Option<Lsn>, &Change)> {
        self.rows.iter().filter_map(|(key, row)| {
            let version = row.versions.last()?;
            Some((key.as_slice(), row.seen, &version.change))
        })
    }
}

impl Row {
    fn visible(&self, command: u32) -> Option<&Change> {
        let mut versions = self.versions.iter().rev();
        Some(&versions.find(|version| version.command < command)?.change)
    }
}

/// Whether nothing can lie between the bounds; the map's own range refuses such bounds.
fn is_empty(bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match bounds {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
            start >= end
        }
    }
}
