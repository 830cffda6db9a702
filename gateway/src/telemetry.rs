//! Logs: to stderr, pretty for a person at a terminal, JSON for anything else. Prompts and keys never
//! come here; what is logged of a request is its id, status, code and times.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{LogFormat, Telemetry};

/// Installs the process's log. A process that has one keeps it.
///
/// # Errors
/// There is one already.
pub fn init(telemetry: &Telemetry) -> Result<(), TryInitError> {
    let terminal = std::io::stderr().is_terminal();
    let pretty = match telemetry.format {
        LogFormat::Auto => terminal,
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let filter = EnvFilter::try_new(&telemetry.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if pretty {
        log.with_ansi(terminal).finish().try_init()
    } else {
        log.json().flatten_event(true).finish().try_init()
    }
}
