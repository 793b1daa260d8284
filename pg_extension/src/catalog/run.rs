//! Statements for many nodes at a time.
//!
//! In: numbers of nodes, and a statement for each. Out: the rows of every answer, in the order of the
//! statements. Must never: go on in a transaction that one node has refused, or use another role's mapping
//! than the one that is asked for.
//!
//! Each node has one session and works off its statements in order; the nodes work side by side.

use std::collections::VecDeque;
use std::ffi::CString;
use std::rc::Rc;

use pgrx::prelude::*;

use super::{node, statement, user};
use crate::error::{raise, raise_with_hint};
use crate::remote::connection::Patience;
use crate::remote::nodes::Node;
use crate::remote::{Answer, Connection, Trouble, pool};
use crate::transaction;

type Row = Vec<Option<String>>;

/// How statements belong to the local transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Within it, changing nothing.
    Reads,
    /// Within it.
    Writes,
    /// Each by itself, on a session that is closed afterwards.
    Apart,
}

/// A node's session and the statements that wait for it, with their places in the list.
struct Lane {
    node: Rc<Node>,
    session: Result<Rc<Connection>, Trouble>,
    waiting: VecDeque<(usize, CString)>,
    running: Option<usize>,
}

impl Lane {
    fn open(node: Rc<Node>, user: pg_sys::Oid, how: How) -> Self {
        let session = match how {
            How::Apart if !node.enabled => Err(Trouble::disabled(&node.name)),
            How::Apart => pool::apart(&node, user),
            How::Reads | How::Writes => Ok(transaction::session(&node, user, how == How::Writes)),
        };
        Self {
            node,
            session,
            waiting: VecDeque::new(),
            running: None,
        }
    }

    /// Sends the next statement; those that cannot be sent are answered at once.
    fn send(&mut self, outcomes: &mut [Outcome]) {
        while self.running.is_none()
            && let Some((at, sql)) = self.waiting.pop_front()
        {
            let sent = match &self.session {
                Ok(session) => session.send(&sql),
                Err(trouble) => Err(trouble.again()),
            };
            match sent {
                Ok(()) => self.running = Some(at),
                Err(trouble) => outcomes[at] = Err(trouble),
            }
        }
    }

    fn receive(&mut self, outcomes: &mut [Outcome]) {
        if let (Some(at), Ok(session)) = (self.running.take(), &self.session) {
            outcomes[at] = session
                .finish(Patience::Interruptible)
                .map(|answer| answer.map_or_else(Vec::new, |answer| rows(&answer)));
        }
    }
}

type Outcome = Result<Vec<Row>, Trouble>;

fn rows(answer: &Answer) -> Vec<Row> {
    let row = |row| {
        (0..answer.columns())
            .map(|column| answer.text(row, column))
            .collect()
    };
    (0..answer.rows()).map(row).collect()
}

/// Runs every statement; the outcomes are in their order. Within a transaction the first refusal is raised.
pub(super) fn run(jobs: Vec<(i32, CString)>, user: pg_sys::Oid, how: How) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = jobs.iter().map(|_| Ok(Vec::new())).collect();
    let mut lanes: Vec<Lane> = Vec::new();
    for (at, (id, sql)) in jobs.into_iter().enumerate() {
        let lane = match lanes.iter().position(|lane| lane.node.id == id) {
            Some(lane) => lane,
            None => {
                let node = node(id);
                if how != How::Apart && !node.enabled {
                    Trouble::disabled(&node.name).raise("");
                }
                lanes.push(Lane::open(node, user, how));
                lanes.len() - 1
            }
        };
        lanes[lane].waiting.push_back((at, sql));
    }
    while lanes.iter().any(|lane| !lane.waiting.is_empty()) {
        lanes.iter_mut().for_each(|lane| lane.send(&mut outcomes));
        lanes.iter_mut().for_each(|lane| lane.receive(&mut outcomes));
        if how != How::Apart
            && let Some(at) = outcomes.iter().position(Result::is_err)
            && let Err(trouble) = outcomes.swap_remove(at)
        {
            trouble.raise("");
        }
    }
    if how != How::Apart {
        check(&lanes);
    }
    outcomes
}

/// A statement of the user's may have ended the transaction on its node.
fn check(lanes: &[Lane]) {
    for lane in lanes {
        if let Ok(session) = &lane.session
            && !session.in_sound_transaction()
        {
            session.broken.set(true);
            raise(
                PgSqlErrorCode::ERRCODE_INVALID_TRANSACTION_TERMINATION,
                format!("a statement ended the transaction on node \"{}\"", lane.node.name),
            );
        }
    }
}

fn jobs(nodes: Vec<i32>, statements: &[String]) -> Vec<(i32, CString)> {
    if nodes.len() != statements.len() {
        raise(
            PgSqlErrorCode::ERRCODE_ARRAY_ELEMENT_ERROR,
            format!("{} nodes and {} statements", nodes.len(), statements.len()),
        );
    }
    nodes
        .into_iter()
        .zip(statements.iter().map(|sql| statement(sql)))
        .collect()
}

/// `ask_nodes(nodes, statements, how)`: statement n on node n with the caller's mapping; `how` is `read`,
/// `write` or `apart`. A row for each row of each answer, one with NULL for a statement that gave none, and
/// `problem` for what an `apart` statement was refused with.
#[pg_extern(volatile, strict, parallel_unsafe)]
fn ask_nodes(
    nodes: Vec<i32>,
    statements: Vec<String>,
    how: &str,
) -> TableIterator<
    'static,
    (
        name!(statement, i32),
        name!(answer, Option<Row>),
        name!(problem, Option<String>),
    ),
> {
    let how = match how {
        "read" => How::Reads,
        "write" => How::Writes,
        "apart" => How::Apart,
        _ => raise_with_hint(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("there is no way \"{how}\" to ask nodes"),
            "Ways: read, write, apart.",
        ),
    };
    let mut found = Vec::new();
    for (number, outcome) in (1..).zip(run(jobs(nodes, &statements), user(), how)) {
        match outcome {
            Ok(rows) if rows.is_empty() => found.push((number, None, None)),
            Ok(rows) => found.extend(rows.into_iter().map(|row| (number, Some(row), None))),
            Err(trouble) => found.push((number, None, Some(trouble.summary()))),
        }
    }
    TableIterator::new(found)
}

/// `act_on_nodes(nodes, statements, role)`: statement n on node n as part of the local transaction, with the
/// mapping of a role.
#[pg_extern(volatile, strict, parallel_unsafe)]
fn act_on_nodes(nodes: Vec<i32>, statements: Vec<String>, role: pg_sys::Oid) {
    run(jobs(nodes, &statements), role, How::Writes);
}
