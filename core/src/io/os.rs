//! The real machine: files, locks and maps of Linux.
//!
//! In: paths and offsets. Out: what the kernel says, errno kept. Where std has no call for what
//! the traits promise (blocks behind every byte, `fdatasync` errors, locks that end with the
//! process), libc is used directly.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;

use super::{DirEntry, Disk, File, LockGuard, LockHolder, LockOutcome, Map, MapAccess, OpenMode};

/// File systems on which a shared writable map is coherent with `pwrite`, reports errors on sync
/// and never copies on write: ext2/3/4, XFS, tmpfs. Magic numbers from statfs(2).
const MAP_SAFE: [i64; 3] = [0xEF53, 0x5846_5342, 0x0102_1994];

/// The operating system's file systems.
#[derive(Clone, Debug)]
pub struct OsDisk {
    boot_id: [u8; 16],
}

impl OsDisk {
    /// Reads the machine's boot id; zeros (never the same boot) where it has none.
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
                Ok(()) => self.sync_dir(parent(dir))?,
                // Another process may be creating the same path.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
                Err(e) => return Err(e),
            }
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
        if !try_ofd_lock(&file)? {
            let mut text = String::new();
            // Whoever holds it may be writing its name just now; an unknown holder is no error.
            let _ = file.read_to_string(&mut text);
            let mut words = text.split_whitespace();
            let pid = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            let host = words.next().unwrap_or_default().to_owned();
            return Ok(LockOutcome::Held(LockHolder { pid, host }));
        }
        file.set_len(0)?;
        file.write_all(format!("{} {}\n", std::process::id(), host_name()).as_bytes())?;
        Ok(LockOutcome::Acquired(Box::new(OsLock { _file: file })))
    }

    #[expect(unsafe_code, reason = "std has no call for free space")]
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let path = c_path(path)?;
        // SAFETY: an all-zero statvfs is a valid value to be overwritten.
        let mut info: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: `path` is NUL-terminated, `info` is writable.
        if unsafe { libc::statvfs(path.as_ptr(), &mut info) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(info.f_bavail.saturating_mul(info.f_frsize))
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
        Ok(MAP_SAFE.contains(&info.f_type))
    }

    fn boot_id(&self) -> [u8; 16] {
        self.boot_id
    }
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
#[expect(unsafe_code, reason = "std has no open file description locks")]
fn try_ofd_lock(file: &fs::File) -> io::Result<bool> {
    // SAFETY: an all-zero flock is a valid value; OFD locks demand `l_pid` to be zero.
    let mut request: libc::flock = unsafe { std::mem::zeroed() };
    request.l_type = libc::F_WRLCK as libc::c_short;
    request.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: the descriptor is open and `request` is a valid flock.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &request) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

/// Keeps the descriptor, and with it the lock. The file stays: removing it would let two
/// processes lock two different files of one name.
#[derive(Debug)]
struct OsLock {
    _file: fs::File,
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
        // SAFETY: the descriptor is open; lengths are below 2^63.
        let status = unsafe { libc::posix_fallocate(self.0.as_raw_fd(), 0, len as libc::off_t) };
        match status {
            0 => Ok(()),
            // The file system cannot allocate: zeros put blocks there as well.
            libc::EOPNOTSUPP | libc::EINVAL => {
                let zeros = vec![0u8; 1 << 20];
                let mut at = old;
                while at < len {
                    let piece = zeros.len().min((len - at) as usize);
                    self.0.write_all_at(&zeros[..piece], at)?;
                    at += piece as u64;
                }
                Ok(())
            }
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    #[expect(unsafe_code, reason = "maps are made here and wrapped at once")]
    fn map(&self, len: usize, access: MapAccess) -> io::Result<Map> {
        let mut options = memmap2::MmapOptions::new();
        options.len(len);
        match access {
            MapAccess::Read => {
                // SAFETY: the file is at least `len` bytes long and never shrinks, by the contract
                // of `File::map`; concurrent stores to it are handled by the accessors of `Map`.
                let map = unsafe { options.map(&self.0)? };
                let base = NonNull::new(map.as_ptr().cast_mut()).expect("a map has an address");
                // SAFETY: page-aligned, `len` bytes, readable while the boxed map lives.
                Ok(unsafe { Map::new(base, len, access, Box::new(map)) })
            }
            MapAccess::Write => {
                // SAFETY: as above.
                let mut map = unsafe { options.map_mut(&self.0)? };
                // A child of fork must not store into its parent's log.
                map.advise(memmap2::Advice::DontFork)?;
                let base = NonNull::new(map.as_mut_ptr()).expect("a map has an address");
                // SAFETY: page-aligned, `len` bytes, writable while the boxed map lives.
                Ok(unsafe { Map::new(base, len, access, Box::new(map)) })
            }
        }
    }
}

/// Absolute form of `path` for messages, without touching the file system.
#[must_use]
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
