//! A metrics server that says what a function of time says, and nothing of any other query.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use serde_json::{Value, json};

/// The value of a query at a time, in seconds since 1970.
type Values = dyn Fn(&str, f64) -> Option<f64> + Send + Sync;

/// It answers until the test ends.
pub(crate) fn start(values: impl Fn(&str, f64) -> Option<f64> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = listener.local_addr().expect("address");
    let values: Arc<Values> = Arc::new(values);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let values = values.clone();
            std::thread::spawn(move || serve(&stream, values.as_ref()));
        }
    });
    address
}

fn serve(stream: &TcpStream, values: &Values) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let body = String::from_utf8_lossy(&body).into_owned();
        let asked = if body.is_empty() { target.split('?').nth(1).unwrap_or_default() } else { &body };
        let url = reqwest::Url::parse(&format!("http://x/?{asked}")).expect("a form");
        let form: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let answer = answer(&target, &form, values).to_string();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
        if write!(&mut &*stream, "{head} {}\r\n\r\n{answer}", answer.len()).is_err() {
            return;
        }
    }
}

fn answer(target: &str, form: &BTreeMap<String, String>, values: &Values) -> Value {
    let number = |name: &str| form.get(name).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let query = form.get("query").map(String::as_str).unwrap_or_default();
    let data = if target.contains("query_range") {
        let (start, end, step) = (number("start"), number("end"), number("step").max(0.001));
        let steps = ((end - start) / step) as u64;
        let instants = (0..=steps).map(|index| start + step * index as f64);
        let values: Vec<Value> =
            instants.filter_map(|at| Some(json!([at, values(query, at)?.to_string()]))).collect();
        let result = if values.is_empty() { json!([]) } else { json!([{ "metric": {}, "values": values }]) };
        json!({ "resultType": "matrix", "result": result })
    } else {
        let at = number("time");
        let result = values(query, at)
            .map_or(json!([]), |value| json!([{ "metric": {}, "value": [at, value.to_string()] }]));
        json!({ "resultType": "vector", "result": result })
    };
    json!({ "status": "success", "data": data })
}
