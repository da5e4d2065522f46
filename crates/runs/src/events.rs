//! `events.out.tfevents.microgpt`: the metrics as TensorBoard reads them.
//!
//! ```text
//! the file   records, one after the other: the length (8 bytes), a check of it (4), an event, a check of that (4)
//! an event   a protocol buffer: wall_time = 1 (f64), step = 2, file_version = 3 or summary = 5
//! a summary  value = 1, repeated: tag = 1 (text), simple_value = 2 (f32)
//! ```
//!
//! Checks are CRC-32C, turned by 15 bits and 0xa282ead8 added, as in TensorFlow's `record_writer.h`; the fields' numbers are
//! those of its `event.proto` and `summary.proto`. Six fields are not worth a compiler for protocol buffers.

use crate::atomic::{self, unreadable, unwritable};
use crate::metrics::Validation;
use microgpt::Error;
use microgpt::measures::Measures;
use microgpt::train::Step;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The name of the file in a run's folder. TensorBoard looks for `tfevents` in names.
pub const NAME: &str = "events.out.tfevents.microgpt";

/// The file, open at its end. Events are handed to the system some times a second.
#[derive(Debug)]
pub struct Events {
    path: PathBuf,
    file: File,
    waiting: Vec<u8>,
    written: Option<Instant>,
}

/// For so long events may wait for others.
const PATIENCE: Duration = Duration::from_millis(500);

