//! Copies of stores and clusters, the way back, checks and repairs.
//!
//! In: an open handle or directories, a function that wants to know how far it is. Out: reports as JSON. Must never: call what is
//! damaged sound.

#![expect(unsafe_code, reason = "raw pointers come from C, and C functions are called")]
#![expect(non_camel_case_types, reason = "the names that C programs use")]

use std::ffi::{c_char, c_void};
use std::path::Path;

use atoll::cluster::Cluster;
use atoll::io::Env;
use atoll::store::backup::restore::restore;
use atoll::store::backup::{BackupError, BackupOptions, verify_backup};
use atoll::store::repair::repair;
use serde::Serialize;

use crate::bytes::{atoll_buf, text};
use crate::call::{call, fresh, handle, out};
use crate::cluster::atoll_cluster;
use crate::db::atoll_db;
use crate::error::{Failure, atoll_error};
use crate::status::*;

/// Files that never change get a second name in the backup instead of a copy, where both lie on one file system: costs no space, and
/// does not help when that file system is lost.
pub const ATOLL_BACKUP_LINK: u32 = 1;

/// Told how far long work is: `done` of `total`, in units of the work, from the thread that called and before that call returns. It must
/// not throw an exception, longjmp() or end its thread: an exception that reaches the library ends the process. It may use other handles.
pub type atoll_progress_fn = Option<unsafe extern "C-unwind" fn(ctx: *mut c_void, done: u64, total: u64)>;

pub(crate) fn teller(progress: atoll_progress_fn, ctx: *mut c_void) -> impl FnMut(u64, u64) {
    move |done, total| {
        if let Some(progress) = progress {
            // SAFETY: the caller handed in the function for this, with what it wants to be called with. What unwinds out of it
            // must not pass the frames of the library.
            crate::panic::guard((), || unsafe { progress(ctx, done, total) });
        }
    }
}

pub(crate) fn report(json: &mut *mut atoll_buf, report: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_vec(report).map_err(|error| Failure::invalid(error.to_string()))?;
    *json = atoll_buf::hand_over(text);
    Ok(())
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Failure {
        match error.exit_code() {
            2 => Failure::invalid(error.to_string()),
            3 => Failure::new(ATOLL_E_CORRUPT, error.to_string()),
            4 => Failure::new(ATOLL_E_LOCKED, error.to_string()),
            _ => atoll::cluster::ClusterError::from(error).into(),
        }
    }
}

fn options(flags: u32) -> Result<BackupOptions, Failure> {
    if flags & !ATOLL_BACKUP_LINK != 0 {
        return Err(Failure::new(
            ATOLL_E_UNSUPPORTED,
            format!("flags {flags:#x} are not known to this library"),
        ));
    }
    Ok(BackupOptions {
        link: flags & ATOLL_BACKUP_LINK != 0,
    })
}

/// Copies a store as it is at one instant into the directory `target`, which is missing, empty or an earlier backup of the same store:
/// then only what is new is copied. Readers and writers go on.
///
/// `flags`: 0 or ATOLL_BACKUP_LINK. `progress` may be NULL; it is told bytes. `*json` gets what was copied; free it with
/// atoll_buf_free(). ATOLL_E_INVALID if `target` is something else's. Any thread; takes as long as copying takes.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_db_backup(
    db: *mut atoll_db,
    target: *const c_char,
    flags: u32,
    progress: atoll_progress_fn,
    ctx: *mut c_void,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let (db, target) = unsafe { (handle("db", db)?, text("target", target)?) };
        let engine = db.engine()?;
        let made =
            engine
                .writer()?
                .backup(Path::new(target), &options(flags)?, &mut teller(progress, ctx))?;
        report(json, &made)?;
        Ok(ATOLL_OK)
    })
}

/// Copies a cluster, each shard once and all of them as they are at one instant: atoll_db_backup() for a cluster.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_backup(
    cluster: *mut atoll_cluster,
    target: *const c_char,
    flags: u32,
    progress: atoll_progress_fn,
    ctx: *mut c_void,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let (cluster, target) = unsafe { (handle("cluster", cluster)?, text("target", target)?) };
        let made = cluster
            .get()?
            .backup(Path::new(target), &options(flags)?, &mut teller(progress, ctx))?;
        report(json, &made)?;
        Ok(ATOLL_OK)
    })
}

