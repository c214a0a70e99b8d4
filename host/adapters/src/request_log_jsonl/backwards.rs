//! The lines of a file, last line first.

use std::io::{self, Read, Seek, SeekFrom};

use cap_std::fs::File;

const BLOCK_BYTES: u64 = 64 << 10;
const LINE_BYTES_MAX: u64 = 4 << 20;
/// By so many bytes at its beginning a file is known again that was emptied and filled meanwhile.
const HEAD_BYTES: u64 = 256;

/// Reads a file block by block from its end.
pub(super) struct LinesBackwards {
    file: File,
    /// How long the file was at first, and how it began.
    length: u64,
    head: Vec<u8>,
    /// Where the bytes in `held` begin in the file.
    start: u64,
    /// What was read and not given yet: whole lines but for the first, whose beginning may not be read yet.
    held: Vec<u8>,
    /// So many bytes at the end of `held` are known to have no line break.
    searched: usize,
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
        let head = read_at(&mut file, 0, start.min(HEAD_BYTES))?;
        Ok(Self {
            file,
            length: start,
            head,
            start,
            held: Vec::new(),
            searched: 0,
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

    /// Whether the file is another one since, as one that was copied and emptied.
    pub(super) fn was_emptied(&mut self) -> io::Result<bool> {
        if self.file.metadata()?.len() < self.length {
            return Ok(true);
        }
        match read_at(&mut self.file, 0, self.head.len() as u64) {
            Ok(head) => Ok(head != self.head),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The next line, without its line break; an inner none is one that was too long.
    pub(super) fn next(&mut self) -> io::Result<Option<Option<Vec<u8>>>> {
        loop {
            let unsearched = &self.held[..self.held.len() - self.searched];
            if let Some(at) = unsearched.iter().rposition(|byte| *byte == b'\n') {
                let line = self.held.split_off(at + 1);
                self.held.pop();
                self.searched = 0;
                let first = std::mem::replace(&mut self.at_end, false);
                if first && line.is_empty() {
                    continue;
                }
                return Ok(Some(self.give(line)));
            }
            if self.start == 0 {
                let done = self.held.is_empty() && !self.skipping;
                let line = std::mem::take(&mut self.held);
                self.searched = 0;
                return Ok(if done { None } else { Some(self.give(line)) });
            }
            self.searched = self.held.len();
            self.read_block()?;
            let block = &self.held[..self.held.len() - self.searched];
            if self.held.len() as u64 > self.line_bytes_max && !block.contains(&b'\n') {
                self.skipping = true;
                self.held.clear();
                self.searched = 0;
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
        // The file may only grow; one that was cut meanwhile is an error.
        let mut block = read_at(&mut self.file, self.start, bytes)?;
        block.extend_from_slice(&self.held);
        self.held = block;
        Ok(())
    }
}

fn read_at(file: &mut File, start: u64, bytes: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut block = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    file.read_exact(&mut block)?;
    Ok(block)
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

    #[test]
    fn a_file_that_was_emptied_is_known_also_when_it_is_as_long_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let emptied_by = |content: &str| {
            std::fs::write(&path, "one\n").unwrap();
            let dir = crate::folder::open(folder.path()).unwrap();
            let mut reader = LinesBackwards::new(dir.open("log").unwrap(), 10).unwrap();
            std::fs::write(&path, content).unwrap();
            reader.was_emptied().unwrap()
        };
        assert!(!emptied_by("one\n") && !emptied_by("one\ntwo\n"), "it has only grown");
        assert!(emptied_by("") && emptied_by("two\n") && emptied_by("two\nthree\n"));
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
