//! A browser without a window, driven over WebDriver: plain JSON over HTTP, to a program on this computer.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How an answer names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How long a page may take before a test says that it does not.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

/// A port that nobody uses now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

impl Browser {
    /// A new one; `None`, with a message, where there is no Chromium to drive.
    pub(crate) fn start() -> Option<Browser> {
        if !is_there("chromedriver") {
            eprintln!("skipped: there is no chromedriver (Debian: apt-get install chromium chromium-driver)");
            return None;
        }
        let (port, profile) = (free_port(), tempfile::tempdir().unwrap());
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut browser = Browser { driver, port, session: String::new(), _profile: profile };
        let started = Instant::now();
        while browser.send("GET", "/status", None).is_err() {
            assert!(started.elapsed() < PATIENCE, "chromedriver does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        let profile = browser._profile.path().display().to_string();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-precise-memory-info",
            "--window-size=1280,800",
            &format!("--user-data-dir={profile}"),
        ];
        let options = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.send("POST", "/session", Some(options)).expect("a session");
        browser.session = session["sessionId"].as_str().unwrap().to_string();
        Some(browser)
    }

    fn send(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, String> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).map_err(|e| e.to_string())?;
        // The driver keeps its connections: the answer ends where its length says.
        let mut answer = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while answer.read_line(&mut line).map_err(|e| format!("{method} {path}: {e}"))? > 2 {
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(|_| "no length")?;
            }
            line.clear();
        }
        let mut json = vec![0; length];
        answer.read_exact(&mut json).map_err(|e| format!("{method} {path}: {e}"))?;
        let json = &String::from_utf8_lossy(&json);
        let value: Value = serde_json::from_str(json).map_err(|e| format!("{e}: {json}"))?;
        let value = &value["value"];
        // An error of the driver's own has its stack with it.
        match value.get("stacktrace") {
            Some(_) => Err(format!("{}: {}", value["error"], value["message"])),
            None => Ok(value.clone()),
        }
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let body = Some(body).filter(|body| !body.is_null());
        self.send(method, &format!("/session/{}{path}", self.session), body)
            .unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.ask("POST", "/url", json!({"url": url}));
    }

    /// What a function body gives, with these arguments.
    #[track_caller]
    pub(crate) fn js(&self, body: &str, arguments: Value) -> Value {
        let arguments = if arguments.is_array() { arguments } else { json!([arguments]) };
        self.ask("POST", "/execute/sync", json!({"script": body, "args": arguments}))
    }

    /// The same, of a promise.
    #[track_caller]
    pub(crate) fn later(&self, body: &str, arguments: Value) -> Value {
        let body = format!(
            "const done = arguments[arguments.length - 1]; (async () => {{ {body} }})().then(done, (e) => done(String(e)));"
        );
        self.ask("POST", "/execute/async", json!({"script": body, "args": arguments}))
    }

    /// The element, as soon as it is there and has a size.
    #[track_caller]
    fn element(&self, css: &str) -> String {
        self.until(&format!("{css} to be there"), || {
            self.js("const e = document.querySelector(arguments[0]); return Boolean(e && e.getClientRects().length)", json!([css])) == true
        });
        let element = self.ask("POST", "/element", json!({"using": "css selector", "value": css}));
        element[ELEMENT].as_str().unwrap().to_string()
    }

    #[track_caller]
    pub(crate) fn click(&self, css: &str) {
        let element = self.element(css);
        self.ask("POST", &format!("/element/{element}/click"), json!({}));
    }

    /// Types into an element, in place of what was there.
    #[track_caller]
    pub(crate) fn fill(&self, css: &str, text: &str) {
        let element = self.element(css);
        self.ask("POST", &format!("/element/{element}/clear"), json!({}));
        self.ask("POST", &format!("/element/{element}/value"), json!({"text": text}));
    }

    /// Presses keys, wherever the focus is.
    #[track_caller]
    pub(crate) fn press(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()})))
            .collect();
        self.ask("POST", "/actions", json!({"actions": [{"type": "key", "id": "keys", "actions": strokes}]}));
    }

    /// Moves the pointer to a place in an element (parts of its width and height), and clicks if asked to.
    #[track_caller]
    pub(crate) fn point(&self, css: &str, [x, y]: [f64; 2], click: bool) {
        self.element(css);
        let place = self.js(
            "const e = document.querySelector(arguments[0]); e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();
             return [b.left + b.width * arguments[1], b.top + b.height * arguments[2]]",
            json!([css, x, y]),
        );
        let [x, y] = [0, 1].map(|i| place[i].as_f64().unwrap().floor());
        let mut actions =
            vec![json!({"type": "pointerMove", "duration": 0, "x": x, "y": y, "origin": "viewport"})];
        if click {
            actions.extend(["pointerDown", "pointerUp"].map(|kind| json!({"type": kind, "button": 0})));
        }
        self.ask(
            "POST",
            "/actions",
            json!({"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]}),
        );
    }

    /// The text that an element shows.
    #[track_caller]
    pub(crate) fn text(&self, css: &str) -> String {
        let text = self.js("return document.querySelector(arguments[0])?.textContent ?? null", json!([css]));
        text.as_str().unwrap_or_else(|| panic!("{css}: expected it on the page")).to_string()
    }

    /// An attribute of an element.
    #[track_caller]
    pub(crate) fn attribute(&self, css: &str, name: &str) -> String {
        let value = self.js(
            "return document.querySelector(arguments[0])?.getAttribute(arguments[1]) ?? null",
            json!([css, name]),
        );
        value.as_str().unwrap_or_else(|| panic!("{css}: expected {name}")).to_string()
    }

    /// How many of them there are.
    pub(crate) fn count(&self, css: &str) -> usize {
        self.js("return document.querySelectorAll(arguments[0]).length", json!([css])).as_u64().unwrap()
            as usize
    }

    /// Waits until something holds.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let started = Instant::now();
        while !holds() {
            if started.elapsed() >= PATIENCE {
                self.shot("failed");
                panic!(
                    "expected {what}; the page shows: {}",
                    self.js("return document.body.innerText.slice(0, 1500)", json!([]))
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until an element shows this text.
    #[track_caller]
    pub(crate) fn shows(&self, css: &str, text: &str) {
        self.until(&format!("{css} to show {text}"), || {
            self.js(
                "return document.querySelector(arguments[0])?.textContent?.includes(arguments[1]) ?? false",
                json!([css, text]),
            ) == true
        });
    }

    /// A window of that size, light or dark.
    pub(crate) fn look(&self, [width, height]: [u32; 2], dark: bool) {
        self.command(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}),
        );
        self.prefer("prefers-color-scheme", if dark { "dark" } else { "light" });
    }

    /// What who sits before it has asked for, as style sheets hear of it.
    pub(crate) fn prefer(&self, name: &str, value: &str) {
        self.command("Emulation.setEmulatedMedia", json!({"features": [{"name": name, "value": value}]}));
    }

    /// A command of the browser's own protocol.
    #[track_caller]
    fn command(&self, name: &str, of: Value) {
        self.ask("POST", "/goog/cdp/execute", json!({"cmd": name, "params": of}));
    }

    /// A picture of the page, if the environment says where pictures go.
    pub(crate) fn shot(&self, name: &str) {
        let Some(folder) = std::env::var_os("MICROGPT_SHOTS") else { return };
        let picture = self.ask("GET", "/screenshot", Value::Null);
        let path = Path::new(&folder).join(format!("{name}.png"));
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(path, decoded(picture.as_str().unwrap())).unwrap();
    }

    /// What the page complained of since this was last asked.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.ask("POST", "/se/log", json!({"type": "browser"}));
        let severe = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.send("DELETE", &format!("/session/{}", self.session), None);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Bytes from base 64.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u32> = text.bytes().filter(|c| *c != b'=').map(|c| u32::from(digit(c))).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let word = four.iter().enumerate().fold(0, |word, (i, digit)| word | digit << (18 - 6 * i));
        word.to_be_bytes()[1..four.len()].to_vec()
    });
    bytes.collect()
}
