//! A machine that loses power, kills processes and fails calls on request.
//!
//! # Fault model
//!
//! * A file's **contents** live in a page cache. Stores through writable maps and writes reach it at
//!   once. [`File::sync_data`] makes the contents and the length durable. At a power cut every 4 KiB
//!   page that differs from its durable form is, by policy and seed, dropped, kept, or torn at
//!   sectors of 512 bytes, each independently of every other.
//! * A **name** (created, renamed, removed) is durable once [`Disk::sync_dir`] of its directory has
//!   returned. Until then a power cut keeps or loses each operation independently; a rename is
//!   atomic. Directories are durable when made.
//! * A **failed sync** leaves its pages clean and lost, as Linux does: a later sync that succeeds does
//!   not bring them to the disk unless they are written again.
//! * **Space** is bounded: growing a file beyond the capacity fails with `ENOSPC`; storing to allocated
//!   bytes never does.
//! * Any mutating call can be made to **fail**, once or from then on, write only half, or cut the power.
//!   From the cut on the running process gets nothing done, and stores it makes to its maps are lost.
//! * After [`SimDisk::process_crash`] the page cache is as the process left it; after
//!   [`SimDisk::power_cut`] there is a new boot id. Handles of the old life answer with errors, and
//!   its locks are gone.
//!
//! Not modelled: bit rot by itself (tests flip bits), misdirected writes, reads that fail.

#![expect(unsafe_code, reason = "the page cache is raw memory that several maps share")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::clock::{Entropy, SeededEntropy};
use super::{DirEntry, Disk, File, LockGuard, LockHolder, LockOutcome, Map, MapAccess, OpenMode};

const PAGE: usize = 4096;
const SECTOR: usize = 512;
/// Address space of each file, so that growing never moves mapped memory.
const RESERVED_BYTES: usize = 160 << 20;
const ENOSPC: i32 = 28;
const EIO: i32 = 5;

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

/// Anonymous memory at a fixed address: the cached contents of one file.
struct Memory(NonNull<u8>, memmap2::MmapMut);

// SAFETY: the memory is owned by `self` and stays at its address; who may touch what at one moment
// is the business of the callers, as with any shared map.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    fn new() -> Memory {
        let mut map = memmap2::MmapOptions::new()
            .len(RESERVED_BYTES)
            .no_reserve_swap()
            .map_anon()
            .expect("address space for a simulated file");
        let base = NonNull::new(map.as_mut_ptr()).expect("a map has an address");
        Memory(base, map)
    }

    fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        assert!(offset + len <= self.1.len());
        let mut out = vec![0u8; len];
        // SAFETY: in bounds (checked above). A racing store may be read half; that is what a disk
        // or a reader of a live file would see, too.
        unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr().add(offset), out.as_mut_ptr(), len) };
        out
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.1.len());
        // SAFETY: in bounds (checked above); `bytes` is not part of this memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.as_ptr().add(offset), bytes.len()) };
    }
}

struct Inode {
    memory: Memory,
    len: AtomicU64,
    durable: Mutex<Durable>,
}

#[derive(Default)]
struct Durable {
    bytes: Vec<u8>,
    /// Pages that a failed sync left clean: number and contents then.
    lost: HashMap<usize, Vec<u8>>,
    /// Contents at the moment the power went.
    frozen: Option<Vec<u8>>,
}

