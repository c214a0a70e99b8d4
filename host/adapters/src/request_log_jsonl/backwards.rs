//! The lines of a file, last line first.

use std::io::{self, Read, Seek, SeekFrom};

use cap_std::fs::File;

const BLOCK_BYTES: u64 = 64 << 10;
const LINE_BYTES_MAX: u64 = 4 << 20;

/// Reads a file block by block from its end.
pub(super) struct LinesBackwards {
    file: File,
    /// Where the bytes in `held` begin in the file.
    start: u64,
    /// What was read and not given yet: whole lines but for the first, whose beginning may not be read yet.
    held: Vec<u8>,
    line_bytes_max: u64,
    /// In the middle of a line that is too long.
    skipping: bool,
    skipped: u64,
    /// What follows the last line break is a line too, unless it is empty.
    at_end: bool,
}

impl LinesBackwards {
    /// Lines longer than `line_bytes_max`, or than a limit of our own, are not given.
    pub(super) fn new(mut file: File, line_bytes_max: u64) -> io::Result<Self> {
        let start = file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file,
            start,
            held: Vec::new(),
            line_bytes_max: line_bytes_max.min(LINE_BYTES_MAX),
            skipping: false,
            skipped: 0,
            at_end: true,
        })
    }

    /// Whether a line was too long to be given.
    pub(super) fn skipped_any(&self) -> bool {
        self.skipped > 0
    }

    /// The next line, without its line break; an inner none is one that was too long.
    pub(super) fn next(&mut self) -> io::Result<Option<Option<Vec<u8>>>> {
        loop {
            if let Some(at) = self.held.iter().rposition(|byte| *byte == b'\n') {
                let line = self.held.split_off(at + 1);
                self.held.pop();
                let first = std::mem::replace(&mut self.at_end, false);
                if first && line.is_empty() {
                    continue;
                }
                return Ok(Some(self.give(line)));
            }
            if self.start == 0 {
                let done = self.held.is_empty() && !self.skipping;
                let line = std::mem::take(&mut self.held);
                return Ok(if done { None } else { Some(self.give(line)) });
            }
            self.read_block()?;
            if self.held.len() as u64 > self.line_bytes_max && !self.held.contains(&b'\n') {
                self.skipping = true;
                self.held.clear();
            }
        }
    }

    fn give(&mut self, line: Vec<u8>) -> Option<Vec<u8>> {
        let too_long =
            std::mem::replace(&mut self.skipping, false) || line.len() as u64 > self.line_bytes_max;
        if too_long {
            self.skipped += 1;
            return None;
        }
        Some(line)
    }

    fn read_block(&mut self) -> io::Result<()> {
        let bytes = self.start.min(BLOCK_BYTES);
        self.start -= bytes;
        self.file.seek(SeekFrom::Start(self.start))?;
        let mut block = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        // The file may only grow; one that was cut meanwhile is an error.
        self.file.read_exact(&mut block)?;
        block.extend_from_slice(&self.held);
        self.held = block;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(content: &[u8], line_bytes_max: u64) -> (Vec<Option<Vec<u8>>>, bool) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("log"), content).unwrap();
        let dir = crate::folder::open(folder.path()).unwrap();
        let mut reader = LinesBackwards::new(dir.open("log").unwrap(), line_bytes_max).unwrap();
        let mut found = Vec::new();
        while let Some(line) = reader.next().unwrap() {
            found.push(line);
        }
        (found, reader.skipped_any())
    }

    fn texts(content: &str, line_bytes_max: u64) -> Vec<String> {
        let (lines, _) = lines(content.as_bytes(), line_bytes_max);
        lines
            .into_iter()
            .map(|line| line.map_or("(long)".into(), |line| String::from_utf8(line).unwrap()))
            .collect()
    }

    #[test]
    fn lines_come_last_first() {
        assert_eq!(texts("", 10), [""; 0]);
        assert_eq!(texts("a", 10), ["a"]);
        assert_eq!(texts("a\n", 10), ["a"]);
        assert_eq!(texts("a\n\nb", 10), ["b", "", "a"]);
        assert_eq!(texts("a\nlonger\nb\n", 5), ["b", "(long)", "a"]);
    }

    #[test]
    fn a_line_longer_than_a_block_is_whole_or_left_out() {
        let long = "x".repeat(200_000);
        let content = format!("a\n{long}\nb\n");
        assert_eq!(texts(&content, 1 << 20), ["b", &long, "a"]);
        assert_eq!(texts(&content, 100_000), ["b", "(long)", "a"]);
        assert_eq!(texts(&long, 100_000), ["(long)"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn the_same_lines_as_forwards(lengths in proptest::collection::vec(0_usize..40_000, 0..12)) {
            let wanted: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(n, length)| vec![b'a' + n as u8; *length]).collect();
            let content: Vec<u8> = wanted.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect();
            let (found, skipped) = lines(&content, 1 << 20);
            let found: Vec<Vec<u8>> = found.into_iter().rev().map(Option::unwrap).collect();
            prop_assert_eq!(found, wanted);
            prop_assert!(!skipped);
        }
    }
}
