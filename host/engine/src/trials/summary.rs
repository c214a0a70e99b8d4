//! Answers, summed up by slice.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::fact::answer::{Comparison, class, compare};
use ripcord_core::fact::{Detail, Measure, Payload, Quantiles, Row, Slice, Trial};
use ripcord_core::live::{Proof, Share};
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::UnixMillis;
use ripcord_ports::PortError;
use ripcord_ports::endpoint::Reply;
use ripcord_ports::requests::TrialInput;

/// One row of a trial.
pub(super) struct Sent {
    pub(super) input: TrialInput,
    pub(super) slices: Vec<String>,
    pub(super) known: Known,
}

/// What is known of the answer.
pub(super) enum Known {
    /// The data set says so.
    Right(Payload),
    /// It was answered in production, right or wrong.
    Answered(Payload),
}

impl Known {
    fn right(&self) -> Option<&Payload> {
        match self {
            Self::Right(payload) => Some(payload),
            Self::Answered(_) => None,
        }
    }

    fn answered(&self) -> Option<&Payload> {
        match self {
            Self::Answered(payload) => Some(payload),
            Self::Right(_) => None,
        }
    }
}

pub(super) fn summarise(
    rows: &[Sent],
    replies: &[Result<Reply, PortError>],
    detail: Detail,
    started_at: UnixMillis,
) -> Trial {
    let names: BTreeSet<&str> = rows.iter().flat_map(|row| row.slices.iter().map(String::as_str)).collect();
    let pairs: Vec<_> = rows.iter().zip(replies).collect();
    let slices = std::iter::once("")
        .chain(names)
        .map(|name| {
            let within = pairs
                .iter()
                .filter(|(row, _)| name.is_empty() || row.slices.iter().any(|slice| slice == name));
            slice(name, &within.copied().collect::<Vec<_>>())
        })
        .collect();
    let row = |(row, reply): &(&Sent, &Result<Reply, PortError>)| Row {
        id: row.input.id.clone(),
        slices: row.slices.clone(),
        expected: row.known.right().cloned(),
        output: reply.as_ref().map(|reply| reply.output.clone()).map_err(ToString::to_string),
        latency_ms: reply.as_ref().map_or(0.0, |reply| reply.latency_us as f64 / 1_000.0),
    };
    Trial {
        slices,
        rows: if detail == Detail::Rows { pairs.iter().map(row).collect() } else { Vec::new() },
        answered_by: answered_by(replies),
        started_at,
    }
}

/// The share of each version among the answers that name one.
fn answered_by(replies: &[Result<Reply, PortError>]) -> Vec<Share> {
    let mut counts: BTreeMap<&VersionName, (u32, &VersionTarget)> = BTreeMap::new();
    for version in replies.iter().flatten().filter_map(|reply| reply.answered_by.as_ref()) {
        counts.entry(&version.version).or_insert((0, version)).0 += 1;
    }
    let total: u32 = counts.values().map(|(count, _)| count).sum();
    counts
        .into_values()
        .map(|(count, version)| Share {
            version: version.clone(),
            place: String::new(),
            weight: Ratio::new(f64::from(count) / f64::from(total)).unwrap_or(Ratio::ONE),
            proof: Proof::Answer,
        })
        .collect()
}

/// The measure that says how many answers cannot be compared with what is known: then none of the others is there.
const INCOMPARABLE: &str = "incomparable";

/// More classes than a rule names: what is expected are numbers, not classes.
const CLASSES_MAX: usize = 1_000;

