//! Which instructions the kernels may use: found once, at run time.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// A set of instructions, and with it the width of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Level {
    /// What every machine of the target has: 8 numbers at a time, left to the compiler.
    Plain,
    /// x86-64 with AVX2 and FMA: 8 numbers a register.
    Avx2,
    /// x86-64 with AVX-512 (F, BW, DQ, VL): 16 numbers a register.
    Avx512,
    /// AArch64: the plain body, compiled for NEON.
    Neon,
    /// WebAssembly: the plain body, compiled for simd128.
    Simd128,
}

/// The name of the environment variable that [`Level::best`] obeys.
pub const VARIABLE: &str = "MICROGPT_SIMD";

const ALL: [Level; 5] = [Level::Plain, Level::Neon, Level::Simd128, Level::Avx2, Level::Avx512];
const UNKNOWN: u8 = u8::MAX;
static CURRENT: AtomicU8 = AtomicU8::new(UNKNOWN);

impl Level {
    /// The name, as `MICROGPT_SIMD` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Plain => "plain",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
            Level::Neon => "neon",
            Level::Simd128 => "simd128",
        }
    }

    /// f32 numbers in one register of this level.
    pub const fn lanes(self) -> usize {
        match self {
            Level::Avx512 => 16,
            _ => 8,
        }
    }

    /// Whether it has kernels for a whole layer of a small model. The plain level of x86-64 has not: it serves machines
    /// older than AVX2 alone, and these kernels take long to compile.
    pub const fn fuses(self) -> bool {
        !(cfg!(target_arch = "x86_64") && matches!(self, Level::Plain))
    }

    /// Whether this machine (and this build) can run it.
    pub fn is_available(self) -> bool {
        match self {
            Level::Plain => cfg!(not(any(target_feature = "neon", target_feature = "simd128"))),
            Level::Neon => cfg!(target_feature = "neon"),
            Level::Simd128 => cfg!(target_feature = "simd128"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                Level::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => false,
        }
    }

    /// The widest available level, or the lower one that `MICROGPT_SIMD` names. A value that
    /// is unknown or impossible here is ignored: [`parse`] is for those who must report it.
    pub fn best() -> Level {
        let wanted = std::env::var(VARIABLE).ok();
        let wanted = wanted.and_then(|name| parse(&name).ok());
        wanted.unwrap_or_else(|| *available().last().expect("one level always is"))
    }
}

/// Every level that this machine can run, narrowest first.
pub fn available() -> Vec<Level> {
    ALL.into_iter().filter(|level| level.is_available()).collect()
}

/// The level named `name`, if this machine can run it.
///
/// # Errors
/// A sentence that says what was expected, if the name is unknown or the machine lacks it.
///
/// ```
/// use microgpt_kernels::level;
/// assert!(level::parse("avx9000").unwrap_err().contains("expected one of"));
/// ```
pub fn parse(name: &str) -> Result<Level, String> {
    let found = available().into_iter().find(|level| level.name() == name);
    found.ok_or_else(|| {
        let names: Vec<_> = available().iter().map(|level| level.name()).collect();
        let why =
            if ALL.iter().any(|level| level.name() == name) { "this machine lacks" } else { "unknown level" };
        format!("{why} `{name}`: expected one of {}", names.join(", "))
    })
}

/// The level that kernels run at now: [`Level::best`] unless [`set`] chose another.
#[inline]
pub fn current() -> Level {
    match CURRENT.load(Relaxed) {
        0 => Level::Plain,
        1 => Level::Avx2,
        2 => Level::Avx512,
        3 => Level::Neon,
        4 => Level::Simd128,
        _ => detect(),
    }
}

#[cold]
fn detect() -> Level {
    let level = Level::best();
    CURRENT.store(level as u8, Relaxed);
    level
}

/// Run all kernels of this process at `level` from now on (tests and benches do).
///
/// # Panics
/// If this machine cannot run it: the kernels trust this check.
pub fn set(level: Level) {
    assert!(level.is_available(), "this machine lacks {}", level.name());
    CURRENT.store(level as u8, Relaxed);
}

/// Run `test` once at each level. Levels are global, so only one such test runs at a time.
#[cfg(test)]
pub(crate) fn at_each(test: impl Fn(Level)) {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for level in available() {
        set(level);
        test(level);
    }
    set(Level::best());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_strangers_are_refused() {
        for level in available() {
            assert_eq!(parse(level.name()), Ok(level));
        }
        assert!(parse("").unwrap_err().starts_with("unknown level"));
        assert!(available().contains(&current()));
    }
}