impl Inode {
    fn new() -> Arc<Inode> {
        Arc::new(Inode {
            memory: Memory::new(),
            len: AtomicU64::new(0),
            durable: Mutex::default(),
        })
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::SeqCst) as usize
    }

    fn contents(&self) -> Vec<u8> {
        self.memory.read(0, self.len())
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        self.memory.write(offset, bytes);
        self.len
            .fetch_max((offset + bytes.len()) as u64, Ordering::SeqCst);
        let mut durable = self.durable.lock();
        if !durable.lost.is_empty() {
            let pages = offset / PAGE..=(offset + bytes.len().max(1) - 1) / PAGE;
            durable.lost.retain(|page, _| !pages.contains(page));
        }
    }

    fn sync(&self) {
        let contents = self.contents();
        let mut durable = self.durable.lock();
        let mut kept = Vec::new();
        for (page, then) in &durable.lost {
            let now = contents
                .get(page * PAGE..contents.len().min((page + 1) * PAGE))
                .unwrap_or(&[]);
            if now == then.as_slice() {
                // Still clean as far as the kernel knows: not written now either.
                let old = durable
                    .bytes
                    .get(page * PAGE..durable.bytes.len().min((page + 1) * PAGE));
                kept.push((*page, old.unwrap_or(&[]).to_vec()));
            }
        }
        durable.bytes = contents;
        for (page, old) in &kept {
            let end = durable.bytes.len().min((page + 1) * PAGE);
            let target = &mut durable.bytes[page * PAGE..end];
            target.fill(0);
            let common = old.len().min(target.len());
            target[..common].copy_from_slice(&old[..common]);
        }
        let still_lost: BTreeSet<usize> = kept.into_iter().map(|(page, _)| page).collect();
        durable.lost.retain(|page, _| still_lost.contains(page));
    }

    fn fail_sync(&self) {
        let contents = self.contents();
        let mut durable = self.durable.lock();
        for page in 0..contents.len().div_ceil(PAGE) {
            let now = &contents[page * PAGE..contents.len().min((page + 1) * PAGE)];
            let old = durable
                .bytes
                .get(page * PAGE..durable.bytes.len().min((page + 1) * PAGE))
                .unwrap_or(&[]);
            if now != old {
                durable.lost.insert(page, now.to_vec());
            }
        }
    }

    /// What a restarted machine finds.
    fn after_cut(&self, policy: CutPolicy, random: &SeededEntropy) -> Arc<Inode> {
        let durable = self.durable.lock();
        let cached = durable.frozen.clone().unwrap_or_else(|| self.contents());
        let keeps_len = match policy {
            CutPolicy::DropAll => false,
            CutPolicy::KeepAll => true,
            CutPolicy::TearAll | CutPolicy::Random => random.next_u64().is_multiple_of(2),
        };
        let len = if keeps_len {
            cached.len()
        } else {
            durable.bytes.len()
        };
        let mut survived = vec![0u8; len];
        let (mut fate_of, mut fate) = (usize::MAX, 0);
        for start in (0..len).step_by(SECTOR) {
            let end = len.min(start + SECTOR);
            let old = durable
                .bytes
                .get(start..end.min(durable.bytes.len()).max(start))
                .unwrap_or(&[]);
            let new = cached.get(start..end.min(cached.len()).max(start)).unwrap_or(&[]);
            survived[start..start + old.len()].copy_from_slice(old);
            if old == new || durable.lost.contains_key(&(start / PAGE)) {
                continue;
            }
            if start.is_multiple_of(PAGE) || fate_of != start / PAGE {
                fate_of = start / PAGE;
                fate = random.next_u64() % 3;
            }
            if keeps_sector(policy, random, fate) {
                survived[start..end].fill(0);
                survived[start..start + new.len()].copy_from_slice(new);
            }
        }
        let inode = Inode::new();
        inode.memory.write(0, &survived);
        inode.len.store(len as u64, Ordering::SeqCst);
        inode.durable.lock().bytes = survived;
        inode
    }
}

/// Whether one sector of a changed page reaches the disk; `fate` was drawn for its page.
fn keeps_sector(policy: CutPolicy, random: &SeededEntropy, fate: u64) -> bool {
    match (policy, fate) {
        (CutPolicy::DropAll, _) | (CutPolicy::Random, 0) => false,
        (CutPolicy::KeepAll, _) | (CutPolicy::Random, 1) => true,
        (CutPolicy::TearAll | CutPolicy::Random, _) => random.next_u64().is_multiple_of(2),
    }
}

#[derive(Clone, Debug)]
enum NameOp {
    Create(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl NameOp {
    /// The directory whose sync makes it durable.
    fn dir(&self) -> &Path {
        let path = match self {
            NameOp::Create(path) | NameOp::Rename(_, path) | NameOp::Remove(path) => path,
        };
        path.parent().unwrap_or(Path::new("/"))
    }
}

type Names = BTreeMap<PathBuf, Arc<Inode>>;

struct World {
    names: Names,
    durable_names: Names,
    /// Operations whose directory has not been synced, with the file they concern.
    pending: Vec<(NameOp, Arc<Inode>)>,
    dirs: BTreeSet<PathBuf>,
    locks: BTreeMap<PathBuf, u64>,
    random: SeededEntropy,
    calls: u64,
    faults: BTreeMap<u64, Fault>,
    standing: Option<FaultKind>,
    power_off: bool,
    capacity: u64,
    writable_maps: bool,
    boot: u64,
    /// Which life of which process the valid handles belong to.
    life: u64,
}

/// A simulated file system; clones are handles of the same process.
#[derive(Clone)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
    life: u64,
    boot: u64,
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk")
            .field("life", &self.life)
            .field("boot", &self.boot)
            .finish()
    }
}

