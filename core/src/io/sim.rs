//! A machine that loses power, kills processes and fails calls on request.
//!
//! # Fault model
//!
//! * A file's **contents** live in a page cache. Stores through writable maps and writes reach it at
//!   once. [`File::sync_data`] makes contents and length durable. At a power cut every 4 KiB page
//!   that differs from its durable form is, by policy and seed, dropped, kept, or torn at sectors of
//!   512 bytes, each independently of every other; the length becomes the old or the new one. With
//!   [`SimDisk::set_growth_in_steps`] it may also become one in between, as on file systems that
//!   grow a file while they write it back.
//! * A **name** (created, renamed, removed) is durable once [`Disk::sync_dir`] of its directory has
//!   returned, for a rename that of the target's. Until then a power cut keeps or loses each
//!   operation by itself, except that none is kept whose names an earlier lost one was about. A
//!   rename is atomic, also between directories. Removing a tree is one operation for each name in
//!   it, so a cut may leave part of it. Directories are durable when made. Syncing a file does
//!   nothing for its name.
//! * A **failed sync** leaves its pages clean and lost, as Linux does: they are still read, but a
//!   later sync that succeeds does not bring them to the disk unless they are stored to again, and no
//!   policy keeps them. A failed sync of a directory leaves its operations pending.
//! * **Space** is bounded: growing a file beyond the capacity fails with `ENOSPC`; storing to allocated
//!   bytes never does. A removed file gives its space back at once.
//! * Any mutating call can be made to **fail**, once or from then on, to write only half, or to cut the
//!   power. From the cut on the running process gets nothing done, and stores it makes to its maps
//!   are lost.
//! * After [`SimDisk::process_crash`] the page cache is as the process left it; after
//!   [`SimDisk::power_cut`] there is a new boot id. Handles of the old life answer with errors, and
//!   its locks are gone.
//!
//! * A page can be made **unreadable** until the next power cut: reading it fails with `EIO`, and asking for
//!   it in a map with `EFAULT`, as where touching it would raise SIGBUS.
//!
//! Not modelled: bit rot by itself (tests flip bits), misdirected writes, disks that lie about a sync. A thread that outlives its simulated process and goes on storing through a map
//! changes the page cache that the next process sees: end such threads first.
//!
//! Read this file for machine and calls, `cache` for contents, `names` for directories.

mod cache;
mod names;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use self::cache::{Contents, fits};
use self::names::{Found, Node, Tree};
use super::clock::{Entropy, SeededEntropy};
use super::mmap::PAGE_BYTES;
use super::{DirEntry, Disk, File, LockGuard, LockHolder, LockOutcome, Map, MapAccess, OpenMode};

const SECTOR_BYTES: usize = 512;

/// What becomes of pages and names that were not synced when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutPolicy {
    /// All lost.
    DropAll,
    /// All kept, as if a sync had just finished.
    KeepAll,
    /// Every page torn at sectors; every name by seed.
    TearAll,
    /// Dropped, kept or torn, each by seed.
    Random,
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It fails with this errno and does nothing.
    Errno(i32),
    /// A write writes its first half and fails with `EIO`; other calls just fail.
    ShortWrite,
    /// The power goes; a write may have written its first half.
    PowerCut,
}

/// A fault, and whether later calls meet it too.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// From that call on, instead of once.
    pub persistent: bool,
}

/// What the fault table says about the call at hand.
enum Verdict {
    Go,
    Fail(io::Error),
    /// Half of a write, then the error.
    Half(io::Error),
    /// Half of a write, then darkness.
    Cut,
}

struct World {
    tree: Tree,
    /// Locked files, with the token of the guard.
    locks: BTreeMap<Node, u64>,
    locks_taken: u64,
    random: SeededEntropy,
    calls: u64,
    log: Option<Vec<String>>,
    faults: BTreeMap<u64, Fault>,
    standing: Option<FaultKind>,
    power_off: bool,
    capacity: u64,
    writable_maps: bool,
    growth_in_steps: bool,
    boot: u64,
    /// Which life of which process the valid handles belong to.
    life: u64,
}

