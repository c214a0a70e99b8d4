//! Text of others, made harmless: what a terminal would obey, what an eye cannot see, and what it takes for something else are shown by their
//! numbers, such as `\u{1b}`.
//!
//! Labels, reasons, names, findings and error texts come from whoever sends alerts, writes policies or answers for a system. They are kept as they
//! came, in records and in JSON, and pass through [`Foreign`] when they are shown: on pages, in logs, in messages to people.
//!
//! Shown twice is shown once: what is shown already passes unchanged. So a backslash stays what it is, and `\u{1b}` may also be what somebody wrote.

use std::fmt::{self, Write as _};

/// So many marks on one letter are taken for writing; more are a flood that covers the lines around it.
pub const MARKS_MAX: usize = 4;
/// So many spaces in a row are taken for writing; more could push what follows to the start of a terminal's next line.
const SPACES_MAX: usize = 3;

/// How strict a text is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Sentences in any script: a letter counts as a look-alike where it stands among plain ones.
    Prose,
    /// What somebody is about to agree to: letters that look like others, those that turn the direction of a line, and back-ticks always count.
    Signed,
    /// A line of a file that the reader wrote: spaces are its layout.
    Source,
}

/// Text of others, to be shown.
#[derive(Debug, Clone, Copy)]
pub struct Foreign<'a> {
    text: &'a str,
    look: Look,
    chars_max: usize,
}

impl<'a> Foreign<'a> {
    /// A text in any script.
    pub const fn new(text: &'a str) -> Self {
        Self { text, look: Look::Prose, chars_max: usize::MAX }
    }

    /// A text that somebody signs: nothing in it may look like something else, or end the back-ticks around it.
    pub const fn signed(text: &'a str) -> Self {
        Self { text, look: Look::Signed, chars_max: usize::MAX }
    }

    /// A line of a file that the reader wrote.
    pub const fn source(text: &'a str) -> Self {
        Self { text, look: Look::Source, chars_max: usize::MAX }
    }

    /// Of a longer text only so many characters, and how many more there are.
    #[must_use]
    pub const fn at_most(self, chars_max: usize) -> Self {
        Self { chars_max, ..self }
    }

    /// Whether some of it is not shown as it is.
    pub fn is_changed(&self) -> bool {
        self.to_string() != self.text
    }
}

impl fmt::Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.text.char_indices().nth(self.chars_max).map_or(self.text.len(), |(end, _)| end);
        let (shown, rest) = self.text.split_at(end);
        let mut writer = Writer { look: self.look, spaces: 0, marks: MARKS_MAX };
        let mut left = shown;
        while let Some(first) = left.chars().next() {
            let length = if is_of_word(first) {
                left.find(|c| !is_of_word(c)).unwrap_or(left.len())
            } else {
                first.len_utf8()
            };
            let (piece, after) = left.split_at(length);
            writer.piece(f, piece)?;
            left = after;
        }
        match rest.chars().count() {
            0 => Ok(()),
            more => write!(f, "… ({more} more characters)"),
        }
    }
}

struct Writer {
    look: Look,
    /// Spaces that were written last.
    spaces: usize,
    /// Marks that the last letter has; where there is no letter, it has no room for any.
    marks: usize,
}

impl Writer {
    /// A word, or a single other character.
    fn piece(&mut self, f: &mut fmt::Formatter<'_>, piece: &str) -> fmt::Result {
        let among_plain_letters = piece.bytes().any(|byte| byte.is_ascii_alphabetic());
        let among_plain = piece.bytes().any(|byte| byte.is_ascii_alphanumeric());
        for c in piece.chars() {
            let misleads = is_look_alike(c) && (among_plain_letters || self.look == Look::Signed)
                || is_right_to_left(c) && (among_plain || self.look == Look::Signed)
                || c == '`' && self.look == Look::Signed
                || is_disguise(c);
            self.character(f, c, misleads)?;
        }
        Ok(())
    }

    fn character(&mut self, f: &mut fmt::Formatter<'_>, c: char, misleads: bool) -> fmt::Result {
        self.spaces = if c == ' ' { self.spaces + 1 } else { 0 };
        let is_mark = is_mark(c);
        let flood =
            self.spaces > SPACES_MAX && self.look != Look::Source || is_mark && self.marks >= MARKS_MAX;
        if is_harmful(c) || misleads || flood {
            self.marks = MARKS_MAX;
            return by_number(f, c);
        }
        self.marks = match c {
            ' ' => MARKS_MAX,
            _ if is_mark => self.marks + 1,
            _ => 0,
        };
        f.write_char(c)
    }
}

