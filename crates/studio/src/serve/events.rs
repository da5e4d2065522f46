//! Live events: what has come since the last time, as often as an eye can follow.

use crate::session::Session;
use crate::studio::Studio;
use axum::body::{Body, Bytes};
use futures_util::stream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Between two events.
const REST: Duration = Duration::from_millis(66);
/// After so long without news a line says that the connection lives.
const QUIET: Duration = Duration::from_secs(10);

/// Where one listener is.
struct Listener {
    studio: Arc<Studio>,
    session: Arc<Session>,
    stop: Arc<AtomicBool>,
    cursor: Option<String>,
    version: u64,
    heard: Instant,
    ended: bool,
}

/// The events of a run from a cursor on. Each listener asks for itself and at its own pace: one that is slow holds up
/// nobody, and nothing is kept for it.
pub(super) fn body(
    studio: Arc<Studio>,
    session: Arc<Session>,
    stop: Arc<AtomicBool>,
    cursor: Option<String>,
) -> Body {
    let listener =
        Listener { studio, session, stop, cursor, version: 0, heard: Instant::now(), ended: false };
    Body::from_stream(stream::unfold(listener, |mut listener| async move {
        if listener.ended {
            return None;
        }
        let text = listener.next().await;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), listener))
    }))
}

impl Listener {
    async fn next(&mut self) -> String {
        if self.version > 0 {
            tokio::time::sleep(REST).await;
        }
        loop {
            if self.session.is_closed() {
                self.ended = true;
                return "event: gone\ndata: {}\n\n".to_string();
            }
            if self.stop.load(SeqCst) {
                self.ended = true;
                return "event: end\ndata: {}\n\n".to_string();
            }
            let version = self.session.version();
            if version != self.version {
                (self.version, self.heard) = (version, Instant::now());
                let news = self.session.news(self.studio.life(), self.cursor.as_deref());
                let cursor = news["cursor"].as_str().unwrap_or_default().to_string();
                let text = format!("id: {cursor}\nretry: 500\ndata: {news}\n\n");
                self.cursor = Some(cursor);
                return text;
            }
            if self.heard.elapsed() > QUIET {
                self.heard = Instant::now();
                return ": still here\n\n".to_string();
            }
            tokio::time::sleep(REST).await;
        }
    }
}