/// A simulated file system; clones are handles of the same process. Thread-safe.
///
/// Relative paths start at the root.
#[derive(Clone)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
    life: u64,
    boot: u64,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk")
            .field("life", &self.life)
            .field("boot", &self.boot)
            .finish_non_exhaustive()
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

impl World {
    fn check(&self, handle: &SimDisk) -> io::Result<()> {
        if self.power_off || self.boot != handle.boot {
            return Err(power_is_off());
        }
        if self.life != handle.life {
            return Err(io::Error::other(
                "this handle belongs to a process that has ended",
            ));
        }
        Ok(())
    }

    /// Counts a mutating call and meets its fault.
    fn enter(&mut self, handle: &SimDisk, what: fmt::Arguments<'_>) -> io::Result<Verdict> {
        self.check(handle)?;
        self.calls += 1;
        if let Some(log) = &mut self.log {
            log.push(format!("{} {what}", self.calls));
        }
        let fault = self.faults.remove(&self.calls);
        if let Some(fault) = fault.filter(|fault| fault.persistent) {
            self.standing = Some(fault.kind);
        }
        Ok(match fault.map(|fault| fault.kind).or(self.standing) {
            None => Verdict::Go,
            Some(FaultKind::Errno(number)) => Verdict::Fail(errno(number)),
            Some(FaultKind::ShortWrite) => Verdict::Half(errno(libc::EIO)),
            Some(FaultKind::PowerCut) => Verdict::Cut,
        })
    }

    fn lose_power(&mut self) -> io::Error {
        self.power_off = true;
        self.tree.contents().for_each(|contents| contents.freeze());
        power_is_off()
    }

    fn used(&self) -> u64 {
        let space = |len: u64| len.next_multiple_of(PAGE_BYTES as u64);
        // Names of one file share its space.
        let files = self.tree.files();
        let distinct: BTreeMap<_, _> = files
            .iter()
            .map(|(_, contents)| (Arc::as_ptr(contents), contents))
            .collect();
        distinct.values().map(|contents| space(contents.len())).sum()
    }

    fn has_room(&self, old: u64, new: u64) -> bool {
        let space = |len: u64| len.next_multiple_of(PAGE_BYTES as u64);
        let growth = space(new).saturating_sub(space(old));
        growth == 0 || self.used().saturating_add(growth) <= self.capacity
    }

    fn file(&self, path: &Path) -> Option<Arc<Contents>> {
        match self.tree.find(path) {
            Ok(Found::File(_, contents)) => Some(contents),
            _ => None,
        }
    }
}