fn by_number(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        _ => write!(f, "\\u{{{:x}}}", u32::from(c)),
    }
}

/// Whether a terminal may obey the character, or an eye cannot see it: controls, what sets the direction or breaks a line, what has no width or
/// looks like a space, what is not assigned.
pub fn is_harmful(c: char) -> bool {
    !c.is_ascii_graphic() && c != ' ' && (!is_printable(c) || is_among(c, &INVISIBLE))
}

/// What the standard library prints; a letter before it, since a mark at the beginning would be escaped for that alone.
fn is_printable(c: char) -> bool {
    let mut buffer = [b'a', 0, 0, 0, 0];
    let length = 1 + c.encode_utf8(&mut buffer[1..]).len();
    std::str::from_utf8(&buffer[..length]).is_ok_and(|text| text.escape_debug().nth(1) == Some(c))
}

/// Whether it is drawn over the character before.
pub fn is_mark(c: char) -> bool {
    !c.is_ascii() && is_printable(c) && c.escape_debug().next() == Some('\\')
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || is_mark(c)
}

/// Letters of other scripts of which many look like plain ones.
fn is_look_alike(c: char) -> bool {
    !c.is_ascii() && is_among(c, &LOOK_ALIKES)
}

/// Plain letters and digits in another dress.
fn is_disguise(c: char) -> bool {
    !c.is_ascii() && is_among(c, &DISGUISES)
}

/// Letters that turn the direction of a line: what stands beside them may be shown on their other side.
fn is_right_to_left(c: char) -> bool {
    !c.is_ascii() && is_among(c, &RIGHT_TO_LEFT)
}

fn is_among(c: char, ranges: &[(u32, u32)]) -> bool {
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(c)))
}

/// Printable by their category, and yet nothing is seen: fillers, joiners, variation selectors, empty patterns.
const INVISIBLE: [(u32, u32); 12] = [
    (0x034f, 0x034f),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xffa0, 0xffa0),
    (0x1_6fe4, 0x1_6fe4),
    (0x1_d159, 0x1_d159),
    (0x1_d173, 0x1_d17a),
    (0xe_0000, 0xe_0fff),
];

/// Letters in the shape of Latin, Greek, Coptic, Cyrillic, Armenian, Cherokee, phonetic and Lisu ones.
const LOOK_ALIKES: [(u32, u32); 11] = [
    (0x0250, 0x02ff),
    (0x0370, 0x058f),
    (0x13a0, 0x13ff),
    (0x1c80, 0x1c8f),
    (0x1d00, 0x1dbf),
    (0x1f00, 0x1fff),
    (0x2c80, 0x2cff),
    (0x2de0, 0x2dff),
    (0xa4d0, 0xa4ff),
    (0xa640, 0xa69f),
    (0xab30, 0xabbf),
];

/// Numerals, full-width and mathematical forms.
const DISGUISES: [(u32, u32); 3] = [(0x2160, 0x2188), (0xff01, 0xff5e), (0x1_d400, 0x1_d7ff)];