fn apply_name(names: &mut Names, op: &NameOp, inode: &Arc<Inode>) {
    match op {
        NameOp::Create(path) => {
            names.insert(path.clone(), Arc::clone(inode));
        }
        NameOp::Rename(from, to) => {
            names.remove(from);
            names.insert(to.clone(), Arc::clone(inode));
        }
        NameOp::Remove(path) => {
            names.remove(path);
        }
    }
}

/// What the fault table says about the call at hand.
enum Verdict {
    Go,
    Fail(io::Error),
    /// Half of a write, then the error.
    Half(io::Error),
}

impl World {
    fn check(&self, life: u64) -> io::Result<()> {
        if self.power_off {
            return Err(io::Error::other("the power is off"));
        }
        if self.life != life {
            return Err(io::Error::other(
                "this handle belongs to a process that has ended",
            ));
        }
        Ok(())
    }

    /// Counts a mutating call and meets its fault.
    fn enter(&mut self, life: u64) -> io::Result<Verdict> {
        self.check(life)?;
        self.calls += 1;
        let fault = self.faults.remove(&self.calls);
        if let Some(fault) = fault.filter(|fault| fault.persistent) {
            self.standing = Some(fault.kind);
        }
        Ok(match fault.map(|fault| fault.kind).or(self.standing) {
            None => Verdict::Go,
            Some(FaultKind::Errno(errno)) => Verdict::Fail(io::Error::from_raw_os_error(errno)),
            Some(FaultKind::ShortWrite) => Verdict::Half(io::Error::from_raw_os_error(EIO)),
            Some(FaultKind::PowerCut) => Verdict::Half(io::Error::other("the power is off")),
        })
    }

    fn freeze_if_cut(&mut self, error: &io::Error) {
        if error.raw_os_error().is_none() {
            self.power_off = true;
            let inodes = self.names.values().chain(self.durable_names.values());
            for inode in inodes {
                let contents = inode.contents();
                inode.durable.lock().frozen.get_or_insert(contents);
            }
        }
    }

    fn used(&self) -> u64 {
        self.names
            .values()
            .map(|inode| inode.len().next_multiple_of(PAGE) as u64)
            .sum()
    }

    fn has_room(&self, old: usize, new: usize) -> bool {
        let growth = new
            .next_multiple_of(PAGE)
            .saturating_sub(old.next_multiple_of(PAGE)) as u64;
        self.used() + growth <= self.capacity
    }
}

impl SimDisk {
    /// An empty disk whose later choices follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> SimDisk {
        let world = World {
            names: Names::new(),
            durable_names: Names::new(),
            pending: Vec::new(),
            dirs: BTreeSet::from([PathBuf::from("/")]),
            locks: BTreeMap::new(),
            random: SeededEntropy::new(seed),
            calls: 0,
            faults: BTreeMap::new(),
            standing: None,
            power_off: false,
            capacity: u64::MAX,
            writable_maps: true,
            boot: 1,
            life: 1,
        };
        SimDisk {
            world: Arc::new(Mutex::new(world)),
            life: 1,
            boot: 1,
        }
    }

    /// Mutating calls so far, over all lives of the machine.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.world.lock().calls
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

    /// Bounds the bytes of all files.
    pub fn set_capacity(&self, bytes: u64) {
        self.world.lock().capacity = bytes;
    }

    /// What [`Disk::supports_writable_maps`] answers.
    pub fn set_writable_maps(&self, supported: bool) {
        self.world.lock().writable_maps = supported;
    }

    /// The machine after a power cut and a restart.
    #[must_use]
    pub fn power_cut(&self, policy: CutPolicy) -> SimDisk {
        let mut world = self.world.lock();
        let pending = std::mem::take(&mut world.pending);
        let mut names = std::mem::take(&mut world.durable_names);
        for (op, inode) in &pending {
            let kept = match policy {
                CutPolicy::DropAll => false,
                CutPolicy::KeepAll => true,
                CutPolicy::TearAll | CutPolicy::Random => world.random.next_u64().is_multiple_of(2),
            };
            if kept {
                apply_name(&mut names, op, inode);
            }
        }
        let survived: Names = names
            .iter()
            .map(|(path, inode)| (path.clone(), inode.after_cut(policy, &world.random)))
            .collect();
        world.names = survived.clone();
        world.durable_names = survived;
        world.boot += 1;
        self.next_life(&mut world)
    }

    /// The same machine after its process was killed.
    #[must_use]
    pub fn process_crash(&self) -> SimDisk {
        self.next_life(&mut self.world.lock())
    }

    fn next_life(&self, world: &mut World) -> SimDisk {
        world.life += 1;
        world.locks.clear();
        world.faults.clear();
        world.standing = None;
        world.power_off = false;
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
        let world = self.world.lock();
        let inode = &world.names[path];
        assert!(
            (offset as usize) < inode.len(),
            "{} has no byte {offset}",
            path.display()
        );
        let byte = inode.memory.read(offset as usize, 1)[0] ^ mask;
        inode.memory.write(offset as usize, &[byte]);
        if let Some(durable) = inode.durable.lock().bytes.get_mut(offset as usize) {
            *durable ^= mask;
        }
    }

    /// Cuts a file short, in the cache and on the disk.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn shorten(&self, path: &Path, len: u64) {
        let world = self.world.lock();
        let inode = &world.names[path];
        inode.len.fetch_min(len, Ordering::SeqCst);
        inode.durable.lock().bytes.truncate(len as usize);
    }

    /// Contents of a file as a process would read them.
    #[must_use]
    pub fn read_whole(&self, path: &Path) -> Option<Vec<u8>> {
        self.world.lock().names.get(path).map(|inode| inode.contents())
    }

    /// Names of all files.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.world.lock().names.keys().cloned().collect()
    }

    /// Runs a mutating call on names.
    fn change<T>(&self, act: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        let mut world = self.world.lock();
        match world.enter(self.life)? {
            Verdict::Go => act(&mut world),
            Verdict::Fail(error) | Verdict::Half(error) => {
                world.freeze_if_cut(&error);
                Err(error)
            }
        }
    }

    fn handle(&self, inode: Arc<Inode>) -> Arc<dyn File> {
        Arc::new(SimFile {
            disk: self.clone(),
            inode,
        })
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("{} does not exist", path.display()),
    )
}

