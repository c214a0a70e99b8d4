//! What the deployer's program wrote of its own doing: nobody else saw what really happened.

/// A line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Which run of the program.
    pub(crate) run: String,
    /// `begins`, `applied`, `repeated`, `refused`, `ends`.
    pub(crate) word: String,
    /// The key that it was given.
    pub(crate) key: String,
}

/// Reads it.
pub(crate) fn read(text: &str) -> Vec<Line> {
    let line = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        let mut next = || words.next().expect("three words");
        Line { run: next(), word: next(), key: next() }
    };
    text.lines().map(line).collect()
}

/// Runs of the program that make a version live.
pub(crate) fn attempts(diary: &[Line]) -> usize {
    diary.iter().filter(|line| line.word == "begins").count()
}

/// Whether a run has begun and not ended.
pub(crate) fn is_under_way(diary: &[Line]) -> bool {
    let ended = diary.iter().filter(|line| line.word == "ends").count();
    attempts(diary) > ended
}

/// The target was made live once, and no run began while the outcome of another was unknown: it was still under way. Only who promised that
/// the same key twice is harmless may be called again.
pub(crate) fn nothing_twice(diary: &[Line], class: &str) {
    let applied = diary.iter().filter(|line| line.word == "applied").count();
    assert_eq!(applied, 1, "{class}: made live {applied} times: {diary:#?}");
    let mut under_way: Vec<&Line> = Vec::new();
    for line in diary {
        match line.word.as_str() {
            "begins" => {
                let harmless = class == "idempotent" && under_way.iter().all(|other| other.key == line.key);
                assert!(
                    under_way.is_empty() || harmless,
                    "{class}: a shift was begun while another was under way: {diary:#?}"
                );
                under_way.push(line);
            }
            "ends" => under_way.retain(|other| other.run != line.run),
            _ => {}
        }
    }
}
