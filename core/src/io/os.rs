//! The real machine: files, locks and maps of Linux.
//!
//! In: paths and offsets. Out: what the kernel says, errno kept. Where std has no call for what
//! the traits promise (blocks behind every byte, `fdatasync` errors, locks that end with the
//! process), libc is used directly. This file must never hide an errno, and never shrink a file
//! that may be mapped.

#[cfg(not(target_os = "linux"))]
compile_error!("open file description locks, CLOCK_BOOTTIME and MADV_DONTFORK are Linux's");

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{DirEntry, Disk, File, LockGuard, LockHolder, LockOutcome, Map, MapAccess, OpenMode, fork};

/// File systems on which a shared writable map is coherent with `pwrite`, reports errors on sync
/// and never copies on write: ext2/3/4, XFS, tmpfs. Magic numbers from statfs(2).
const MAP_SAFE: [u32; 3] = [0xEF53, 0x5846_5342, 0x0102_1994];

/// The operating system's file systems.
#[derive(Clone, Debug)]
pub struct OsDisk {
    boot_id: [u8; 16],
}

impl OsDisk {
    /// Reads the machine's boot id; zeros where it has none, which callers take as "unknown" and
    /// never as "the same boot", not even beside other zeros.
    #[must_use]
    pub fn new() -> OsDisk {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        OsDisk {
            boot_id: parse_boot_id(&text).unwrap_or_default(),
        }
    }
}

impl Default for OsDisk {
    fn default() -> OsDisk {
        OsDisk::new()
    }
}

