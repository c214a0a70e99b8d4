//! What every request log must do, whatever the service leaves in it and while it is turned over: what is kept is what was asked in the window, each
//! once, and what is left out is said.

use std::collections::BTreeSet;

use async_trait::async_trait;
use ripcord_core::fact::Exchange;
use ripcord_core::target::Window;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::requests::LogPiece;
use ripcord_ports::{Applied, RequestLog, Retry};

use super::restorer::one_line;
use super::rule::holds;

/// More than any piece of the suite.
const BOUND: u64 = 64 << 20;
/// So many cuts of a piece are tried.
const CUTS_MAX: usize = 200;
/// So often the log is read while it is turned over.
const READS_MAX: usize = 400;

/// The service that writes the log, as the test has it. Its log is empty at first.
#[async_trait]
pub trait Service: Send + Sync {
    /// Logs one request that was served at `at`, with this id.
    async fn logs(&self, at: UnixMillis, id: &str);

    /// Leaves something in the log that is no record, or none yet. False where that cannot be.
    async fn leaves(&self, odd: Odd, at: UnixMillis) -> bool;

    /// Turns the log over, as at midnight; the log under test still reads what was written before at least the last turn but one. False where it has
    /// no such thing.
    async fn turns_over(&self) -> bool;

    /// Takes the whole log away, as somebody who removes it. Nothing is logged after that.
    async fn is_removed(&self);
}

/// What may lie in a log besides whole records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    /// A line of a program that writes there as well.
    Text,
    /// Bytes that are no text.
    Bytes,
    /// A record without its time.
    Undated,
    /// The first half of a record, whose service was killed; what follows stands for itself.
    CutOff,
    /// The first half of a record that is just being written.
    Unfinished,
    /// A record that is longer than any that is taken.
    Huge,
}

/// Checks the log. `begin` is the instant of the first request, at least a day after 1970.
pub async fn conforms(log: &dyn RequestLog, service: &dyn Service, begin: UnixMillis) {
    assert!(!log.name().is_empty(), "it has a name");
    let case = Case { log, service, begin };
    holds("nothing-asked-is-an-empty-piece", async {
        service.logs(begin, "r0").await;
        let none = case.piece(case.window(100, 200), BOUND).await;
        assert_eq!(none, LogPiece { bytes: Vec::new(), lines: 0, truncated: false }, "an empty window");
        assert_eq!(log.exchanges(&none.bytes, u32::MAX), [], "an empty piece has no exchange");
    })
    .await;
    holds("keeps-what-lies-in-the-window", case.keeps()).await;
    holds("a-bound-keeps-the-newest-and-says-so", case.bounds()).await;
    holds("exchanges-come-newest-first", case.exchanges()).await;
    holds("what-is-no-record-is-no-exchange", case.garbage()).await;
    holds("what-is-no-record-hides-none", case.odd()).await;
    holds("a-wrong-clock-hides-none", case.clocks()).await;
    holds("a-log-that-is-turned-over-is-read-once", case.turned_over()).await;
    holds("a-log-that-is-gone-is-an-error", async {
        service.is_removed().await;
        match log.preserve(case.window(0, 1_000), BOUND).await {
            Ok(piece) => panic!("a log that is gone is told as {} lines", piece.lines),
            Err(error) => {
                assert_eq!(error.applied, Applied::No, "reading changes nothing: {error}");
                one_line(&error.to_string(), "the error");
            }
        }
    })
    .await;
}

struct Case<'a> {
    log: &'a dyn RequestLog,
    service: &'a dyn Service,
    begin: UnixMillis,
}

