//! What the host says of itself: one line an event, for people or as JSON.
//!
//! Values and messages hold what others wrote. Both forms pass each of them through one place: nothing in it ends the line, moves the cursor or
//! goes on for ever.

use std::fmt;

use ripcord_core::foreign::Foreign;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::output::json;

/// Of one value so many characters are logged.
const VALUE_CHARS_MAX: usize = 4_000;

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

fn subscriber(
    format: LogFormat,
    colour: Colour,
    filter: EnvFilter,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> Box<dyn Subscriber + Send + Sync> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => {
            let fields = format::debug_fn(text_field).delimited(" ");
            Box::new(builder.with_ansi(colour == Colour::On).with_target(false).fmt_fields(fields).finish())
        }
        LogFormat::Json => Box::new(builder.event_format(JsonLine).finish()),
    }
}

fn text_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = format!("{value:?}");
    let shown = Foreign::new(&value).at_most(VALUE_CHARS_MAX);
    match field.name() {
        "message" => write!(writer, "{shown}"),
        name => write!(writer, "{name}={shown}"),
    }
}

/// Time, level, message, fields and target in one object.
struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let about = event.metadata();
        let mut fields = Fields(vec![("timestamp", time.into()), ("level", about.level().as_str().into())]);
        event.record(&mut fields);
        fields.0.push(("target", about.target().into()));
        writeln!(writer, "{}", json::line(&fields))
    }
}

struct Fields(Vec<(&'static str, Value)>);

impl serde::Serialize for Fields {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut shown: String = value.chars().take(VALUE_CHARS_MAX).collect();
        if shown.len() < value.len() {
            shown.push_str(&format!("… ({} more characters)", value.chars().count() - VALUE_CHARS_MAX));
        }
        self.0.push((field.name(), shown.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), value.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_core::foreign::is_harmful;
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
