//! The files of decoys: made where nothing is, never through a link, with folders that can be taken away again; looked at
//! without leaving a trace; removed only while they are still what was put there.

use std::io::{self, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// No decoy is as long: what is there instead is somebody's file.
const LONGEST: u64 = 1 << 20;

/// What is at the place of a decoy.
pub struct Found {
    /// All of it.
    pub content: Vec<u8>,
    /// When the system says that it was read last, in milliseconds since 1970; 0 if it does not say.
    pub accessed: u64,
}

/// A file that was not there, for content that a person wants written. It is private and empty.
pub struct Fresh {
    folder: Folder,
    path: PathBuf,
    file: std::fs::File,
}

impl Fresh {
    /// Makes it. No folder is made for it.
    ///
    /// # Errors
    /// If something is there already, a folder on the way is missing or a link, or the system refuses.
    pub fn make(path: &Path) -> io::Result<Self> {
        let missing = || io::Error::new(io::ErrorKind::InvalidInput, "it is no path of a file");
        let root = path.ancestors().last().filter(|root| root.has_root()).ok_or_else(missing)?;
        let below = path.strip_prefix(root).map_err(|_| missing())?;
        let folder = Folder::open(root)?.descend(root, below, false, &mut Vec::new())?;
        let file = folder.create(path)?;
        Ok(Self { folder, path: path.to_owned(), file })
    }

    /// Writes `content`, and lets its owner run it if `executable` says so.
    ///
    /// # Errors
    /// If the system refuses; what is there then is for [`Self::take_away`].
    pub fn fill(&self, content: &[u8], executable: bool) -> io::Result<()> {
        let mut file = &self.file;
        file.write_all(content)?;
        #[cfg(unix)]
        if executable {
            self.file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        }
        #[cfg(not(unix))]
        let _ = executable;
        self.file.sync_all()
    }

    /// Takes it away again.
    pub fn take_away(self) {
        let _ = self.folder.remove(&self.path);
    }
}

/// Whether anything is at `path` below `root`, be it a link to nowhere.
pub fn is_taken(root: &Path, path: &Path) -> bool {
    std::fs::symlink_metadata(root.join(path)).is_ok()
}

/// Makes the file `path` below `root` with this content, private, dated `time` (seconds since 1970), and the folders on
/// the way that are not there. Returns those, outermost first.
///
/// # Errors
/// If something is there already, a folder on the way is a link, or the system refuses. Nothing is left behind then.
pub fn make(root: &Path, path: &Path, content: &[u8], time: u64) -> io::Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    let result = folders(root, path, &mut made).and_then(|folder| {
        let file = folder.create(&root.join(path))?;
        let written = fill(file, content, time);
        if written.is_err() {
            let _ = folder.remove(&root.join(path));
        }
        written
    });
    match result {
        Ok(()) => Ok(made),
        Err(error) => {
            remove_folders(&made);
            Err(error)
        }
    }
}

fn fill(mut file: std::fs::File, content: &[u8], time: u64) -> io::Result<()> {
    file.write_all(content)?;
    let time = UNIX_EPOCH + Duration::from_secs(time);
    // Read last when it was written last: the next reading is then noted even where the system notes few of them.
    file.set_times(std::fs::FileTimes::new().set_modified(time).set_accessed(time))?;
    file.sync_all()
}

