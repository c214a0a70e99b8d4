//! What an alert tells of. A payload has no field for it, so it is read from what the senders' own conventions leave in an alert: a label of ours, the names
//! that monitoring systems give to alerts about themselves, annotations and labels with the state, and the expression of a Prometheus rule.
//!
//! Where in doubt, an alert is taken for one about missing data: people are told of it, and a label of the rule (`ripcord_kind = "condition"`) settles it.
//!
//! Prometheus hands the labels of a series on to the alert, and who is judged writes those. So they count only for more protection: that it is none of a
//! condition is believed of annotations, which a rule alone writes, and of labels where the sender names no rule of a monitoring system.

use reqwest::Url;
use ripcord_core::signal::{Label, SignalKind, SignalStatus};

/// A label of a rule by which its author says what it tells of.
const KIND_LABEL: &str = "ripcord_kind";
/// Of Grafana: why an alert is in its state, where its condition is not why.
const GRAFANA_REASON: &str = "grafanastatereason";
/// Labels and annotations in which other systems' states are handed on, such as Datadog's `$ALERT_TRANSITION` and CloudWatch's `NewStateValue`.
const STATES: [&str; 8] = [
    "alerttransition",
    "transition",
    "newstatevalue",
    "statevalue",
    "state",
    "alertstate",
    "alarmstate",
    "monitorstate",
];
const NO_DATA: [&str; 5] = ["nodata", "renodata", "insufficientdata", "missingdata", "missingseries"];
/// Systems whose alerts about themselves begin with their name.
const MONITORING: [&str; 11] = [
    "prometheus",
    "alertmanager",
    "grafana",
    "thanos",
    "mimir",
    "cortex",
    "loki",
    "vmalert",
    "vmagent",
    "victoriametrics",
    "datasource",
];
/// Parts of theirs, one of which such an alert names.
const INSIDE: [&str; 34] = [
    "rule",
    "rules",
    "ruler",
    "evaluation",
    "evaluations",
    "alerting",
    "alerts",
    "alertmanager",
    "alertmanagers",
    "notification",
    "notifications",
    "config",
    "configuration",
    "reload",
    "remote",
    "tsdb",
    "wal",
    "ingesting",
    "ingester",
    "ingesters",
    "samples",
    "timestamps",
    "labels",
    "query",
    "queries",
    "scrape",
    "compact",
    "compactor",
    "sidecar",
    "store",
    "receive",
    "cluster",
    "members",
    "down",
];
/// What can be missing without anything being known of the service.
const DATA: [&str; 14] = [
    "data",
    "metric",
    "metrics",
    "series",
    "sample",
    "samples",
    "target",
    "targets",
    "job",
    "jobs",
    "scrape",
    "scrapes",
    "telemetry",
    "exporter",
];
/// What makes a name with such words one about the service: `FeatureMissingDataRatioHigh` is its harm.
const OF_THE_SERVICE: [&str; 16] = [
    "feature",
    "features",
    "model",
    "models",
    "version",
    "versions",
    "prediction",
    "predictions",
    "label",
    "labels",
    "ratio",
    "share",
    "rate",
    "percentage",
    "input",
    "inputs",
];
/// What a service has or lacks itself, other than a metric of it.
const THINGS: [&str; 12] = [
    "feature",
    "features",
    "model",
    "models",
    "version",
    "versions",
    "prediction",
    "predictions",
    "label",
    "labels",
    "input",
    "inputs",
];
const HEARTBEATS: [&str; 7] = [
    "watchdog",
    "heartbeat",
    "infoinhibitor",
    "alwaysfiring",
    "deadmansswitch",
    "deadmanswitch",
    "deadmanssnitch",
];

/// An alert as its source sent it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub(crate) rule: &'a str,
    pub(crate) status: SignalStatus,
    pub(crate) labels: &'a [Label],
    pub(crate) annotations: &'a [Label],
    /// Where its source shows its rule; empty if it does not say.
    pub(crate) generator_url: &'a str,
}

