//! One process at a time: whoever trains a run holds its lock.

use crate::atomic::unwritable;
use microgpt::Error;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// A hidden file in the run's folder. The lock is the system's, not the file: it is gone with the process, however that ends.
const NAME: &str = ".lock";

/// The right to write to a run's folder, for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the run in `root`. Where the disk knows no locks, there is none to take.
    ///
    /// # Errors
    /// Another process has it; the disk's.
    pub fn take(root: &Path) -> Result<Lock, Error> {
        let path = root.join(NAME);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(unwritable(&path))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                let _ = file.read_to_string(&mut process);
                let process = process.trim();
                let who = if process.is_empty() { String::new() } else { format!(" (process {process})") };
                return Err(Error::checkpoint(format!(
                    "{}: expected a run that nobody else is writing to, found one in use{who}",
                    root.display()
                )));
            }
            // Who holds it is told to others, if there is room to tell.
            Ok(()) => {
                let _ = file.set_len(0);
                let _ = file.rewind().and_then(|()| writeln!(file, "{}", std::process::id()));
            }
            Err(TryLockError::Error(_)) => {}
        }
        Ok(Lock { _file: file })
    }

    /// Is somebody training the run in `root`?
    pub fn is_taken(root: &Path) -> bool {
        let file = File::open(root.join(NAME));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        assert!(!Lock::is_taken(root.path()));
        let lock = Lock::take(root.path()).unwrap();
        assert!(Lock::is_taken(root.path()));
        let error = Lock::take(root.path()).unwrap_err().to_string();
        let process = format!("found one in use (process {})", std::process::id());
        assert!(error.ends_with(&process), "{error}");
        drop(lock);
        assert!(!Lock::is_taken(root.path()));
        Lock::take(root.path()).unwrap();
        assert!(Lock::take(&root.path().join("none")).is_err());
    }
}
