//! The studio as one function: a request in, a response out. No socket, thread or clock is in it.

use crate::begin::Plan;
use crate::condition::Condition;
use crate::folder::Folder;
use crate::form::Start;
use crate::json::{Fields, Json, needed};
use crate::message::{Fault, MOST_BODY, Request, Response};
use crate::routes::{Answer, ROUTES};
use crate::session::{Session, Status, Until, lock};
use crate::shelf::Shelf;
use crate::{begin, form};
use microgpt::Error;
use microgpt_runs::Settings;
use serde_json::json;
use std::sync::{Arc, Mutex};

/// Is called when a run is to be driven: [`Session::advance`], until it says false.
pub type Wake = Box<dyn Fn(Arc<Session>) + Send + Sync>;

/// All runs of a studio.
pub struct Studio {
    shelf: Shelf,
    /// What the command said.
    start: Start,
    /// Tells one life of the server from another.
    life: String,
    sessions: Mutex<Vec<Arc<Session>>>,
    wake: Wake,
}

impl Studio {
    /// A studio without runs. `life` is another in each life of a server.
    pub fn new(shelf: Shelf, start: Start, life: String, wake: Wake) -> Studio {
        Studio { shelf, start, life, sessions: Mutex::new(Vec::new()), wake }
    }

    /// One whose runs are driven by hand.
    pub fn by_hand(shelf: Shelf) -> Studio {
        Studio::new(shelf, Start::default(), "0".into(), Box::new(|_| {}))
    }

    /// Answers a request: whatever is asked, it never panics.
    pub fn handle(&self, request: &Request) -> Response {
        self.answer(request).unwrap_or_else(|fault| fault.response())
    }

    fn answer(&self, request: &Request) -> Result<Response, Fault> {
        if request.body.len() > MOST_BODY {
            return Err(Fault {
                status: 413,
                text: format!("expected at most {MOST_BODY} bytes, found {}", request.body.len()),
            });
        }
        let path = request.path.strip_suffix('/').unwrap_or(&request.path);
        let (mut known, mut allowed) = (false, Vec::new());
        for route in ROUTES {
            let Some(id) = matches(route.path, path) else { continue };
            // `/runs/open` is no run of that name.
            if id == Some("open") {
                continue;
            }
            known = true;
            if route.method != request.method {
                allowed.push(route.method);
                continue;
            }
            return match route.answer {
                Answer::Whole(answer) => answer(self, request),
                Answer::Run(answer) => answer(self, &self.session(id.unwrap_or_default())?, request),
            };
        }
        Err(match known {
            true => Fault {
                status: 405,
                text: format!("expected {}, found {}", allowed.join(" or "), request.method),
            },
            false => Fault::missing("no such path; /api/v1/openapi.json lists them all"),
        })
    }

    /// The run of that id.
    ///
    /// # Errors
    /// None that is open has it.
    pub fn session(&self, id: &str) -> Result<Arc<Session>, Fault> {
        let sessions = lock(&self.sessions);
        let found = sessions.iter().find(|session| session.id == id).cloned();
        found.ok_or_else(|| Fault::missing("run: expected one that is open, found another id"))
    }

