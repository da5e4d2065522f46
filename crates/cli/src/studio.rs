//! `microgpt studio` and `microgpt export html`: the page in which no number is hidden, served or in one file.

use crate::args::{ExportArgs, StudioArgs};
use crate::voice::program;
use anyhow::{Result, anyhow};
use microgpt::Error;
use microgpt_runs::data::Source;
use microgpt_runs::run::{RUNS, Run};
use microgpt_studio::export::{self, Choice};
use microgpt_studio::form::Start;
use microgpt_studio::message::Fault;
use microgpt_studio::serve::{self, Options};
use microgpt_studio::shelf::Shelf;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

pub(crate) fn run(args: &StudioArgs) -> Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    let pressed = stop.clone();
    // A second Ctrl+C does not wait.
    let _ = ctrlc::set_handler(move || {
        if pressed.swap(true, SeqCst) {
            std::process::exit(130);
        }
    });
    let start = Start::new(args.settings.assignments()?)?;
    let settings = start.settings.clone();
    let host: IpAddr = match &args.host[..] {
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        host => host.parse().map_err(|_| {
            Error::config(format!("--host: expected an address such as 127.0.0.1 or 0.0.0.0, found {host:?}"))
        })?,
    };
    if !host.is_loopback() {
        crate::notice(&format!(
            "--host {host}: whoever reaches this machine can use the studio, its runs and its time; there is no password"
        ));
    }
    let (shelf, name) = shelf(args.run.as_deref())?;
    let studio = serve::studio(shelf, start.clone());
    match name {
        Some(name) => _ = studio.open(&name).map_err(told)?,
        None => {
            for name in studio.revive() {
                crate::notice(&format!("{name}: it was being trained when the studio ended; it goes on"));
            }
            let has_text = settings.preset().names || settings.data != Source::Names;
            if !args.idle && has_text && studio.sessions().is_empty() {
                begin(&studio, start)?;
            }
        }
    }
    let options = Options { host, port: args.port, names: args.name.clone() };
    let ready = |address: std::net::SocketAddr| {
        let shown = match address.ip() {
            ip if ip.is_unspecified() => format!("http://localhost:{}/", address.port()),
            _ => format!("http://{address}/"),
        };
        crate::notice(&format!("the studio is at {shown} (Ctrl+C ends it)"));
        if !args.no_open && has_display() && open::that_detached(&shown).is_err() {
            crate::notice("no browser could be opened; open the address yourself");
        }
    };
    serve::serve(studio, &options, stop, ready).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow!(Error::config(format!(
            "--port {}: expected a port that is free, found one in use (--port 0 takes any)",
            args.port
        ))),
        _ => anyhow!("{host}:{}: {error}", args.port),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The run that the page shows first. Where it cannot be saved it is trained all the same.
fn begin(studio: &microgpt_studio::Studio, start: Start) -> Result<()> {
    let saved = studio.begin_with(start.clone(), None, None, true, true);
    if let Err(fault) = saved {
        crate::notice(&format!("{}; the run is not saved", fault.text));
        studio.begin_with(start, None, None, false, true).map_err(told)?;
    }
    Ok(())
}

/// The folder that a run lies in, and its name there; `runs/` without one.
fn shelf(run: Option<&str>) -> Result<(Shelf, Option<String>)> {
    let Some(run) = run else { return Ok((Shelf::new(RUNS), None)) };
    let path = Run::find(run)?.path().to_path_buf();
    let whole = if path.file_name().is_some() { path } else { path.canonicalize()? };
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = whole.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
    Ok((Shelf::new(folder), Some(name)))
}

/// Is there a screen that a browser could open on?
fn has_display() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if cfg!(any(target_os = "macos", windows)) {
        !set("SSH_CONNECTION")
    } else {
        set("DISPLAY") || set("WAYLAND_DISPLAY")
    }
}

fn told(fault: Fault) -> anyhow::Error {
    anyhow!(match fault.status {
        400 => Error::config(fault.text),
        _ => Error::checkpoint(fault.text),
    })
}

pub(crate) fn export(args: &ExportArgs) -> Result<ExitCode> {
    let (shelf, name) = shelf(Some(&args.run))?;
    let name = name.unwrap_or_default();
    let out = PathBuf::from(args.out.clone().unwrap_or_else(|| format!("{name}.html")));
    let studio = microgpt_studio::Studio::by_hand(shelf);
    let session = studio.open(&name).map_err(told)?;
    let choice = Choice { texts: args.text.clone(), steps: args.step.clone() };
    let html = export::html(&studio, &session, &choice).map_err(told)?;
    microgpt_runs::atomic::write(&out, &html)?;
    crate::notice(&format!(
        "{} ({:.1} MB) opens by double-click; {} studio {} shows the run alive",
        out.display(),
        html.len() as f64 / 1e6,
        program(),
        args.run
    ));
    Ok(ExitCode::SUCCESS)
}
