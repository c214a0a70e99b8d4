//! The parts of the Open Inference Protocol, version 2, that Ripcord speaks.

mod signature;

use reqwest::{Method, StatusCode, Url};
use ripcord_core::digest::Digest;
use ripcord_core::fact::{Payload, Tensor};
use ripcord_core::name::VersionName;
use ripcord_core::time::Millis;
use ripcord_ports::{ErrorKind, PortError};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::http::{self, Answer, Http};
use crate::secret::Secret;

pub(crate) use signature::{TensorSpec, compare};

/// The header that marks a request as a trial, so that servers keep it out of metrics and request log. Its value is the trial's id.
pub(crate) const TRIAL_HEADER: &str = "ripcord-trial";

/// What people call a server of this protocol.
const SYSTEM: &str = "model server";

/// One model behind one address.
#[derive(Debug, Clone)]
pub(crate) struct ModelServer {
    pub(crate) http: Http,
    pub(crate) url: Url,
    pub(crate) model: String,
    /// Asked by its name; none is what the server answers with by default.
    pub(crate) version: Option<String>,
    pub(crate) token: Option<Secret>,
    pub(crate) deadline: Millis,
}

/// What a server answers to an inference request.
#[derive(Debug, Deserialize)]
pub(crate) struct InferAnswer {
    #[serde(default, deserialize_with = "text")]
    pub(crate) model_version: Option<String>,
    #[serde(default, deserialize_with = "left_out")]
    pub(crate) outputs: Vec<Output>,
}

/// One output tensor.
#[derive(Debug, Deserialize)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) datatype: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) data: Value,
}

/// A line of the repository's index. A model that lies in the repository and was never loaded may have its name alone.
#[derive(Debug, Deserialize)]
pub(crate) struct Indexed {
    pub(crate) name: String,
    #[serde(default, deserialize_with = "text")]
    pub(crate) version: Option<String>,
    #[serde(default, deserialize_with = "text")]
    state: Option<String>,
}

/// What an index says of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State<'a> {
    Ready,
    /// It is not served.
    Unavailable,
    /// It is being loaded or dropped. MLServer says `UNKNOWN` of a model that it has begun to load and that is not ready.
    Moving,
    /// The line has no state.
    Untold,
    /// A word that the protocol does not have.
    Other(&'a str),
}

impl Indexed {
    pub(crate) fn state(&self) -> State<'_> {
        let Some(word) = self.state.as_deref() else { return State::Untold };
        match word.to_ascii_uppercase().as_str() {
            "READY" => State::Ready,
            "UNAVAILABLE" => State::Unavailable,
            "LOADING" | "UNLOADING" | "UNKNOWN" => State::Moving,
            _ => State::Other(word),
        }
    }
}

/// `null` is as good as left out.
fn left_out<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A text, or a number that some servers write in its place. Gateways from gRPC write an empty text for what is not there.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Loose>::deserialize(from)?.map(Loose::text).filter(|text| !text.is_empty()))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Text(String),
    Number(u64),
}

impl Loose {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let given: Vec<Loose> = left_out(from)?;
    Ok(given.into_iter().map(Loose::text).collect())
}

/// What the server's control plane says of the model.
pub(crate) enum Index {
    /// The lines of the repository's index about it.
    Lines(Vec<Indexed>),
    /// There is no index; the model's metadata is there and names these versions.
    Metadata(Vec<String>),
}

/// Servers that are built on typed records write what they do not have as `null`.
#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(default, deserialize_with = "texts")]
    versions: Vec<String>,
    inputs: Option<Vec<TensorSpec>>,
}