impl SimDisk {
    /// An empty disk whose later choices follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> SimDisk {
        let world = World {
            tree: Tree::new(),
            locks: BTreeMap::new(),
            locks_taken: 0,
            random: SeededEntropy::new(seed),
            calls: 0,
            log: None,
            faults: BTreeMap::new(),
            standing: None,
            power_off: false,
            capacity: u64::MAX,
            writable_maps: true,
            growth_in_steps: false,
            boot: 1,
            life: 1,
        };
        SimDisk {
            world: Arc::new(Mutex::new(world)),
            life: 1,
            boot: 1,
        }
    }

    /// Mutating calls so far, syncs and locks included, over all lives of the machine.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.world.lock().calls
    }

    /// Keeps a line for each mutating call from now on, to say in a message what a number stands for.
    pub fn keep_call_log(&self) {
        self.world.lock().log.get_or_insert_default();
    }

    /// The lines since [`SimDisk::keep_call_log`], over all lives: number, call, path, extent.
    #[must_use]
    pub fn call_log(&self) -> Vec<String> {
        self.world.lock().log.clone().unwrap_or_default()
    }

    /// Lets call number `call` (counted as [`SimDisk::calls`] counts, the first is 1) meet `fault`.
    pub fn fail_at(&self, call: u64, fault: Fault) {
        self.world.lock().faults.insert(call, fault);
    }

    /// Forgets all faults that have not come about, and standing ones.
    pub fn heal(&self) {
        let mut world = self.world.lock();
        world.faults.clear();
        world.standing = None;
    }

    /// Bounds the bytes of all files, each rounded up to pages.
    pub fn set_capacity(&self, bytes: u64) {
        self.world.lock().capacity = bytes;
    }

    /// What [`Disk::supports_writable_maps`] answers.
    pub fn set_writable_maps(&self, supported: bool) {
        self.world.lock().writable_maps = supported;
    }

    /// Whether a power cut may leave a file with a length between the durable and the last one.
    pub fn set_growth_in_steps(&self, in_steps: bool) {
        self.world.lock().growth_in_steps = in_steps;
    }

    /// The machine after a power cut and a restart. Faults not yet met are forgotten.
    ///
    /// # Panics
    /// If the test process has run out of address space.
    #[must_use]
    pub fn power_cut(&self, policy: CutPolicy) -> SimDisk {
        let mut world = self.world.lock();
        let world = &mut *world;
        // Nothing that is stored from here on may be found afterwards.
        let _ = world.lose_power();
        let (random, in_steps) = (&world.random, world.growth_in_steps);
        let keeps = || match policy {
            CutPolicy::DropAll => false,
            CutPolicy::KeepAll => true,
            CutPolicy::TearAll | CutPolicy::Random => random.next_u64().is_multiple_of(2),
        };
        world.tree = std::mem::replace(&mut world.tree, Tree::new())
            .after_cut(keeps, |contents| contents.after_cut(policy, in_steps, random))
            .expect("address space for the files of the next boot");
        world.power_off = false;
        world.boot += 1;
        self.next_life(world)
    }

    /// The same machine after its process was killed. Faults not yet met are forgotten.
    ///
    /// # Panics
    /// If the power is off: only [`SimDisk::power_cut`] tells what is left then.
    #[must_use]
    pub fn process_crash(&self) -> SimDisk {
        let mut world = self.world.lock();
        assert!(!world.power_off, "a machine without power runs no process");
        self.next_life(&mut world)
    }

    fn next_life(&self, world: &mut World) -> SimDisk {
        world.life += 1;
        world.locks.clear();
        world.faults.clear();
        world.standing = None;
        SimDisk {
            world: Arc::clone(&self.world),
            life: world.life,
            boot: world.boot,
        }
    }

    /// Flips bits of one byte, in the cache and on the disk.
    ///
    /// # Panics
    /// If there is no such byte.
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) {
        let file = self.world.lock().file(path);
        let file = file.filter(|file| offset < file.len());
        let file = file.unwrap_or_else(|| panic!("{} has no byte {offset}", path.display()));
        file.flip(offset, mask);
    }

    /// Makes the page at `offset` of a file one that the disk cannot read: reads fail with `EIO`, and
    /// populating a map with `EFAULT`. Until the next power cut.
    ///
    /// # Panics
    /// If there is no such page.
    pub fn spoil(&self, path: &Path, offset: u64) {
        let file = self.world.lock().file(path);
        let file = file.filter(|file| offset < file.len());
        let file = file.unwrap_or_else(|| panic!("{} has no byte {offset}", path.display()));
        file.spoil(offset);
    }

    /// Cuts a file short, in the cache and on the disk.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn shorten(&self, path: &Path, len: u64) {
        let file = self.world.lock().file(path);
        let file = file.unwrap_or_else(|| panic!("there is no file {}", path.display()));
        file.shorten(len);
    }

    /// Contents of a file as a process would read them; none where there is no such file.
    #[must_use]
    pub fn read_whole(&self, path: &Path) -> Option<Vec<u8>> {
        let file = self.world.lock().file(path)?;
        Some(file.read_whole())
    }

    /// Names of all files, absolute, in order.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let files = self.world.lock().tree.files();
        files.into_iter().map(|(path, _)| path).collect()
    }

    /// Runs a mutating call that happens as a whole or not at all.
    fn change<T>(
        &self,
        what: fmt::Arguments<'_>,
        act: impl FnOnce(&mut World) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut world = self.world.lock();
        match world.enter(self, what)? {
            Verdict::Go => act(&mut world),
            Verdict::Fail(error) | Verdict::Half(error) => Err(error),
            Verdict::Cut => Err(world.lose_power()),
        }
    }

    /// Runs a call that changes nothing.
    fn look<T>(&self, act: impl FnOnce(&World) -> io::Result<T>) -> io::Result<T> {
        let world = self.world.lock();
        world.check(self)?;
        act(&world)
    }
}

