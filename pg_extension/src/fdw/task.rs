//! Statements that run on several servers at a time.
//!
//! In: statements that a plan will need. Out: their streams, started together. Must never: start one that
//! waits for a parameter, or let a statement see rows that its own command has written.
//!
//! The scans below one Append or MergeAppend begin when the first of them is asked for a row: one on each
//! session that is free. When the consumer waits, further sessions are opened for those that are left.

#![expect(unsafe_code, reason = "walks the plan to find the scans that belong together")]

use std::cell::RefCell;
use std::ffi::CString;
use std::rc::{Rc, Weak};
use std::time::Duration;

use pgrx::pg_sys;

use super::list;
use crate::remote::connection::Patience;
use crate::remote::nodes::Node;
use crate::remote::stream::{Fetched, Keeper, Stream};
use crate::remote::{Connection, pool};
use crate::transaction;

/// How long the first row may take before another session is opened for the statements that wait.
const GROW_AFTER: Duration = Duration::from_millis(10);

/// A statement for one slot.
pub(super) struct Task {
    pub(super) node: Rc<Node>,
    pub(super) user: pg_sys::Oid,
    pub(super) sql: Rc<str>,
    /// True when it locks or changes rows.
    pub(super) joins: bool,
    /// True when it changes rows.
    pub(super) writes: bool,
    /// True when it can only start once its parameters are known.
    pub(super) has_parameters: bool,
    estate: *const pg_sys::EState,
    group: *const pg_sys::Plan,
    keeper: Keeper,
    stream: Option<Rc<RefCell<Stream>>>,
    /// True from the start to the next rescan.
    started: bool,
}

thread_local! {
    static TASKS: RefCell<Vec<Weak<RefCell<Task>>>> = const { RefCell::new(Vec::new()) };
}

/// Whether a free session is needed, or any.
#[derive(Clone, Copy)]
enum Session {
    Free { grow: bool },
    Any,
}

fn of_estate(estate: *const pg_sys::EState) -> Vec<Rc<RefCell<Task>>> {
    TASKS.with_borrow_mut(|tasks| {
        tasks.retain(|task| task.strong_count() > 0);
        tasks
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|task| task.borrow().estate == estate)
            .collect()
    })
}

/// At the end of a transaction no statement is left.
pub(super) fn forget() {
    TASKS.with_borrow_mut(Vec::clear);
}

#[derive(Clone)]
pub(super) struct Handle(Rc<RefCell<Task>>);

impl Handle {
    /// # Safety
    /// The state of the running query, and a plan in it.
    pub(super) unsafe fn new(
        estate: *const pg_sys::EState,
        plan: *const pg_sys::Plan,
        (node, user): (Rc<Node>, pg_sys::Oid),
        sql: String,
        (joins, writes, has_parameters): (bool, bool, bool),
    ) -> Self {
        let task = Rc::new(RefCell::new(Task {
            node,
            user,
            sql: sql.into(),
            joins,
            writes,
            has_parameters,
            estate,
            // SAFETY: as the caller says.
            group: unsafe { group_of((*estate).es_plannedstmt, plan) },
            keeper: Keeper::now(),
            stream: None,
            started: false,
        }));
        TASKS.with_borrow_mut(|tasks| tasks.push(Rc::downgrade(&task)));
        Self(task)
    }

    pub(super) fn is_started(&self) -> bool {
        self.0.borrow().started
    }

    /// Forgets the rows: the next start sends the statement again.
    pub(super) fn reset(&self) {
        let mut task = self.0.borrow_mut();
        task.started = false;
        let stream = task.stream.take();
        drop(task);
        if let Some(stream) = stream {
            stream.borrow_mut().close();
        }
    }

    /// Starts it, and with it the others of its group.
    pub(super) fn start(&self, parameters: &[Option<CString>]) {
        if !self.is_started() {
            start(&self.0, parameters, Session::Any);
        }
        self.start_others(false);
    }

    fn start_others(&self, grow: bool) {
        let (estate, group) = {
            let task = self.0.borrow();
            (task.estate, task.group)
        };
        if group.is_null() {
            return;
        }
        for other in of_estate(estate) {
            let waits = {
                let other = other.borrow();
                other.group == group && !other.started && !other.has_parameters
            };
            if waits {
                start(&other, &[], Session::Free { grow });
            }
        }
    }