impl Sent<'_> {
    pub(crate) fn kind(&self) -> SignalKind {
        self.said().or_else(|| of_rule(self.rule)).unwrap_or_else(|| {
            let blind = self.state().or_else(|| of_expression(&expression(self.generator_url)?));
            match (blind, self.status, self.state()) {
                (None, ..) => SignalKind::Condition,
                // An end whose reason is that nothing was seen any more.
                (Some(_), SignalStatus::Resolved, Some(_)) => SignalKind::LostSight,
                (Some(kind), ..) => kind,
            }
        })
    }

    /// What the rule's author says.
    fn said(&self) -> Option<SignalKind> {
        let of = |from: &[Label]| {
            let said = from.iter().find(|label| label.name == KIND_LABEL)?;
            match said.value.as_str() {
                "condition" => Some(SignalKind::Condition),
                "missing-data" => Some(SignalKind::MissingData),
                "broken-rule" => Some(SignalKind::BrokenRule),
                "heartbeat" => Some(SignalKind::Heartbeat),
                _ => None,
            }
        };
        let label =
            of(self.labels).filter(|kind| *kind == SignalKind::Condition || self.labels_are_the_rules());
        label.or_else(|| of(self.annotations))
    }

    /// Whether no series can have written the labels: no monitoring system's rule stands behind the alert.
    fn labels_are_the_rules(&self) -> bool {
        self.generator_url.is_empty()
    }

    /// What its state says, where that is none of a condition.
    fn state(&self) -> Option<SignalKind> {
        let labels = if self.labels_are_the_rules() { self.labels } else { &[] };
        labels.iter().chain(self.annotations).find_map(|label| {
            let name = plain(&label.name);
            if name == GRAFANA_REASON {
                label.value.split(',').find_map(|reason| of_reason(&plain(reason), self.status))
            } else if STATES.contains(&name.as_str()) && NO_DATA.contains(&plain(&label.value).as_str()) {
                Some(SignalKind::MissingData)
            } else {
                None
            }
        })
    }
}

/// Of Grafana: for a firing alert, that it fires for want of data or for an error; for one that has ended, that it ended because the series or the rule is gone.
fn of_reason(reason: &str, status: SignalStatus) -> Option<SignalKind> {
    match (reason, status) {
        ("nodata" | "missingseries" | "keeplast", _) => Some(SignalKind::MissingData),
        ("error", _) => Some(SignalKind::BrokenRule),
        ("paused" | "updated" | "ruledeleted", SignalStatus::Resolved) => Some(SignalKind::LostSight),
        _ => None,
    }
}

/// What the rule's name says.
fn of_rule(rule: &str) -> Option<SignalKind> {
    let words = words(rule);
    let joined = words.concat();
    let has = |first: &[&str], second: &[&str]| {
        words.windows(2).any(|pair| first.contains(&&*pair[0]) && second.contains(&&*pair[1]))
    };
    let missing = ["missing", "absent"];
    if HEARTBEATS.iter().any(|name| joined == *name) || joined.ends_with("deadmanswitch") {
        return Some(SignalKind::Heartbeat);
    }
    let ends_so = |first: &str, last: &str| words.ends_with(&[first.to_owned(), last.to_owned()]);
    // What the service itself lacks may be its harm.
    let of_the_service = words.iter().any(|word| OF_THE_SERVICE.contains(&word.as_str()));
    let no_data = has(&["no"], &["data"])
        || ends_so("no", "metrics")
        || words.iter().any(|word| NO_DATA.contains(&word.as_str()))
        || has(&["insufficient"], &["data"])
        || (!of_the_service
            && (has(&missing, &DATA)
                || has(&DATA, &missing)
                || has(
                    &["target", "targets", "exporter", "scrape"],
                    &["down", "failed", "failing", "failure", "failures"],
                )))
        || matches!(words.as_slice(), [.., what, last] if last == "absent" && !THINGS.contains(&what.as_str()));
    if no_data {
        return Some(SignalKind::MissingData);
    }
    // What merely begins with the name of a system may tell of anything.
    let about_monitoring = words.first().is_some_and(|word| MONITORING.contains(&word.as_str()))
        && words.iter().skip(1).any(|word| INSIDE.contains(&word.as_str()));
    let about_rules =
        matches!(joined.as_str(), "recordingruleserror" | "alertingruleserror" | "datasourceerror");
    (about_monitoring || about_rules).then_some(SignalKind::BrokenRule)
}

