//! Files that people write are UTF-8. Editors and exports write others as well, and a parser's error about a byte that nobody sees says little.

/// What to do about a file that is written in another encoding; none where it may be UTF-8 without a mark.
pub(crate) fn other_encoding(bytes: &[u8]) -> Option<String> {
    // ASCII in sixteen or thirty-two bits has a zero in every second place or more.
    let has_zeros = |from: usize| {
        let mut places = bytes.iter().skip(from).step_by(2).take(16).peekable();
        bytes.len() >= 4 && places.peek().is_some() && places.all(|byte| *byte == 0)
    };
    let found = match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => "is written in UTF-32",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "is written in UTF-16",
        [0xef, 0xbb, 0xbf, ..] => "begins with a byte order mark",
        [0x1f, 0x8b, ..] => "is compressed (gzip)",
        _ if has_zeros(1) || has_zeros(0) => "is written in UTF-16, without a byte order mark",
        _ if !bytes.contains(&b'\n') && bytes.trim_ascii().contains(&b'\r') => {
            "ends its lines with a carriage return alone"
        }
        _ => match std::str::from_utf8(bytes) {
            Ok(_) => return None,
            Err(error) => {
                let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
                return Some(format!(
                    "is no UTF-8 (from line {line} on, Latin-1 or a code page perhaps): save it as UTF-8"
                ));
            }
        },
    };
    Some(format!("{found}: save it as UTF-8 without a byte order mark, with line feeds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_encodings_are_told_by_name() {
        let utf16 = |text: &str, little: bool| -> Vec<u8> {
            text.encode_utf16()
                .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
                .collect()
        };
        let marked = |mark: &[u8], rest: Vec<u8>| [mark, &rest].concat();
        let line = "{\"id\":\"1\"}\n";
        for (bytes, expected) in [
            (marked(&[0xef, 0xbb, 0xbf], line.into()), "a byte order mark"),
            (marked(&[0xff, 0xfe], utf16(line, true)), "UTF-16"),
            (marked(&[0xfe, 0xff], utf16(line, false)), "UTF-16"),
            (utf16(line, true), "UTF-16, without"),
            (utf16(line, false), "UTF-16, without"),
            (vec![0xff, 0xfe, 0, 0, b'{', 0, 0, 0], "UTF-32"),
            (b"{}\r{}\r".to_vec(), "carriage return alone"),
            (b"{}\n{\"a\":\"\xfc\"}".to_vec(), "line 2"),
            (vec![0x1f, 0x8b, 8, 0], "gzip"),
        ] {
            let said = other_encoding(&bytes).unwrap_or_default();
            assert!(said.contains(expected), "{said}");
        }
        for good in ["", "{}", "{}\r\n{}\r\n", "{\"a\":\"ü\"}\n", "[]\r\n"] {
            assert_eq!(other_encoding(good.as_bytes()), None, "{good}");
        }
    }
}