impl Case<'_> {
    fn at(&self, second: u64) -> UnixMillis {
        self.begin + Millis::seconds(second)
    }

    fn window(&self, start: u64, end: u64) -> Window {
        Window { start: self.at(start), end: self.at(end) }
    }

    /// Logs one request, named by its second.
    async fn log(&self, second: u64) {
        self.service.logs(self.at(second), &format!("r{second}")).await;
    }

    async fn piece(&self, window: Window, bytes_max: u64) -> LogPiece {
        let piece = self.log.preserve(window, bytes_max).await;
        let piece = piece.unwrap_or_else(|error| panic!("the log cannot be read: {error}"));
        assert!(piece.bytes.len() as u64 <= bytes_max, "{bytes_max} bytes were asked for at most");
        assert_eq!(piece.bytes.is_empty(), piece.lines == 0, "the lines are counted");
        for one in self.log.exchanges(&piece.bytes, u32::MAX) {
            assert!((window.start..=window.end).contains(&one.at), "it is of the window: {one:?}");
        }
        piece
    }

    /// The seconds of the requests of a piece, as its log has them, oldest first.
    fn seconds(&self, piece: &LogPiece) -> Vec<u64> {
        let mut exchanges = self.log.exchanges(&piece.bytes, u32::MAX);
        exchanges.reverse();
        let second = |one: &Exchange| one.id.strip_prefix('r').and_then(|number| number.parse().ok());
        let seconds: Vec<u64> = exchanges.iter().filter_map(second).collect();
        assert_eq!(seconds.len(), exchanges.len(), "an exchange keeps its id: {exchanges:?}");
        assert!(
            exchanges.iter().zip(&seconds).all(|(one, second)| one.at == self.at(*second)),
            "and its time"
        );
        seconds
    }

    async fn keeps(&self) {
        // In the order in which they ended: what took long is written late.
        for second in [1, 2, 3, 5, 6, 4, 7, 8, 9, 10] {
            self.log(second).await;
        }
        let piece = self.piece(self.window(3, 7), BOUND).await;
        assert_eq!(
            self.seconds(&piece),
            [3, 5, 6, 4, 7],
            "both ends are of the window, and the order is the log's"
        );
        assert!(piece.lines == 5 && !piece.truncated, "{} lines", piece.lines);
        assert_eq!(self.piece(self.window(3, 7), BOUND).await, piece, "the same each time");
        let all = self.piece(self.window(0, 10), BOUND).await;
        assert_eq!(all.lines, 11, "all of them");
    }

    async fn bounds(&self) {
        let window = self.window(3, 7);
        let all = self.piece(window, BOUND).await;
        let whole = all.bytes.len() as u64;
        let seconds = self.seconds(&all);
        assert_eq!(self.piece(window, whole).await, all, "what fits is not left out");
        for bound in [0, 1, whole / 2, whole - 1] {
            let piece = self.piece(window, bound).await;
            let kept = self.seconds(&piece);
            assert!(seconds.ends_with(&kept), "of {seconds:?}, {kept:?} are kept and are not the newest");
            assert!(kept.len() < seconds.len() && piece.truncated, "what {bound} bytes leave out is said");
        }
        assert!(!self.seconds(&self.piece(window, whole - 1).await).is_empty(), "a bound is used");
    }

    async fn exchanges(&self) {
        let piece = self.piece(self.window(0, 10), BOUND).await;
        let all = self.log.exchanges(&piece.bytes, u32::MAX);
        assert_eq!(all.len() as u64, piece.lines, "each line is an exchange");
        for limit in [0, 1, 3] {
            let newest = self.log.exchanges(&piece.bytes, limit);
            assert_eq!(newest, all[..limit as usize], "a limit keeps the newest");
        }
        assert_eq!(all.first().map(|one| one.at), Some(self.at(10)), "the newest comes first");
    }

    async fn garbage(&self) {
        let piece = self.piece(self.window(0, 10), BOUND).await.bytes;
        let all = self.log.exchanges(&piece, u32::MAX);
        for end in (0..piece.len()).step_by(piece.len().div_ceil(CUTS_MAX).max(1)) {
            for part in [&piece[..end], &piece[end..]] {
                for one in self.log.exchanges(part, u32::MAX) {
                    assert!(all.contains(&one), "a cut at {end} makes up an exchange: {one:?}");
                }
            }
        }
        let deep = "[".repeat(20_000);
        for bytes in
            [b"".as_slice(), b"\n\n\n", b"null\n{}\n[]\n7", &[0xff, 0xfe, 0x00, b'\n'], deep.as_bytes()]
        {
            assert_eq!(self.log.exchanges(bytes, u32::MAX), [], "it is no exchange");
        }
    }

    async fn odd(&self) {
        let mut second = 20;
        for odd in [Odd::Text, Odd::Bytes, Odd::Undated, Odd::CutOff, Odd::Huge, Odd::Unfinished] {
            self.log(second).await;
            if !self.service.leaves(odd, self.at(second + 1)).await {
                second += 5;
                continue;
            }
            // What follows something unfinished is the rest of it.
            let follows = odd != Odd::Unfinished;
            if follows {
                self.log(second + 2).await;
            }
            let piece = self.piece(self.window(second, second + 2), BOUND).await;
            let seconds = self.seconds(&piece);
            assert!(seconds.contains(&second), "{odd:?} hides what was logged before: {seconds:?}");
            assert!(
                !follows || seconds.contains(&(second + 2)),
                "{odd:?} hides what was logged after: {seconds:?}"
            );
            if odd == Odd::Huge {
                let kept = seconds.contains(&(second + 1));
                assert!(kept || piece.truncated, "that a record is left out, since it is too long, is said");
            }
            second += 5;
        }
        // The rest of what is unfinished.
        self.service.leaves(Odd::Text, self.at(second)).await;
    }

    async fn clocks(&self) {
        self.log(100).await;
        self.service.logs(UnixMillis(0), "r-1970").await;
        self.service.logs(self.begin - Millis::hours(12), "r-slow").await;
        self.service.logs(self.at(1_000_000_000), "r-fast").await;
        self.log(101).await;
        self.service.logs(UnixMillis(1), "r-1970").await;
        let piece = self.piece(self.window(100, 101), BOUND).await;
        assert_eq!(
            self.seconds(&piece),
            [100, 101],
            "a request whose time is wrong hides none, and is none of the window"
        );
    }

    async fn turned_over(&self) {
        if !self.service.turns_over().await {
            return;
        }
        let before = self.piece(self.window(100, 101), BOUND).await;
        assert_eq!(self.seconds(&before), [100, 101], "what was written before is still read");
        let mut next = 200;
        self.log(next).await;
        let both = self.piece(self.window(100, next), BOUND).await;
        assert_eq!(self.seconds(&both), [100, 101, 200], "and comes before what was written after");
        let (mut read, mut last) = (0, next);
        let writing = async {
            for _ in 0..READS_MAX {
                next += 1;
                self.log(next).await;
                if next % 8 == 0 {
                    self.service.turns_over().await;
                }
                tokio::task::yield_now().await;
            }
        };
        let reading = async {
            for _ in 0..READS_MAX {
                tokio::task::yield_now().await;
                match self.log.preserve(self.window(200, 10_000), BOUND).await {
                    Err(error) => assert_ne!(error.retry, Retry::No, "it passes: {error}"),
                    Ok(piece) => {
                        let seconds = self.seconds(&piece);
                        let once: BTreeSet<_> = seconds.iter().collect();
                        assert_eq!(once.len(), seconds.len(), "a request is kept twice: {seconds:?}");
                        assert!(
                            seconds.windows(2).all(|pair| pair[0] + 1 == pair[1]),
                            "a request between two others is lost, or they are out of order: {seconds:?}"
                        );
                        let newest = seconds.last().copied().unwrap_or_default();
                        assert!(newest >= last, "what was read before, {last}, is lost: {seconds:?}");
                        (read, last) = (read + 1, newest);
                    }
                }
            }
        };
        tokio::join!(writing, reading);
        assert!(read > 0, "a log that is turned over is never read");
    }
}
