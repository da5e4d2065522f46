//! Who is still there?
//!
//! A process that dies is noticed by the launcher, which ends the others. A machine that is cut off is noticed by nobody:
//! MPI waits for it for ever. So each rank has a thread that lets rank 0 hear from it every two seconds, and rank 0's lets
//! all others hear, whatever else they do at that time. Of whom rank 0 has heard nothing for
//! `MICROGPT_RANK_TIMEOUT` seconds (20), that one is gone: rank 0 says so, and how to go on, and ends. The launcher
//! ends the rest; where it cannot, they end by themselves some seconds later.

use super::launcher;
use super::post::{Letters, PULSE, WAITS, place, turn, world};
use crate::meeting::held;
use mpi::request::scope;
use mpi::traits::*;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The environment variable that says how many seconds nothing may be heard of a rank; 0: for ever.
pub const VARIABLE: &str = "MICROGPT_RANK_TIMEOUT";
const TIMEOUT: Duration = Duration::from_secs(20);

/// The longest time from one sign of life to the next; where there is less patience, it is a part of that.
const BEAT: Duration = Duration::from_secs(2);
const BEATS: u32 = 8;
const TICK: Duration = Duration::from_millis(100);
/// A process that was stopped for a while, and all others with it, has not been silent for as long.
const LONGEST_TICK: Duration = Duration::from_secs(1);
/// Others than rank 0 leave it to rank 0 to speak.
const LATER: Duration = Duration::from_secs(8);
/// A process that is asked to end and does it within this time has nothing more to say.
const A_MOMENT: Duration = Duration::from_millis(300);

const HERE: &[u8] = &[0];
const BYE: &[u8] = &[1];
/// Rank 0 has said what there is to say.
const TOLD: &[u8] = &[2];

/// What a user is told that wants to go on after all has ended.
static HINT: Mutex<String> = Mutex::new(String::new());
/// Was this process asked to end?
static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on, this is what a user is told who wants to go on after a rank was lost: a sentence without its end.
pub fn to_go_on(hint: &str) {
    *held(HINT.lock()) = hint.to_string();
}

pub(super) fn hint() -> String {
    held(HINT.lock()).clone()
}

/// This process was asked to end. It does when rank 0 says so; but the launcher may not wait for that.
pub fn asked_to_end() {
    ASKED.store(true, Relaxed);
}

/// For how long nothing may be heard of a rank; none if the variable is no number of seconds.
pub(super) fn timeout() -> Option<Duration> {
    let Ok(text) = std::env::var(VARIABLE) else { return Some(TIMEOUT) };
    match Duration::try_from_secs_f64(text.parse().ok()?).ok()? {
        Duration::ZERO => Some(Duration::MAX),
        timeout => Some(timeout),
    }
}

/// The thread.
pub(super) struct Pulse {
    stop: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

/// What it knows.
struct Listener {
    /// Where each rank runs; and rank 0's process, if it is one of this machine.
    hosts: Vec<String>,
    first: Option<u32>,
    tell: fn(&str),
    timeout: Duration,
    beat: Duration,
    /// For how long each rank was not heard of.
    silent: Vec<Duration>,
    gone_home: usize,
    told: bool,
    /// When this process was asked to end, and how often it had waited for others.
    asked: Option<(Instant, u64)>,
    /// Is a machine gone, and not only a process?
    lost: bool,
}

impl Pulse {
    pub(super) fn start(hosts: Vec<String>, first: Option<u32>, tell: fn(&str), timeout: Duration) -> Pulse {
        let (stop, stopped) = mpsc::channel();
        let (beat, silent) = (BEAT.min(timeout / BEATS), vec![Duration::ZERO; place().1]);
        let (gone_home, told, asked, lost) = (0, false, None, false);
        let listener = Listener { hosts, first, tell, timeout, beat, silent, gone_home, told, asked, lost };
        let thread = std::thread::Builder::new().name("pulse".into());
        let thread = thread.spawn(move || listener.run(&stopped)).expect("a thread");
        Pulse { stop, thread: Some(thread) }
    }

