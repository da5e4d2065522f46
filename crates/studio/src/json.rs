//! Numbers out, fields in.

use crate::message::Fault;

/// A value of JSON.
pub type Json = serde_json::Value;

/// A number, exactly; where JSON has none, its name.
pub fn number(x: f64) -> Json {
    match serde_json::Number::from_f64(x) {
        Some(number) => Json::Number(number),
        None if x.is_nan() => "NaN".into(),
        None if x > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// Several.
pub fn numbers(xs: impl IntoIterator<Item = f64>) -> Json {
    Json::Array(xs.into_iter().map(number).collect())
}

/// The fields of a request's body, each taken once; what is left over at the end is an error.
#[derive(Debug)]
pub struct Fields {
    fields: serde_json::Map<String, Json>,
    known: Vec<&'static str>,
}

impl Fields {
    /// Those of a body; an empty one has none.
    ///
    /// # Errors
    /// What is no JSON, or no object.
    pub fn read(body: &[u8]) -> Result<Fields, Fault> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Fields { fields: serde_json::Map::new(), known: Vec::new() });
        }
        let value = serde_json::from_slice(body);
        Fields::of(
            value.map_err(|error| Fault::wrong(format!("expected JSON, found a mistake: {error}")))?,
            "the body",
        )
    }

    /// Those of an object.
    ///
    /// # Errors
    /// Something else.
    pub fn of(value: Json, what: &str) -> Result<Fields, Fault> {
        match value {
            Json::Object(fields) => Ok(Fields { fields, known: Vec::new() }),
            other => Err(Fault::wrong(format!("{what}: expected an object, found {}", kind(&other)))),
        }
    }

    /// The field itself, if it is there and not null.
    pub fn take(&mut self, name: &'static str) -> Option<Json> {
        self.known.push(name);
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    /// The field as it was sent, which stays.
    pub fn peek(&self, name: &str) -> Option<&Json> {
        self.fields.get(name)
    }

    /// A text.
    ///
    /// # Errors
    /// Something else; so with all that follow.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(other) => Err(expected(name, "a text", &other)),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// Something else.
    pub fn whole(&mut self, name: &'static str) -> Result<Option<usize>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => whole(&value).map(Some).ok_or_else(|| expected(name, "a whole number", &value)),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// Something else.
    pub fn number(&mut self, name: &'static str) -> Result<Option<f64>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| expected(name, "a number", &value)),
        }
    }

    /// True or false.
    ///
    /// # Errors
    /// Something else.
    pub fn truth(&mut self, name: &'static str) -> Result<Option<bool>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Bool(truth)) => Ok(Some(truth)),
            Some(other) => Err(expected(name, "true or false", &other)),
        }
    }

    /// A list; an empty one if it is not there.
    ///
    /// # Errors
    /// Something else.
    pub fn list(&mut self, name: &'static str) -> Result<Vec<Json>, Fault> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Json::Array(list)) => Ok(list),
            Some(other) => Err(expected(name, "a list", &other)),
        }
    }

    /// A list of whole numbers.
    ///
    /// # Errors
    /// Something else.
    pub fn wholes(&mut self, name: &'static str) -> Result<Option<Vec<usize>>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => {
                let list = value.as_array().and_then(|list| list.iter().map(whole).collect());
                list.map(Some).ok_or_else(|| expected(name, "a list of whole numbers", &value))
            }
        }
    }

    /// Fields of its own.
    ///
    /// # Errors
    /// Something else.
    pub fn object(&mut self, name: &'static str) -> Result<Option<Fields>, Fault> {
        self.take(name).map(|value| Fields::of(value, name)).transpose()
    }

    /// All that is left, each with its name.
    pub fn rest(self) -> impl Iterator<Item = (String, Json)> {
        self.fields.into_iter()
    }

    /// That was all.
    ///
    /// # Errors
    /// A field that nobody asked for.
    pub fn end(self) -> Result<(), Fault> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(name) => {
                let hint = microgpt::choices::nearest(name, &self.known);
                let hint = hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default();
                Err(Fault::wrong(format!("{name}: no such field{hint}")))
            }
        }
    }
}

/// A field must be there.
pub fn needed<T>(value: Option<T>, name: &str) -> Result<T, Fault> {
    value.ok_or_else(|| Fault::wrong(format!("{name}: expected a value, found none")))
}

fn whole(value: &Json) -> Option<usize> {
    value.as_u64().and_then(|n| n.try_into().ok())
}

fn expected(name: &str, what: &str, found: &Json) -> Fault {
    Fault::wrong(format!("{name}: expected {what}, found {}", kind(found)))
}

fn kind(value: &Json) -> String {
    match value {
        Json::Null => "null".into(),
        Json::Array(_) => "a list".into(),
        Json::Object(_) => "an object".into(),
        Json::String(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
        other => other.to_string(),
    }
}
