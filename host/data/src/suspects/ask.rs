//! Asks a version about rows, batch by batch.

use ripcord_core::fact::{Payload, Tensor};
use ripcord_core::name::VersionName;
use ripcord_ports::requests::TrialInput;
use serde_json::{Value, json};

use crate::error::{DataError, shown};
use crate::suspects::sample::{Labels, Sample};
use crate::suspects::{InputForm, Judge, SuspectsOrder, step};
use crate::{Progress, Step};

/// What the version says of the rows.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) contradicts: Vec<bool>,
    /// As the answers name it; none where they name none.
    pub(crate) answered_by: Option<VersionName>,
}

/// The answers to the rows of a batch.
#[derive(Debug, PartialEq)]
enum Answers {
    Names(Vec<String>),
    Numbers(Vec<f64>),
}

/// Asks. All answers must be of one version, and of the one that is to be asked.
pub(crate) async fn ask(
    order: &SuspectsOrder<'_>,
    sample: &Sample,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Asked, DataError> {
    let width = order.manifest.manifest.columns.inputs.len();
    let rows = sample.places.len();
    let mut contradicts = Vec::with_capacity(rows);
    let mut answered_by: Option<Option<VersionName>> = None;
    let mut seen = Vec::new();
    progress(step(Step::Ask, 0, rows as u64));
    for (number, inputs) in sample.inputs.chunks(width * order.batch_rows).enumerate() {
        let batch = inputs.len() / width;
        let body = body(&order.form, &order.manifest.manifest.columns.inputs, inputs)?;
        let input = TrialInput { id: format!("{}-{number}", order.trial), body };
        let reply = order.endpoint.infer(&input, order.candidate, order.trial).await?;
        let version = reply.answered_by.map(|target| target.version);
        one_version(order.version, answered_by.as_ref(), version.as_ref())?;
        answered_by.get_or_insert(version);
        let answers = answers(reply.output, batch)?;
        let first = contradicts.len();
        for at in 0..batch {
            contradicts.push(is_contradicted(&order.judge, &sample.labels, first + at, &answers, at)?);
        }
        if let (Answers::Names(names), true) = (answers, seen.len() < 4) {
            seen.extend(names.into_iter().take(64));
            seen.sort();
            seen.dedup();
        }
        progress(step(Step::Ask, contradicts.len() as u64, rows as u64));
    }
    if !contradicts.is_empty() && contradicts.iter().all(|contradicts| *contradicts) {
        return Err(DataError::Answer(no_agreement(&sample.labels, &seen)));
    }
    Ok(Asked { contradicts, answered_by: answered_by.flatten() })
}

fn one_version(
    wanted: Option<&VersionName>,
    before: Option<&Option<VersionName>>,
    now: Option<&VersionName>,
) -> Result<(), DataError> {
    let name = |version: &VersionName| format!("`{}`", shown(version.as_ref()));
    if let (Some(wanted), Some(now)) = (wanted, now)
        && wanted != now
    {
        return Err(DataError::Answer(format!(
            "version {} answers where {} was to be asked: ask it at an address of its own",
            name(now),
            name(wanted)
        )));
    }
    if before.is_some_and(|before| before.as_ref() != now) {
        return Err(DataError::Answer(
            "the version that answers has changed meanwhile: ask again once it is settled".to_owned(),
        ));
    }
    Ok(())
}

fn no_agreement(labels: &Labels, answers: &[String]) -> String {
    let list = |names: &[String]| {
        let names: Vec<_> = names.iter().take(4).map(|name| format!("`{}`", shown(name))).collect();
        names.join(", ")
    };
    format!(
        "no answer agrees with any label: {} is expected, and {} is answered; say which answer stands for which label",
        list(&labels.expected),
        list(answers)
    )
}

fn body(form: &InputForm, names: &[String], inputs: &[f64]) -> Result<String, DataError> {
    let rows = inputs.len() / names.len();
    let tensors: Vec<Value> = match form {
        InputForm::Matrix { name, datatype } => {
            vec![json!({ "name": name, "datatype": datatype, "shape": [rows, names.len()], "data": inputs })]
        }
        InputForm::Columns { datatype } => names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let column: Vec<f64> = inputs.iter().skip(at).step_by(names.len()).copied().collect();
                json!({ "name": name, "datatype": datatype, "shape": [rows, 1], "data": column })
            })
            .collect(),
    };
    serde_json::to_string(&tensors)
        .map_err(|error| DataError::Asked(format!("the inputs cannot be written as JSON: {error}")))
}

/// An answer for each row.
fn answers(output: Payload, rows: usize) -> Result<Answers, DataError> {
    let of = |count: usize| {
        DataError::Answer(format!(
            "{count} values come back for {rows} rows: one answer a row is judged, so name the output that has it"
        ))
    };
    let answers = match output {
        Payload::Classes(names) => Answers::Names(names),
        Payload::Tensors(mut tensors) => match tensors.pop() {
            Some(Tensor { data, .. }) if tensors.is_empty() => Answers::Numbers(data),
            _ => return Err(of(tensors.len() + 1)),
        },
        Payload::Text(text) if rows == 1 => Answers::Names(vec![text]),
        _ => {
            return Err(DataError::Answer(
                "the answer is neither names nor numbers: name the output that is to be judged".to_owned(),
            ));
        }
    };
    let count = match &answers {
        Answers::Names(names) => names.len(),
        Answers::Numbers(numbers) => numbers.len(),
    };
    if count == rows { Ok(answers) } else { Err(of(count)) }
}

/// Whether answer `at` is not what the label of `row` says.
fn is_contradicted(
    judge: &Judge,
    labels: &Labels,
    row: usize,
    answers: &Answers,
    at: usize,
) -> Result<bool, DataError> {
    match (judge, answers) {
        (Judge::Within(within), Answers::Numbers(numbers)) => {
            // Also where the answer is none.
            let apart = (numbers[at] - labels.numbers[row]).abs();
            // What is no number is no agreement.
            Ok(apart.is_nan() || apart > *within)
        }
        (Judge::Within(_), Answers::Names(_)) => Err(DataError::Answer(
            "the answers are names, and numbers are to be compared: name the output that has them".to_owned(),
        )),
        (Judge::Class(_), Answers::Names(names)) => {
            Ok(names[at] != labels.expected[usize::from(labels.of_rows[row])])
        }
        (Judge::Class(_), Answers::Numbers(numbers)) => {
            let expected = &labels.expected[usize::from(labels.of_rows[row])];
            let expected: f64 = expected.parse().map_err(|_| {
                DataError::Answer(format!(
                    "the answers are numbers, and `{}` is expected: name the output that has classes",
                    shown(expected)
                ))
            })?;
            Ok(numbers[at] != expected)
        }
    }
}
