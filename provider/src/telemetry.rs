//! Logs go to standard error: readable on a terminal, JSON lines elsewhere. Prompts, answers and
//! keys are never logged; request ids are.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Environment variable with the filter, in `tracing`'s syntax.
pub const FILTER_VARIABLE: &str = "QUORATE_LOG";
const FILTER_DEFAULT: &str = "info,mistralrs_core=warn,mistralrs=warn,hyper=warn,h2=warn";

/// Installs the subscriber. A second call, or one inside a process that has its own, does nothing.
pub fn install() {
    let filter =
        EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new(FILTER_DEFAULT));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = if std::io::stderr().is_terminal() {
        builder.try_init()
    } else {
        builder.json().flatten_event(true).with_ansi(false).try_init()
    };
    if installed.is_err() {
        tracing::debug!("logging was set up before");
    }
}