fn parse_boot_id(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    if digits.len() != 32 {
        return None;
    }
    let mut id = [0u8; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(id)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl Disk for OsDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut missing = Vec::new();
        let mut at = path.to_path_buf();
        while !at.as_os_str().is_empty() && !at.exists() {
            missing.push(at.clone());
            at = parent(&at).to_path_buf();
        }
        for dir in missing.iter().rev() {
            match fs::create_dir(dir) {
                Ok(()) => {}
                // Another process may be creating the same path, and not have synced it yet.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
                Err(e) => return Err(e),
            }
            self.sync_dir(parent(dir))?;
        }
        if path.is_dir() {
            Ok(())
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let write = mode == OpenMode::ReadWrite;
        let file = OpenOptions::new().read(true).write(write).open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Arc::new(OsFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed between the listing and the look.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            let is_dir = metadata.is_dir();
            let len = if is_dir { 0 } else { metadata.len() };
            entries.push(DirEntry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_dir,
                len,
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn lock(&self, path: &Path) -> io::Result<LockOutcome> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        if !try_ofd_lock(&file, 0, 0)? {
            let mut text = Vec::new();
            // Whoever holds it may be writing its name just now; an unknown holder is no error.
            let _ = file.read_to_end(&mut text);
            return Ok(LockOutcome::Held(LockHolder::parse(&text)));
        }
        let holder = LockHolder {
            pid: std::process::id(),
            host: host_name(),
        }
        .to_text();
        // Overwritten in place: no block is given up, so that a full disk can still be opened. The
        // text only serves messages; the lock holds with or without it.
        match file
            .write_all_at(holder.as_bytes(), 0)
            .and_then(|()| file.set_len(holder.len() as u64))
        {
            Err(e)
                if !matches!(
                    e.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                Err(e)
            }
            _ => Ok(LockOutcome::Acquired(Box::new(OsLock::new(file)))),
        }
    }

    fn lock_holder(&self, path: &Path) -> io::Result<Option<LockHolder>> {
        let mut file = fs::File::open(path)?;
        if !ofd_lock_is_held(&file, 0, 0)? {
            return Ok(None);
        }
        let mut text = Vec::new();
        // As in `lock`: a holder that cannot be told is one all the same.
        let _ = file.read_to_end(&mut text);
        Ok(Some(LockHolder::parse(&text)))
    }

    fn lock_byte(&self, path: &Path, at: u64) -> io::Result<Option<Box<dyn LockGuard>>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        if try_ofd_lock(&file, at, 1)? {
            Ok(Some(Box::new(OsLock::new(file))))
        } else {
            Ok(None)
        }
    }

    fn is_byte_locked(&self, path: &Path, at: u64) -> io::Result<bool> {
        ofd_lock_is_held(&fs::File::open(path)?, at, 1)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let info = space(path)?;
        Ok(info.f_bavail.saturating_mul(info.f_frsize))
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        let info = space(path)?;
        Ok(info.f_blocks.saturating_mul(info.f_frsize))
    }

    #[expect(unsafe_code, reason = "std has no call for the kind of a file system")]
    fn supports_writable_maps(&self, path: &Path) -> io::Result<bool> {
        let path = c_path(path)?;
        // SAFETY: an all-zero statfs is a valid value to be overwritten.
        let mut info: libc::statfs = unsafe { std::mem::zeroed() };
        // SAFETY: `path` is NUL-terminated, `info` is writable.
        if unsafe { libc::statfs(path.as_ptr(), &mut info) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // The field's type differs between C libraries; magic numbers have 32 bits.
        Ok(u32::try_from(info.f_type).is_ok_and(|kind| MAP_SAFE.contains(&kind)))
    }

    fn file_id(&self, path: &Path) -> io::Result<Option<[u64; 2]>> {
        use std::os::unix::fs::MetadataExt;
        let found = fs::metadata(path)?;
        Ok(Some([found.dev(), found.ino()]))
    }

    fn boot_id(&self) -> [u8; 16] {
        self.boot_id
    }
}

#[expect(unsafe_code, reason = "std has no call for free space")]
fn space(path: &Path) -> io::Result<libc::statvfs> {
    let path = c_path(path)?;
    // SAFETY: an all-zero statvfs is a valid value to be overwritten.
    let mut info: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` is NUL-terminated, `info` is writable.
    if unsafe { libc::statvfs(path.as_ptr(), &mut info) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(info)
}

fn c_path(path: &Path) -> io::Result<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a path holds a NUL byte"))
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        "localhost".into()
    } else {
        name.into()
    }
}

/// Open file description locks belong to the handle, not to the process: a second handle of the
/// same process is refused as well, and they end with the last descriptor however that happens.
fn try_ofd_lock(file: &fs::File, start: u64, len: u64) -> io::Result<bool> {
    match ofd_lock(file, libc::F_OFD_SETLK, start, len) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether another handle holds a lock on these bytes.
fn ofd_lock_is_held(file: &fs::File, start: u64, len: u64) -> io::Result<bool> {
    Ok(ofd_lock(file, libc::F_OFD_GETLK, start, len)?.l_type != libc::F_UNLCK as libc::c_short)
}

/// Lets go of every lock on the file, whoever else has a copy of its descriptor.
fn ofd_unlock(file: &fs::File) -> io::Result<()> {
    ofd_call(file, libc::F_OFD_SETLK, libc::F_UNLCK, 0, 0).map(drop)
}

/// One lock call for an exclusive lock on `len` bytes; 0 means to the end of any file.
fn ofd_lock(file: &fs::File, command: libc::c_int, start: u64, len: u64) -> io::Result<libc::flock> {
    ofd_call(file, command, libc::F_WRLCK, start, len)
}

#[expect(unsafe_code, reason = "std has no open file description locks")]
fn ofd_call(
    file: &fs::File,
    command: libc::c_int,
    kind: libc::c_int,
    start: u64,
    len: u64,
) -> io::Result<libc::flock> {
    let offset =
        |bytes| libc::off_t::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    // SAFETY: an all-zero flock is a valid value; OFD locks demand `l_pid` to be zero.
    let mut request: libc::flock = unsafe { std::mem::zeroed() };
    request.l_type = kind as libc::c_short;
    request.l_whence = libc::SEEK_SET as libc::c_short;
    request.l_start = offset(start)?;
    request.l_len = offset(len)?;
    // SAFETY: the descriptor is open and `request` is a valid flock.
    if unsafe { libc::fcntl(file.as_raw_fd(), command, &mut request) } == 0 {
        Ok(request)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Keeps the descriptor, and with it the lock. The file stays: removing it would let two
/// processes lock two different files of one name.
#[derive(Debug)]
struct OsLock {
    file: fs::File,
    /// Whose lock it is: a child of fork that came around the hook of [`fork`] must not end it.
    pid: u32,
}

impl OsLock {
    fn new(file: fs::File) -> OsLock {
        fork::hold(file.as_raw_fd());
        let pid = std::process::id();
        OsLock { file, pid }
    }
}

impl Drop for OsLock {
    fn drop(&mut self) {
        fork::release(self.file.as_raw_fd());
        // Closing would not do: a program that another thread is just starting has a copy of the descriptor
        // until it runs, and would keep the lock that long.
        if self.pid == std::process::id()
            && let Err(error) = ofd_unlock(&self.file)
        {
            tracing::warn!(%error, "a lock was not let go before its file was closed");
        }
    }
}

impl LockGuard for OsLock {}

#[derive(Debug)]
struct OsFile(fs::File);

impl File for OsFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.0.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }

    #[expect(unsafe_code, reason = "std has no call that puts blocks behind every byte")]
    fn allocate(&self, len: u64) -> io::Result<()> {
        let old = self.len()?;
        if len <= old {
            return Ok(());
        }
        let (Ok(start), Ok(growth)) = (libc::off_t::try_from(old), libc::off_t::try_from(len - old)) else {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        };
        // Only the new part: where the file system has no such call, the C library writes zeros by
        // itself, which must not race with stores to bytes that are in use.
        let errno = loop {
            // SAFETY: takes numbers only; the descriptor is open as long as `self` lives.
            let errno = unsafe { libc::posix_fallocate(self.0.as_raw_fd(), start, growth) };
            if errno != libc::EINTR {
                break errno;
            }
        };
        match errno {
            0 => Ok(()),
            libc::EOPNOTSUPP | libc::EINVAL => self.write_zeros(old, len),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn map(&self, len: usize, access: MapAccess) -> io::Result<Map> {
        if len == 0 || len as u64 > self.len()? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a map is not empty and ends within its file",
            ));
        }
        let mut options = memmap2::MmapOptions::new();
        options.len(len);
        let raw = match access {
            MapAccess::Read if self.has_holes(len)? => {
                // Some file systems (tmpfs) need a block even to read a hole through a map.
                match self.fill_holes(len) {
                    Err(e) if e.raw_os_error() != Some(libc::EBADF) => return Err(e),
                    _ => {}
                }
                let raw = options.map_raw_read_only(&self.0)?;
                // Of a file opened for reading: faults now, as an error, instead of later, as a signal.
                raw.advise(memmap2::Advice::PopulateRead)?;
                raw
            }
            MapAccess::Read => options.map_raw_read_only(&self.0)?,
            MapAccess::Write => {
                // A copy of a store may have holes where its files had zeros.
                match self.fill_holes(len) {
                    // Opened for reading: the map says so, as `EACCES`.
                    Err(e) if e.raw_os_error() != Some(libc::EBADF) => return Err(e),
                    _ => {}
                }
                let raw = options.map_raw(&self.0)?;
                // A child of fork must not store into its parent's log.
                raw.advise(memmap2::Advice::DontFork)?;
                raw
            }
        };
        Ok(Map::of_file(raw, access))
    }
}

impl OsFile {
    /// Whether the file takes fewer blocks than its length needs. Compressing file systems say so, too.
    fn has_holes(&self, len: usize) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt;
        Ok(self.0.metadata()?.blocks().saturating_mul(512) < len as u64)
    }

    /// Puts blocks behind every byte below `len`, which exist: a store into a hole kills the process
    /// once the disk is full. Contents stay, and where nothing is missing nothing happens. A file
    /// system that cannot do this (and on which writable maps are not used by themselves) is left alone.
    #[expect(unsafe_code, reason = "std has no call that puts blocks behind every byte")]
    fn fill_holes(&self, len: usize) -> io::Result<()> {
        let Ok(len) = libc::off_t::try_from(len) else {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        };
        loop {
            // SAFETY: takes numbers only; the descriptor is open as long as `self` lives.
            if unsafe { libc::fallocate(self.0.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, 0, len) } == 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EOPNOTSUPP | libc::ENOSYS) => return Ok(()),
                _ => return Err(error),
            }
        }
    }

    /// Where the file system cannot allocate, zeros put blocks behind the bytes as well.
    fn write_zeros(&self, from: u64, to: u64) -> io::Result<()> {
        let zeros = vec![0u8; 1 << 20];
        let mut at = from;
        while at < to {
            let piece = (zeros.len() as u64).min(to - at);
            self.0.write_all_at(&zeros[..piece as usize], at)?;
            at += piece;
        }
        Ok(())
    }
}

/// Wall clock in milliseconds, as of the last timer tick: stamps are taken on every write, and the
/// finer clock costs as much as copying a record. Before 1970 it shows 0.
#[expect(unsafe_code, reason = "std has no coarse clock")]
pub(super) fn wall_ms() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid timespec to write to.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &mut now) };
    assert_eq!(status, 0, "CLOCK_REALTIME_COARSE exists since Linux 2.6.32");
    u64::try_from(now.tv_sec).map_or(0, |seconds| seconds * 1000 + now.tv_nsec as u64 / 1_000_000)
}

/// Time since the machine started, suspend included.
#[expect(unsafe_code, reason = "std has no clock that counts suspend")]
pub(super) fn time_since_boot() -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid timespec to write to.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut now) };
    assert_eq!(status, 0, "CLOCK_BOOTTIME exists since Linux 2.6.39");
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

/// 64 bits of the kernel's randomness; waits for its pool early after a start.
#[expect(unsafe_code, reason = "std has no public source of random bytes")]
pub(super) fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    loop {
        // SAFETY: the buffer is 8 bytes long and writable.
        let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        // Requests up to 256 bytes come whole; a signal may interrupt the wait for the pool.
        if got == 8 {
            return u64::from_ne_bytes(bytes);
        }
        let error = io::Error::last_os_error();
        assert_eq!(
            error.kind(),
            io::ErrorKind::Interrupted,
            "getrandom exists since Linux 3.17: {error}"
        );
    }
}

/// Absolute form of `path` for messages, without touching the file system.
#[must_use]
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_id_is_parsed_or_unknown() {
        let id = parse_boot_id("00112233-4455-6677-8899-aabbccddeeff\n").expect("well-formed");
        assert_eq!(id[..3], [0x00, 0x11, 0x22]);
        assert_eq!(id[15], 0xFF);
        assert_eq!(parse_boot_id(""), None);
        assert_eq!(parse_boot_id("00112233"), None);
        assert_eq!(OsDisk::new().boot_id(), OsDisk::new().boot_id());
    }

    #[test]
    fn absurd_length_is_refused_instead_of_filling_the_disk() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = OsDisk::new().create(&dir.path().join("f")).expect("created");
        assert_eq!(
            file.allocate(u64::MAX).unwrap_err().raw_os_error(),
            Some(libc::EFBIG)
        );
        assert_eq!(file.len().expect("length"), 0);
    }

    #[test]
    fn allocated_bytes_have_blocks_behind_them() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("f");
        OsDisk::new()
            .create(&path)
            .expect("created")
            .allocate(1 << 20)
            .expect("allocated");
        let blocks = fs::metadata(&path).expect("metadata").blocks();
        assert!(blocks * 512 >= 1 << 20, "{blocks} blocks of 512 bytes");
    }

    #[test]
    fn zeros_stand_in_where_nothing_can_be_allocated() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("f");
        fs::write(&path, b"kept").expect("written");
        let file = OsFile(
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(&path)
                .expect("opened"),
        );
        file.write_zeros(4, (1 << 20) + 100).expect("zeros");
        let found = fs::read(&path).expect("read");
        assert_eq!((found.len(), &found[..4]), ((1 << 20) + 100, b"kept".as_slice()));
        assert!(found[4..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_lock_ends_with_its_guard_even_where_its_descriptor_lives_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let disk = OsDisk::new();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .unwrap();
        assert!(try_ofd_lock(&file, 0, 0).unwrap());
        // As a program has it that is being started in this moment.
        let copy = file.try_clone().unwrap();
        drop(OsLock::new(file));
        assert!(matches!(disk.lock(&path).unwrap(), LockOutcome::Acquired(_)));
        drop(copy);
    }

    #[test]
    fn lock_file_names_process_and_host_and_outlives_its_lock() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("LOCK");
        fs::write(&path, "4294967295 a-host-with-a-long-name-that-was-here-before\n").expect("written");
        let guard = OsDisk::new().lock(&path).expect("locked");
        let text = fs::read_to_string(&path).expect("read");
        assert_eq!(text, format!("{} {}\n", std::process::id(), host_name()));
        drop(guard);
        assert!(path.exists());
    }

    #[test]
    fn name_that_is_not_utf8_is_listed_lossily() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().expect("temporary directory");
        fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"\xFFx")), b"").expect("written");
        let names = OsDisk::new().list(dir.path()).expect("listed");
        assert_eq!(names[0].name, "\u{FFFD}x");
    }
}