/// Over the answered rows: accuracy, recall and precision for each class, where what is right is known; agreement with what was answered before,
/// where that is; latency. Where an answer is of another kind than what is known of it, nobody knows how many are right: it is counted instead.
fn slice(name: &str, pairs: &[(&Sent, &Result<Reply, PortError>)]) -> Slice {
    let answered: Vec<_> =
        pairs.iter().filter_map(|(row, reply)| Some((*row, reply.as_ref().ok()?))).collect();
    let mut measures = Vec::new();
    let compared: Vec<(&Payload, &Payload)> =
        answered.iter().filter_map(|(row, reply)| Some((row.known.right()?, &reply.output))).collect();
    let again: Vec<(&Payload, &Payload)> =
        answered.iter().filter_map(|(row, reply)| Some((row.known.answered()?, &reply.output))).collect();
    let mut incomparable = 0;
    for (name, pairs) in [("accuracy", &compared), ("agreement", &again)] {
        let words: Vec<Comparison> = pairs.iter().map(|(known, got)| compare(known, got)).collect();
        let unlike = words.iter().filter(|word| matches!(word, Comparison::Incomparable(_))).count();
        // A few among many are wrong answers. Where it is most of them, what is known is of another kind than what is answered.
        if unlike * 2 >= pairs.len().max(1) {
            incomparable += unlike;
        } else if !pairs.is_empty() {
            let same = words.iter().filter(|word| **word == Comparison::Same).count();
            measures.push(measure(name, same, pairs.len()));
        }
    }
    if incomparable > 0 {
        measures.push(Measure { name: INCOMPARABLE.to_owned(), value: incomparable as f64 });
    } else {
        measures.extend(classes(&compared));
    }
    let mut latencies: Vec<f64> =
        answered.iter().map(|(_, reply)| reply.latency_us as f64 / 1_000.0).collect();
    latencies.sort_by(f64::total_cmp);
    Slice {
        name: name.to_owned(),
        rows: pairs.len() as u64,
        errors: (pairs.len() - answered.len()) as u64,
        measures,
        latency_ms: quantiles(&latencies),
    }
}

/// Recall and precision of each class that is expected.
fn classes(compared: &[(&Payload, &Payload)]) -> Vec<Measure> {
    let named: BTreeMap<String, &Payload> =
        compared.iter().filter_map(|(right, _)| Some((class(right)?, *right))).collect();
    if named.len() > CLASSES_MAX {
        return Vec::new();
    }
    let mut measures = Vec::new();
    for (name, payload) in &named {
        let is = |other: &Payload| compare(payload, other) == Comparison::Same;
        let both = compared.iter().filter(|(right, got)| is(right) && is(got)).count();
        let expected = compared.iter().filter(|(right, _)| is(right)).count();
        let predicted = compared.iter().filter(|(_, got)| is(got)).count();
        measures.push(measure(&format!("recall:{name}"), both, expected));
        if predicted > 0 {
            measures.push(measure(&format!("precision:{name}"), both, predicted));
        }
    }
    measures
}

fn measure(name: &str, part: usize, whole: usize) -> Measure {
    Measure { name: name.to_owned(), value: part as f64 / whole.max(1) as f64 }
}