/// Makes a store or a cluster, whichever was copied, in `path`, which is missing or empty, of the backup in the directory `backup`.
///
/// It appears at the end, after everything has been checked. It is a new life: what was written to the old one after the copy is not in
/// it, and a token that speaks of it is ATOLL_E_WRITE_LOST.
/// `progress` may be NULL; it is told bytes. `*json` gets what was restored; free it with atoll_buf_free(). ATOLL_E_INVALID for what is no
/// backup or a path that is not empty, ATOLL_E_CORRUPT for one that is damaged: there is nothing in `path` then. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_restore(
    backup: *const c_char,
    path: *const c_char,
    progress: atoll_progress_fn,
    ctx: *mut c_void,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let (backup, path) = unsafe { (text("backup", backup)?, text("path", path)?) };
        let (env, backup, path) = (Env::os(), Path::new(backup), Path::new(path));
        let mut step = teller(progress, ctx);
        if Cluster::is_cluster_backup(&env, backup)? {
            report(json, &Cluster::restore(&env, backup, path, &mut step)?)?;
        } else {
            report(json, &restore(&env, backup, path, &mut step)?)?;
        }
        Ok(ATOLL_OK)
    })
}

/// Compares every checksum of the backup in a directory. `*damaged` gets the number of places that are damaged, `*json` a report that
/// names them; free it with atoll_buf_free(). ATOLL_OK whatever was found. `progress` may be NULL; it is told bytes. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_backup_verify(
    backup: *const c_char,
    progress: atoll_progress_fn,
    ctx: *mut c_void,
    damaged: *mut u64,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let (backup, damaged) = unsafe { (text("backup", backup)?, out("damaged", damaged)?) };
        let found = verify_backup(&Env::os(), Path::new(backup), &mut teller(progress, ctx))?;
        *damaged = found.damage.len() as u64;
        report(json, &found)?;
        Ok(ATOLL_OK)
    })
}

/// Reads all of an open store and compares every checksum and every entry of its index.
///
/// `*damaged` gets the number of places that are damaged, `*json` a report that names them; free it with atoll_buf_free(). ATOLL_OK
/// whatever was found. `progress` may be NULL; it is told bytes. Any thread; readers and writers go on.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_db_verify(
    db: *mut atoll_db,
    progress: atoll_progress_fn,
    ctx: *mut c_void,
    damaged: *mut u64,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let (db, damaged) = unsafe { (handle("db", db)?, out("damaged", damaged)?) };
        let engine = db.engine()?;
        let found = engine.writer()?.verify(&mut teller(progress, ctx))?;
        *damaged = found.damage.len() as u64;
        report(json, &found)?;
        Ok(ATOLL_OK)
    })
}

/// Reads all replicas of a cluster and compares them with each other: atoll_db_verify() for a cluster. What replicas disagree about counts as
/// damaged.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_cluster_verify(
    cluster: *mut atoll_cluster,
    progress: atoll_progress_fn,
    ctx: *mut c_void,
    damaged: *mut u64,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let (cluster, damaged) = unsafe { (handle("cluster", cluster)?, out("damaged", damaged)?) };
        let found = cluster.get()?.verify(&mut teller(progress, ctx))?;
        let in_replicas: usize = found
            .replicas
            .iter()
            .map(|replica| replica.report.damage.len())
            .sum();
        *damaged = (found.damage.len() + in_replicas + found.disagreements.len()) as u64;
        report(json, &found)?;
        Ok(ATOLL_OK)
    })
}

/// Saves what can be saved of the damaged store in the directory `source`, which is only read and must be open nowhere, into a new one in
/// `target`, which is missing or empty.
///
/// `*lost` gets the number of ranges that could not be saved, `*json` a report that names them; free it with atoll_buf_free(). `progress` may be
/// NULL; it is told files. ATOLL_E_LOCKED, ATOLL_E_INVALID for what is no store: after an error remove `target`. Any thread.
// SAFETY: no other symbol of this program has this name; the prefix is this library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atoll_repair(
    source: *const c_char,
    target: *const c_char,
    progress: atoll_progress_fn,
    ctx: *mut c_void,
    lost: *mut u64,
    json: *mut *mut atoll_buf,
    err: *mut *mut atoll_error,
) -> atoll_status {
    call(err, || {
        // SAFETY: the contract of the header.
        let json = unsafe { fresh("json", json)? };
        // SAFETY: the contract of the header.
        let (source, target, lost) = unsafe {
            (
                text("source", source)?,
                text("target", target)?,
                out("lost", lost)?,
            )
        };
        let found = repair(
            &Env::os(),
            Path::new(source),
            Path::new(target),
            &mut teller(progress, ctx),
        )?;
        *lost = found.lost.len() as u64;
        report(json, &found)?;
        Ok(ATOLL_OK)
    })
}