/// The words of a name, in lower case, however it parts them: `FraudNoData`, `fraud_no_data`, `[No Data] Fraud`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_alphanumeric() {
            let begins = !before.is_alphanumeric() || (c.is_uppercase() && !before.is_uppercase());
            match words.last_mut() {
                Some(word) if !begins => word.extend(c.to_lowercase()),
                _ => words.push(c.to_lowercase().collect()),
            }
        }
        before = c;
    }
    words
}

/// Without case and everything but letters and digits.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The expression that Prometheus names in the address at which it shows a rule.
fn expression(generator_url: &str) -> Option<String> {
    let url = Url::parse(generator_url).ok()?;
    url.query_pairs().find(|(name, _)| name == "g0.expr").map(|(_, expression)| expression.into_owned())
}

/// What a PromQL expression asks about, as far as its metrics and functions tell.
fn of_expression(expression: &str) -> Option<SignalKind> {
    let tokens = tokens(expression);
    let asks_absence = |at: usize| matches!(tokens[at].as_str(), "absent" | "absent_over_time");
    let filters = tokens.iter().any(|token| matches!(token.as_str(), "and" | "unless"));
    let absent = (0..tokens.len()).any(|at| {
        let leads = tokens[..at].iter().all(|before| is_word(before) || before == "(");
        let is_one_of_two = at > 0 && tokens[at - 1] == "or";
        asks_absence(at) && ((leads && !filters) || is_one_of_two)
    });
    if absent {
        return Some(SignalKind::MissingData);
    }
    let metrics: Vec<&str> =
        (0..tokens.len()).filter(|at| is_metric(&tokens, *at)).map(|at| &*tokens[at]).collect();
    let all = |is: fn(&str) -> bool| !metrics.is_empty() && metrics.iter().all(|metric| is(metric));
    if all(|metric| metric == "up" || metric.starts_with("scrape_")) {
        return Some(SignalKind::MissingData);
    }
    if all(|metric| {
        ["prometheus_", "alertmanager_", "grafana_alerting_", "vmalert_", "thanos_", "cortex_ruler_"]
            .iter()
            .any(|prefix| metric.starts_with(prefix))
    }) {
        return Some(SignalKind::BrokenRule);
    }
    let constant = metrics.is_empty() && tokens.first().is_some_and(|token| token == "vector");
    constant.then_some(SignalKind::Heartbeat)
}

/// Names, and all else character by character; without selectors, ranges and the labels that a grouping names.
fn tokens(expression: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut chars = expression.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' => skip(&mut chars, '}'),
            '[' => skip(&mut chars, ']'),
            '"' | '\'' | '`' => skip(&mut chars, c),
            '(' if tokens.last().is_some_and(|token| groups(token)) => {
                skip(&mut chars, ')');
                // The next parenthesis is not the grouping's.
                tokens.push("()".to_owned());
            }
            c if c.is_ascii_alphabetic() || c == '_' || c == ':' => {
                let mut name = String::from(c);
                while let Some(next) = chars.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
                {
                    name.push(next);
                }
                tokens.push(name);
            }
            c if c.is_whitespace() || c.is_ascii_digit() || c == '.' => {}
            c => tokens.push(c.to_string()),
        }
    }
    tokens
}

fn skip(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, end: char) {
    let mut quote = None;
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => drop(chars.next()),
            (c, None) if c == end => return,
            (c @ ('"' | '\''), None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
    }
}

fn groups(word: &str) -> bool {
    matches!(word, "by" | "without" | "on" | "ignoring" | "group_left" | "group_right")
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':')
}

