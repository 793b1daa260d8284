//! What the library has to say, handed to a function of the program.
//!
//! In: events of the engine, from any of its threads. Out: calls of one function, one at a time and in order, from a thread that holds
//! nothing: the function may use the library. Must never: make a thread of the engine wait for the program, or call the function after it has
//! been replaced.

#![expect(unsafe_code, reason = "raw pointers come from C, and C functions are called")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::cell::Cell;
use std::ffi::c_void;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Once};
use std::thread::JoinHandle;

use arc_swap::ArcSwapOption;
use atoll::io::fork;
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::bytes::atoll_bytes;
use crate::call::call;
use crate::callback::{Ctx, atoll_ctx_free_fn};
use crate::error::{Failure, atoll_error};
use crate::panic::guard;
use crate::status::*;

/// Nothing.
pub const ATOLL_LOG_LEVEL_OFF: u32 = 0;
/// Something does not work any more and somebody has to act.
pub const ATOLL_LOG_LEVEL_ERROR: u32 = 1;
/// Something failed and will be tried again, or works less well.
pub const ATOLL_LOG_LEVEL_WARN: u32 = 2;
/// What an operator wants to find in a log: recoveries, failovers, moves.
pub const ATOLL_LOG_LEVEL_INFO: u32 = 3;
/// Everything else.
pub const ATOLL_LOG_LEVEL_DEBUG: u32 = 4;

/// Told what the library has to say: the level, the module it comes from, and a line of UTF-8 text with facts as name=value. The views are
/// valid until it returns.
///
/// It is called by one thread of the library's own, one message at a time and in order, and may use the library, but not
/// atoll_set_logger(). It must not throw an exception, longjmp() or end its thread: an exception that reaches the library ends the process.
pub type atoll_logger_fn = Option<
    unsafe extern "C-unwind" fn(ctx: *mut c_void, level: u32, target: atoll_bytes, message: atoll_bytes),
>;

/// Messages that wait for the program; more are dropped, and their number is told.
const WAITING: usize = 4096;

struct Message {
    level: u32,
    target: &'static str,
    text: String,
}

/// Where messages go. Looked at by every thread that has one, also in a child of fork(): without a lock.
static MESSAGES: ArcSwapOption<Messages> = ArcSwapOption::const_empty();

struct Messages {
    sender: SyncSender<Message>,
    /// [`fork::generation`] of the process whose thread hands them on.
    born: u64,
}

/// Who hands them on; held while it is replaced.
static THREAD: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);

thread_local! {
    /// Whether this thread calls the program's function.
    static HANDS_ON: Cell<bool> = const { Cell::new(false) };
}

static MAX_LEVEL: AtomicU32 = AtomicU32::new(ATOLL_LOG_LEVEL_OFF);
static DROPPED: AtomicU64 = AtomicU64::new(0);

fn level_of(level: Level) -> u32 {
    match level {
        Level::ERROR => ATOLL_LOG_LEVEL_ERROR,
        Level::WARN => ATOLL_LOG_LEVEL_WARN,
        Level::INFO => ATOLL_LOG_LEVEL_INFO,
        _ => ATOLL_LOG_LEVEL_DEBUG,
    }
}

/// Takes the engine's events. There is one for the life of the process, because `tracing` knows no other way.
struct Forward;

/// Gathers an event's message and fields into one line.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            let _ = write!(self.fields, " {}={value:?}", field.name());
        }
    }
}