impl Events {
    /// Opens the file to go on after `steps_done` steps: later events, and a last one that is cut, are dropped.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(path: &Path, steps_done: usize) -> Result<Events, Error> {
        let old = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unreadable(path, "the events of a run")(error)),
        };
        let mut kept = Vec::new();
        for event in records(&old).filter(|event| step_of(event) <= steps_done as u64) {
            record(&mut kept, event);
        }
        if kept.is_empty() {
            let mut first = Vec::new();
            field_f64(&mut first, 1, now());
            field_bytes(&mut first, 3, b"brain.Event:2");
            record(&mut kept, &first);
        }
        atomic::write(path, &kept)?;
        let file = OpenOptions::new().append(true).open(path).map_err(unwritable(path))?;
        Ok(Events { path: path.to_path_buf(), file, waiting: Vec::new(), written: None })
    }

    /// Adds a step, and what was measured of it.
    ///
    /// # Errors
    /// The disk's.
    pub fn push(
        &mut self,
        step: &Step,
        measures: Option<&Measures>,
        tokens_per_second: Option<f64>,
    ) -> Result<(), Error> {
        let mut summary = Vec::new();
        let mut value = |tag: &str, x: f64| scalar(&mut summary, tag, x);
        value("loss", step.loss);
        value("lr", step.lr);
        if let Some(measures) = measures {
            value("bits_per_character", measures.bits_per_character);
            tokens_per_second.inspect(|rate| value("tokens_per_second", *rate));
            value("grad_norm/all", measures.grad_norm);
            value("update_ratio/all", measures.update_ratio);
            for matrix in &measures.matrices {
                value(&format!("grad_norm/{}", matrix.name), matrix.grad_norm);
                value(&format!("update_ratio/{}", matrix.name), matrix.update_ratio);
            }
            for (i, layer) in measures.layers.iter().enumerate() {
                if layer.units > 0 {
                    value(&format!("dead/layer{i}"), layer.dead as f64);
                }
                for (head, entropy) in layer.entropy.iter().enumerate() {
                    value(&format!("entropy/layer{i}.head{head}"), *entropy);
                }
            }
        }
        self.add(step.step, &summary)
    }

    /// Adds a look after step `step` at what is held back.
    ///
    /// # Errors
    /// The disk's.
    pub fn push_validation(&mut self, step: usize, validation: &Validation) -> Result<(), Error> {
        let mut summary = Vec::new();
        scalar(&mut summary, "val_loss", validation.loss);
        let more =
            [("val_bits_per_character", validation.bits_per_character), ("accuracy", validation.accuracy)];
        for (tag, x) in more.into_iter().filter_map(|(tag, x)| Some((tag, x?))) {
            scalar(&mut summary, tag, x);
        }
        self.add(step, &summary)
    }

    fn add(&mut self, step: usize, summary: &[u8]) -> Result<(), Error> {
        let mut event = Vec::with_capacity(summary.len() + 24);
        field_f64(&mut event, 1, now());
        tag(&mut event, 2, VARINT);
        varint(&mut event, step as u64);
        field_bytes(&mut event, 5, summary);
        record(&mut self.waiting, &event);
        let now = Instant::now();
        if self.written.is_none_or(|written| now - written >= PATIENCE) {
            self.written = Some(now);
            return self.flush();
        }
        Ok(())
    }

    /// Hands all events to the system.
    ///
    /// # Errors
    /// The disk's.
    pub fn flush(&mut self) -> Result<(), Error> {
        let done = self.file.write_all(&self.waiting).map_err(unwritable(&self.path));
        self.waiting.clear();
        done
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

// ---- Protocol buffers: a field is its number and kind, then its content.

const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const LENGTH_FIRST: u64 = 2;
const FOUR_BYTES: u64 = 5;

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(out: &mut Vec<u8>, mut x: u64) {
    while x >= 0x80 {
        out.push(x as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

fn tag(out: &mut Vec<u8>, field: u64, kind: u64) {
    varint(out, field << 3 | kind);
}

fn field_f64(out: &mut Vec<u8>, field: u64, x: f64) {
    tag(out, field, EIGHT_BYTES);
    out.extend_from_slice(&x.to_le_bytes());
}

fn field_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    tag(out, field, LENGTH_FIRST);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// One value of a summary.
fn scalar(summary: &mut Vec<u8>, name: &str, x: f64) {
    let mut value = Vec::with_capacity(name.len() + 8);
    field_bytes(&mut value, 1, name.as_bytes());
    tag(&mut value, 2, FOUR_BYTES);
    value.extend_from_slice(&(x as f32).to_le_bytes());
    field_bytes(summary, 1, &value);
}

// ---- Records.

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

fn check(bytes: &[u8]) -> [u8; 4] {
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn record(out: &mut Vec<u8>, event: &[u8]) {
    let len = (event.len() as u64).to_le_bytes();
    for part in [&len[..], &check(&len), event, &check(event)] {
        out.extend_from_slice(part);
    }
}

/// The events of a file, up to the first that is cut or damaged.
fn records(mut file: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = file.split_first_chunk::<8>()?;
        let (len_check, rest) = rest.split_first_chunk::<4>()?;
        let (event, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
        let (event_check, rest) = rest.split_first_chunk::<4>()?;
        file = rest;
        (*len_check == check(len) && *event_check == check(event)).then_some(event)
    })
}

/// The step of an event of ours: the second field, after eight bytes of time; 0 if it has none.
fn step_of(event: &[u8]) -> u64 {
    let [field, rest @ ..] = event.get(9..).unwrap_or_default() else { return 0 };
    if u64::from(*field) != 2 << 3 | VARINT {
        return 0;
    }
    let bytes =
        rest.iter().take(10).scan(true, |more, byte| more.then(|| (*more = byte & 0x80 != 0, byte).1));
    bytes.enumerate().fold(0, |step, (i, byte)| step | u64::from(byte & 0x7f).wrapping_shl(7 * i as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_that_of_crc_32c() {
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(CRC.checksum(&[0; 32]), 0x8a91_36aa);
        // The record of 8 bytes that TensorFlow begins every file's lengths with: masked(crc(0)).
        assert_eq!(u32::from_le_bytes(check(&[])), 0xa282_ead8);
    }

    #[test]
    fn after_a_crash_the_events_go_on_at_the_checkpoint() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(NAME);
        let mut events = Events::open(&path, 0).unwrap();
        let push =
            |events: &mut Events, step| events.push(&Step { step, loss: 2.5, lr: 0.01 }, None, None).unwrap();
        [1, 2, 300, 301].into_iter().for_each(|step| push(&mut events, step));
        events.push_validation(301, &Validation { loss: 2.0, ..Validation::default() }).unwrap();
        drop(events);
        let steps = |path: &Path| -> Vec<u64> { records(&fs::read(path).unwrap()).map(step_of).collect() };
        assert_eq!(steps(&path), [0, 1, 2, 300, 301, 301]);
        let mut bytes = fs::read(&path).unwrap();
        let len = bytes.len();
        bytes.truncate(len - 3);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(steps(&path), [0, 1, 2, 300, 301]);
        let mut events = Events::open(&path, 300).unwrap();
        push(&mut events, 70_000);
        drop(events);
        assert_eq!(steps(&path), [0, 1, 2, 300, 70_000]);
        // A damaged one ends it.
        let mut bytes = fs::read(&path).unwrap();
        let len = bytes.len();
        bytes[len - 6] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(steps(&path), [0, 1, 2, 300]);
    }
}
