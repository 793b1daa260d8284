//! How a command ends when it does not end well: one message, a next step, one exit code.
//!
//! Errors of the engine and of the operating system come in; a line for standard error and the
//! exit code go out. 1: not found, a check failed, or reading and writing failed. 2: usage. 3:
//! damaged data. 4: not available at the moment. No other file of this package picks a code for
//! an error of the engine.

use std::fmt;
use std::io;
use std::path::Path;

use atoll::cluster::ClusterError;
use atoll::log::LogError;
use atoll::routing::RoutingError;
use atoll::store::table::TableError;

/// Why a command ended early.
#[derive(Debug)]
pub struct Failure {
    message: String,
    exit_code: u8,
}

/// What every command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Not found, a check that failed, or input and output that failed: exit code 1.
    pub fn failed(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            exit_code: 1,
        }
    }

    /// A command that makes no sense: exit code 2.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            exit_code: 2,
        }
    }

    /// Damaged data: exit code 3.
    pub fn damaged(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            exit_code: 3,
        }
    }

    /// Not possible at the moment: exit code 4.
    pub fn unavailable(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            exit_code: 4,
        }
    }

    /// Something could not be done with a file.
    pub fn file(what: &str, path: &Path, error: &io::Error) -> Failure {
        let next = match error.kind() {
            io::ErrorKind::NotFound => ": no such file or directory; check the path".to_string(),
            io::ErrorKind::PermissionDenied => {
                ": permission denied; run as its owner or change its mode".to_string()
            }
            io::ErrorKind::IsADirectory => ": it is a directory".to_string(),
            _ => format!(": {error}"),
        };
        Failure::failed(format!("cannot {what} {}{next}", path.display()))
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<io::Error> for Failure {
    /// For standard output and input; files go through [`Failure::file`], which names them.
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            // Whoever read our output has seen enough: `atoll scan DIR | head` has not failed.
            return Failure {
                message: String::new(),
                exit_code: 0,
            };
        }
        Failure::failed(format!("cannot write the result: {error}"))
    }
}

impl From<RoutingError> for Failure {
    fn from(error: RoutingError) -> Failure {
        Failure::usage(error.to_string())
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Failure {
        match error {
            LogError::Corrupt { .. } => Failure::damaged(error.to_string()),
            other => Failure::failed(with_causes(&other)),
        }
    }
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Failure {
        match error {
            TableError::Damaged { .. } => Failure::damaged(error.to_string()),
            other => Failure::failed(with_causes(&other)),
        }
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Failure {
        let mut message = with_causes(&error);
        if let Some(next) = next_step(&error) {
            message.push_str("; ");
            message.push_str(&next);
        }
        Failure {
            message,
            exit_code: error.exit_code(),
        }
    }
}

/// What a user can do about it.
fn next_step(error: &ClusterError) -> Option<String> {
    Some(match error {
        ClusterError::NotACluster { path, .. } => {
            format!(
                "`atoll init {} --shards 4 --replicas 3` makes one where nothing is yet",
                path.display()
            )
        }
        ClusterError::AlreadyExists { .. } => "choose a directory that is missing or empty".into(),
        ClusterError::Locked { .. } => {
            "wait for it, or end it; get, scan, count, status and verify read one replica \
                                        beside it: name DIR/nodes/NODE/shard-NUMBER"
                .into()
        }
        ClusterError::Unavailable { .. } => "`atoll status DIR` shows which replicas are missing".into(),
        ClusterError::RebalanceUnderWay { .. } => "`atoll rebalance DIR` finishes it".into(),
        ClusterError::HandOver { .. } => "`atoll rebalance DIR` goes on where it stopped".into(),
        ClusterError::SeveralReplicas { .. } => "leave out --sorted".into(),
        ClusterError::UnknownNode { .. } => "`atoll status DIR` lists the nodes".into(),
        ClusterError::Indeterminate { .. } => "read the key before writing it again".into(),
        ClusterError::WriteLost { .. } => "write it again; reads without the token show what stands".into(),
        ClusterError::Corrupt { .. } => "`atoll verify DIR` lists everything that is damaged".into(),
        _ => return None,
    })
}

/// The message and those of its causes that it does not repeat already.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    message
}

impl From<crate::route::RouteFailure> for Failure {
    fn from(failure: crate::route::RouteFailure) -> Failure {
        Failure {
            message: failure.message,
            exit_code: failure.exit_code,
        }
    }
}