impl Subscriber for Forward {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // Not decided once and for all: the level may change.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        level_of(*metadata.level()) <= MAX_LEVEL.load(Ordering::Relaxed)
            && metadata.target().starts_with("atoll")
    }

    fn event(&self, event: &Event<'_>) {
        let messages = MESSAGES.load();
        let Some(messages) = messages
            .as_ref()
            .filter(|messages| messages.born == fork::generation())
        else {
            return;
        };
        let mut line = Line::default();
        event.record(&mut line);
        let message = Message {
            level: level_of(*event.metadata().level()),
            target: event.metadata().target(),
            text: line.message + &line.fields,
        };
        if let Err(TrySendError::Full(_)) = messages.sender.try_send(message) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

type Function = unsafe extern "C-unwind" fn(*mut c_void, u32, atoll_bytes, atoll_bytes);

/// Hands messages to the program until the last sender has gone.
fn hand_on(messages: &Receiver<Message>, function: Function, ctx: &Ctx) {
    HANDS_ON.set(true);
    let say = |message: &Message| {
        let (target, text) = (
            atoll_bytes::of(message.target.as_bytes()),
            atoll_bytes::of(message.text.as_bytes()),
        );
        // SAFETY: the program handed in the function to be called with this, from this thread.
        guard((), || unsafe {
            function(ctx.pointer(), message.level, target, text)
        });
    };
    for message in messages {
        say(&message);
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            say(&Message {
                level: ATOLL_LOG_LEVEL_WARN,
                target: "atoll",
                text: format!("messages were dropped because the logger was too slow dropped={dropped}"),
            });
        }
    }
}

/// Hands what the library has to say, from now on and from every store and cluster of the process, to `function`; NULL: to nobody, which is
/// how it begins.
///
/// `max_level`: ATOLL_LOG_LEVEL_ERROR to ATOLL_LOG_LEVEL_DEBUG, and what is more urgent. `ctx` is handed to `function`, and let go of by `ctx_free`
/// (may be NULL) exactly once: when another function takes over, after the last call, or when this call fails. No thread of the engine waits for
/// `function`: if it is too slow, messages are dropped and their number is told. Any thread; waits until the function that was set before has been handed
/// all its messages. ATOLL_E_BUSY from within that function.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_set_logger(
    function: atoll_logger_fn,
    ctx: *mut c_void,
    ctx_free: atoll_ctx_free_fn,
    max_level: u32,
    err: *mut *mut atoll_error,
) -> atoll_status {
    // Taken over before anything can fail.
    let ctx = Ctx::new(ctx, ctx_free);
    call(err, || {
        if max_level > ATOLL_LOG_LEVEL_DEBUG {
            return Err(Failure::invalid(format!("there is no level {max_level}")));
        }
        if HANDS_ON.get() {
            return Err(Failure::busy("logger"));
        }
        let mut thread = THREAD.lock();
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // Another subscriber is there only if this library has been linked into a Rust program, which then has a logger.
            let _ = tracing::subscriber::set_global_default(Forward);
        });
        let (messages, next) = match function {
            Some(function) => {
                let (sender, next) = start(function, ctx)?;
                let born = fork::generation();
                (Some(Arc::new(Messages { sender, born })), Some(next))
            }
            None => (None, None),
        };
        let level = if next.is_some() {
            max_level
        } else {
            ATOLL_LOG_LEVEL_OFF
        };
        MAX_LEVEL.store(level, Ordering::Relaxed);
        let old = MESSAGES.swap(messages);
        let is_ours = old.as_ref().is_some_and(|old| old.born == fork::generation());
        // The last one to let go of it ends the thread, once that has handed on what waits.
        drop(old);
        if let Some(old) = std::mem::replace(&mut *thread, next)
            && is_ours
        {
            // A panic of it has been counted where it happened.
            let _ = old.join();
        }
        Ok(ATOLL_OK)
    })
}

fn start(function: Function, ctx: Ctx) -> Result<(SyncSender<Message>, JoinHandle<()>), Failure> {
    let (sender, waiting) = sync_channel(WAITING);
    let thread = std::thread::Builder::new()
        .name("atoll-logger".into())
        .spawn(move || hand_on(&waiting, function, &ctx))
        .map_err(|error| Failure {
            os_errno: error.raw_os_error().unwrap_or(0),
            ..Failure::new(ATOLL_E_IO, format!("no thread for the logger: {error}"))
        })?;
    Ok((sender, thread))
}