fn is_metric(tokens: &[String], at: usize) -> bool {
    let keyword = matches!(
        tokens[at].as_str(),
        "and"
            | "or"
            | "unless"
            | "bool"
            | "offset"
            | "atan2"
            | "inf"
            | "nan"
            | "e"
            | "s"
            | "m"
            | "h"
            | "d"
            | "w"
            | "y"
            | "ms"
    );
    is_word(&tokens[at])
        && !keyword
        && !groups(&tokens[at])
        && tokens.get(at + 1).is_none_or(|next| next != "(" && !groups(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use SignalKind::{BrokenRule, Condition, Heartbeat, LostSight, MissingData};
    use SignalStatus::{Firing, Resolved};

    fn kind(
        rule: &str,
        status: SignalStatus,
        labels: &[(&str, &str)],
        annotations: &[(&str, &str)],
        url: &str,
    ) -> SignalKind {
        let list = |pairs: &[(&str, &str)]| -> Vec<Label> {
            pairs.iter().map(|(name, value)| Label::new(*name, *value)).collect()
        };
        let (labels, annotations) = (list(labels), list(annotations));
        Sent { rule, status, labels: &labels, annotations: &annotations, generator_url: url }.kind()
    }

    #[test]
    fn the_name_of_a_rule_tells_alerts_about_data_and_rules_from_harm() {
        for (rule, expected) in [
            // Grafana
            ("DatasourceNoData", MissingData),
            ("DatasourceError", BrokenRule),
            ("GrafanaAlertingEvaluationFailures", BrokenRule),
            // Prometheus and what belongs to it
            ("PrometheusRuleFailures", BrokenRule),
            ("PrometheusMissingRuleEvaluations", BrokenRule),
            ("PrometheusTargetMissing", MissingData),
            ("PrometheusNotIngestingSamples", BrokenRule),
            ("ThanosRuleHighRuleEvaluationFailures", BrokenRule),
            ("MimirRulerTooManyFailedQueries", BrokenRule),
            ("RecordingRulesError", BrokenRule),
            ("RecordingRulesNoData", MissingData),
            ("TargetDown", MissingData),
            ("Watchdog", Heartbeat),
            ("PrometheusAlertmanagerE2eDeadManSwitch", Heartbeat),
            ("InfoInhibitor", Heartbeat),
            // rules of one's own
            ("FraudMetricsAbsent", MissingData),
            ("fraud_metric_missing", MissingData),
            ("FraudErrorRatioAbsent", MissingData),
            ("Fraud: no data", MissingData),
            // Datadog and CloudWatch, handed on
            ("[No Data] Fraud error ratio", MissingData),
            ("[No Data on host:web-1] Fraud", MissingData),
            ("fraud-errors INSUFFICIENT_DATA", MissingData),
            // harm
            ("FraudErrorRatio", Condition),
            ("ModelSignatureMissing", Condition),
            ("FeatureMissing", Condition),
            ("FraudRuleFailures", Condition),
            ("DataDrift", Condition),
            ("NoDatabaseConnection", Condition),
            ("ModelServerDown", Condition),
            ("", Condition),
        ] {
            assert_eq!(kind(rule, Firing, &[], &[], ""), expected, "{rule}");
        }
    }

    #[test]
    fn a_state_of_no_data_under_the_rules_own_name_is_no_harm_and_no_end() {
        for (name, value, firing, resolved) in [
            ("grafana_state_reason", "NoData", MissingData, LostSight),
            ("grafana_state_reason", "NoData, KeepLast", MissingData, LostSight),
            ("grafana_state_reason", "Error", BrokenRule, LostSight),
            ("grafana_state_reason", "MissingSeries", MissingData, LostSight),
            ("grafana_state_reason", "Paused", Condition, LostSight),
            ("grafana_state_reason", "RuleDeleted", Condition, LostSight),
            ("alert_transition", "No Data", MissingData, LostSight),
            ("alert_transition", "Re-No Data", MissingData, LostSight),
            ("NewStateValue", "INSUFFICIENT_DATA", MissingData, LostSight),
            ("alert_transition", "Triggered", Condition, Condition),
            ("NewStateValue", "ALARM", Condition, Condition),
            ("state", "CA", Condition, Condition),
            ("summary", "no data", Condition, Condition),
        ] {
            let pair = [(name, value)];
            assert_eq!(kind("FraudErrorRatio", Firing, &[], &pair, ""), firing, "{name}={value}");
            assert_eq!(kind("FraudErrorRatio", Firing, &pair, &[], ""), firing, "{name}={value}");
            assert_eq!(kind("FraudErrorRatio", Resolved, &[], &pair, ""), resolved, "{name}={value}");
        }
        // The data are back.
        assert_eq!(
            kind("DatasourceNoData", Resolved, &[], &[("grafana_state_reason", "NoData")], ""),
            MissingData
        );
    }

    #[test]
    fn the_expression_of_a_rule_tells_what_it_asks_about() {
        for (expression, expected) in [
            ("absent(fraud_requests_total{job=\"fraud\"})", MissingData),
            ("absent_over_time(fraud_requests_total[10m]) == 1", MissingData),
            ("sum(absent(up{job=\"fraud\"} == 1))", MissingData),
            ("(fraud_error_ratio > 0.05) or absent(fraud_error_ratio)", MissingData),
            ("up{job=\"fraud\"} == 0", MissingData),
            ("100 * (count by (job) (up == 0) / count by (job) (up)) > 10", MissingData),
            ("scrape_samples_scraped{job=\"fraud\"} == 0", MissingData),
            ("increase(prometheus_rule_evaluation_failures_total[5m]) > 0", BrokenRule),
            ("vector(1)", Heartbeat),
            ("fraud_error_ratio > 0.05", Condition),
            ("fraud_error_ratio > 0.05 unless on() absent(maintenance)", Condition),
            ("absent(maintenance) and fraud_error_ratio > 0.05", Condition),
            ("sum(rate(errors{up=\"absent(\"}[5m])) by (job) > 1", Condition),
            ("fraud_error_ratio > 0.05 and on (job) up == 1", Condition),
            ("absent_customers > 5", Condition),
        ] {
            let mut url = Url::parse("http://prometheus:9090/graph").unwrap();
            url.query_pairs_mut().append_pair("g0.expr", expression).append_pair("g0.tab", "1");
            assert_eq!(kind("Fraud", Firing, &[], &[], url.as_str()), expected, "{expression}");
        }
        for url in ["", "no url", "http://grafana/alerting/grafana/abc/view?orgId=1"] {
            assert_eq!(kind("Fraud", Firing, &[], &[], url), Condition, "{url}");
        }
    }

    #[test]
    fn what_the_rules_author_says_counts() {
        for (said, expected) in [
            ("condition", Condition),
            ("missing-data", MissingData),
            ("broken-rule", BrokenRule),
            ("heartbeat", Heartbeat),
            ("something else", MissingData),
        ] {
            assert_eq!(kind("FraudNoData", Firing, &[("ripcord_kind", said)], &[], ""), expected, "{said}");
            assert_eq!(kind("FraudNoData", Firing, &[], &[("ripcord_kind", said)], RULE), expected, "{said}");
        }
    }

    const RULE: &str = "http://prometheus:9090/graph?g0.expr=model_errors_total+%3E+5&g0.tab=1";

    /// The labels of a series end in the alert, and the one who is judged writes them.
    #[test]
    fn no_series_says_of_its_own_alert_that_it_is_no_harm() {
        for (name, value) in [
            ("ripcord_kind", "heartbeat"),
            ("ripcord_kind", "missing-data"),
            ("ripcord_kind", "broken-rule"),
            ("state", "no data"),
            ("alert_transition", "No Data"),
            ("NewStateValue", "INSUFFICIENT_DATA"),
        ] {
            assert_eq!(kind("FraudErrors", Firing, &[(name, value)], &[], RULE), Condition, "{name}={value}");
            let grafana = "http://grafana/alerting/grafana/abc/view?orgId=1";
            assert_eq!(
                kind("FraudErrors", Firing, &[(name, value)], &[], grafana),
                Condition,
                "{name}={value}"
            );
        }
        assert_eq!(kind("FraudNoData", Firing, &[("ripcord_kind", "condition")], &[], RULE), Condition);
    }

    #[test]
    fn a_name_that_begins_like_a_monitoring_systems_may_be_about_anything() {
        for rule in [
            "FeatureMissingDataRatioHigh",
            "PredictionTargetFailures",
            "ModelVersionAbsent",
            "Fraud no metrics improvement",
            "Prometheus: Fraud error ratio high",
            "[Grafana] fraud-api errors",
        ] {
            assert_eq!(kind(rule, Firing, &[], &[], ""), Condition, "{rule}");
        }
        for rule in
            ["CortexModelErrors", "Grafana: fraud error ratio", "LokiFraudDeclines", "ThanosScoringLatency"]
        {
            assert_eq!(kind(rule, Firing, &[], &[], ""), Condition, "{rule}");
        }
    }
}
