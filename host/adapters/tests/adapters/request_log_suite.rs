//! Request logs, held to their conformance suite: the sound one, and some in memory that break a rule on purpose.

mod in_memory;

use std::fs::File;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use async_trait::async_trait;
use futures_util::FutureExt;
use ripcord_adapters::conformance::request_log::{Odd, Service, conforms};
use ripcord_adapters::request_log_jsonl::{JsonLinesLog, JsonLinesLogConfig};
use ripcord_core::time::UnixMillis;
use tempfile::TempDir;

use in_memory::{Flaw, InMemoryLog};

/// Noon of a day.
const NOON: u64 = 1_795_348_800_000;
const ROTATED: [&str; 2] = ["requests.jsonl.1", "requests.jsonl.2"];

/// How a log is turned over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TurnsOver {
    /// The file is renamed, and the service begins another one.
    ByRenaming,
    /// The file is copied and emptied.
    ByCopying,
}

/// A service that appends lines of JSON to a file.
struct Writer {
    folder: TempDir,
    turns_over: TurnsOver,
}

impl Writer {
    fn new(turns_over: TurnsOver) -> (Self, JsonLinesLog) {
        let folder = tempfile::tempdir().unwrap();
        let config = JsonLinesLogConfig {
            folder: folder.path().to_owned(),
            file: "requests.jsonl".into(),
            rotated: ROTATED.map(str::to_owned).to_vec(),
            output: None,
        };
        (Self { folder, turns_over }, JsonLinesLog::new(config).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, bytes: &[u8]) {
        let path = self.path("requests.jsonl");
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        file.write_all(bytes).unwrap();
    }
}

fn line(at: UnixMillis, id: &str, filling: &str) -> String {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap()).unwrap();
    format!(
        r#"{{"at":"{at}","id":"{id}","version":"1.3.3","inputs":[{{"name":"x{filling}","data":[1]}}],"outputs":[{{"name":"decision","datatype":"BYTES","shape":[1],"data":["approve"]}}]}}"#
    )
}

#[async_trait]
impl Service for Writer {
    async fn logs(&self, at: UnixMillis, id: &str) {
        self.append(format!("{}\n", line(at, id, "")).as_bytes());
    }

    async fn leaves(&self, odd: Odd, at: UnixMillis) -> bool {
        let record = line(at, &format!("r{}", (at.0 - NOON) / 1_000), "");
        let half = &record[..record.len() / 2];
        match odd {
            Odd::Text => self.append(b"WARNING: this goes to standard output\n"),
            Odd::Bytes => self.append(&[0xff, 0xfe, 0x00, 0x80, b'\n']),
            Odd::Undated => self.append(b"{\"at\":null,\"id\":\"r1\",\"inputs\":[],\"outputs\":[]}\n"),
            Odd::CutOff => self.append(format!("{half}\n").as_bytes()),
            Odd::Unfinished => self.append(half.as_bytes()),
            Odd::Huge => {
                let id = format!("r{}", (at.0 - NOON) / 1_000);
                self.append(format!("{}\n", line(at, &id, &"x".repeat(5 << 20))).as_bytes());
            }
        }
        true
    }

    async fn turns_over(&self) -> bool {
        let [first, second] = ROTATED.map(|name| self.path(name));
        let log = self.path("requests.jsonl");
        if first.exists() {
            std::fs::rename(&first, &second).unwrap();
        }
        match self.turns_over {
            TurnsOver::ByRenaming => std::fs::rename(&log, &first).unwrap(),
            TurnsOver::ByCopying => {
                std::fs::copy(&log, &first).unwrap();
                File::options().write(true).truncate(true).open(&log).unwrap();
            }
        }
        true
    }

    async fn is_removed(&self) {
        for name in ["requests.jsonl"].iter().chain(&ROTATED) {
            let _ = std::fs::remove_file(self.path(name));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_lines_that_are_renamed_conform() {
    let (service, log) = Writer::new(TurnsOver::ByRenaming);
    conforms(&log, &service, UnixMillis(NOON)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_lines_that_are_copied_and_emptied_conform() {
    let (service, log) = Writer::new(TurnsOver::ByCopying);
    conforms(&log, &service, UnixMillis(NOON)).await;
}

#[tokio::test]
async fn a_log_in_memory_conforms() {
    let log = InMemoryLog::sound();
    conforms(&log, &log, UnixMillis(NOON)).await;
}

#[tokio::test]
async fn a_log_is_told_which_rule_it_breaks() {
    for (flaw, rule, said) in [
        (Flaw::NothingIsAnError, "nothing-asked-is-an-empty-piece", "the log cannot be read"),
        (Flaw::WithoutTheEnd, "keeps-what-lies-in-the-window", "both ends are of the window"),
        (Flaw::EverySecondTime, "keeps-what-lies-in-the-window", "the same each time"),
        (Flaw::KeepsTheOldest, "a-bound-keeps-the-newest-and-says-so", "are not the newest"),
        (Flaw::LeavesOutInSilence, "a-bound-keeps-the-newest-and-says-so", "leave out is said"),
        (Flaw::TakesMoreThanTheBound, "a-bound-keeps-the-newest-and-says-so", "were asked for at most"),
        (Flaw::OldestExchangeFirst, "keeps-what-lies-in-the-window", "the order is the log's"),
        (Flaw::LimitKeepsTheOldest, "exchanges-come-newest-first", "a limit keeps the newest"),
        (Flaw::GuessesWhatWasCut, "what-is-no-record-is-no-exchange", "makes up an exchange"),
        (Flaw::EndsAtWhatIsNoRecord, "what-is-no-record-hides-none", "Text hides what was logged before"),
        (Flaw::DropsHugeInSilence, "what-is-no-record-hides-none", "since it is too long, is said"),
        (Flaw::EndsAtWhatIsOlder, "a-wrong-clock-hides-none", "hides none"),
        (Flaw::ForgetsWhatWasTurnedOver, "a-log-that-is-turned-over-is-read-once", "is still read"),
        (Flaw::ReadsTwiceWhatWasTurnedOver, "a-log-that-is-turned-over-is-read-once", "is kept twice"),
        (Flaw::GoneIsEmpty, "a-log-that-is-gone-is-an-error", "is told as 0 lines"),
    ] {
        let log = InMemoryLog::with(flaw);
        let ended = AssertUnwindSafe(conforms(&log, &log, UnixMillis(NOON))).catch_unwind().await;
        let panic = ended.expect_err("the suite passes a flawed log");
        let message = panic.downcast_ref::<String>().expect("a sentence");
        assert!(message.starts_with(&format!("the rule `{rule}` is broken: ")), "{flaw:?}: {message}");
        assert!(message.contains(said), "{flaw:?}: {message}");
    }
}