/// What is at `path` below `root`; `None` if nothing is. Its time of reading is not moved, where the system allows that.
///
/// # Errors
/// If what is there is no plain file of a decoy's size, lies behind a link, or cannot be read.
pub fn look(root: &Path, path: &Path) -> io::Result<Option<Found>> {
    let mut none = Vec::new();
    let folder = match Folder::open(root).and_then(|folder| folder.descend(root, path, false, &mut none)) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let file = match folder.read(&root.join(path)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > LONGEST {
        return Err(io::Error::other("it is another kind of file than what was planted"));
    }
    let accessed = metadata.accessed().ok();
    let mut content = Vec::new();
    file.take(LONGEST).read_to_end(&mut content)?;
    Ok(Some(Found { content, accessed: accessed.map_or(0, millis) }))
}

/// Removes the file `path` below `root` if `ours` says so of its content. Returns whether it did.
///
/// # Errors
/// As [`look`], and if it cannot be removed.
pub fn remove(root: &Path, path: &Path, ours: impl FnOnce(&[u8]) -> bool) -> io::Result<bool> {
    let Some(found) = look(root, path)? else { return Ok(false) };
    if !ours(&found.content) {
        return Ok(false);
    }
    let folder = Folder::open(root)?.descend(root, path, false, &mut Vec::new())?;
    folder.remove(&root.join(path))?;
    Ok(true)
}

/// Takes folders away that are empty, innermost first. One that has something in it is somebody's by now.
pub fn remove_folders(made: &[PathBuf]) {
    for folder in made.iter().rev() {
        let _ = std::fs::remove_dir(folder);
    }
}

fn folders(root: &Path, path: &Path, made: &mut Vec<PathBuf>) -> io::Result<Folder> {
    Folder::open(root)?.descend(root, path, true, made)
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The names of the folders on the way to `path`.
fn names(path: &Path) -> io::Result<Vec<&std::ffi::OsStr>> {
    let parent = path.parent().unwrap_or(Path::new(""));
    let name = |component| match component {
        Component::Normal(name) => Ok(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the place is not below the home directory")),
    };
    parent.components().map(name).collect()
}

#[cfg(unix)]
use unix::Folder;

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::path::{Path, PathBuf};

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, unlinkat};

    use super::names;

    /// An open folder: what is done in it is done there, whatever its name leads to meanwhile.
    pub struct Folder(OwnedFd);

    impl Folder {
        /// Opens the user's home, which may be a link.
        pub fn open(root: &Path) -> io::Result<Self> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(Self(openat(CWD, root, flags, Mode::empty())?))
        }

        /// The folder that `path` lies in, through no link, made if `make` says so.
        pub fn descend(
            mut self,
            root: &Path,
            path: &Path,
            make: bool,
            made: &mut Vec<PathBuf>,
        ) -> io::Result<Self> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut here = root.to_owned();
            for name in names(path)? {
                here.push(name);
                let mut next = openat(&self.0, name, flags, Mode::empty());
                if make && next.as_ref().is_err_and(|error| *error == rustix::io::Errno::NOENT) {
                    mkdirat(&self.0, name, Mode::RWXU)?;
                    made.push(here.clone());
                    next = openat(&self.0, name, flags, Mode::empty());
                }
                self = Self(next?);
            }
            Ok(self)
        }

        /// Makes a file that was not there.
        pub fn create(&self, path: &Path) -> io::Result<File> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(openat(&self.0, last(path)?, flags, Mode::RUSR | Mode::WUSR)?.into())
        }

        /// Opens a file to read it, no link and nothing that would wait for a writer.
        pub fn read(&self, path: &Path) -> io::Result<File> {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            #[cfg(target_os = "linux")]
            if let Ok(file) = openat(&self.0, last(path)?, flags | OFlags::NOATIME, Mode::empty()) {
                return Ok(file.into());
            }
            Ok(openat(&self.0, last(path)?, flags, Mode::empty())?.into())
        }

        /// Takes a file away.
        pub fn remove(&self, path: &Path) -> io::Result<()> {
            Ok(unlinkat(&self.0, last(path)?, AtFlags::empty())?)
        }
    }

    fn last(path: &Path) -> io::Result<&std::ffi::OsStr> {
        path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
    }
}

#[cfg(not(unix))]
use elsewhere::Folder;

#[cfg(not(unix))]
mod elsewhere {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::path::{Path, PathBuf};

    use super::names;

    /// Where there are no handles to work from, names are looked at before they are used.
    pub struct Folder;

    impl Folder {
        pub fn open(root: &Path) -> io::Result<Self> {
            std::fs::metadata(root).map(|_| Self)
        }

        pub fn descend(
            self,
            root: &Path,
            path: &Path,
            make: bool,
            made: &mut Vec<PathBuf>,
        ) -> io::Result<Self> {
            let mut here = root.to_owned();
            for name in names(path)? {
                here.push(name);
                match std::fs::symlink_metadata(&here) {
                    Ok(metadata) if metadata.is_dir() => {}
                    Ok(_) => return Err(io::Error::other("a folder on the way is a link")),
                    Err(error) if make && error.kind() == io::ErrorKind::NotFound => {
                        std::fs::create_dir(&here)?;
                        made.push(here.clone());
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(self)
        }

        pub fn create(&self, path: &Path) -> io::Result<File> {
            OpenOptions::new().write(true).create_new(true).open(path)
        }

        pub fn read(&self, path: &Path) -> io::Result<File> {
            if !std::fs::symlink_metadata(path)?.is_file() {
                return Err(io::Error::other("it is no plain file"));
            }
            File::open(path)
        }

        pub fn remove(&self, path: &Path) -> io::Result<()> {
            std::fs::remove_file(path)
        }
    }
}
