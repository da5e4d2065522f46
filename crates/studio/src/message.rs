//! What is asked and what is answered: plain values, whoever carries them.

use crate::json::Json;
use microgpt::{Error, ErrorKind};

/// A body may have so many bytes, and no more.
pub const MOST_BODY: usize = 8 << 20;

/// A request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST` or `DELETE`.
    pub method: String,
    /// `/api/v1/runs`
    pub path: String,
    /// What stands behind the `?`, as it was sent.
    pub query: String,
    /// JSON, or nothing.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub fn get(path: &str) -> Request {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Request { method: "GET".into(), path: path.into(), query: query.into(), body: Vec::new() }
    }

    /// A request with one.
    pub fn post(path: &str, body: &Json) -> Request {
        Request {
            method: "POST".into(),
            path: path.into(),
            body: body.to_string().into(),
            ..Request::default()
        }
    }

    /// The value of `name` in the query.
    pub fn query(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| decode(&value.replace('+', " ")))
    }

    /// The same as a whole number; the other if it is not there.
    ///
    /// # Errors
    /// Something else than a whole number.
    pub fn number(&self, name: &str, other: usize) -> Result<usize, Fault> {
        match self.query(name) {
            None => Ok(other),
            Some(text) => text
                .parse()
                .map_err(|_| Fault::wrong(format!("{name}: expected a whole number, found {text:?}"))),
        }
    }
}

/// `%2F` -> `/`; what is no such code stays.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        let code = (bytes[i] == b'%').then(|| bytes.get(i + 1..i + 3)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        out.push(code.unwrap_or(bytes[i]));
        i += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// As HTTP numbers it.
    pub status: u16,
    /// What the bytes are.
    pub content_type: &'static str,
    /// The answer itself.
    pub body: Vec<u8>,
}

impl Response {
    /// JSON.
    pub fn json(status: u16, value: &Json) -> Response {
        Response { status, content_type: "application/json", body: value.to_string().into_bytes() }
    }

    /// The answer as JSON; null if it is none.
    pub fn value(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or(Json::Null)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// As HTTP numbers it.
    pub status: u16,
    /// What was expected, what was found.
    pub text: String,
}

impl Fault {
    /// What was asked cannot be.
    pub fn wrong(text: impl Into<String>) -> Fault {
        Fault { status: 400, text: text.into() }
    }

    /// There is no such thing.
    pub fn missing(text: impl Into<String>) -> Fault {
        Fault { status: 404, text: text.into() }
    }

    /// Not as things are now.
    pub fn conflict(text: impl Into<String>) -> Fault {
        Fault { status: 409, text: text.into() }
    }

    /// As an answer.
    pub fn response(&self) -> Response {
        Response::json(self.status, &serde_json::json!({"error": self.text}))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        let status = match error.kind() {
            ErrorKind::Config | ErrorKind::Text => 400,
            _ => 409,
        };
        Fault { status, text: error.to_string() }
    }
}
