//! Files that are there whole or not at all: written under a temporary name, brought to the disk, then renamed.

use microgpt::Error;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Why a file could not be used, in words without the system's numbers.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file or folder".to_string(),
        ErrorKind::PermissionDenied => "no permission".to_string(),
        ErrorKind::IsADirectory => "a folder".to_string(),
        ErrorKind::NotADirectory => "a file where a folder should be".to_string(),
        ErrorKind::StorageFull | ErrorKind::WriteZero => "no space left on the disk".to_string(),
        ErrorKind::QuotaExceeded => "no more space for this user (quota)".to_string(),
        ErrorKind::FileTooLarge => "a limit of the size of files".to_string(),
        ErrorKind::ReadOnlyFilesystem => "a disk that can only be read".to_string(),
        ErrorKind::AlreadyExists => "something of that name there already".to_string(),
        _ => error.to_string(),
    }
}

/// What a parser says or a file's names are, in one line: a damaged file may hold a line break, or what a
/// terminal would act on.
pub(crate) fn in_one_line(text: impl Display) -> String {
    let shown = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() };
    text.to_string().chars().map(shown).collect()
}

/// An error of writing, with the path in front.
pub(crate) fn unwritable(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| {
        Error::checkpoint(format!(
            "{}: expected a place to write to, found {}",
            path.display(),
            reason(&error)
        ))
    }
}

/// An error of reading, with the path in front.
pub(crate) fn unreadable(path: &Path, what: &str) -> impl Fn(io::Error) -> Error {
    move |error| Error::checkpoint(format!("{}: expected {what}, found {}", path.display(), reason(&error)))
}

/// `folder/name` -> `folder/.name.new`
fn beside(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{ending}"))
}

/// Brings a folder's list of names to the disk. Where the system does not offer it, the renames still are atomic.
fn sync(folder: Option<&Path>) {
    if let Some(Ok(folder)) = folder.map(File::open) {
        let _ = folder.sync_all();
    }
}

/// Writes a file: whoever reads it finds the old content or the new, never a part.
///
/// # Errors
/// The disk's; the old content is still there then.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let temporary = beside(path, "new");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&temporary);
        unwritable(path)(error)
    })?;
    sync(path.parent());
    Ok(())
}

/// Replaces a folder as a whole by these files, whose content is made one after the other.
///
/// # Errors
/// The disk's; the old folder is still there then.
pub fn replace_folder(path: &Path, files: &[(&str, &dyn Fn() -> Vec<u8>)]) -> Result<(), Error> {
    refill(path, |new| {
        for (name, content) in files {
            let write = |mut file: File| file.write_all(&content()).and_then(|()| file.sync_all());
            File::create(new.join(name)).and_then(write).map_err(unwritable(path))?;
        }
        Ok(())
    })
}

/// Replaces a folder as a whole by copies of files of another, which need not fit in memory.
///
/// # Errors
/// The disk's; the old folder is still there then.
pub fn copy_folder(from: &Path, path: &Path, names: &[&str]) -> Result<(), Error> {
    refill(path, |new| {
        for name in names {
            let mut source = File::open(from.join(name)).map_err(unreadable(&from.join(name), "a file"))?;
            let write = |mut file: File| io::copy(&mut source, &mut file).and_then(|_| file.sync_all());
            File::create(new.join(name)).and_then(write).map_err(unwritable(path))?;
        }
        Ok(())
    })
}

/// Replaces a folder as a whole by an empty one that `fill` has filled.
///
/// A folder cannot be renamed onto another, so the old one steps aside for a moment; if the machine stops in that
/// moment, [`find_folder`] still finds the old one.
fn refill(path: &Path, fill: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
    let (new, old) = (beside(path, "new"), beside(path, "old"));
    let empty = || {
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        fs::create_dir_all(&new)
    };
    let swap = || {
        sync(Some(&new));
        if path.exists() {
            if old.exists() {
                fs::remove_dir_all(&old)?;
            }
            fs::rename(path, &old)?;
        }
        fs::rename(&new, path)?;
        sync(path.parent());
        if old.exists() { fs::remove_dir_all(&old) } else { Ok(()) }
    };
    let all = empty().map_err(unwritable(path)).and_then(|()| fill(&new));
    all.and_then(|()| swap().map_err(unwritable(path))).inspect_err(|_| {
        if !path.exists() {
            let _ = fs::rename(&old, path);
        }
        let _ = fs::remove_dir_all(&new);
    })
}

/// Where the folder is that [`replace_folder`] or [`copy_folder`] wrote: at `path`, or aside if the machine stopped while
/// it was replaced.
pub fn find_folder(path: &Path) -> PathBuf {
    let old = beside(path, "old");
    if !path.exists() && old.exists() { old } else { path.to_path_buf() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_file_holds_is_shown_in_one_line() {
        assert_eq!(in_one_line("wq\n\u{1b}[2J \"ä\" \\"), "wq\\n\\u{1b}[2J \"ä\" \\");
    }

    #[test]
    fn files_and_folders_are_replaced_and_nothing_is_left_over() {
        let root = tempfile::tempdir().unwrap();
        let (file, folder) = (root.path().join("a.txt"), root.path().join("latest"));
        for round in ["one", "two"] {
            write(&file, round.as_bytes()).unwrap();
            replace_folder(&folder, &[("x", &|| round.into()), ("y", &Vec::new)]).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), round);
            assert_eq!(fs::read_to_string(folder.join("x")).unwrap(), round);
            copy_folder(&folder, &root.path().join("best"), &["x"]).unwrap();
            assert_eq!(fs::read_to_string(root.path().join("best/x")).unwrap(), round);
        }
        assert_eq!(names(root.path()), ["a.txt", "best", "latest"]);
    }

    #[test]
    fn a_swap_that_was_cut_short_is_made_good() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("latest");
        replace_folder(&folder, &[("x", &|| "one".into())]).unwrap();
        fs::rename(&folder, root.path().join(".latest.old")).unwrap();
        fs::create_dir(root.path().join(".latest.new")).unwrap();
        assert_eq!(fs::read_to_string(find_folder(&folder).join("x")).unwrap(), "one");
        replace_folder(&folder, &[("x", &|| "two".into())]).unwrap();
        assert_eq!(fs::read_to_string(find_folder(&folder).join("x")).unwrap(), "two");
        assert_eq!(names(root.path()), ["latest"]);
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_leaves_no_trace() {
        let root = tempfile::tempdir().unwrap();
        write(&root.path().join("file"), b"x").unwrap();
        let error = write(&root.path().join("file/inside"), b"y").unwrap_err().to_string();
        assert!(
            error.ends_with("expected a place to write to, found a file where a folder should be"),
            "{error}"
        );
        assert!(replace_folder(&root.path().join("file/inside"), &[]).is_err());
        let (from, to) = (root.path().join("nothing"), root.path().join("copy"));
        let error = copy_folder(&from, &to, &["x"]).unwrap_err().to_string();
        assert!(error.ends_with("nothing/x: expected a file, found no such file or folder"), "{error}");
        assert_eq!(names(root.path()), ["file"]);
    }
}
