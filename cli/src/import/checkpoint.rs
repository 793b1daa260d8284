//! How far an import has come, kept beside the data it has written.
//!
//! One small JSON file per input, key and format under `DIR/imports/`. It is replaced only after
//! the records it speaks of are durable, so what it says is always true; a crash between the two
//! makes the next run write a batch again, with the same keys and values.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use atoll::routing::hash64;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};
use crate::input::{Position, Selection};
use crate::output;

const IMPORTS_DIR: &str = "imports";
const FORMAT_VERSION: u32 = 1;
/// So much is hashed at either end of the input.
const PIECE_BYTES: u64 = 64 << 10;

/// Tells an input from what it was or will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Absolute path.
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// Last change, in nanoseconds since 1970.
    pub modified_ns: u64,
    /// xxh3_64 of its first and last 64 KiB.
    pub ends: u64,
}

impl Identity {
    /// Of an open file, whose read position is lost.
    pub fn of(path: &Path, file: &mut File) -> io::Result<Identity> {
        let metadata = file.metadata()?;
        let bytes = metadata.len();
        let mut ends = Vec::new();
        file.rewind()?;
        (&*file).take(PIECE_BYTES).read_to_end(&mut ends)?;
        file.seek(SeekFrom::Start(bytes.saturating_sub(PIECE_BYTES)))?;
        (&*file).take(PIECE_BYTES).read_to_end(&mut ends)?;
        let modified = metadata
            .modified()?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(Identity {
            path: fs::canonicalize(path)?,
            bytes,
            modified_ns: u64::try_from(modified.as_nanos()).unwrap_or(u64::MAX),
            ends: hash64(&ends),
        })
    }
}

/// What has been done of one input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    format_version: u32,
    /// The input.
    pub input: Identity,
    /// What was made of it.
    pub select: Selection,
    /// Where the next record begins.
    pub position: Position,
    /// Records written.
    pub records: u64,
    /// Pieces of input that were no records.
    pub rejected: u64,
    /// The reject file, and how much of it belongs to what has been done.
    pub rejects: PathBuf,
    /// Bytes of the reject file.
    pub rejects_bytes: u64,
    /// Whether the whole input has been read.
    pub finished: bool,
}

impl Checkpoint {
    /// Nothing done yet.
    pub fn new(input: Identity, select: Selection, rejects: PathBuf) -> Checkpoint {
        Checkpoint {
            format_version: FORMAT_VERSION,
            input,
            select,
            position: Position::default(),
            records: 0,
            rejected: 0,
            rejects,
            rejects_bytes: 0,
            finished: false,
        }
    }
}

/// Where the checkpoint of an input lies.
pub struct Place {
    path: PathBuf,
}

impl Place {
    /// Of an input, read in a certain way, into the cluster of `dir`.
    pub fn new(dir: &Path, input: &Path, select: &Selection) -> Place {
        let select = serde_json::json!(select);
        let name = format!("{}\0{select}", input.display());
        Place {
            path: dir
                .join(IMPORTS_DIR)
                .join(format!("{:016x}.json", hash64(name.as_bytes()))),
        }
    }

    /// What an earlier run left there, if it can be read and is of this version.
    pub fn load(&self) -> Option<Checkpoint> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                output::warn(&format!(
                    "cannot read {}: {error}; starting over",
                    self.path.display()
                ));
                return None;
            }
        };
        let Some(sound) = unseal(&text) else {
            output::warn(&format!(
                "{} is damaged: its checksum does not fit; starting over",
                self.path.display()
            ));
            return None;
        };
        match serde_json::from_slice::<Checkpoint>(sound) {
            Ok(checkpoint) if checkpoint.format_version == FORMAT_VERSION => Some(checkpoint),
            Ok(_) => None,
            Err(error) => {
                output::warn(&format!(
                    "{} is damaged ({error}); starting over",
                    self.path.display()
                ));
                None
            }
        }
    }

    /// Replaces what is there; durable on return.
    pub fn save(&self, checkpoint: &Checkpoint) -> Outcome {
        let failed = |error: io::Error| Failure::file("write", &self.path, &error);
        let text = serde_json::to_vec_pretty(checkpoint).map_err(|error| failed(error.into()))?;
        self.replace(&seal(text)).map_err(failed)
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir)?;
        let unfinished = self.path.with_extension("json.new");
        let mut file = File::create(&unfinished)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.path)?;
        // The rename counts once the directory that holds the name has been synced.
        File::open(dir)?.sync_all()
    }
}

/// The text, a line feed, and xxh3_64 of the text as a line: a flipped digit of an offset would
/// otherwise go on in the wrong place and leave records out.
fn seal(mut text: Vec<u8>) -> Vec<u8> {
    let sum = hash64(&text);
    text.extend_from_slice(format!("\n{sum:016x}\n").as_bytes());
    text
}

/// The text of [`seal`]; `None` when it is not what was sealed.
fn unseal(sealed: &[u8]) -> Option<&[u8]> {
    let (text, sum) = sealed.split_at_checked(sealed.len().checked_sub(18)?)?;
    (sum == format!("\n{:016x}\n", hash64(text)).as_bytes()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Format;

    #[test]
    fn a_checkpoint_comes_back_as_it_went_and_damage_means_starting_over() {
        let dir = tempfile::tempdir().unwrap();
        let input = dir.path().join("a.csv");
        fs::write(&input, "id\n1\n").unwrap();
        let select = Selection::new(Format::Csv, "id");
        let identity = Identity::of(&input, &mut File::open(&input).unwrap()).unwrap();
        let place = Place::new(dir.path(), &identity.path, &select);
        assert_eq!(place.load(), None);
        let mut checkpoint = Checkpoint::new(identity, select.clone(), "a.csv.rejects".into());
        checkpoint.position = Position { offset: 3, lines: 1 };
        place.save(&checkpoint).unwrap();
        assert_eq!(place.load(), Some(checkpoint));
        let whole = fs::read(&place.path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&place.path, flipped).unwrap();
            assert_eq!(place.load(), None, "byte {at}");
        }
        fs::write(&place.path, "{").unwrap();
        assert_eq!(place.load(), None);
        let other = Selection::new(Format::Csv, "name");
        assert_ne!(Place::new(dir.path(), &input, &other).path, place.path);
    }

    #[test]
    fn a_changed_input_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let input = dir.path().join("a.csv");
        let identity = || Identity::of(&input, &mut File::open(&input).unwrap()).unwrap();
        fs::write(&input, "id\n1\n").unwrap();
        let before = identity();
        assert_eq!(before, identity());
        fs::write(&input, "id\n2\n").unwrap();
        assert_ne!(before.ends, identity().ends);
    }
}
