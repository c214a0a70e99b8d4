//! The few styles that text uses. Meaning is never in the colour alone.

use anstyle::{AnsiColor, Style};

pub use super::text::paint;

/// Headings and names.
pub const STRONG: Style = Style::new().bold();
/// What may be overlooked.
pub const DIM: Style = Style::new().dimmed();
/// Well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Not well.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Wants a person's eye.
pub const WARN: Style = AnsiColor::Yellow.on_default();
