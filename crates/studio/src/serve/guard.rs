//! Who may ask: the studio's own page, and programs that are no browsers.
//!
//! A foreign site can make a browser send requests to this machine. Such a request names that site in `Origin` or says
//! `cross-site` in `Sec-Fetch-Site`; one that comes by a name which only pretends to be this machine (DNS rebinding) has
//! that name in `Host`. All of these are refused before anything is done.

use axum::http::{HeaderMap, Method, header};
use std::net::SocketAddr;

/// Which names the studio answers to.
#[derive(Debug, Clone)]
pub struct Guard {
    hosts: Vec<String>,
}

impl Guard {
    /// That of a server at this address; `names` are others it is known by.
    pub fn new(address: SocketAddr, names: &[String]) -> Guard {
        let port = address.port();
        let mut known: Vec<String> = names.to_vec();
        if address.ip().is_loopback() {
            known.extend(["localhost", "127.0.0.1", "[::1]"].map(String::from));
        }
        if !address.ip().is_unspecified() {
            known.push(match address {
                SocketAddr::V4(v4) => v4.ip().to_string(),
                SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
            });
        }
        let mut hosts: Vec<String> =
            known.iter().map(|name| format!("{}:{port}", name.to_ascii_lowercase())).collect();
        if port == 80 {
            hosts.extend(known.iter().map(|name| name.to_ascii_lowercase()));
        }
        Guard { hosts }
    }

    /// May this be answered? Else why not.
    ///
    /// # Errors
    /// It may not.
    pub fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), &'static str> {
        let one = |name: header::HeaderName| {
            let mut values = headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (None, _) => Ok(None),
                (Some(value), None) => value.to_str().map(Some).map_err(|_| "a header that is no text"),
                (Some(_), Some(_)) => Err("a header that is there twice"),
            }
        };
        let host = one(header::HOST)?.ok_or("expected a Host, found none")?.to_ascii_lowercase();
        if !self.hosts.contains(&host) {
            return Err("expected the Host of the studio, found another");
        }
        if let Some(origin) = one(header::ORIGIN)? {
            let origin = origin.to_ascii_lowercase();
            if origin.strip_prefix("http://") != Some(&host[..]) {
                return Err("expected a request of the studio's own page, found one of another site");
            }
        }
        let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
        match site {
            None | Some(b"same-origin" | b"none") => {}
            // A link to the page may be followed from anywhere; it only shows it.
            Some(_)
                if method == Method::GET
                    && headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate") => {}
            Some(_) => return Err("expected a request of the studio's own page, found one of another site"),
        }
        if method == Method::POST {
            let kind = one(header::CONTENT_TYPE)?.unwrap_or_default();
            let kind = kind.split(';').next().unwrap_or_default().trim();
            if !kind.eq_ignore_ascii_case("application/json") {
                return Err("expected Content-Type application/json");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn check(method: &Method, pairs: &[(&'static str, &str)]) -> bool {
        let guard = Guard::new("127.0.0.1:8080".parse().unwrap(), &["studio.test".to_string()]);
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        guard.check(method, &headers).is_ok()
    }

    #[test]
    fn only_its_own_names_are_answered_to() {
        for (host, may) in [
            ("127.0.0.1:8080", true),
            ("localhost:8080", true),
            ("LOCALHOST:8080", true),
            ("[::1]:8080", true),
            ("studio.test:8080", true),
            ("localhost", false),
            ("localhost:80", false),
            ("localhost:8080.evil.test", false),
            ("evil.test", false),
            ("evil.test:8080", false),
            ("127.0.0.1.evil.test:8080", false),
            ("", false),
        ] {
            assert_eq!(check(&Method::GET, &[("host", host)]), may, "{host}");
        }
        assert!(!check(&Method::GET, &[]));
        assert!(!check(&Method::GET, &[("host", "localhost:8080"), ("host", "evil.test")]));
    }

    #[test]
    fn a_foreign_site_can_neither_read_nor_act() {
        let host = ("host", "localhost:8080");
        let json = ("content-type", "application/json; charset=utf-8");
        for (origin, may) in [
            ("http://localhost:8080", true),
            ("http://127.0.0.1:8080", false), // another origin than the page's
            ("https://localhost:8080", false),
            ("http://localhost:8081", false),
            ("http://evil.test", false),
            ("http://localhost:8080.evil.test", false),
            ("null", false),
        ] {
            assert_eq!(check(&Method::GET, &[host, ("origin", origin)]), may, "{origin}");
            assert_eq!(check(&Method::POST, &[host, json, ("origin", origin)]), may, "{origin}");
        }
        for site in ["cross-site", "same-site", "else"] {
            assert!(!check(&Method::GET, &[host, ("sec-fetch-site", site)]), "{site}");
            assert!(!check(&Method::GET, &[host, ("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")]));
            assert!(
                check(&Method::GET, &[host, ("sec-fetch-site", site), ("sec-fetch-mode", "navigate")]),
                "a link"
            );
            assert!(!check(
                &Method::POST,
                &[host, json, ("sec-fetch-site", site), ("sec-fetch-mode", "navigate")]
            ));
        }
        // What a form of any site may send without asking first.
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
            assert!(!check(&Method::POST, &[host, ("content-type", kind)]), "{kind}");
        }
        assert!(!check(&Method::POST, &[host]) && check(&Method::POST, &[host, json]));
    }
}
