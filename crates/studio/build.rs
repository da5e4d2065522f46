//! Makes the list of the page's files, each of which is then part of the program.

use std::fmt::Write;
use std::path::Path;

fn main() {
    let page = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("page");
    println!("cargo::rerun-if-changed=page");
    let mut names: Vec<String> = std::fs::read_dir(&page)
        .map(|entries| entries.flatten().filter(|e| e.path().is_file()).collect::<Vec<_>>())
        .unwrap_or_default()
        .iter()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    let mut list = String::from("&[\n");
    for name in names {
        let path = page.join(&name);
        let _ = writeln!(list, "    ({name:?}, include_bytes!({:?}) as &[u8]),", path.display().to_string());
    }
    list.push(']');
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    std::fs::write(Path::new(&out).join("page.rs"), list).expect("the folder of the build can be written to");
}