impl ModelServer {
    /// Sends `inputs` on a connection of its own or a shared one.
    pub(crate) async fn infer(&self, ask: &Ask<'_>) -> Result<Answer, PortError> {
        let url = match &self.version {
            None => self.under(&["v2", "models", &self.model, "infer"]),
            Some(version) => self.under(&["v2", "models", &self.model, "versions", version, "infer"]),
        };
        let call = match ask.connection {
            Connection::Shared => self.http.call(Method::POST, &url),
            Connection::Anew => self.http.call_anew(Method::POST, &url),
        };
        call.only_reads()
            .of(SYSTEM)
            .deadline(self.deadline)
            .bearer(self.token.as_ref())
            .header(TRIAL_HEADER, ask.trial)
            .json(&json!({ "id": ask.id, "inputs": ask.inputs }))
            .exchange()
            .await
    }

    /// Versions of the model, with their states, as the server's control plane has them. A server without an index is asked for the
    /// model's metadata.
    pub(crate) async fn indexed(&self) -> Result<Index, PortError> {
        let url = self.under(&["v2", "repository", "index"]);
        let answer = self.call(Method::POST, &url).only_reads().json(&json!({})).exchange().await?;
        if is_missing(answer.status) {
            return Ok(Index::Metadata(self.metadata().await?.versions));
        }
        let mut lines = answer.successful()?.json::<Option<Vec<Indexed>>>()?.unwrap_or_default();
        let is_alike = |line: &&Indexed| line.name.trim().to_lowercase() == self.model.trim().to_lowercase();
        if !lines.iter().any(|line| line.name == self.model)
            && let Some(alike) = lines.iter().find(is_alike)
        {
            return Err(PortError::not_applied(
                ErrorKind::Configuration,
                format!(
                    "{} has the model `{}`, and `model` is `{}`: write it just as the server does",
                    self.address(),
                    alike.name.escape_debug(),
                    self.model.escape_debug()
                ),
            ));
        }
        lines.retain(|line| line.name == self.model);
        Ok(Index::Lines(lines))
    }

    /// Whether the server is in the middle of loading the model.
    pub(crate) async fn is_loading(&self) -> Result<bool, PortError> {
        let Index::Lines(lines) = self.indexed().await? else { return Ok(false) };
        Ok(lines.iter().any(|line| line.state() == State::Moving))
    }

    /// The inputs that the server says the model takes; none where it does not say.
    pub(crate) async fn inputs(&self) -> Result<Vec<TensorSpec>, PortError> {
        let url = self.under(&["v2", "models", &self.model]);
        let answer = self.call(Method::GET, &url).exchange().await?;
        if is_missing(answer.status) {
            return Ok(Vec::new());
        }
        let metadata: Metadata = answer.successful()?.json()?;
        Ok(metadata.inputs.unwrap_or_default())
    }

    async fn metadata(&self) -> Result<Metadata, PortError> {
        let url = self.under(&["v2", "models", &self.model]);
        self.call(Method::GET, &url).send().await?.json()
    }

    fn load_url(&self) -> Url {
        self.under(&["v2", "repository", "models", &self.model, "load"])
    }

    /// Where it is asked to load the model, for people.
    pub(crate) fn load_address(&self) -> String {
        http::shown(&self.load_url())
    }

    /// Asks the server to load what lies in the model's folder.
    pub(crate) async fn load(&self, deadline: Millis) -> Result<Answer, PortError> {
        self.call(Method::POST, &self.load_url())
            .deadline(deadline)
            .has_effect()
            .json(&json!({}))
            .exchange()
            .await
    }

    /// Asks the server to drop the model. That it has none of that name is as good.
    pub(crate) async fn unload(&self) -> Result<(), PortError> {
        let url = self.under(&["v2", "repository", "models", &self.model, "unload"]);
        let answer = self.call(Method::POST, &url).has_effect().json(&json!({})).exchange().await?;
        if answer.status != StatusCode::NOT_FOUND {
            answer.successful()?;
        }
        match self.has().await? {
            false => Ok(()),
            true => Err(PortError::unknown(
                ErrorKind::Failed,
                format!(
                    "{} still has the model `{}` after it was told to drop it",
                    self.address(),
                    self.model
                ),
            )),
        }
    }

