//! The order in which people count: `s2` before `s10`, `1.9` before `1.10`.

use std::cmp::Ordering;

/// Compares names; runs of digits by their value.
pub fn compare(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one, other);
    loop {
        let (a, b) = (piece(left), piece(right));
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len()).then_with(|| one.cmp(other));
        }
        let order = match (is_number(a), is_number(b)) {
            (true, true) => by_value(a, b),
            _ => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (&left[a.len()..], &right[b.len()..]);
    }
}

/// The digits, or what is none, at the beginning.
fn piece(text: &str) -> &str {
    let number = is_number(text);
    let end = text.find(|c: char| c.is_ascii_digit() != number).unwrap_or(text.len());
    &text[..end]
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// However long the numbers are.
fn by_value(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_in_which_people_count() {
        let mut names = ["s10", "s2", "1.10.0", "1.9.0", "a", "", "v007", "v7b", "a1", "1.10", "é2"];
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(names, ["", "1.9.0", "1.10", "1.10.0", "a", "a1", "s2", "s10", "v007", "v7b", "é2"]);
        let long = "9".repeat(500);
        assert_eq!(compare(&long, &format!("1{}", "0".repeat(500))), Ordering::Less);
    }
}
