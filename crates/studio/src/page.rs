//! The files of the page, which are part of the program.

use crate::message::Response;
use std::borrow::Cow;

const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The file at a path of the address: `/` is index.html. With `MICROGPT_STUDIO_PAGE` in the environment, a debug build
/// reads it from that folder, so that a change is seen without building.
pub fn file(path: &str) -> Option<Response> {
    let name = match path.strip_prefix('/')? {
        "" => "index.html",
        name => name,
    };
    let body = read(name)?;
    Some(Response { status: 200, content_type: content_type(name), body: body.into_owned() })
}

/// Every file of the page with its name.
pub fn files() -> impl Iterator<Item = (&'static str, Cow<'static, [u8]>)> {
    FILES.iter().filter_map(|(name, _)| Some((*name, read(name)?)))
}

fn read(name: &str) -> Option<Cow<'static, [u8]>> {
    #[cfg(debug_assertions)]
    if let Some(folder) = std::env::var_os("MICROGPT_STUDIO_PAGE") {
        // A name alone: nothing that could lead out of the folder.
        let plain =
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) && !name.starts_with('.');
        return plain
            .then(|| std::fs::read(std::path::Path::new(&folder).join(name)).ok().map(Cow::Owned))?;
    }
    FILES.iter().find(|(file, _)| *file == name).map(|(_, bytes)| Cow::Borrowed(*bytes))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}
