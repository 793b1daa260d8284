//! Runs the binary in a directory of its own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The binary under test.
pub const ATOLL: &str = env!("CARGO_BIN_EXE_atoll");

/// A directory in which commands run.
pub struct Place {
    dir: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Done {
    /// Checks the exit code; shows everything when it is another one.
    #[track_caller]
    pub fn code(self, expected: i32) -> Done {
        assert_eq!(
            self.code,
            Some(expected),
            "stdout: {}\nstderr: {}",
            self.out,
            self.err
        );
        self
    }

    /// Checks that standard error says something.
    #[track_caller]
    pub fn says(self, expected: &str) -> Done {
        assert!(
            self.err.contains(expected),
            "{expected:?} is not in: {}",
            self.err
        );
        self
    }

    /// Checks standard output as a whole.
    #[track_caller]
    pub fn prints(self, expected: &str) -> Done {
        assert_eq!(self.out, expected, "stderr: {}", self.err);
        self
    }

    /// Checks a part of standard output.
    #[track_caller]
    pub fn mentions(self, expected: &str) -> Done {
        assert!(
            self.out.contains(expected),
            "{expected:?} is not in: {}",
            self.out
        );
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        Done {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Place {
    pub fn new() -> Place {
        Place {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// With a cluster `c` of three nodes.
    pub fn with_cluster() -> Place {
        let place = Place::new();
        place
            .run(&["init", "c", "--shards", "3", "--replicas", "3"])
            .code(0);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(ATOLL);
        command
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Done {
        self.command(args).output().unwrap().into()
    }

    pub fn run_with_input(&self, args: &[&str], input: &[u8]) -> Done {
        let mut command = self.command(args);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that refuses its arguments does not read; that is for its exit code to tell.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap().into()
    }
}

/// All files below a directory, sorted.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path))
        } else {
            files.push(path)
        }
    }
    files.sort();
    files
}
