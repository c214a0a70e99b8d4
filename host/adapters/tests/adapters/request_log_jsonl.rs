//! A request log of JSON lines.

use ripcord_adapters::request_log_jsonl::{JsonLinesLog, JsonLinesLogConfig};
use ripcord_core::fact::Payload;
use ripcord_core::target::Window;
use ripcord_core::time::UnixMillis;
use ripcord_ports::{ErrorKind, RequestLog};
use tempfile::TempDir;

/// Noon of a day, and seconds after it.
const NOON: u64 = 1_795_348_800_000;

fn line(second: u64) -> String {
    format!(
        r#"{{"at":"2026-11-22T12:{:02}:{:02}.000Z","id":"r{second}","model":"fraud","version":"1.3.3","inputs":[{{"name":"x","data":[{second}]}}],"outputs":[{{"name":"decision","datatype":"BYTES","shape":[1],"data":["approve"]}}]}}"#,
        second / 60,
        second % 60
    )
}

fn log(files: &[(&str, String)]) -> (TempDir, JsonLinesLog) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let config = JsonLinesLogConfig {
        folder: folder.path().to_owned(),
        file: "requests.jsonl".into(),
        rotated: vec!["requests.jsonl.1".into(), "requests.jsonl.2".into()],
        output: Some("decision".into()),
    };
    let log = JsonLinesLog::new(config).unwrap();
    (folder, log)
}

fn lines(seconds: impl IntoIterator<Item = u64>) -> String {
    seconds.into_iter().map(|second| line(second) + "\n").collect()
}

fn window(start: u64, end: u64) -> Window {
    Window { start: UnixMillis(NOON + start * 1_000), end: UnixMillis(NOON + end * 1_000) }
}

#[tokio::test]
async fn the_lines_of_the_window_are_kept_verbatim_and_in_order() {
    let (_folder, log) = log(&[("requests.jsonl", lines(0..600))]);
    let piece = log.preserve(window(100, 104), 1 << 20).await.unwrap();
    assert_eq!(String::from_utf8(piece.bytes).unwrap(), lines(100..=104));
    assert_eq!((piece.lines, piece.truncated), (5, false));
    let none = log.preserve(window(1_000, 2_000), 1 << 20).await.unwrap();
    assert_eq!((none.bytes.len(), none.lines, none.truncated), (0, 0, false));
}

#[tokio::test]
async fn the_newest_are_kept_when_the_limit_does_not_hold_all() {
    let (_folder, log) = log(&[("requests.jsonl", lines(100..200))]);
    let size = line(150).len() as u64 + 1;
    let piece = log.preserve(window(0, 600), 2 * size).await.unwrap();
    assert_eq!(String::from_utf8(piece.bytes).unwrap(), lines([198, 199]));
    assert!(piece.truncated);
    let piece = log.preserve(window(0, 600), 10).await.unwrap();
    assert_eq!((piece.lines, piece.truncated), (0, true));
}

#[tokio::test]
async fn rotated_files_go_before_and_one_that_is_not_there_is_passed_over() {
    let (_folder, log) = log(&[("requests.jsonl", lines(300..305)), ("requests.jsonl.2", lines(295..300))]);
    let piece = log.preserve(window(297, 302), 1 << 20).await.unwrap();
    assert_eq!(String::from_utf8(piece.bytes).unwrap(), lines(297..=302));
}

#[tokio::test]
async fn lines_that_are_a_little_out_of_order_or_do_not_read_do_no_harm() {
    let content =
        format!("{}not json\n{}{{\"at\":7}}\n{}", lines([10, 12, 11]), lines([50, 13]), &line(14)[..40]);
    let (_folder, log) = log(&[("requests.jsonl", content)]);
    let piece = log.preserve(window(10, 13), 1 << 20).await.unwrap();
    assert_eq!(String::from_utf8(piece.bytes).unwrap(), lines([10, 12, 11, 13]));
}

#[tokio::test]
async fn reading_stops_where_many_lines_in_a_row_are_older_than_the_window() {
    let older = |count: u64| lines((0..count).map(|second| 100 + second % 60));
    for (count, kept) in [(63, lines([299, 300])), (64, lines([300]))] {
        let content = format!("{}{}{}", lines([299]), older(count), lines([300]));
        let (_folder, log) = log(&[("requests.jsonl", content)]);
        let piece = log.preserve(window(290, 300), 1 << 20).await.unwrap();
        assert_eq!(String::from_utf8(piece.bytes).unwrap(), kept, "{count} lines that are a minute too old");
    }
}

#[tokio::test]
async fn a_line_that_is_in_two_files_is_one_request() {
    let (_folder, log) = log(&[("requests.jsonl", lines(300..305)), ("requests.jsonl.1", lines(298..305))]);
    let piece = log.preserve(window(299, 304), 1 << 20).await.unwrap();
    assert_eq!(String::from_utf8(piece.bytes).unwrap(), lines(299..305), "as while it is copied");
}

#[tokio::test]
async fn exchanges_come_newest_first_with_inputs_as_they_were_sent() {
    let (_folder, log) = log(&[]);
    let piece = format!("{}garbage\n{}", lines([1, 2]), lines([3]));
    let exchanges = log.exchanges(piece.as_bytes(), 2);
    let ids: Vec<_> = exchanges.iter().map(|exchange| exchange.id.as_str()).collect();
    assert_eq!(ids, ["r3", "r2"]);
    assert_eq!(exchanges[0].at, UnixMillis(NOON + 3_000));
    assert_eq!(exchanges[0].input, Payload::Json(r#"[{"name":"x","data":[3]}]"#.into()));
    assert_eq!(exchanges[0].output, Payload::Classes(vec!["approve".into()]));
    assert_eq!(exchanges[0].labels[1].value, "1.3.3");
}

#[tokio::test]
async fn a_log_that_is_not_there_is_an_error_and_no_empty_piece() {
    let (folder, absent) = log(&[]);
    let error = absent.preserve(window(0, 1), 100).await.unwrap_err();
    assert!(error.kind == ErrorKind::NotFound && error.to_string().contains("requests.jsonl"), "{error}");
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("requests.jsonl")).unwrap();
    assert_eq!(absent.preserve(window(0, 1), 100).await.unwrap_err().kind, ErrorKind::Local);
    let config = JsonLinesLogConfig {
        folder: "/".into(),
        file: "../etc/passwd".into(),
        rotated: vec![],
        output: None,
    };
    assert_eq!(JsonLinesLog::new(config).unwrap_err().kind, ErrorKind::Configuration);
}
