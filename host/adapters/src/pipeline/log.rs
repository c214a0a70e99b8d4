//! The end of a log: bounded, and without secrets of ours.

use ripcord_core::foreign::Foreign;

use crate::http::on_one_line;
use crate::secret::Secret;

/// So much of a log is kept.
pub(crate) const KEPT_BYTES_MAX: usize = 64 << 10;
/// So much of it goes into a sentence.
const WORDS_CHARS: usize = 400;
const MASKED: &str = "(secret)";
/// A shorter secret would mask half of every log.
const SECRET_CHARS_MIN: usize = 4;

/// The end of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    text: String,
    left_out: u64,
}

impl Tail {
    /// Of a whole log, or of the end of one before which `left_out` bytes were not read. Secrets that the pipeline printed are taken out.
    pub(crate) fn of(bytes: &[u8], left_out: u64, secrets: &[&Secret]) -> Self {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        for secret in secrets.iter().filter(|secret| secret.expose().chars().count() >= SECRET_CHARS_MIN) {
            text = text.replace(secret.expose(), MASKED);
        }
        let mut from = text.len().saturating_sub(KEPT_BYTES_MAX);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        Self { left_out: left_out.saturating_add(from as u64), text: text.split_off(from) }
    }

    /// All that is kept.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// How many bytes before it are not.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Its very end, in one harmless line.
    pub(crate) fn last_words(&self) -> String {
        let line = on_one_line(&self.text);
        if line.is_empty() {
            return "it wrote nothing".to_owned();
        }
        let many = line.chars().count();
        let end: String = line.chars().skip(many.saturating_sub(WORDS_CHARS)).collect();
        let before = if many > WORDS_CHARS || self.left_out > 0 { "…" } else { "" };
        format!("its log ends with `{before}{}`", Foreign::new(&end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_cut_at_its_beginning_and_says_so() {
        let long = format!("first\n{}", "é".repeat(KEPT_BYTES_MAX));
        let tail = Tail::of(long.as_bytes(), 7, &[]);
        assert!(tail.text().len() <= KEPT_BYTES_MAX && !tail.text().contains("first"));
        assert_eq!(tail.left_out() + tail.text().len() as u64, long.len() as u64 + 7);
        assert!(tail.last_words().starts_with("its log ends with `…é"));
    }

    #[test]
    fn neither_secrets_nor_what_a_terminal_obeys_is_shown() {
        let secret = Secret::new("hunter2-token");
        let tail = Tail::of(b"curl -H hunter2-token\n\x1b[2Jfailed\n", 0, &[&secret]);
        assert_eq!(tail.last_words(), "its log ends with `curl -H (secret) \\u{1b}[2Jfailed`");
        assert!(!tail.text().contains("hunter2"));
        assert_eq!(Tail::default().last_words(), "it wrote nothing");
    }
}