    /// Whether the server has the model in memory, ready or not.
    pub(crate) async fn has(&self) -> Result<bool, PortError> {
        let url = self.under(&["v2", "models", &self.model, "ready"]);
        let answer = self.call(Method::GET, &url).exchange().await?;
        if says_it_has_none(&answer) {
            return Ok(false);
        }
        match answer.status {
            // So a server says that it has begun to load the model.
            StatusCode::BAD_REQUEST => Ok(true),
            _ => answer.successful().map(|_| true),
        }
    }

    /// The same server, asked for another model.
    pub(crate) fn for_model(&self, model: &str) -> Self {
        Self { model: model.to_owned(), version: None, ..self.clone() }
    }

    pub(crate) fn address(&self) -> String {
        http::shown(&self.url)
    }

    fn under(&self, path: &[&str]) -> Url {
        http::under(&self.url, path)
    }

    /// Not over a connection that is kept: a server may close one without a word, MLServer does after each error of its own, and a load that meets this
    /// would be a load of which nobody knows whether it was asked for.
    fn call(&self, method: Method, url: &Url) -> http::Call {
        self.http.call_anew(method, url).of(SYSTEM).deadline(self.deadline).bearer(self.token.as_ref())
    }
}

/// Whether the server does not have this part of the protocol.
fn is_missing(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

/// Whether the server answers that it has no such model. Triton says so with 400.
pub(crate) fn says_it_has_none(answer: &Answer) -> bool {
    let says = || String::from_utf8_lossy(&answer.body).to_lowercase().contains("unknown model");
    answer.status == StatusCode::NOT_FOUND || answer.status == StatusCode::BAD_REQUEST && says()
}

/// One inference request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) id: &'a str,
    /// The protocol's `inputs`.
    pub(crate) inputs: &'a Value,
    pub(crate) trial: &'a str,
    pub(crate) connection: Connection,
}

/// Over which connection a request goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Connection {
    Shared,
    /// A new one, so that a balancer may choose another replica.
    Anew,
}

impl InferAnswer {
    /// The version that the answer names.
    pub(crate) fn version(&self) -> Result<Option<VersionName>, PortError> {
        let Some(text) = self.model_version.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        VersionName::new(text).map(Some).map_err(|error| {
            PortError::not_applied(
                ErrorKind::BadAnswer,
                format!("the answer names a version that is none: {error}"),
            )
        })
    }
}

/// The output called `name`, or all of them, as a payload. One output of text gives classes, outputs of numbers give tensors.
pub(crate) fn payload(outputs: &[Output], name: Option<&str>) -> Result<Payload, String> {
    let chosen: Vec<&Output> =
        outputs.iter().filter(|output| name.is_none_or(|n| n == output.name)).collect();
    if chosen.is_empty() {
        return Err(no_output(outputs, name));
    }
    if let [output] = chosen[..]
        && output.datatype == "BYTES"
    {
        return flat(output)?
            .into_iter()
            .map(|value| text_of(output, value))
            .collect::<Result<_, _>>()
            .map(Payload::Classes);
    }
    chosen.into_iter().map(tensor).collect::<Result<_, _>>().map(Payload::Tensors)
}

/// The digest of the output called `name`, or of all of them: name, kind, shape and each value as it came.
pub(crate) fn exact(outputs: &[Output], name: Option<&str>) -> Result<Digest, String> {
    let mut chosen: Vec<&Output> =
        outputs.iter().filter(|output| name.is_none_or(|n| n == output.name)).collect();
    chosen.sort_by(|a, b| a.name.cmp(&b.name));
    if chosen.is_empty() {
        return Err(no_output(outputs, name));
    }
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for output in chosen {
        let values = flat(output)?;
        parts.extend([output.name.clone().into(), output.datatype.clone().into()]);
        parts.push(output.shape.iter().flat_map(|length| length.to_be_bytes()).collect());
        parts.push((values.len() as u64).to_be_bytes().to_vec());
        parts.extend(values.into_iter().map(|value| value.to_string().into_bytes()));
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Ok(Digest::tagged("ripcord outputs 1", &parts))
}

fn no_output(outputs: &[Output], name: Option<&str>) -> String {
    let has: Vec<_> = outputs.iter().map(|output| format!("`{}`", output.name)).collect();
    let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
    match name {
        Some(name) => format!("the answer has no output `{name}`; it has {has}"),
        None => "the answer has no output".to_owned(),
    }
}

fn text_of(output: &Output, value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| {
        format!("the output `{}` is of BYTES and holds `{value}`, which is no text", output.name)
    })
}

