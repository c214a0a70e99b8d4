//! Texts that guests send are bounded before they are kept.

/// Cuts `text` to at most `bytes_max` bytes, at a character, and marks the cut where there is room for it.
pub(crate) fn cut(text: &mut String, bytes_max: usize) {
    const MARK: &str = "…";
    if text.len() <= bytes_max {
        return;
    }
    let mark = if bytes_max >= MARK.len() { MARK } else { "" };
    let end = text.floor_char_boundary(bytes_max - mark.len());
    text.truncate(end);
    text.push_str(mark);
    text.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_is_valid_and_short_enough() {
        for max in 0..12 {
            let mut text = "aä€😀b".to_owned();
            let whole = text.clone();
            cut(&mut text, max);
            assert!(text.len() <= max && (text == whole) == (max >= whole.len()), "{max}: {text}");
        }
    }
}
