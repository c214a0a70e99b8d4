//! The length of a line.

use std::io::{self, Write};

use super::LogFormat;

/// Longer ones are cut.
const LINE_BYTES_MAX: usize = 16 << 10;
/// Of a JSON object that cannot be cut without breaking it, as text.
const QUOTED_BYTES_MAX: usize = 2 << 10;

/// A writer of whole lines.
#[derive(Debug)]
pub(super) struct Bounded<W> {
    inner: W,
    format: LogFormat,
}

impl<W> Bounded<W> {
    pub(super) fn new(inner: W, format: LogFormat) -> Self {
        Self { inner, format }
    }
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if line.len() <= LINE_BYTES_MAX {
            self.inner.write_all(line)?;
        } else {
            self.inner.write_all(&cut(line, self.format))?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn cut(line: &[u8], format: LogFormat) -> Vec<u8> {
    let begin = |bytes: usize| String::from_utf8_lossy(&line[..bytes.min(line.len())]).into_owned();
    let text = match format {
        LogFormat::Text => {
            format!("{}… (cut: the line has {} bytes)\n", begin(LINE_BYTES_MAX), line.len())
        }
        LogFormat::Json => {
            let message = "a line of the log was too long";
            let whole = serde_json::json!({"level": "WARN", "message": message, "bytes": line.len(), "began": begin(QUOTED_BYTES_MAX)});
            format!("{whole}\n")
        }
    };
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &str, format: LogFormat) -> String {
        let mut out = Vec::new();
        Bounded::new(&mut out, format).write_all(line.as_bytes()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_of_any_length_stays_one_line_of_its_form() {
        assert_eq!(written("short\n", LogFormat::Text), "short\n");
        let long = format!("INFO request path={}\n", "é".repeat(60_000));
        let text = written(&long, LogFormat::Text);
        assert!(
            text.len() < LINE_BYTES_MAX + 100 && text.ends_with("… (cut: the line has 120019 bytes)\n"),
            "{}",
            &text[text.len() - 60..]
        );
        let long = serde_json::json!({"message": "request", "path": "é\n".repeat(60_000)}).to_string() + "\n";
        let json = written(&long, LogFormat::Json);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((json.lines().count(), &read["bytes"]), (1, &long.len().into()));
        assert!(json.len() < 8 << 10);
    }
}