/// Differs between boots, not between machines, and is never zero.
fn boot_id(boot: u64) -> [u8; 16] {
    let mut id = [0xB0; 16];
    id[..8].copy_from_slice(&boot.to_le_bytes());
    id
}

impl Disk for SimDisk {
    fn allows_threads(&self) -> bool {
        false
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        // As on the real machine, nothing is done about a directory that exists.
        if self.look(|world| Ok(matches!(world.tree.find(path), Ok(Found::Dir))))? {
            return Ok(());
        }
        self.change(format_args!("create_dir_all {}", path.display()), |world| {
            world.tree.create_dirs(path)
        })
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let (_, contents) = self.change(format_args!("create {}", path.display()), |world| {
            world.tree.create(path)
        })?;
        Ok(Arc::new(SimFile::new(self, path, contents, OpenMode::ReadWrite)))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        match self.look(|world| world.tree.find(path))? {
            Found::File(_, contents) => Ok(Arc::new(SimFile::new(self, path, contents, mode))),
            Found::Dir => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let what = format_args!("rename {} to {}", from.display(), to.display());
        self.change(what, |world| world.tree.rename(from, to))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let what = format_args!("link {} to {}", from.display(), to.display());
        self.change(what, |world| world.tree.link(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change(format_args!("remove_file {}", path.display()), |world| {
            world.tree.remove_file(path)
        })
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change(format_args!("remove_dir_all {}", path.display()), |world| {
            world.tree.remove_dirs(path)
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.change(format_args!("sync_dir {}", path.display()), |world| {
            world.tree.sync(path)
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let entry = |(name, found)| match found {
            Found::Dir => DirEntry {
                name,
                is_dir: true,
                len: 0,
            },
            Found::File(_, contents) => DirEntry {
                name,
                is_dir: false,
                len: contents.len(),
            },
        };
        let entries = self.look(|world| world.tree.list(path))?;
        Ok(entries.into_iter().map(entry).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.look(|world| match world.tree.find(path) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        })
    }

    fn lock(&self, path: &Path) -> io::Result<LockOutcome> {
        self.change(format_args!("lock {}", path.display()), |world| {
            let (node, contents) = match world.tree.find(path) {
                Ok(Found::File(node, contents)) => (node, contents),
                Ok(Found::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
                Err(_) => world.tree.create(path)?,
            };
            if world.locks.contains_key(&node) {
                let holder = LockHolder::parse(&contents.read_whole());
                return Ok(LockOutcome::Held(holder));
            }
            let holder = LockHolder {
                pid: self.life as u32,
                host: "simulated".into(),
            };
            let text = holder.to_text();
            // As on the real machine, a full disk costs the text and not the lock. Lives only get
            // longer numbers, so nothing of an older text sticks out.
            if world.has_room(contents.len(), text.len() as u64) {
                contents.write_at(text.as_bytes(), 0);
            }
            world.locks_taken += 1;
            world.locks.insert(node, world.locks_taken);
            Ok(LockOutcome::Acquired(Box::new(SimLock {
                disk: self.clone(),
                node,
                token: world.locks_taken,
            })))
        })
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        self.look(|world| Ok(world.capacity.saturating_sub(world.used())))
    }

    fn total_bytes(&self, _path: &Path) -> io::Result<u64> {
        self.look(|world| Ok(world.capacity))
    }

    fn supports_writable_maps(&self, _path: &Path) -> io::Result<bool> {
        self.look(|world| Ok(world.writable_maps))
    }

    fn boot_id(&self) -> [u8; 16] {
        boot_id(self.boot)
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    node: Node,
    token: u64,
}

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut world = self.disk.world.lock();
        // A later life may hold the lock by now.
        if world.locks.get(&self.node) == Some(&self.token) {
            world.locks.remove(&self.node);
        }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    /// As it was opened; for the call log only.
    path: PathBuf,
    contents: Arc<Contents>,
    mode: OpenMode,
}

impl SimFile {
    fn new(disk: &SimDisk, path: &Path, contents: Arc<Contents>, mode: OpenMode) -> SimFile {
        SimFile {
            disk: disk.clone(),
            path: path.to_path_buf(),
            contents,
            mode,
        }
    }

    fn must_be_writable(&self) -> io::Result<()> {
        match self.mode {
            OpenMode::ReadWrite => Ok(()),
            OpenMode::Read => Err(errno(libc::EBADF)),
        }
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.look(|_| {
            if self.contents.is_bad(offset, buf.len()) {
                return Err(errno(libc::EIO));
            }
            Ok(self.contents.read_at(buf, offset))
        })
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut world = self.disk.world.lock();
        let what = format_args!("write {} {offset}+{}", self.path.display(), buf.len());
        let verdict = world.enter(&self.disk, what)?;
        self.must_be_writable()?;
        let end = offset.checked_add(buf.len() as u64);
        if !fits(end) {
            return Err(errno(libc::EFBIG));
        }
        if !world.has_room(self.contents.len(), end.unwrap_or(offset)) {
            return Err(errno(libc::ENOSPC));
        }
        // The world stays locked: a cut comes before this write or after it.
        match verdict {
            Verdict::Go => {
                self.contents.write_at(buf, offset);
                Ok(())
            }
            Verdict::Fail(error) => Err(error),
            Verdict::Half(error) => {
                self.contents.write_at(&buf[..buf.len() / 2], offset);
                Err(error)
            }
            Verdict::Cut => {
                self.contents.write_at(&buf[..buf.len() / 2], offset);
                Err(world.lose_power())
            }
        }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let what = format_args!("allocate {} {len}", self.path.display());
        self.disk.change(what, |world| {
            self.must_be_writable()?;
            if !fits(Some(len)) {
                return Err(errno(libc::EFBIG));
            }
            if !world.has_room(self.contents.len(), len) {
                return Err(errno(libc::ENOSPC));
            }
            self.contents.grow(len);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.disk.world.lock();
        match world.enter(&self.disk, format_args!("sync_data {}", self.path.display()))? {
            Verdict::Go => {
                self.contents.sync();
                Ok(())
            }
            Verdict::Fail(error) | Verdict::Half(error) => {
                self.contents.fail_sync();
                Err(error)
            }
            // Which pages were under way is up to the policy.
            Verdict::Cut => Err(world.lose_power()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.look(|_| Ok(self.contents.len()))
    }

    fn map(&self, len: usize, access: MapAccess) -> io::Result<Map> {
        self.disk.look(|_| {
            if len == 0 || len as u64 > self.contents.len() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a map is not empty and ends within its file",
                ));
            }
            if access == MapAccess::Write && self.mode == OpenMode::Read {
                return Err(errno(libc::EACCES));
            }
            Ok(self.contents.map(len, access))
        })
    }
}

#[cfg(test)]
mod tests;
