//! Is there room for a model? Who asks for more memory than there is would end the trainings of all others.

use crate::message::Fault;
use std::fs::read_to_string;

/// Where the system does not tell how much is free.
const UNTOLD: u64 = 12 << 30;

/// Is there room for a model of so many parameters, of `size` bytes each?
///
/// # Errors
/// There is not: how much there is, and how much it takes.
pub fn check(parameters: usize, size: usize) -> Result<(), Fault> {
    let (each, free) = (bytes_each(size), free());
    let most = free / each;
    if parameters as u64 <= most {
        return Ok(());
    }
    Err(Fault::wrong(format!(
        "expected a model of at most {most} parameters, as the studio takes {each} bytes for each and {} GB are free, found {parameters}; `microgpt train` takes a third",
        free >> 30
    )))
}

/// What trains takes four numbers for each parameter (its gradient, what the optimiser remembers), what is kept of the first
/// step three; and a view computes exactly, in f64: parameters, gradients, and the parameters beside them that it is compared with.
fn bytes_each(size: usize) -> u64 {
    (7 * size + 3 * size_of::<f64>()) as u64
}

/// How many bytes this process may still take, of the machine's and of what it is allowed.
fn free() -> u64 {
    let all = read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let group = |name: &str| {
        let text = read_to_string(format!("/sys/fs/cgroup/memory.{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let allowed = group("max").zip(group("current")).map(|(most, now)| most.saturating_sub(now));
    all.into_iter().chain(allowed).min().unwrap_or(UNTOLD)
}

/// The bytes that `/proc/meminfo` calls available.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_model_has_room_and_the_largest_has_not() {
        assert!(check(4192, 4).is_ok());
        let fault = check(usize::MAX >> 8, 4).unwrap_err();
        assert!(fault.text.contains("52 bytes for each"), "{}", fault.text);
    }

    #[test]
    fn what_is_available_is_read() {
        let text = "MemTotal:       24604152 kB\nMemFree: 1 kB\nMemAvailable:   22018048 kB\n";
        assert_eq!(available(text), Some(22_018_048 << 10));
        assert_eq!(available("MemAvailable: some"), None);
    }
}
