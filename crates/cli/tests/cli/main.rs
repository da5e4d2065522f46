//! The program as its users meet it: started, watched, read.

mod place;
mod formula;
mod golden;
mod resume;
mod runs;
#[cfg(unix)]
mod crash;
mod stream;
mod generate;
mod data;
mod bench;
mod sweep;
mod bad_input;
mod studio;
#[cfg(target_os = "linux")]
mod terminal;
