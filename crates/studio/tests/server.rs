//! The server: who is answered, and that a training goes on whoever asks.

mod common;

use common::*;
use microgpt_studio::Studio;
use microgpt_studio::form::Start;
use microgpt_studio::json::Json;
use microgpt_studio::serve::{self, Options};
use microgpt_studio::shelf::Shelf;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// A server that ends with the test.
struct Server {
    address: SocketAddr,
    studio: Arc<Studio>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
    _root: tempfile::TempDir,
}

impl Server {
    fn new() -> Server {
        let root = tempfile::tempdir().unwrap();
        let studio = serve::studio(Shelf::new(root.path().join("runs")), Start::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let (served, stopped) = (studio.clone(), stop.clone());
        let thread = thread::spawn(move || {
            let options = Options { host: [127, 0, 0, 1].into(), port: 0, names: Vec::new() };
            serve::serve(served, &options, stopped, |address| sender.send(address).unwrap()).unwrap();
        });
        let address = receiver.recv_timeout(Duration::from_secs(10)).unwrap();
        Server { address, studio, stop, thread: Some(thread), _root: root }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends what is written and reads the answer: status, headers in small letters, body.
    fn raw(&self, request: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = self.connect();
        // A server that has heard enough may close before all is sent.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, head, answer.get(end + 4..).unwrap_or_default().to_vec())
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, Vec<u8>) {
        let host = format!("Host: {}\r\n", self.address);
        let host = if headers.to_lowercase().contains("host:") { "" } else { &host };
        let len = body.len();
        self.raw(
            format!("{method} {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\nContent-Length: {len}\r\n\r\n{body}")
                .as_bytes(),
        )
    }

    fn post(&self, path: &str, body: &Json) -> (u16, Json) {
        let (status, _, body) =
            self.ask("POST", path, "Content-Type: application/json\r\n", &body.to_string());
        (status, serde_json::from_slice(&body).unwrap_or(Json::Null))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn wait(mut until: impl FnMut() -> bool, what: &str) {
    let began = Instant::now();
    while !until() {
        assert!(began.elapsed() < Duration::from_secs(120), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_foreign_site_is_refused_and_the_page_is_guarded() {
    let server = Server::new();
    let json_type = "Content-Type: application/json\r\n";
    let own = format!("Origin: http://{}\r\n", server.address);
    assert_eq!(server.ask("GET", "/api/v1/runs", "", "").0, 200);
    assert_eq!(server.ask("POST", "/api/v1/condition", &(own + json_type), r#"{"condition": "1"}"#).0, 200);
    for headers in [
        "Host: evil.test\r\n",
        "Origin: http://evil.test\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
    ] {
        for (method, path) in [
            ("GET", "/api/v1/runs"),
            ("GET", "/api/v1/runs/x/events"),
            ("DELETE", "/api/v1/runs/x"),
            ("GET", "/"),
        ] {
            assert_eq!(server.ask(method, path, headers, "").0, 403, "{method} {path} {headers}");
        }
        let (status, head, _) = server.ask("POST", "/api/v1/runs", &format!("{headers}{json_type}"), "{}");
        assert!(status == 403 && !head.contains("access-control"), "{headers}");
    }
    // What a form may send from anywhere.
    assert_eq!(server.ask("POST", "/api/v1/runs", "Content-Type: text/plain\r\n", "{}").0, 403);
    // No preflight is ever granted, and there is no WebSocket.
    let (status, head, _) = server.ask("OPTIONS", "/api/v1/runs", "", "");
    assert!(status == 405 && !head.contains("access-control"));
    let socket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    assert_ne!(server.ask("GET", "/api/v1/runs/x/events", socket, "").0, 101);
    assert!(server.studio.sessions().is_empty(), "nothing was done");

    let (status, head, page) = server.ask("GET", "/", "", "");
    assert_eq!(status, 200);
    for line in [
        "content-security-policy: default-src 'none'; script-src 'self';",
        "x-content-type-options: nosniff",
        "etag: \"",
        "x-frame-options: deny",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert!(!head.contains("unsafe-inline"));
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("<script type=\"module\" src=\"main.js\"></script>") && !page.contains(" style="));
    let mark = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    assert_eq!(server.ask("GET", "/", &format!("If-None-Match: {mark}\r\n"), "").0, 304);
    let (_, head, _) = server.ask("GET", "/api/v1", "", "");
    assert!(head.contains("cache-control: no-store") && head.contains("default-src 'none'"));
}

#[test]
fn no_path_leads_out_and_no_body_is_endless() {
    let server = Server::new();
    for path in [
        "/../Cargo.toml",
        "/..%2fCargo.toml",
        "/%2e%2e/%2e%2e/Cargo.toml",
        "/page/../../Cargo.toml",
        "//etc/passwd",
        "/etc/passwd",
        "/main.js/..",
        "/api/v1/source?file=../../../../etc/passwd",
        "/api/v1/source?file=%2e%2e%2fCargo.toml",
        "/api/v1/runs/..%2f..%2fetc",
        "/api/v1/runs/../../etc/news",
    ] {
        let (status, _, body) = server.ask("GET", path, "", "");
        assert!(status == 404 || status == 400, "{path}: {status} {}", String::from_utf8_lossy(&body));
    }
    for name in ["../x", "/etc", "..", "a/../../b"] {
        assert_eq!(server.post("/api/v1/runs/open", &json!({"name": name})).0, 400, "{name}");
        assert_eq!(server.post("/api/v1/runs", &json!({"name": name})).0, 400, "{name}");
    }
    let long = format!("{{\"condition\": \"{}\"}}", "1".repeat(9 << 20));
    let head = format!(
        "POST /api/v1/condition HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nConnection: close\r\n",
        server.address
    );
    let (status, ..) = server.raw(format!("{head}Content-Length: {}\r\n\r\n{long}", long.len()).as_bytes());
    assert!(status == 413 || status == 0, "{status}");
    // Without saying how long it is.
    let mut chunks = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..9 {
        chunks.extend(
            format!("{:x}\r\n", 1 << 20).bytes().chain(std::iter::repeat_n(b'1', 1 << 20)).chain(*b"\r\n"),
        );
    }
    let (status, ..) = server.raw(&chunks);
    assert!(status == 413 || status == 0, "{status}");
    assert_eq!(server.raw(b"nonsense\r\n\r\n").0, 400);
    assert_eq!(server.ask("GET", "/api/v1", "", "").0, 200, "it still answers");
}

#[test]
fn two_hundred_clients_and_a_slow_one_do_not_stop_a_training() {
    let server = Arc::new(Server::new());
    let steps = 400;
    let (status, run) =
        server.post("/api/v1/runs", &json!({"name": "mine", "settings": {"steps": steps.to_string()}}));
    assert_eq!((status, &run["id"]), (201, &json!("mine")));
    // One sends a byte now and then, one asks for events and reads none of them.
    let mut slow = server.connect();
    slow.write_all(format!("POST /api/v1/runs/mine/look HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n", server.address).as_bytes()).unwrap();
    let mut deaf = server.connect();
    deaf.write_all(
        format!("GET /api/v1/runs/mine/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).as_bytes(),
    )
    .unwrap();
    let clients: Vec<_> = (0..200)
        .map(|i| {
            let server = server.clone();
            thread::spawn(move || {
                let (status, body) = match i % 4 {
                    0 => {
                        let mut stream = server.connect();
                        let asked = format!(
                            "GET /api/v1/runs/mine/events HTTP/1.1\r\nHost: {}\r\n\r\n",
                            server.address
                        );
                        stream.write_all(asked.as_bytes()).unwrap();
                        let mut seen = [0; 400];
                        stream.read_exact(&mut seen).unwrap();
                        let seen = String::from_utf8_lossy(&seen).into_owned();
                        return assert!(
                            seen.contains("text/event-stream") && seen.contains("id: "),
                            "{seen}"
                        );
                    }
                    1 => server.post(
                        "/api/v1/runs/mine/look",
                        &json!({"text": "emma", "want": [{"name": "layer0.attn_weights"}]}),
                    ),
                    2 => server
                        .post("/api/v1/runs/mine/why", &json!({"text": "anna", "place": {"name": "loss"}})),
                    _ => server.post("/api/v1/runs/mine/next", &json!({"text": "e"})),
                };
                assert_eq!(status, 200, "{body}");
            })
        })
        .collect();
    for client in clients {
        let _ = slow.write_all(b" ");
        client.join().unwrap();
    }
    let session = server.studio.session("mine").unwrap();
    wait(|| session.summary()["status"] == "done", "the training ends");
    assert_eq!(session.last(), steps);
    // To the same bits as alone.
    let (_root, alone) = studio();
    let alone = begin(&alone, "mine", &json!({"steps": steps.to_string()}), steps);
    assert_eq!(session.weights(steps).unwrap().parted(&alone.weights(steps).unwrap()), None);
    drop((slow, deaf));
}

#[test]
fn events_come_by_themselves_and_go_on_where_they_were() {
    let server = Server::new();
    server.post("/api/v1/runs", &json!({"name": "mine", "settings": {"steps": "60"}, "go": false}));
    let listen = |headers: &str| {
        let mut stream = server.connect();
        stream
            .write_all(
                format!(
                    "GET /api/v1/runs/mine/events HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n",
                    server.address
                )
                .as_bytes(),
            )
            .unwrap();
        std::io::BufReader::new(stream)
    };
    let mut reader = listen("");
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    server.post("/api/v1/runs/mine/train", &json!({"do": "step", "steps": 7}));
    let mut read = |reader: &mut std::io::BufReader<TcpStream>, upto: usize| {
        while seen.last() != Some(&upto) {
            let mut line = String::new();
            assert!(std::io::BufRead::read_line(reader, &mut line).unwrap() > 0, "the stream ended");
            if let Some(id) = line.strip_prefix("id: ") {
                cursor = id.trim().to_string();
            } else if let Some(data) = line.strip_prefix("data: ") {
                let news: Json = serde_json::from_str(data).unwrap();
                seen.extend(
                    news["steps"]["step"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|step| step.as_u64().unwrap() as usize),
                );
            }
        }
        cursor.clone()
    };
    let cursor = read(&mut reader, 7);
    drop(reader);
    server.post("/api/v1/runs/mine/train", &json!({"do": "step", "steps": 3}));
    read(&mut listen(&format!("Last-Event-ID: {cursor}\r\n")), 10);
    assert_eq!(seen, (1..=10).collect::<Vec<_>>(), "each step is told once");
    // A run that is closed ends the stream.
    let mut reader = listen("");
    assert_eq!(server.ask("DELETE", "/api/v1/runs/mine", "", "").0, 200);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("event: gone"), "{rest}");
}

#[test]
fn training_stops_at_a_condition_and_waits_when_it_is_told() {
    let server = Server::new();
    server.post("/api/v1/runs", &json!({"name": "mine", "go": false}));
    let session = server.studio.session("mine").unwrap();
    let until = json!({"do": "go", "until": "max(abs(grad(layer0.attn_wq))) > 0.01"});
    assert_eq!(server.post("/api/v1/runs/mine/train", &until).0, 200);
    wait(|| session.summary()["status"] == "paused", "the condition holds");
    let summary = session.summary();
    assert_eq!(
        summary["until"],
        json!({"condition": "max(abs(grad(layer0.attn_wq))) > 0.01", "held": true, "step": summary["step"]})
    );
    // The batch of that step, with the weights before it, has such a gradient; the one before has not.
    let most = |step: u64| {
        let look = post(
            &server.studio,
            "/api/v1/runs/mine/look",
            &json!({"step": step, "batch": true, "want": [{"name": "layer0.attn_wq", "grad": true}]}),
        );
        table(&look["windows"][0]["grads"]).iter().fold(0.0, |most: f64, g| most.max(g.abs()))
    };
    let step = summary["step"].as_u64().unwrap();
    assert!(step > 1 && most(step - 1) > 0.01 && most(step - 2) <= 0.01, "{step}");
    server.post("/api/v1/runs/mine/train", &json!({"do": "go", "until": "nothing > 1"}));
    wait(|| session.summary()["status"] == "failed", "no such tensor");
    assert!(session.summary()["error"].as_str().unwrap().contains("\"nothing\""));
    server.post("/api/v1/runs/mine/train", &json!({"do": "go"}));
    server.post("/api/v1/runs/mine/train", &json!({"do": "pause"}));
    thread::sleep(Duration::from_millis(100));
    let paused = session.last();
    thread::sleep(Duration::from_millis(100));
    assert!(session.last() == paused && session.summary()["status"] == "paused");
}