const RIGHT_TO_LEFT: [(u32, u32); 5] =
    [(0x0590, 0x08ff), (0xfb1d, 0xfdff), (0xfe70, 0xfefc), (0x1_0800, 0x1_0fff), (0x1_e800, 0x1_efff)];

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Foreign::new(text).to_string()
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in [
            "",
            "share of declined good customers is 0.3, over the limit 0.1 for 2s",
            "Müller schätzt die Güte auf 97 %: “gut” – ganz sicher",
            "re\u{301}sume\u{301} in decomposed letters",
            "Модель mlserver отвечает медленно",
            "模型fraud的误报率上升",
            "सेवा धीमी है",
            "שירות הונאה",
            r"a regular expression \d+\.\u{1b}",
            "→ ✓ █ … 🚨",
        ] {
            assert_eq!(shown(text), text);
            assert!(!Foreign::new(text).is_changed());
        }
    }

    #[test]
    fn what_misleads_is_shown_by_its_number() {
        let check = |text: &str, expected: &str| assert_eq!(shown(text), expected);
        check("a\u{1b}[2Jb", r"a\u{1b}[2Jb");
        check("one\ntwo\r\tthree", r"one\ntwo\r\tthree");
        check("\u{9b}31m\u{7f}\0", r"\u{9b}31m\u{7f}\u{0}");
        check("1.3.2\u{202e}2.3.1", r"1.3.2\u{202e}2.3.1");
        check("a\u{2028}b\u{2029}c\u{feff}d\u{ad}e", r"a\u{2028}b\u{2029}c\u{feff}d\u{ad}e");
        check("pro\u{200b}duction\u{a0}", r"pro\u{200b}duction\u{a0}");
        check("pr\u{43e}duction", r"pr\u{43e}duction");
        check("\u{ff50}rod \u{1d429}rod", r"\u{ff50}rod \u{1d429}rod");
        check("v1\u{5d0}", r"v1\u{5d0}");
        check("\u{301}alone", r"\u{301}alone");
        check("a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}", "a\u{301}\u{301}\u{301}\u{301}\\u{301}\\u{301}");
        check("a     b", r"a   \u{20}\u{20}b");
        check("\u{e0041}\u{fe0f}", r"\u{e0041}\u{fe0f}");
    }

    #[test]
    fn in_what_is_signed_no_letter_looks_like_another() {
        let signed = |text: &str| Foreign::signed(text).to_string();
        assert_eq!(signed("\u{440}\u{430}\u{443}"), r"\u{440}\u{430}\u{443}", "a whole word of look-alikes");
        assert_eq!(signed("\u{5d0}\u{5d1}"), r"\u{5d0}\u{5d1}");
        assert_eq!(signed("Süd 生产"), "Süd 生产");
        assert_eq!(signed("production`, now serving `1.3.2"), r"production\u{60}, now serving \u{60}1.3.2");
    }

    #[test]
    fn a_line_of_a_file_keeps_its_layout() {
        assert_eq!(Foreign::source("    a = 1      # one\u{1b}").to_string(), r"    a = 1      # one\u{1b}");
    }

    #[test]
    fn a_long_text_says_how_much_longer_it_is() {
        assert_eq!(Foreign::new("äöüß").at_most(2).to_string(), "äö… (2 more characters)");
        assert_eq!(Foreign::new("äö").at_most(2).to_string(), "äö");
    }

    /// Every character that is assigned or private: between letters, and alone.
    #[test]
    fn no_character_gets_through_that_a_terminal_would_obey_or_an_eye_not_see() {
        use unicode_general_category::{GeneralCategory as Category, get_general_category};
        for c in (char::MIN..=char::MAX).filter(|c| !c.is_ascii_graphic() && *c != ' ') {
            let category = get_general_category(c);
            if category == Category::Unassigned {
                continue;
            }
            let is_harmless = !matches!(
                category,
                Category::Control
                    | Category::Format
                    | Category::PrivateUse
                    | Category::LineSeparator
                    | Category::ParagraphSeparator
                    | Category::SpaceSeparator
            );
            for text in [format!("a{c}b"), c.to_string()] {
                let shown = shown(&text);
                assert!(is_harmless || !shown.contains(c), "U+{:04X} gets through", u32::from(c));
                assert!(!Foreign::new(&shown).is_changed(), "U+{:04X} changes again", u32::from(c));
            }
            if matches!(category, Category::NonspacingMark | Category::EnclosingMark) {
                let flood = shown(&format!("a{}", c.to_string().repeat(50)));
                let marks = flood.chars().filter(|shown| *shown == c).count();
                assert!(marks <= MARKS_MAX, "U+{:04X} floods", u32::from(c));
            }
        }
    }

    #[test]
    fn nothing_is_lost() {
        let text: String = (char::MIN..=char::MAX).step_by(7).collect();
        let whole = shown(&text);
        let mut left = whole.as_str();
        for c in text.chars() {
            let number = format!("\\u{{{:x}}}", u32::from(c));
            let forms = [c.to_string(), number, c.escape_default().to_string()];
            let after = forms.iter().find_map(|form| left.strip_prefix(form.as_str()));
            left = after.unwrap_or_else(|| panic!("{c:?} is not there"));
        }
        assert_eq!(left, "");
    }
}