fn tensor(output: &Output) -> Result<Tensor, String> {
    let number = |value: &Value| {
        match value {
        Value::Bool(flag) => Ok(f64::from(u8::from(*flag))),
        // JSON has no other word for what is not a number.
        Value::Null if output.datatype.contains("FP") || output.datatype.contains("BF") => Ok(f64::NAN),
        value => value.as_f64().ok_or_else(|| {
            format!(
                "the output `{}` of {} holds `{value}`, which is no number: name one output of text or of numbers",
                output.name, output.datatype
            )
        }),
    }
    };
    let data: Vec<f64> = flat(output)?.into_iter().map(number).collect::<Result<_, _>>()?;
    let wanted = output.shape.iter().try_fold(1_u64, |product, length| product.checked_mul(*length));
    if wanted != Some(data.len() as u64) {
        return Err(format!(
            "the output `{}` has {} values, which do not fill its shape {:?}",
            output.name,
            data.len(),
            output.shape
        ));
    }
    Ok(Tensor { datatype: output.datatype.clone(), shape: output.shape.clone(), data })
}

/// The values of an output in row-major order; data may be flat or nested.
fn flat(output: &Output) -> Result<Vec<&Value>, String> {
    let Value::Array(values) = &output.data else {
        return Err(format!("the data of the output `{}` are no list", output.name));
    };
    let mut found = Vec::new();
    // JSON nests at most as deep as its reader lets it, so that this ends.
    let mut left: Vec<&Value> = values.iter().rev().collect();
    while let Some(value) = left.pop() {
        match value {
            Value::Array(inner) => left.extend(inner.iter().rev()),
            value => found.push(value),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_write_for_nothing_and_for_numbers_is_read() {
        let line = |text: &str| serde_json::from_str::<Indexed>(text).unwrap();
        for (text, version, state) in [
            (r#"{"name":"m"}"#, None, State::Untold),
            (r#"{"name":"m","version":"","state":""}"#, None, State::Untold),
            (r#"{"name":"m","version":null,"state":null}"#, None, State::Untold),
            (r#"{"name":"m","version":5,"state":"ready"}"#, Some("5"), State::Ready),
            (r#"{"name":"m","version":"5","state":"UNAVAILABLE"}"#, Some("5"), State::Unavailable),
            (r#"{"name":"m","version":"5","state":"LOADING"}"#, Some("5"), State::Moving),
            (r#"{"name":"m","version":"5","state":"AVAILABLE"}"#, Some("5"), State::Other("AVAILABLE")),
        ] {
            let line = line(text);
            assert_eq!((line.version.as_deref(), line.state()), (version, state), "{text}");
        }
        for (text, versions) in [
            (r#"{"versions":null,"inputs":null}"#, &[][..]),
            ("{}", &[]),
            (r#"{"versions":[5,"6"]}"#, &["5", "6"]),
        ] {
            assert_eq!(serde_json::from_str::<Metadata>(text).unwrap().versions, versions, "{text}");
        }
        for (text, version) in [
            (r#"{"model_version":5}"#, Some("5")),
            (r#"{"model_version":null,"outputs":null}"#, None),
            (r#"{"model_version":"","outputs":[]}"#, None),
        ] {
            let answer: InferAnswer = serde_json::from_str(text).unwrap();
            assert_eq!(answer.model_version.as_deref(), version, "{text}");
        }
    }

    fn output(name: &str, datatype: &str, shape: &[u64], data: Value) -> Output {
        Output { name: name.into(), datatype: datatype.into(), shape: shape.to_vec(), data }
    }

    #[test]
    fn outputs_become_payloads() {
        let decision = output("decision", "BYTES", &[2], json!(["approve", "decline"]));
        let scores = output("score", "FP64", &[2, 2], json!([[0.5, 1], [2, 3e-2]]));
        let classes = Payload::Classes(vec!["approve".into(), "decline".into()]);
        let tensors = Payload::Tensors(vec![Tensor {
            datatype: "FP64".into(),
            shape: vec![2, 2],
            data: vec![0.5, 1.0, 2.0, 0.03],
        }]);
        let both = [decision, scores];
        assert_eq!(payload(&both, Some("decision")), Ok(classes.clone()));
        assert_eq!(payload(&both, Some("score")), Ok(tensors));
        assert_eq!(payload(&both[..1], None), Ok(classes));
        let unknown = [output("s", "FP32", &[2], json!([null, 1.0]))];
        assert!(matches!(payload(&unknown, None), Ok(Payload::Tensors(t)) if t[0].data[0].is_nan()));
        let flags = [output("flag", "BOOL", &[2], json!([true, false]))];
        assert!(matches!(payload(&flags, None), Ok(Payload::Tensors(t)) if t[0].data == [1.0, 0.0]));
    }

    #[test]
    fn exact_digests_differ_where_anything_differs() {
        let of = |outputs: &[Output], name| exact(outputs, name).unwrap();
        let a = || output("a", "FP64", &[2], json!([0.1, 0.2]));
        let b = || output("b", "INT64", &[1], json!([9_007_199_254_740_993_i64]));
        let all = of(&[a(), b()], None);
        assert_eq!(all, of(&[b(), a()], None), "their order says nothing");
        assert_eq!(of(&[a()], None), of(&[a(), b()], Some("a")));
        let others = [
            vec![a()],
            vec![a(), output("b", "INT64", &[1], json!([9_007_199_254_740_992_i64]))],
            vec![output("a", "FP64", &[2], json!([0.1, 0.200_000_000_000_000_04])), b()],
            vec![output("a", "FP32", &[2], json!([0.1, 0.2])), b()],
            vec![output("a", "FP64", &[1, 2], json!([0.1, 0.2])), b()],
            vec![output("c", "FP64", &[2], json!([0.1, 0.2])), b()],
            vec![output("a", "FP64", &[2], json!([0.2, 0.1])), b()],
        ];
        for other in others {
            assert_ne!(of(&other, None), all, "{other:?}");
        }
        assert!(exact(&[a()], Some("z")).unwrap_err().contains("no output `z`; it has `a`"));
        assert!(exact(&[], None).is_err());
    }

    #[test]
    fn outputs_that_make_no_sense_are_refused_with_their_name() {
        let check = |outputs: &[Output], name, expected: &str| {
            let why = payload(outputs, name).unwrap_err();
            assert!(why.contains(expected), "{why}");
        };
        let decision = || output("decision", "BYTES", &[1], json!(["a"]));
        check(&[], None, "no output");
        check(&[decision()], Some("score"), "no output `score`; it has `decision`");
        check(&[decision(), output("s", "FP64", &[1], json!([1]))], None, "`decision`");
        check(&[output("d", "BYTES", &[1], json!([1]))], None, "no text");
        check(&[output("s", "FP64", &[3], json!([1, 2]))], None, "do not fill");
        check(&[output("s", "FP64", &[u64::MAX, 3], json!([1, 2]))], None, "do not fill");
        check(&[output("s", "INT64", &[1], json!([null]))], None, "no number");
        check(&[output("s", "FP64", &[1], json!(7))], None, "no list");
    }
}
