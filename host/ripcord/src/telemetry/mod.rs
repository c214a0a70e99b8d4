//! What the host says of itself: one line an event, for people or as JSON. No line is longer, and no kind of line comes more often, than a disk
//! and a reader can bear: who is not let in must not be able to fill them.

mod flood;
mod line;

use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

pub use flood::{left_out, summarise, summarise_for_ever};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error. `RIPCORD_LOG` chooses what, such as `debug` or `ripcord_engine=debug,info`; the default is `info`.
/// Does nothing if logging was started before.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("RIPCORD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = fmt::layer().with_writer(move || line::Bounded::new(std::io::stderr(), format));
    let lines = match format {
        LogFormat::Text => lines.with_ansi(colour).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let started =
        tracing_subscriber::registry().with(filter).with(lines.with_filter(flood::Filter)).try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}
