//! What the host says of itself: one line an event, for people or as JSON. No line is longer, and no kind of line comes more often, than a disk
//! and a reader can bear: who is not let in must not be able to fill them.

mod flood;
mod line;
mod shown;

use std::io;

use tracing::Subscriber;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
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
    let colour = if colour { Colour::On } else { Colour::Off };
    if let Err(error) =
        tracing::subscriber::set_global_default(subscriber(format, colour, filter, std::io::stderr))
    {
        tracing::debug!(%error, "logging was started before");
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    On,
    Off,
}

fn subscriber<W: io::Write + 'static>(
    format: LogFormat,
    colour: Colour,
    filter: EnvFilter,
    writer: impl Fn() -> W + Send + Sync + 'static,
) -> Box<dyn Subscriber + Send + Sync> {
    let lines = fmt::layer().with_writer(move || line::Bounded::new(writer(), format));
    let lines = match format {
        LogFormat::Text => {
            let fields = format::debug_fn(shown::text_field).delimited(" ");
            lines.with_ansi(colour == Colour::On).with_target(false).fmt_fields(fields).boxed()
        }
        LogFormat::Json => lines.event_format(shown::JsonLine).boxed(),
    };
    Box::new(tracing_subscriber::registry().with(filter).with(lines.with_filter(flood::Filter)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_core::foreign::is_harmful;
    use serde_json::Value;
    use std::sync::{Arc, Mutex};

    const HOSTILE: &str =
        "a\u{1b}[2J\n2026-11-26T00:00:00Z INFO all is well\r\u{9b}31m\u{202e}\u{2028}\u{7f}";

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, events: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(format, Colour::Off, EnvFilter::new("info"), move || writer.clone());
        tracing::subscriber::with_default(subscriber, events);
        let bytes = lines.0.lock().expect("no panic").clone();
        let text = String::from_utf8(bytes).expect("text");
        text.split_terminator('\n').map(str::to_owned).collect()
    }

    #[test]
    fn what_others_wrote_neither_forges_a_line_nor_moves_the_cursor() {
        let error = std::io::Error::other(HOSTILE);
        let long = "p".repeat(60_000);
        for format in [LogFormat::Text, LogFormat::Json] {
            let lines = logged(format, || {
                tracing::error!(%error, text = HOSTILE, debug = ?HOSTILE, "it said {HOSTILE}");
                tracing::warn!(
                    error = &error as &(dyn std::error::Error + 'static),
                    path = long,
                    "{HOSTILE}"
                );
            });
            assert_eq!(lines.len(), 2, "{format:?}: a line an event: {lines:#?}");
            for line in &lines {
                assert!(!line.chars().any(is_harmful), "{format:?}: {line:?}");
                assert!(line.len() < 6_000, "{format:?}: {} bytes", line.len());
            }
            assert!(lines[1].contains(" more characters)"), "{lines:?}");
        }
    }

    #[test]
    fn json_lines_hold_the_true_values() {
        let lines =
            logged(LogFormat::Json, || tracing::info!(path = HOSTILE, ms = 7_u64, ok = true, "request"));
        let line: Value = serde_json::from_str(&lines[0]).expect("JSON");
        assert_eq!((&line["path"], &line["ms"], &line["ok"]), (&HOSTILE.into(), &7.into(), &true.into()));
        assert_eq!((&line["message"], &line["level"]), (&"request".into(), &"INFO".into()));
        assert!(line["timestamp"].is_string() && line["target"].is_string(), "{line}");
        assert!(lines[0].starts_with("{\"timestamp\":"), "{}", lines[0]);
    }

    #[test]
    fn text_lines_read_as_before() {
        let lines =
            logged(LogFormat::Text, || tracing::info!(service = %"fraud-api", rule = "A", "taken in"));
        assert!(lines[0].ends_with(" INFO taken in service=fraud-api rule=\"A\""), "{}", lines[0]);
    }
}
