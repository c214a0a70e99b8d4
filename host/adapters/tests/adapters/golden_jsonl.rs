//! Golden data sets in files.

use ripcord_adapters::golden_jsonl::{JsonLinesGolden, JsonLinesGoldenConfig};
use ripcord_core::fact::Payload;
use ripcord_ports::requests::GoldenRow;
use ripcord_ports::{ErrorKind, GoldenData, PortError};

async fn rows(content: impl AsRef<[u8]>) -> Result<Vec<GoldenRow>, PortError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("golden.jsonl");
    std::fs::write(&path, content).unwrap();
    let config = JsonLinesGoldenConfig { datasets: [("frauds".to_owned(), path)].into(), bytes_max: 10_000 };
    let golden = JsonLinesGolden::new(config).unwrap();
    assert_eq!(golden.names(), ["frauds"]);
    golden.rows("frauds").await
}

#[tokio::test]
async fn rows_carry_inputs_slices_and_the_true_answer() {
    let rows = rows(concat!(
        r#"{"id":"1","slices":["b=2","a=1"],"inputs":[{"name":"x","data":[1.50]}],"expected":"decline"}"#,
        "\n\n",
        r#"{"id":"2","inputs":[],"expected":0.25}"#,
        "\r\n",
        r#"{"id":"3","inputs":[],"expected":["a","b"]}"#,
        "\n",
        r#"{"id":"4","inputs":[],"expected":{"b":[1]}}"#,
    ))
    .await
    .unwrap();
    assert_eq!(rows[0].slices, ["a=1", "b=2"]);
    assert_eq!(rows[0].input.body, r#"[{"name":"x","data":[1.50]}]"#, "inputs are sent as they are written");
    assert_eq!(rows[0].expected, Payload::Classes(vec!["decline".into()]));
    assert!(matches!(&rows[1].expected, Payload::Tensors(tensors) if tensors[0].data == [0.25]));
    assert_eq!(rows[2].expected, Payload::Classes(vec!["a".into(), "b".into()]));
    assert_eq!(rows[3].expected, Payload::Json(r#"{"b":[1]}"#.into()));
}

#[tokio::test]
async fn mistakes_are_told_with_file_and_line() {
    let good = r#"{"id":"1","inputs":[],"expected":"a"}"#;
    for (second, expected) in [
        ("{", "is no golden row"),
        (good, "has the id `1`, which an earlier line has"),
        (r#"{"id":"","inputs":[],"expected":"a"}"#, "empty id"),
        (r#"{"id":"2","inputs":{},"expected":"a"}"#, "`inputs` that are no list"),
        (r#"{"id":"2","inputs":[]}"#, "`expected`"),
        (r#"{"id":"2","inputs":[],"expected":null}"#, "has no `expected`"),
        (r#"{"id":"2","inputs":[],"expected":"a","slices":["country"]}"#, "slice `country`"),
        (r#"{"id":"2","inputs":[],"expected":"a","slice":["c=d"]}"#, "`slice`"),
    ] {
        let error = rows(&format!("{good}\n{second}\n")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration);
        let message = error.to_string();
        assert!(message.contains("golden.jsonl` line 2 ") && message.contains(expected), "{message}");
    }
    assert!(rows("\n").await.unwrap_err().to_string().contains("has no rows"));
    assert_eq!(rows(&" ".repeat(10_001)).await.unwrap_err().kind, ErrorKind::TooLarge);
}

#[tokio::test]
async fn an_unknown_data_set_is_not_found() {
    let config =
        JsonLinesGoldenConfig { datasets: [("a".to_owned(), "/no/such".into())].into(), bytes_max: 10 };
    let golden = JsonLinesGolden::new(config).unwrap();
    let error = golden.rows("b").await.unwrap_err();
    assert!(error.kind == ErrorKind::NotFound && error.to_string().contains("there are `a`"), "{error}");
    assert!(golden.rows("a").await.unwrap_err().to_string().contains("/no/such"));
}

#[tokio::test]
async fn what_is_not_utf_8_is_told_by_name() {
    let line = "{\"id\":\"1\",\"inputs\":[],\"expected\":\"a\"}\r\n";
    assert_eq!(rows(line).await.unwrap().len(), 1, "a carriage return before the line feed is well");
    let utf16: Vec<u8> = line.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (content, expected) in [
        ([&[0xef, 0xbb, 0xbf], line.as_bytes()].concat(), "byte order mark"),
        ([&[0xff, 0xfe], utf16.as_slice()].concat(), "UTF-16"),
        (utf16, "UTF-16"),
        (line.replace("\r\n", "\r").repeat(2).into_bytes(), "carriage return"),
    ] {
        let error = rows(content).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration);
        assert!(
            error.to_string().contains(expected) && error.to_string().contains("golden.jsonl"),
            "{error}"
        );
    }
}