    /// The next row.
    pub(super) fn next(&self) -> Option<Fetched> {
        let stream = self.0.borrow().stream.clone()?;
        let connection = stream.borrow().connection().map(Rc::clone);
        if let Some(connection) = &connection
            && !self.0.borrow().group.is_null()
            && !connection.has_input(Duration::ZERO)
        {
            self.start_others(false);
            if !connection.has_input(GROW_AFTER) {
                self.start_others(true);
            }
        }
        let row = stream.borrow_mut().next();
        if row.is_none() && connection.is_some() {
            // Its session is free now.
            self.start_others(false);
        }
        row
    }

    /// How many rows were written.
    pub(super) fn affected(&self) -> u64 {
        self.0
            .borrow()
            .stream
            .as_ref()
            .map_or(0, |stream| stream.borrow().affected())
    }
}

/// A session brought into the local transaction where that is needed, and what must be sent before the
/// statement.
fn session_for(task: &Task, wanted: Session) -> Option<(Rc<Connection>, String)> {
    let session = match wanted {
        Session::Free { grow } if !task.joins => pool::idle_reader(&task.node, task.user, grow)?,
        Session::Free { .. } => pool::free_writer(&task.node, task.user)?,
        Session::Any if task.joins => pool::idle_writer(&task.node, task.user),
        Session::Any => pool::reader(&task.node, task.user),
    };
    let joins = task.joins || session.depth.get() > 0 || pool::needs_snapshot();
    let opening = if joins {
        transaction::opening(&session)
    } else {
        String::new()
    };
    if task.writes {
        session.wrote.set(true);
    }
    Some((session, opening))
}

fn start(task: &Rc<RefCell<Task>>, parameters: &[Option<CString>], wanted: Session) {
    let Some((session, opening)) = session_for(&task.borrow(), wanted) else {
        return;
    };
    let sql = Rc::clone(&task.borrow().sql);
    // Statements hold no zero: PostgreSQL's text cannot.
    let text = |sql: String| CString::new(sql).unwrap_or_default();
    let sent = if parameters.is_empty() {
        session.send(&text(format!("{opening}{sql}")))
    } else {
        let opened = if opening.is_empty() {
            Ok(None)
        } else {
            session.run(&text(opening), Patience::Interruptible)
        };
        opened
            .and_then(|_| session.prepared(&text(sql.to_string())))
            .and_then(|name| session.send_prepared(&name, parameters))
    };
    if let Err(trouble) = sent {
        trouble.raise(&sql);
    }
    let mut task = task.borrow_mut();
    task.stream = Some(Stream::new(&session, sql, task.keeper));
    task.started = true;
}

/// Before a command writes its first row: every scan of it that can start has started, so that none sees
/// what the command itself writes.
pub(super) fn settle(estate: *const pg_sys::EState) {
    for task in of_estate(estate) {
        let waits = {
            let task = task.borrow();
            !task.started && !task.has_parameters && !task.writes
        };
        if waits {
            start(&task, &[], Session::Any);
        }
    }
}

/// The uppermost Append or MergeAppend above a plan, or null.
///
/// # Safety
/// A statement, and a plan in it.
unsafe fn group_of(
    statement: *const pg_sys::PlannedStmt,
    wanted: *const pg_sys::Plan,
) -> *const pg_sys::Plan {
    // SAFETY: as the caller says; trees of plans are finite.
    unsafe {
        let mut roots = vec![(*statement).planTree];
        roots.extend(list::pointers::<pg_sys::Plan>((*statement).subplans));
        roots
            .into_iter()
            .find_map(|root| search(root, wanted, std::ptr::null()))
            .unwrap_or(std::ptr::null())
    }
}

unsafe fn search(
    plan: *const pg_sys::Plan,
    wanted: *const pg_sys::Plan,
    group: *const pg_sys::Plan,
) -> Option<*const pg_sys::Plan> {
    if plan.is_null() {
        return None;
    }
    if plan == wanted {
        return Some(group);
    }
    // SAFETY: the tag says which node it is.
    unsafe {
        let (children, below) = match (*plan).type_ {
            pg_sys::NodeTag::T_Append => ((*plan.cast::<pg_sys::Append>()).appendplans, true),
            pg_sys::NodeTag::T_MergeAppend => ((*plan.cast::<pg_sys::MergeAppend>()).mergeplans, true),
            _ => (std::ptr::null_mut(), false),
        };
        let group = if below && group.is_null() { plan } else { group };
        let mut children = list::pointers::<pg_sys::Plan>(children);
        if (*plan).type_ == pg_sys::NodeTag::T_SubqueryScan {
            children.push((*plan.cast::<pg_sys::SubqueryScan>()).subplan);
        }
        children.extend([(*plan).lefttree, (*plan).righttree]);
        children
            .into_iter()
            .find_map(|child| search(child, wanted, group))
    }
}
