//! The other end of a worker: its process, as the one who asks sees it.
//!
//! In: an engine. Out: its answers. Must never leave a process behind.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::Result;
use super::engines::Named;
use super::results::Figures;
use super::worker::{Answer, Command};

/// A process that has one engine open.
pub struct Worker {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts the program again, as the worker of `engine`.
    pub fn start(engine: Named, records: u64, value_bytes: usize) -> Result<Worker> {
        let mut process = std::process::Command::new(std::env::current_exe()?)
            .args(["worker", engine.id()])
            .args([records.to_string(), value_bytes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = process.stdin.take().ok_or("no stdin")?;
        let stdout = BufReader::new(process.stdout.take().ok_or("no stdout")?);
        Ok(Worker {
            process,
            stdin,
            stdout,
        })
    }

    /// Sends a command and does not wait for an answer.
    pub fn tell(&mut self, command: &Command) -> Result<()> {
        serde_json::to_writer(&mut self.stdin, command)?;
        self.stdin.write_all(b"\n")?;
        Ok(self.stdin.flush()?)
    }

    /// Sends a command and waits for its answer.
    pub fn ask(&mut self, command: &Command) -> Result<Figures> {
        self.tell(command)?;
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            return Err(format!("its process ended: {}", self.process.wait()?).into());
        }
        let answer: Answer = serde_json::from_str(&line)?;
        Ok(answer?)
    }

    /// Closes the engine and waits for the process to end.
    pub fn close(mut self) -> Result<Figures> {
        let figures = self.ask(&Command::Close)?;
        let status = self.process.wait()?;
        if !status.success() {
            return Err(format!("its process ended: {status}").into());
        }
        Ok(figures)
    }

    /// As `kill -9`.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has closed has ended already; any other is of no use any more.
        if self.process.kill().is_ok() {
            let _ = self.process.wait();
        }
    }
}
