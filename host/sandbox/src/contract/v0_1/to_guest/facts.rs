//! Facts in the words of this version.

use ripcord_core::fact::{
    Candidate, Change, Changed, Checkpoint, CheckpointsQuery, Configuration, Dataset, Detail, Exchange, Fact,
    Fares, GoldenQuery, Lineage, Live, Measure, MetricQuery, Neighbour, Outcome, PastIncident, Payload,
    Point, Quantiles, RangeQuery, RecheckQuery, Request, Row, Sample, Series, Slice, Tensor, Trial,
    Unavailable, UnavailableReason, Value, VerifiedIn,
};
use ripcord_core::plan::{Vote, VoteKind};
use ripcord_core::standing::Standing;

use super::super::bindings::ripcord::policy::{facts, types};
use super::ToGuest;

/// All NaNs are one: a recording keeps none apart.
fn number(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

fn names<T: ToString>(names: &[T]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

impl ToGuest for Detail {
    type Guest = facts::Detail;
    fn to_guest(&self) -> facts::Detail {
        match self {
            Self::Summary => facts::Detail::Summary,
            Self::Rows => facts::Detail::Rows,
        }
    }
}

impl ToGuest for MetricQuery {
    type Guest = facts::MetricQuery;
    fn to_guest(&self) -> facts::MetricQuery {
        facts::MetricQuery { source: self.source.clone(), query: self.query.clone(), at: self.at.to_guest() }
    }
}

impl ToGuest for RangeQuery {
    type Guest = facts::RangeQuery;
    fn to_guest(&self) -> facts::RangeQuery {
        facts::RangeQuery {
            source: self.source.clone(),
            query: self.query.clone(),
            window: self.window.to_guest(),
            step: self.step.0,
        }
    }
}

impl ToGuest for CheckpointsQuery {
    type Guest = facts::CheckpointsQuery;
    fn to_guest(&self) -> facts::CheckpointsQuery {
        facts::CheckpointsQuery { run: self.run.clone(), limit: self.limit }
    }
}

impl ToGuest for GoldenQuery {
    type Guest = facts::GoldenQuery;
    fn to_guest(&self) -> facts::GoldenQuery {
        facts::GoldenQuery {
            dataset: self.dataset.clone(),
            candidate: self.candidate.to_guest(),
            detail: self.detail.to_guest(),
        }
    }
}

impl ToGuest for RecheckQuery {
    type Guest = facts::RecheckQuery;
    fn to_guest(&self) -> facts::RecheckQuery {
        facts::RecheckQuery {
            candidate: self.candidate.to_guest(),
            limit: self.limit,
            detail: self.detail.to_guest(),
        }
    }
}

impl ToGuest for Request {
    type Guest = facts::Request;
    fn to_guest(&self) -> facts::Request {
        match self {
            Self::Metric(query) => facts::Request::Metric(query.to_guest()),
            Self::MetricRange(query) => facts::Request::MetricRange(query.to_guest()),
            Self::Versions(limit) => facts::Request::Versions(*limit),
            Self::Live => facts::Request::Live,
            Self::Checkpoints(query) => facts::Request::Checkpoints(query.to_guest()),
            Self::Configurations(limit) => facts::Request::Configurations(*limit),
            Self::Changes(window) => facts::Request::Changes(window.to_guest()),
            Self::Fleet => facts::Request::Fleet,
            Self::Lineage(version) => facts::Request::Lineage(version.to_guest()),
            Self::Golden(query) => facts::Request::Golden(query.to_guest()),
            Self::Captured(limit) => facts::Request::Captured(*limit),
            Self::Recheck(query) => facts::Request::Recheck(query.to_guest()),
            Self::History(window) => facts::Request::History(window.to_guest()),
            Self::Votes => facts::Request::Votes,
        }
    }
}

impl ToGuest for Fact {
    type Guest = facts::Fact;
    fn to_guest(&self) -> facts::Fact {
        facts::Fact {
            id: self.id.clone(),
            request: self.request.to_guest(),
            value: self.value.as_ref().map(ToGuest::to_guest).map_err(ToGuest::to_guest),
            source: self.source.clone(),
            as_of: self.as_of.0,
        }
    }
}

impl ToGuest for Unavailable {
    type Guest = facts::Unavailable;
    fn to_guest(&self) -> facts::Unavailable {
        facts::Unavailable { reason: self.reason.to_guest(), message: self.message.clone() }
    }
}

impl ToGuest for UnavailableReason {
    type Guest = facts::UnavailableReason;
    fn to_guest(&self) -> facts::UnavailableReason {
        match self {
            Self::NoData => facts::UnavailableReason::NoData,
            Self::Failed => facts::UnavailableReason::Failed,
            Self::TimedOut => facts::UnavailableReason::TimedOut,
            Self::Denied => facts::UnavailableReason::Denied,
            Self::Unsupported => facts::UnavailableReason::Unsupported,
            Self::TooLarge => facts::UnavailableReason::TooLarge,
            Self::BadQuery => facts::UnavailableReason::BadQuery,
            Self::Redacted => facts::UnavailableReason::Redacted,
            Self::NotRecorded => facts::UnavailableReason::NotRecorded,
            Self::Other(name) => facts::UnavailableReason::Other(name.clone()),
        }
    }
}

impl ToGuest for Value {
    type Guest = facts::Value;
    fn to_guest(&self) -> facts::Value {
        match self {
            Self::Metric(samples) => facts::Value::Metric(samples.to_guest()),
            Self::MetricRange(series) => facts::Value::MetricRange(series.to_guest()),
            Self::Versions(candidates) => facts::Value::Versions(candidates.to_guest()),
            Self::Live(live) => facts::Value::Live(live.to_guest()),
            Self::Checkpoints(checkpoints) => facts::Value::Checkpoints(checkpoints.to_guest()),
            Self::Configurations(revisions) => facts::Value::Configurations(revisions.to_guest()),
            Self::Changes(changes) => facts::Value::Changes(changes.to_guest()),
            Self::Fleet(neighbours) => facts::Value::Fleet(neighbours.to_guest()),
            Self::Lineage(lineage) => facts::Value::Lineage(lineage.to_guest()),
            Self::Golden(trial) => facts::Value::Golden(trial.to_guest()),
            Self::Captured(exchanges) => facts::Value::Captured(exchanges.to_guest()),
            Self::Recheck(trial) => facts::Value::Recheck(trial.to_guest()),
            Self::History(incidents) => facts::Value::History(incidents.to_guest()),
            Self::Votes(votes) => facts::Value::Votes(votes.to_guest()),
        }
    }
}

impl ToGuest for Sample {
    type Guest = facts::Sample;
    fn to_guest(&self) -> facts::Sample {
        facts::Sample { labels: self.labels.to_guest(), value: number(self.value), at: self.at.0 }
    }
}

impl ToGuest for Point {
    type Guest = facts::Point;
    fn to_guest(&self) -> facts::Point {
        facts::Point { at: self.at.0, value: number(self.value) }
    }
}

impl ToGuest for Series {
    type Guest = facts::Series;
    fn to_guest(&self) -> facts::Series {
        facts::Series { labels: self.labels.to_guest(), points: self.points.to_guest() }
    }
}

impl ToGuest for Measure {
    type Guest = facts::Measure;
    fn to_guest(&self) -> facts::Measure {
        facts::Measure { name: self.name.clone(), value: number(self.value) }
    }
}

impl ToGuest for Standing {
    type Guest = facts::Standing;
    fn to_guest(&self) -> facts::Standing {
        match self {
            Self::Unproven => facts::Standing::Unproven,
            Self::Attested => facts::Standing::Attested,
            Self::KnownGood => facts::Standing::KnownGood,
            Self::Expired => facts::Standing::Expired,
            Self::Condemned => facts::Standing::Condemned,
            Self::Held => facts::Standing::Held,
            Self::Retired => facts::Standing::Retired,
            Self::Other(name) => facts::Standing::Other(name.clone()),
        }
    }
}

impl ToGuest for Candidate {
    type Guest = facts::Candidate;
    fn to_guest(&self) -> facts::Candidate {
        facts::Candidate {
            version: self.version.to_guest(),
            created_at: self.created_at.0,
            aliases: self.aliases.clone(),
            tags: self.tags.to_guest(),
            measures: self.measures.to_guest(),
            standing: self.standing.to_guest(),
            verified_at: self.verified_at.to_guest(),
            expires_at: self.expires_at.to_guest(),
            verified_in: self.verified_in.to_guest(),
            condemned_by: names(&self.condemned_by),
            signature: self.signature.clone(),
            runtime: self.runtime.clone(),
            restorable: self.restorable,
        }
    }
}

impl ToGuest for VerifiedIn {
    type Guest = facts::VerifiedIn;
    fn to_guest(&self) -> facts::VerifiedIn {
        facts::VerifiedIn {
            service: self.service.to_string(),
            environment: self.environment.clone(),
            at: self.at.0,
        }
    }
}

impl ToGuest for Live {
    type Guest = facts::Live;
    fn to_guest(&self) -> facts::Live {
        facts::Live {
            state: self.state.to_guest(),
            facets: self.facets.to_guest(),
            since: self.since.to_guest(),
            observed_at: self.observed_at.0,
        }
    }
}

impl ToGuest for Checkpoint {
    type Guest = facts::Checkpoint;
    fn to_guest(&self) -> facts::Checkpoint {
        facts::Checkpoint {
            run: self.run.clone(),
            step: self.step,
            at: self.at.0,
            digest: self.digest.to_guest(),
            measures: self.measures.to_guest(),
        }
    }
}

impl ToGuest for Configuration {
    type Guest = facts::Configuration;
    fn to_guest(&self) -> facts::Configuration {
        facts::Configuration {
            name: self.target.name.to_string(),
            revision: self.target.revision.to_string(),
            digest: self.target.digest.to_guest(),
            at: self.at.to_guest(),
            author: self.author.clone(),
            summary: self.summary.clone(),
            standing: self.standing.to_guest(),
            verified_at: self.verified_at.to_guest(),
            condemned_by: names(&self.condemned_by),
            restorable: self.restorable,
        }
    }
}

impl ToGuest for Change {
    type Guest = facts::Change;
    fn to_guest(&self) -> facts::Change {
        facts::Change {
            facet: match &self.what {
                Changed::Facet(facet) => facet.to_guest(),
                data @ Changed::Data(_) => types::Facet::Other(data.to_string()),
            },
            was: names(&self.was),
            became: names(&self.became),
            at: self.at.0,
            not_before: self.not_before.to_guest(),
            by: self.by.clone(),
            noticed: self.noticed.as_str().to_owned(),
            verified_at: self.verified_at.to_guest(),
            place: self.place.clone(),
            touches: names(&self.touches),
        }
    }
}

impl ToGuest for Neighbour {
    type Guest = facts::Neighbour;
    fn to_guest(&self) -> facts::Neighbour {
        facts::Neighbour {
            service: self.service.to_string(),
            environment: self.environment.clone(),
            fares: match self.fares {
                Fares::Well => facts::Fares::Well,
                Fares::Harmed => facts::Fares::Harmed,
                Fares::Unknown => facts::Fares::Unknown,
            },
            harmed_since: self.harmed_since.to_guest(),
        }
    }
}

impl ToGuest for Dataset {
    type Guest = facts::Dataset;
    fn to_guest(&self) -> facts::Dataset {
        facts::Dataset {
            name: self.name.clone(),
            revision: self.revision.clone(),
            context: self.context.clone(),
        }
    }
}

impl ToGuest for Lineage {
    type Guest = facts::Lineage;
    fn to_guest(&self) -> facts::Lineage {
        facts::Lineage {
            code: self.code.clone(),
            run: self.run.clone(),
            source: self.source.clone(),
            parameters: self.parameters.to_guest(),
            dataset: self.dataset.clone(),
            dataset_revision: self.dataset_revision.clone(),
            datasets: self.datasets.to_guest(),
            parent: self.parent.to_guest(),
        }
    }
}

impl ToGuest for Quantiles {
    type Guest = facts::Quantiles;
    fn to_guest(&self) -> facts::Quantiles {
        facts::Quantiles {
            p50: number(self.p50),
            p90: number(self.p90),
            p99: number(self.p99),
            max: number(self.max),
        }
    }
}

impl ToGuest for Slice {
    type Guest = facts::Slice;
    fn to_guest(&self) -> facts::Slice {
        facts::Slice {
            name: self.name.clone(),
            rows: self.rows,
            errors: self.errors,
            measures: self.measures.to_guest(),
            latency_ms: self.latency_ms.to_guest(),
        }
    }
}

impl ToGuest for Row {
    type Guest = facts::Row;
    fn to_guest(&self) -> facts::Row {
        facts::Row {
            id: self.id.clone(),
            slices: self.slices.clone(),
            expected: self.expected.to_guest(),
            output: self.output.as_ref().map(ToGuest::to_guest).map_err(Clone::clone),
            latency_ms: number(self.latency_ms),
        }
    }
}

impl ToGuest for Trial {
    type Guest = facts::Trial;
    fn to_guest(&self) -> facts::Trial {
        facts::Trial {
            slices: self.slices.to_guest(),
            rows: self.rows.to_guest(),
            answered_by: self.answered_by.to_guest(),
            started_at: self.started_at.0,
        }
    }
}

impl ToGuest for Exchange {
    type Guest = facts::Exchange;
    fn to_guest(&self) -> facts::Exchange {
        facts::Exchange {
            id: self.id.clone(),
            at: self.at.0,
            input: self.input.to_guest(),
            output: self.output.to_guest(),
            labels: self.labels.to_guest(),
        }
    }
}

impl ToGuest for Tensor {
    type Guest = types::Tensor;
    fn to_guest(&self) -> types::Tensor {
        types::Tensor {
            datatype: self.datatype.clone(),
            shape: self.shape.clone(),
            data: self.data.iter().copied().map(number).collect(),
        }
    }
}

impl ToGuest for Payload {
    type Guest = types::Payload;
    fn to_guest(&self) -> types::Payload {
        match self {
            Self::Tensors(tensors) => types::Payload::Tensors(tensors.to_guest()),
            Self::Classes(classes) => types::Payload::Classes(classes.clone()),
            Self::Text(text) => types::Payload::Text(text.clone()),
            Self::Bytes(bytes) => types::Payload::Bytes(bytes.clone()),
            Self::Json(json) => types::Payload::Json(json.clone()),
        }
    }
}

impl ToGuest for Outcome {
    type Guest = facts::Outcome;
    fn to_guest(&self) -> facts::Outcome {
        match self {
            Self::Open => facts::Outcome::Open,
            Self::RolledBack => facts::Outcome::RolledBack,
            Self::FellBack => facts::Outcome::FellBack,
            Self::RestoredElsewhere => facts::Outcome::RestoredElsewhere,
            Self::StoodDown => facts::Outcome::StoodDown,
            Self::Dismissed => facts::Outcome::Dismissed,
            Self::Refused => facts::Outcome::Refused,
            Self::Expired => facts::Outcome::Expired,
            Self::Aborted => facts::Outcome::Aborted,
            Self::Observed => facts::Outcome::Observed,
            Self::NotHelped => facts::Outcome::NotHelped,
            Self::SettledByPerson => facts::Outcome::SettledByPerson,
            Self::Producing => facts::Outcome::Producing,
            Self::Other(name) => facts::Outcome::Other(name.clone()),
        }
    }
}

impl ToGuest for PastIncident {
    type Guest = facts::PastIncident;
    fn to_guest(&self) -> facts::PastIncident {
        facts::PastIncident {
            id: self.id.to_string(),
            opened_at: self.opened_at.0,
            settled_at: self.settled_at.to_guest(),
            strategy: self.strategy.to_guest(),
            outcome: self.outcome.to_guest(),
            target: self.target.to_guest(),
        }
    }
}

impl ToGuest for Vote {
    type Guest = facts::Vote;
    fn to_guest(&self) -> facts::Vote {
        facts::Vote {
            person: self.person.to_string(),
            roles: names(&self.roles),
            granted: self.granted,
            at: self.at.0,
            kind: match &self.kind {
                VoteKind::Signature => facts::VoteKind::Signature,
                VoteKind::Session => facts::VoteKind::Session,
                VoteKind::BreakGlass => facts::VoteKind::BreakGlass,
                VoteKind::Other(name) => facts::VoteKind::Other(name.clone()),
            },
        }
    }
}
