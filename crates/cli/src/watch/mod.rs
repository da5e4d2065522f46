//! The live view of a training in the terminal: it draws, and hears keys, on a thread of its own.
//!
//! Training fills a [`Scene`] between two steps, which takes a fraction of a microsecond; the view takes a copy some times
//! a second. What it leaves behind is a terminal as it was: also after a panic, and when the program is told to end.

pub(crate) mod draw;
pub(crate) mod scene;

pub(crate) use draw::{Looks, summary};
pub(crate) use scene::Scene;

use crate::session::STOP;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::{cursor, execute, terminal};
use std::io::{self, Stderr, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// From one picture to the next.
const FRAME: Duration = Duration::from_millis(70);

/// Is the terminal the view's?
static ACTIVE: AtomicBool = AtomicBool::new(false);
/// What was to be said meanwhile.
static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The view, as long as it lives.
pub(crate) struct View {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A scene that is shared with the view.
pub(crate) type Shared = Arc<Mutex<Scene>>;

/// Whoever held it and panicked has left plain data behind.
pub(crate) fn held(scene: &Shared) -> MutexGuard<'_, Scene> {
    scene.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Is the terminal one to draw on?
pub(crate) fn is_possible() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    let size = terminal::size().unwrap_or((0, 0));
    !(dumb && cfg!(unix)) && size.0 >= draw::SMALLEST.0 && size.1 >= draw::SMALLEST.1
}

impl View {
    /// Takes the terminal.
    pub(crate) fn open(scene: Shared, looks: Looks) -> io::Result<View> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                before(panic);
            }));
        });
        terminal::enable_raw_mode()?;
        ACTIVE.store(true, Relaxed);
        let opened = execute!(io::stderr(), terminal::EnterAlternateScreen, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stderr())));
        let terminal = opened.inspect_err(|_| restore())?;
        let ended = Arc::new(AtomicBool::new(false));
        let until = ended.clone();
        let work = move || show(terminal, &scene, looks, &until);
        let thread =
            std::thread::Builder::new().name("view".into()).spawn(work).inspect_err(|_| restore())?;
        Ok(View { ended, thread: Some(thread) })
    }

    fn close(&mut self) {
        self.ended.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        restore();
        let kept = std::mem::take(&mut *KEPT.lock().unwrap_or_else(PoisonError::into_inner));
        kept.iter().for_each(|text| crate::notice(text));
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.close();
    }
}

/// Gives the terminal back as it was, if the view has it.
pub(crate) fn restore() {
    if ACTIVE.swap(false, Relaxed) {
        let _ = terminal::disable_raw_mode();
        let _ = execute!(io::stderr(), terminal::LeaveAlternateScreen, cursor::Show);
        let _ = io::stderr().flush();
    }
}

/// During the view, keeps what is to be said until after it.
pub(crate) fn keeps(text: &str) -> bool {
    let keeps = ACTIVE.load(Relaxed);
    if keeps {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_string());
    }
    keeps
}

/// The life of the view.
fn show(mut terminal: Terminal<CrosstermBackend<Stderr>>, scene: &Shared, looks: Looks, ended: &AtomicBool) {
    while !ended.load(Relaxed) {
        let began = Instant::now();
        let picture = {
            let mut scene = held(scene);
            scene.stopping = STOP.load(Relaxed);
            scene.clone()
        };
        if terminal.draw(|frame| draw::draw(frame, &picture, looks)).is_err() {
            return;
        }
        // Keys, until it is time for the next picture.
        while let Some(wait) = FRAME.checked_sub(began.elapsed()) {
            match event::poll(wait) {
                Ok(true) => match event::read() {
                    Ok(Event::Key(key)) if key.kind == KeyEventKind::Press => hear(key, &mut held(scene)),
                    Ok(Event::Resize(..)) => break,
                    _ => {}
                },
                Ok(false) => break,
                // No keys to be had: there is the picture all the same.
                Err(_) => std::thread::sleep(wait),
            }
        }
    }
}

fn hear(key: KeyEvent, scene: &mut Scene) {
    if scene.help {
        scene.help = false;
        return;
    }
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
            if STOP.swap(true, Relaxed) {
                // A second time: it does not wait.
                restore();
                std::process::exit(130);
            }
        }
        KeyCode::Char('q' | 'Q') => STOP.store(true, Relaxed),
        KeyCode::Char('p' | 'P' | ' ') => scene.paused = !scene.paused,
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => scene.help = true,
        _ => {}
    }
}