impl Disk for SimDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        if self.world.lock().dirs.contains(path) {
            return self.world.lock().check(self.life);
        }
        self.change(|world| {
            let mut at = PathBuf::new();
            for part in path.components() {
                at.push(part);
                if world.names.contains_key(&at) {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
                world.dirs.insert(at.clone());
            }
            Ok(())
        })
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let inode = self.change(|world| {
            if !world.dirs.contains(path.parent().unwrap_or(Path::new("/"))) {
                return Err(not_found(path));
            }
            if world.names.contains_key(path) || world.dirs.contains(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let inode = Inode::new();
            world.names.insert(path.to_path_buf(), Arc::clone(&inode));
            world
                .pending
                .push((NameOp::Create(path.to_path_buf()), Arc::clone(&inode)));
            Ok(inode)
        })?;
        Ok(self.handle(inode))
    }

    fn open(&self, path: &Path, _mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let world = self.world.lock();
        world.check(self.life)?;
        let inode = world.names.get(path).cloned().ok_or_else(|| not_found(path))?;
        drop(world);
        Ok(self.handle(inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|world| {
            let inode = world.names.remove(from).ok_or_else(|| not_found(from))?;
            world.names.insert(to.to_path_buf(), Arc::clone(&inode));
            world
                .pending
                .push((NameOp::Rename(from.to_path_buf(), to.to_path_buf()), inode));
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change(|world| {
            let inode = world.names.remove(path).ok_or_else(|| not_found(path))?;
            world.pending.push((NameOp::Remove(path.to_path_buf()), inode));
            Ok(())
        })
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change(|world| {
            if !world.dirs.contains(path) {
                return Err(not_found(path));
            }
            let gone: Vec<PathBuf> = world
                .names
                .keys()
                .filter(|name| name.starts_with(path))
                .cloned()
                .collect();
            for name in gone {
                world.names.remove(&name);
                world.durable_names.remove(&name);
                world.pending.retain(|(op, _)| !op.dir().starts_with(path));
            }
            world.dirs.retain(|dir| !dir.starts_with(path));
            Ok(())
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.change(|world| {
            if !world.dirs.contains(path) {
                return Err(not_found(path));
            }
            let pending = std::mem::take(&mut world.pending);
            let (synced, rest): (Vec<_>, Vec<_>) = pending.into_iter().partition(|(op, _)| op.dir() == path);
            for (op, inode) in &synced {
                apply_name(&mut world.durable_names, op, inode);
            }
            world.pending = rest;
            Ok(())
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let world = self.world.lock();
        world.check(self.life)?;
        if !world.dirs.contains(path) {
            return Err(not_found(path));
        }
        let name = |entry: &Path| {
            entry
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        let dirs = world.dirs.iter().filter(|dir| dir.parent() == Some(path));
        let files = world.names.iter().filter(|(file, _)| file.parent() == Some(path));
        let mut entries: Vec<DirEntry> = dirs
            .map(|dir| DirEntry {
                name: name(dir),
                is_dir: true,
                len: 0,
            })
            .chain(files.map(|(file, inode)| DirEntry {
                name: name(file),
                is_dir: false,
                len: inode.len() as u64,
            }))
            .collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let world = self.world.lock();
        world.check(self.life)?;
        Ok(world.dirs.contains(path) || world.names.contains_key(path))
    }

    fn lock(&self, path: &Path) -> io::Result<LockOutcome> {
        let mut world = self.world.lock();
        world.check(self.life)?;
        if let Some(life) = world.locks.get(path) {
            return Ok(LockOutcome::Held(LockHolder {
                pid: *life as u32,
                host: "simulated".into(),
            }));
        }
        if !world.names.contains_key(path) {
            let inode = Inode::new();
            world.names.insert(path.to_path_buf(), Arc::clone(&inode));
            world.pending.push((NameOp::Create(path.to_path_buf()), inode));
        }
        world.locks.insert(path.to_path_buf(), self.life);
        Ok(LockOutcome::Acquired(Box::new(SimLock {
            disk: self.clone(),
            path: path.to_path_buf(),
        })))
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let world = self.world.lock();
        world.check(self.life)?;
        Ok(world.capacity.saturating_sub(world.used()))
    }

    fn supports_writable_maps(&self, _path: &Path) -> io::Result<bool> {
        let world = self.world.lock();
        world.check(self.life)?;
        Ok(world.writable_maps)
    }

    fn boot_id(&self) -> [u8; 16] {
        let mut id = [0xB0; 16];
        id[..8].copy_from_slice(&self.boot.to_le_bytes());
        id
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut world = self.disk.world.lock();
        if world.life == self.disk.life {
            world.locks.remove(&self.path);
        }
    }
}

struct SimFile {
    disk: SimDisk,
    inode: Arc<Inode>,
}

impl std::fmt::Debug for SimFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimFile").field("len", &self.inode.len()).finish()
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.world.lock().check(self.disk.life)?;
        let len = self.inode.len();
        let start = (offset as usize).min(len);
        let count = buf.len().min(len - start);
        buf[..count].copy_from_slice(&self.inode.memory.read(start, count));
        Ok(count)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut world = self.disk.world.lock();
        let verdict = world.enter(self.disk.life)?;
        let end = offset as usize + buf.len();
        if end > RESERVED_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        match verdict {
            Verdict::Fail(error) => Err(error),
            Verdict::Half(error) => {
                self.inode.write(offset as usize, &buf[..buf.len() / 2]);
                world.freeze_if_cut(&error);
                Err(error)
            }
            Verdict::Go if !world.has_room(self.inode.len(), end) => {
                Err(io::Error::from_raw_os_error(ENOSPC))
            }
            Verdict::Go => {
                self.inode.write(offset as usize, buf);
                Ok(())
            }
        }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if len as usize > RESERVED_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.disk.change(|world| {
            if !world.has_room(self.inode.len(), len as usize) {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            self.inode.len.fetch_max(len, Ordering::SeqCst);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.disk.world.lock();
        match world.enter(self.disk.life)? {
            Verdict::Go => {
                self.inode.sync();
                Ok(())
            }
            Verdict::Fail(error) | Verdict::Half(error) => {
                self.inode.fail_sync();
                world.freeze_if_cut(&error);
                if world.power_off {
                    // The cut decides what survives; no kernel was left to call pages clean.
                    self.inode.durable.lock().lost.clear();
                }
                Err(error)
            }
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.world.lock().check(self.disk.life)?;
        Ok(self.inode.len() as u64)
    }

    fn map(&self, len: usize, access: MapAccess) -> io::Result<Map> {
        self.disk.world.lock().check(self.disk.life)?;
        if len > self.inode.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a map reaches past the end of its file",
            ));
        }
        // SAFETY: the memory is page-aligned, covers RESERVED_BYTES >= len and stays at its address
        // as long as the inode lives, which the map holds.
        Ok(unsafe {
            Map::new(
                self.inode.memory.0,
                len,
                access,
                Box::new(Arc::clone(&self.inode)),
            )
        })
    }
}

#[cfg(test)]
mod tests;