    /// Says good-bye; rank 0 waits until all the others have.
    pub(super) fn stop(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Listener {
    fn run(mut self, stopped: &mpsc::Receiver<()>) {
        let (rank, size) = place();
        let others = if rank == 0 { 1..size } else { 0..1 };
        scope(|scope| {
            let mut letters = Letters::new(scope);
            let mut say = |what| {
                let silent = letters.nudge();
                if silent {
                    others.clone().for_each(|other| letters.send(other, PULSE, what));
                }
                silent
            };
            let (mut last, mut said, mut leaves) = (Instant::now(), Instant::now() - self.beat, false);
            loop {
                if said.elapsed() >= self.beat && say(HERE) {
                    said = Instant::now();
                }
                self.listen();
                self.judge(last.elapsed().min(LONGEST_TICK));
                last = Instant::now();
                let wait = if leaves { TICK / 50 } else { TICK };
                leaves |= stopped.recv_timeout(wait) != Err(mpsc::RecvTimeoutError::Timeout);
                if leaves && (rank > 0 && say(BYE) || rank == 0 && self.gone_home + 1 == size) {
                    break;
                }
            }
            letters.finish(true);
        });
    }

    fn listen(&mut self) {
        let (mut word, world) = ([0_u8], world());
        loop {
            let _turn = turn();
            let found = world.any_process().immediate_matched_probe_with_tag(PULSE);
            let Some((message, status)) = found else { return };
            message.matched_receive_into(&mut word[..]);
            self.silent[status.source_rank() as usize] = Duration::ZERO;
            self.gone_home += usize::from(word == *BYE);
            self.told |= word == *TOLD;
        }
    }

    /// So much time has passed.
    fn judge(&mut self, passed: Duration) {
        let (rank, size) = place();
        let (watched, timeout) = match rank {
            0 => (1..size, self.timeout),
            _ => (0..1, self.timeout.saturating_add(LATER)),
        };
        watched.clone().for_each(|other| self.silent[other] += passed);
        if watched.clone().any(|other| self.silent[other] > timeout) {
            // Those that were cut off together are told together.
            let gone: Vec<usize> =
                watched.filter(|&other| self.silent[other] + 2 * self.beat > timeout).collect();
            let seconds = timeout.as_secs_f64();
            self.lost = rank == 0 && gone.iter().any(|&other| self.hosts[other] != self.hosts[0]);
            self.end(&format!("{} not been heard of for {seconds} s{}", self.named(&gone), Listener::hint()));
        }
        if ASKED.load(Relaxed) {
            let waits = WAITS.load(Relaxed);
            let (since, before) = *self.asked.get_or_insert_with(|| (Instant::now(), waits));
            if since.elapsed() > A_MOMENT {
                ASKED.store(false, Relaxed);
                self.asked_to_end(waits == before && waits % 2 == 1);
            }
        }
    }

    /// Still here, some time after this process was asked to end; because the others do not answer?
    fn asked_to_end(&self, waits: bool) {
        let first_is_gone = || self.first.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        match place().0 {
            0 if waits => (self.tell)(&format!(
                "asked to end while another rank does not answer, which may be gone{}",
                Listener::hint()
            )),
            0 => (self.tell)(&format!("asked to end, after the step in hand{}", Listener::hint())),
            // Who else is to say it?
            1 if !self.told && first_is_gone() => self.end(&format!("rank 0 is gone{}", Listener::hint())),
            _ => {}
        }
    }

    fn hint() -> String {
        match hint() {
            hint if hint.is_empty() => hint,
            hint => format!("; {hint}"),
        }
    }

    /// `rank 3 (on b) has`, `ranks 2, 3 (on b) have`.
    fn named(&self, ranks: &[usize]) -> String {
        let mut hosts: Vec<&str> = ranks.iter().map(|&rank| self.hosts[rank].as_str()).collect();
        hosts.dedup();
        let numbers: Vec<String> = ranks.iter().map(usize::to_string).collect();
        let (s, have) = if ranks.len() == 1 { ("", "has") } else { ("s", "have") };
        format!("rank{s} {} (on {}) {have}", numbers.join(", "), hosts.join(", "))
    }

    fn end(&self, what: &str) -> ! {
        (self.tell)(what);
        if self.lost {
            launcher::end();
        }
        // What is registered to be done at the end is MPI's, and may wait for those that are gone.
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(2));
            std::process::abort();
        });
        scope(|scope| {
            // Who is still there need not say it again.
            let mut letters = Letters::new(scope);
            if place().0 == 0 {
                letters.send(1, PULSE, TOLD);
            }
            let begun = Instant::now();
            while !letters.nudge() && begun.elapsed() < TICK {
                std::thread::yield_now();
            }
            std::thread::sleep(2 * TICK);
            // Nobody else calls MPI meanwhile.
            let _turn = turn();
            std::process::exit(1)
        })
    }
}
