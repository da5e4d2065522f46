//! `SHA256SUMS`: what the files of a checkpoint are recognised by, in the form of `sha256sum -c`.

use crate::text::in_hex;
use microgpt::Error;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

/// The name of the file.
pub(crate) const NAME: &str = "SHA256SUMS";

/// The line of a file.
pub(crate) fn line(name: &str, content: &[u8]) -> String {
    format!("{}  {name}\n", in_hex(&Sha256::digest(content)))
}

/// Is this the content that was written? A folder without sums says yes to everything.
///
/// # Errors
/// Another content: the file is damaged, or was changed.
pub(crate) fn check(folder: &Path, name: &str, content: &[u8]) -> Result<(), Error> {
    let Ok(sums) = fs::read(folder.join(NAME)) else { return Ok(()) };
    let wanted = line(name, content);
    if String::from_utf8_lossy(&sums).lines().any(|line| line == wanted.trim_end()) {
        return Ok(());
    }
    Err(Error::checkpoint(format!(
        "{}: expected the bytes that were saved (their SHA-256 is in {NAME} beside it), found others: the checkpoint is damaged",
        folder.join(name).display()
    )))
}