/// Nearest-rank quantiles of sorted values.
fn quantiles(sorted: &[f64]) -> Quantiles {
    let rank = |q: f64| {
        let index = (q * sorted.len() as f64).ceil() as usize;
        sorted.get(index.saturating_sub(1)).copied().unwrap_or_default()
    };
    Quantiles { p50: rank(0.5), p90: rank(0.9), p99: rank(0.99), max: rank(1.0) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ripcord_core::fact::Tensor;
    use ripcord_ports::ErrorKind;

    fn row(id: &str, slice: &str, expected: &str) -> Sent {
        Sent {
            input: TrialInput { id: id.into(), body: "[]".into() },
            slices: vec![slice.into()],
            known: Known::Right(Payload::Classes(vec![expected.into()])),
        }
    }

    fn reply(class: &str, latency_us: u64) -> Result<Reply, PortError> {
        Ok(Reply { output: Payload::Classes(vec![class.into()]), answered_by: None, latency_us })
    }

    fn value(slice: &Slice, name: &str) -> Option<f64> {
        slice.measures.iter().find(|measure| measure.name == name).map(|measure| measure.value)
    }

    #[test]
    fn slices_are_measured_apart_and_errors_are_not_wrong_answers() {
        let rows = [row("1", "a", "yes"), row("2", "a", "no"), row("3", "b", "yes"), row("4", "b", "yes")];
        let replies = [
            reply("yes", 1_000),
            reply("yes", 2_000),
            reply("yes", 3_000),
            Err(PortError::not_applied(ErrorKind::TimedOut, "no answer")),
        ];
        let pairs: Vec<_> = rows.iter().zip(&replies).collect();
        let whole = slice("", &pairs);
        assert_eq!((whole.rows, whole.errors), (4, 1));
        assert_eq!(value(&whole, "accuracy"), Some(2.0 / 3.0));
        assert_eq!(value(&whole, "recall:yes"), Some(1.0));
        assert_eq!(value(&whole, "recall:no"), Some(0.0));
        assert_eq!(value(&whole, "precision:yes"), Some(2.0 / 3.0));
        assert_eq!(whole.latency_ms, Quantiles { p50: 2.0, p90: 3.0, p99: 3.0, max: 3.0 });
    }

    #[test]
    fn a_slice_without_answers_claims_nothing() {
        let rows = [row("1", "a", "yes")];
        let replies = [Err(PortError::not_applied(ErrorKind::TimedOut, "no answer"))];
        let pairs: Vec<_> = rows.iter().zip(&replies).collect();
        assert!(slice("", &pairs).measures.is_empty());
    }

    #[test]
    fn what_was_answered_before_is_compared_with_and_never_called_right() {
        let mut rows = [row("1", "version=2", "yes"), row("2", "version=2", "no")];
        for row in &mut rows {
            let Known::Right(payload) = &row.known else { continue };
            row.known = Known::Answered(payload.clone());
        }
        let trial = summarise(&rows, &[reply("yes", 1), reply("yes", 1)], Detail::Rows, UnixMillis(0));
        assert_eq!(trial.slices[1].name, "version=2");
        for slice in &trial.slices {
            assert_eq!(slice.measures.len(), 1);
            assert_eq!(value(slice, "agreement"), Some(0.5));
        }
        assert!(trial.rows.iter().all(|row| row.expected.is_none()));
    }

    #[test]
    fn a_few_odd_answers_among_many_are_wrong_ones() {
        let rows: Vec<_> = (0..10).map(|_| row("1", "a", "decline")).collect();
        let empty = || Ok(Reply { output: Payload::Classes(Vec::new()), answered_by: None, latency_us: 1 });
        let tensor = Tensor { datatype: "FP64".into(), shape: vec![2], data: vec![0.1, 0.2] };
        let odd = Ok(Reply { output: Payload::Tensors(vec![tensor]), answered_by: None, latency_us: 1 });
        let mut replies = vec![empty(), odd];
        replies.extend((0..8).map(|_| reply("decline", 1)));
        let trial = summarise(&rows, &replies, Detail::Summary, UnixMillis(0));
        assert_eq!(value(&trial.slices[0], "accuracy"), Some(0.8));
        // Nothing at all is an answer, too, and a wrong one.
        let replies: Vec<_> = (0..10).map(|_| empty()).collect();
        let trial = summarise(&rows, &replies, Detail::Summary, UnixMillis(0));
        assert_eq!(value(&trial.slices[0], "accuracy"), Some(0.0));
    }

    #[test]
    fn answers_of_another_kind_are_counted_and_no_accuracy_is_claimed() {
        let rows = [row("1", "a", "decline"), row("2", "b", "1")];
        let number = |value: f64| {
            let tensor = Tensor { datatype: "INT64".into(), shape: vec![1], data: vec![value] };
            Ok(Reply { output: Payload::Tensors(vec![tensor]), answered_by: None, latency_us: 1 })
        };
        let trial = summarise(&rows, &[number(1.0), number(1.0)], Detail::Summary, UnixMillis(0));
        let of = |name: &str| trial.slices.iter().find(|slice| slice.name == name).unwrap();
        assert_eq!((value(of(""), "accuracy"), value(of(""), "incomparable")), (None, Some(1.0)));
        assert_eq!(value(of(""), "recall:decline"), None);
        assert_eq!((value(of("b"), "accuracy"), value(of("b"), "recall:1")), (Some(1.0), Some(1.0)));
        assert_eq!(of("").errors, 0, "they are answers");
    }
}