    /// All runs that are open.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        lock(&self.sessions).clone()
    }

    /// What the command said.
    pub fn start(&self) -> &Settings {
        &self.start.settings
    }

    /// Are these settings possible? See [`form::check`].
    ///
    /// # Errors
    /// A body that is none.
    pub fn check(&self, fields: Fields) -> Result<Json, Fault> {
        form::check(fields, &self.start)
    }

    /// Tells one life of the server from another.
    pub fn life(&self) -> &str {
        &self.life
    }

    pub(crate) fn about(&self, _: &Request) -> Result<Response, Fault> {
        let open: Vec<String> = lock(&self.sessions).iter().map(|session| session.id.clone()).collect();
        Ok(Response::json(
            200,
            &json!({
                "name": "microgpt", "version": env!("CARGO_PKG_VERSION"), "api": 1, "first": open.first(), "open": open,
            }),
        ))
    }

    pub(crate) fn runs(&self, _: &Request) -> Result<Response, Fault> {
        let open = self.sessions();
        let saved: Vec<Json> = self
            .shelf
            .names()
            .into_iter()
            .take(200)
            .filter_map(|name| {
                let run = self.shelf.find(&name).ok()?;
                let settings = run.read_settings().ok()?;
                let state = std::fs::read(run.path().join("checkpoints/latest/state.json")).ok();
                let state: Option<Json> = state.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                let vocab = run.read_tokenizer().ok().map(|tokenizer| tokenizer.vocab_size());
                let layout = vocab.map(|v| microgpt::layout::Layout::new(&settings.config, v).len());
                Some(json!({
                    "name": name, "steps": state.as_ref().map(|state| state["step"].clone()), "of": settings.config.steps,
                    "parameters": layout, "preset": settings.preset, "open": open.iter().any(|session| session.id == name),
                }))
            })
            .collect();
        let open: Vec<Json> = open.iter().map(|session| session.summary()).collect();
        Ok(Response::json(200, &json!({"open": open, "saved": saved})))
    }

    pub(crate) fn begin(&self, request: &Request) -> Result<Response, Fault> {
        let mut fields = Fields::read(&request.body)?;
        let mut start = form::settings(&mut fields, &self.start)?;
        let (mut text, mut from) = (None, None);
        if let Some(mut data) = fields.object("data")? {
            from = data.text("from")?;
            text = data.text("text")?.map(String::into_bytes);
            data.end()?;
        }
        match (from.as_deref(), &text) {
            (None | Some("names"), None) => {}
            (Some("given"), None) => start.settings.data = self.start.settings.data.clone(),
            (Some("text"), Some(_)) => {}
            _ => {
                return Err(Fault::wrong(
                    "data: expected {\"from\": \"names\"}, \"given\", or \"text\" with a text, found another",
                ));
            }
        }
        let name = fields.text("name")?;
        let (save, go) = (fields.truth("save")?.unwrap_or(true), fields.truth("go")?.unwrap_or(true));
        fields.end()?;
        let session = self.begin_with(start, text, name, save, go)?;
        Ok(Response::json(201, &session.summary()))
    }

    /// Begins a run; see `POST /api/v1/runs`.
    ///
    /// # Errors
    /// Settings or a name that cannot be, a text that cannot be learnt.
    pub fn begin_with(
        &self,
        start: Start,
        text: Option<Vec<u8>>,
        name: Option<String>,
        save: bool,
        go: bool,
    ) -> Result<Arc<Session>, Fault> {
        if self.sessions().len() >= 32 {
            return Err(Fault::conflict("expected at most 32 open runs; close one first"));
        }
        let open = |id: &str| self.session(id).is_ok() || id == "open";
        if name.as_deref().is_some_and(open) {
            return Err(Fault::conflict("name: expected one that no open run has"));
        }
        // What cannot be learnt is to leave no folder behind, so this is made before it is written.
        let (run, id) = match (&name, save) {
            (Some(name), true) => (Some(self.shelf.create(name)?), name.clone()),
            (None, true) => {
                let (run, id) = self.shelf.create_next(start.settings.preset, open)?;
                (Some(run), id)
            }
            (Some(name), false) => {
                self.shelf.place(name)?;
                (None, name.clone())
            }
            (None, false) => {
                let free =
                    (1..).map(|n| format!("{}-unsaved-{n}", start.settings.preset)).find(|id| !open(id));
                (None, free.unwrap_or_default())
            }
        };
        let folder = run.as_ref().map(|run| run.path().to_path_buf());
        let session = begin::begin(Plan { start, text, id, run, go }).inspect_err(|_| {
            // A folder that was made for nothing goes: without settings it is no run.
            if let Some(folder) = folder.filter(|folder| !folder.join("config.toml").exists()) {
                let _ = std::fs::remove_dir_all(folder);
            }
        })?;
        let session = Arc::new(session);
        lock(&self.sessions).push(session.clone());
        if go {
            (self.wake)(session.clone());
        }
        Ok(session)
    }

    pub(crate) fn open_asked(&self, request: &Request) -> Result<Response, Fault> {
        let mut fields = Fields::read(&request.body)?;
        let name = needed(fields.text("name")?, "name")?;
        fields.end()?;
        Ok(Response::json(200, &self.open(&name)?.summary()))
    }

    /// Opens a saved run, unless it is open.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn open(&self, name: &str) -> Result<Arc<Session>, Fault> {
        if let Ok(session) = self.session(name) {
            return Ok(session);
        }
        let session = Arc::new(begin::open(&self.shelf, name)?);
        let mut sessions = lock(&self.sessions);
        if let Some(other) = sessions.iter().find(|other| other.id == name) {
            return Ok(other.clone());
        }
        sessions.push(session.clone());
        Ok(session)
    }

    /// Opens every run that a server was training when it was last heard of, and goes on with it.
    pub fn revive(&self) -> Vec<String> {
        let left = self.shelf.names().into_iter().filter(|name| self.shelf.mark_of(name).training);
        let go_on = |name: &String| {
            let session = self.open(name).ok()?;
            self.go(&session, usize::MAX, None).ok()
        };
        left.filter(|name| go_on(name).is_some()).collect()
    }

    pub(crate) fn close(&self, session: &Arc<Session>, _: &Request) -> Result<Response, Fault> {
        self.pause(session);
        self.save_now(session)?;
        {
            let mut state = lock(&session.state);
            state.closed = true;
            state.touch();
        }
        lock(&self.sessions).retain(|other| other.id != session.id);
        Ok(Response::json(200, &json!({"closed": session.id})))
    }

    pub(crate) fn train(&self, session: &Arc<Session>, request: &Request) -> Result<Response, Fault> {
        let mut fields = Fields::read(&request.body)?;
        let what = needed(fields.text("do")?, "do")?;
        let (steps, until) = (fields.whole("steps")?, fields.text("until")?);
        fields.end()?;
        let until = until.map(|text| match Condition::parse(&text) {
            Ok(condition) => Ok(Until { text, condition, held: None }),
            Err(mistake) => Err(Fault::wrong(format!("until: {} at character {}", mistake.text, mistake.at))),
        });
        let until = until.transpose()?;
        match &what[..] {
            "go" => {
                if let Some(more) = steps {
                    self.lengthen(session, more)?;
                }
                self.go(session, usize::MAX, until)?;
            }
            "step" => self.go(session, session.last().saturating_add(steps.unwrap_or(1).max(1)), until)?,
            "pause" => self.pause(session),
            "stop" => {
                self.pause(session);
                self.save_now(session)?;
            }
            other => {
                return Err(Fault::wrong(format!("do: expected go, step, pause or stop, found {other:?}")));
            }
        }
        Ok(Response::json(200, &session.summary()))
    }

    /// Trains until after step `goal`.
    fn go(&self, session: &Arc<Session>, goal: usize, until: Option<Until>) -> Result<(), Fault> {
        session.replay.as_ref().map_err(|why| Fault::conflict(why.clone()))?;
        {
            let mut state = lock(&session.state);
            if state.history.last() >= state.config.steps {
                return Err(Fault::conflict(
                    "all steps are made; {\"do\": \"go\", \"steps\": 100} adds some",
                ));
            }
            (state.goal, state.until, state.error) = (goal, until, None);
            state.status = Status::Training;
            state.touch();
        }
        (self.wake)(session.clone());
        Ok(())
    }

    /// Adds steps to a run: from here on its course is one of more.
    fn lengthen(&self, session: &Session, more: usize) -> Result<(), Fault> {
        let mut desk = session.desk();
        let mut state = lock(&session.state);
        let steps = state.config.steps.max(state.history.last()).saturating_add(more).min(1 << 40);
        state.config.steps = steps;
        state.past.steps = steps;
        let at = desk.training.steps_done();
        state.courses.retain(|(from, _)| *from < at);
        state.courses.push((at, steps));
        let settings = Settings { config: state.config.clone(), ..session.settings.clone() };
        drop(state);
        desk.training.set_steps(steps);
        if let Some(folder) = &mut desk.folder {
            folder.claim(at)?;
            folder.run.write_settings(&settings)?;
        }
        Ok(())
    }

    /// Pauses it, if it trains.
    pub fn pause(&self, session: &Session) {
        let mut state = lock(&session.state);
        if state.status == Status::Training {
            state.status = Status::Paused;
            state.touch();
        }
    }

    /// Writes its checkpoint.
    ///
    /// # Errors
    /// The disk's.
    pub fn save_now(&self, session: &Session) -> Result<(), Error> {
        let mut desk = session.desk();
        let saved_at = desk.saved_at;
        session.save_desk(&mut desk, saved_at)
    }

    pub(crate) fn save(&self, session: &Arc<Session>, request: &Request) -> Result<Response, Fault> {
        let mut fields = Fields::read(&request.body)?;
        let name = fields.text("name")?;
        fields.end()?;
        let saved = lock(&session.state).folder.clone();
        match (name, saved) {
            (None, Some(_)) => {}
            (Some(name), Some(saved)) if name == saved => {}
            (Some(_), Some(saved)) => {
                return Err(Fault::conflict(format!("name: the run is saved as {saved:?} already")));
            }
            (name, None) => {
                let name = name.unwrap_or_else(|| session.id.clone());
                let run = self.shelf.create(&name)?;
                let mut desk = session.desk();
                let (config, steps) = {
                    let state = lock(&session.state);
                    (state.config.clone(), state.steps.clone())
                };
                let mut settings = Settings { config, ..session.settings.clone() };
                let data_sha256 = match &session.text {
                    Some(text) => {
                        settings.data = begin::write_text(&run, text)?;
                        settings.read_data()?.sha256
                    }
                    None => settings.read_data()?.sha256,
                };
                let mut folder = Folder { run, data_sha256, open: None };
                let open = folder.claim(0)?;
                for step in &steps {
                    open.metrics.push(step, None, None)?;
                }
                folder.run.write_tokenizer(&session.tokenizer)?;
                folder.run.write_settings(&settings)?;
                desk.folder = Some(folder);
                drop(desk);
                let mut state = lock(&session.state);
                state.folder = Some(name);
                state.touch();
            }
        }
        self.save_now(session)?;
        Ok(Response::json(200, &session.summary()))
    }

    pub(crate) fn replay(&self, session: &Arc<Session>, request: &Request) -> Result<Response, Fault> {
        let mut fields = Fields::read(&request.body)?;
        let to = fields.whole("to")?.unwrap_or_else(|| session.last());
        fields.end()?;
        session.remake(to)?;
        Ok(Response::json(200, &session.summary()))
    }
}

/// Does a path fit a pattern? If it does, with what id.
fn matches<'a>(pattern: &str, path: &'a str) -> Option<Option<&'a str>> {
    let Some((before, after)) = pattern.split_once("{id}") else {
        return (pattern == path).then_some(None);
    };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    (!id.is_empty() && !id.contains('/')).then_some(Some(id))
}
