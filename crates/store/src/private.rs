//! Private files and directories: the one module that knows what the operating system calls private.
//!
//! On Unix: mode 0600 and 0700, set when the file is created, never afterwards. Elsewhere new files take
//! the access list of their directory, which in a user's profile is the user's own.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Widest mode of a private file.
pub(crate) const FILE_MODE: u32 = 0o600;
/// Widest mode of a private directory.
pub(crate) const DIR_MODE: u32 = 0o700;

/// Creates `path` and its parents, private; fine if it is there.
pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, DIR_MODE);
    builder.create(path)
}

/// Creates `path`, private, for writing; an error if it is there.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options);
    options.open(path)
}

/// Opens `path` for writing, created private if absent; contents are kept.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    private(&mut options);
    options.open(path)
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, FILE_MODE);
}

#[cfg(not(unix))]
fn private(_: &mut OpenOptions) {}

/// The permission bits of `path`, where the system has such; `None` if it has not or nothing is there.
#[cfg(unix)]
pub(crate) fn mode(path: &Path) -> Option<u32> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777)
}

/// The permission bits of `path`, where the system has such; `None` if it has not or nothing is there.
#[cfg(not(unix))]
pub(crate) fn mode(_: &Path) -> Option<u32> {
    None
}

/// Makes a rename inside `dir` durable.
#[cfg(unix)]
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes a rename inside `dir` durable.
#[cfg(not(unix))]
pub(crate) fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}
