//! Small files that are read whole and replaced whole.
//!
//! In: a path and bytes. Out: after a crash either the old or the new bytes, never a mixture.

use std::io;
use std::path::Path;

use super::ReplicationError;
use crate::io::{Disk, OpenMode};

/// Largest file read this way: anything longer is not ours.
const MAX_BYTES: u64 = 64 << 20;

/// The bytes of a file, or `None` if it does not exist.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, ReplicationError> {
    let failed = |op| {
        move |source| ReplicationError::Io {
            op,
            path: path.to_owned(),
            source,
        }
    };
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open")(error)),
    };
    let len = file.len().map_err(failed("measure"))?;
    if len > MAX_BYTES {
        let what = format!("{len} bytes are more than such a file ever has");
        return Err(ReplicationError::Corrupt {
            path: path.to_owned(),
            offset: MAX_BYTES,
            what,
        });
    }
    let mut bytes = vec![0u8; len as usize];
    let read = file.read_at(&mut bytes, 0).map_err(failed("read"))?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Writes a draft, syncs it, renames it over `path` and syncs the directory, in this order: the
/// name must not become durable before what it stands for.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), ReplicationError> {
    let failed = |op| {
        move |source| ReplicationError::Io {
            op,
            path: path.to_owned(),
            source,
        }
    };
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = Path::new(&draft);
    if disk.exists(draft).map_err(failed("look up"))? {
        disk.remove_file(draft).map_err(failed("remove the draft of"))?;
    }
    let file = disk.create(draft).map_err(failed("create"))?;
    file.write_all_at(bytes, 0).map_err(failed("write"))?;
    file.sync_data().map_err(failed("sync"))?;
    drop(file);
    disk.rename(draft, path).map_err(failed("rename"))?;
    let parent = path.parent().unwrap_or(Path::new("."));
    disk.sync_dir(parent).map_err(failed("sync the directory of"))
}
