//! The reject file: every piece of input that is no record, with its line number and the reason.
//!
//! Tab-separated, one line each, a header first. The text of the input is escaped so that it stays
//! on its line: `\t`, `\n`, `\r`, `\\`, and `\xNN` for bytes that are not UTF-8. The file exists
//! only once there is something in it, and a file of somebody else is never overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};
use crate::input::Rejected;
use crate::output;

const HEADER: &str = "line\treason\ttext\n";

/// A reject file, open once something is in it.
pub struct RejectFile {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl RejectFile {
    /// For an import that starts: the rejects of an earlier one go.
    pub fn fresh(path: &Path) -> Outcome<RejectFile> {
        if is_reject_file(path)? {
            fs::remove_file(path).map_err(|error| Failure::file("replace", path, &error))?;
        }
        Ok(RejectFile {
            path: path.to_owned(),
            file: None,
            bytes: 0,
        })
    }

    /// For an import that goes on after `bytes` of rejects; what follows them comes again.
    pub fn resumed(path: &Path, bytes: u64) -> Outcome<RejectFile> {
        if bytes == 0 {
            return RejectFile::fresh(path);
        }
        let there = is_reject_file(path)? && fs::metadata(path).is_ok_and(|found| found.len() >= bytes);
        if !there {
            output::warn(&format!(
                "{} has gone: it will hold only what is rejected from here on",
                path.display()
            ));
            return RejectFile::fresh(path);
        }
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new().write(true).open(path)?;
            file.set_len(bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().map_err(|error| Failure::file("write", path, &error))?;
        Ok(RejectFile {
            path: path.to_owned(),
            file: Some(file),
            bytes,
        })
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds one line.
    pub fn add(&mut self, rejected: &Rejected) -> Outcome {
        let mut text = String::new();
        if self.file.is_none() {
            text.push_str(HEADER);
        }
        text.push_str(&format!(
            "{}\t{}\t",
            rejected.line,
            escaped(rejected.reason.as_bytes())
        ));
        text.push_str(&escaped(&rejected.text));
        text.push('\n');
        let write = |file: &mut Option<File>, path: &Path| -> io::Result<()> {
            let file = match file {
                Some(file) => file,
                None => file.insert(File::create(path)?),
            };
            file.write_all(text.as_bytes())
        };
        write(&mut self.file, &self.path).map_err(|error| Failure::file("write", &self.path, &error))?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// Makes it durable, before a checkpoint speaks of it.
    pub fn sync(&self) -> Outcome {
        let synced = self.file.as_ref().map_or(Ok(()), File::sync_data);
        synced.map_err(|error| Failure::file("write", &self.path, &error))
    }
}

/// Whether there is a reject file; a file of another kind is refused.
fn is_reject_file(path: &Path) -> Outcome<bool> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEADER.len() as u64).read_to_end(&mut head));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::file("read", path, &error)),
        // A run that was killed may have left the file empty, or within its header.
        Ok(_) if HEADER.as_bytes().starts_with(&head) => Ok(true),
        Ok(_) => Err(Failure::usage(format!(
            "{} exists and is no reject file: move it away, or name another one with --rejects",
            path.display()
        ))),
    }
}

/// The bytes on one line without tabs.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\t' => text.push_str("\\t"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\\' => text.push_str("\\\\"),
                other => text.push(other),
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(line: u64, text: &[u8]) -> Rejected {
        Rejected {
            line,
            reason: "no\trecord".into(),
            text: text.to_vec(),
        }
    }

    #[test]
    fn rejects_stay_on_their_line_and_resume_where_the_checkpoint_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.rejects");
        let mut rejects = RejectFile::fresh(&path).unwrap();
        assert!(!path.exists());
        rejects.add(&rejected(3, b"a\tb\n\xff\\")).unwrap();
        let bytes = rejects.bytes();
        rejects.add(&rejected(4, b"after the checkpoint")).unwrap();
        let mut rejects = RejectFile::resumed(&path, bytes).unwrap();
        rejects.add(&rejected(4, b"again")).unwrap();
        let expected = "line\treason\ttext\n3\tno\\trecord\ta\\tb\\n\\xff\\\\\n4\tno\\trecord\tagain\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        RejectFile::fresh(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn files_of_others_are_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        fs::write(&path, "id\n1\n").unwrap();
        assert_eq!(
            RejectFile::fresh(&path).err().map(|failure| failure.exit_code()),
            Some(2)
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "id\n1\n");
    }
}
