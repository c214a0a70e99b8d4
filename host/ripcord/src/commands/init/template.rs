//! The text of a new configuration. Lines that begin with `#: ` are keys with their defaults or examples, ready to be uncommented.

use std::fmt::Write as _;

use ripcord_adapters::adapter::Port;
use ripcord_ports::{AlertSource, Checkpoints, Deployer, Metrics, Notifier, Producer, Registry, Restorer};

use super::Chosen;
use super::find::{Found, FoundRegistry};

const HEAD: &str = r#"# Ripcord: what is protected, under which rules, connected to what.
#
# `ripcord check` looks at this file and at everything it names. Lines that begin with `#: ` can be used by taking those three characters off.
# There are no secrets in this file: a key that ends in `-file` names a file that holds nothing but the secret, one that ends in `-env` an
# environment variable. Relative paths start from the folder of this file.

[host]
listen = "127.0.0.1:8787"
data = "ripcord-data"                       # the store, evidence, staged artefacts, compiled policies
public-url = "http://127.0.0.1:8787"        # how people reach this host
#: evidence-request-log-mib = 64            # of the request log, kept for each incident
#: evidence-before-seconds = 300            # how far before the harm it is kept
#: shifts-per-hour = 10                     # automatic shifts of all services together; beyond it, people are asked
#: policy-slots = 32                        # policies that run at once
#: kept-artefacts-mib = 10240               # of good versions, kept on this machine for the next rollback

# Who may act. Roles: viewer reads; operator pulls, pauses, aborts, dismisses; approver approves and refuses plans; admin lifts holds and
# vouches for versions; evidence and auditor are for those who look into incidents. A team may add its own for quorums.
[people.me]
roles = ["operator", "approver", "admin"]
token-file = "secrets/me.token"
# public-key = "…"                         # Ed25519, 64 hexadecimal digits: approvals by signature

# Who sends alerts: POST /hooks/NAME. Other ways to authenticate:
#   auth = { bearer-env = "VARIABLE" }
#   auth = { basic = { user = "am", password-file = "…" } }
#   auth = { hmac = { secret-file = "…", header = "x-ripcord-signature", timestamp-header = "x-ripcord-timestamp", window-seconds = 300 } }
#     HMAC-SHA256 in hexadecimal over the timestamp (Unix seconds), a full stop, and the body
[sources.alertmanager]
kind = "alertmanager"
auth = { bearer-file = "secrets/alertmanager.token" }
#: body-kib-max = 16384                     # larger bodies are refused, and `ripcord signals unrouted` says so
#: dedupe-seconds = 14400                   # the same alert within so long is a repeat
"#;

const NOTIFIERS: &str = r#"
# Who is told, besides the log.
#: [notifiers.ops]
#: kind = "webhook"
#: url = "http://127.0.0.1:9000/ripcord"
#: token-file = "secrets/me.token"
#: deadline-ms = 10000

# A team's own rules, built by `ripcord policy build`. The starter policies need no line here.
#: [policies.my-rule]
#: file = "my-rule/my-rule.wasm"
#: sha256 = "0000000000000000000000000000000000000000000000000000000000000000"   # optional: another component is refused
# signed-by = ["me"]                       # optional: who must all have run `ripcord policy sign FILE --key KEY` on it
"#;

/// What the template has lines of its own for.
const SHOWN: [(&str, &str); 8] = [
    ("alert source", "alertmanager"),
    ("notifier", "webhook"),
    ("metrics", "prometheus"),
    ("metrics", "scrape"),
    ("registry", "directory"),
    ("deployer", "open-inference"),
    ("endpoint", "open-inference"),
    ("request log", "jsonl"),
];

/// The other adapters of a port, as comments.
fn others<P: Port + ?Sized>(title: &str, key: &str) -> String {
    let all = P::adapters().iter().map(|adapter| adapter.about());
    let others = all.filter(|about| !SHOWN.contains(&(about.port, about.kind)));
    let lines: String =
        others.map(|about| format!("#   {key} = {{ {} }}   # {}\n", about.example, about.summary)).collect();
    if lines.is_empty() { lines } else { format!("# {title}:\n{lines}") }
}

/// The configuration for what was found.
pub fn render(chosen: &Chosen) -> String {
    let found = &chosen.found;
    let mut text = HEAD.to_owned();
    text.push_str(&others::<dyn AlertSource>("Other sources", "NAME"));
    let model = found.models.first();
    let name = model.map_or("my-model", |model| model.name.as_str());
    let service = chosen.service.as_ref().map_or_else(|| format!("{name}-api"), ToString::to_string);
    // Writing to a string does not fail.
    let mark = if chosen.missing().is_empty() { "" } else { "#: " };
    let _ = write!(
        text,
        "\n# Labels to services; the first match wins, `*` is any value. What no route takes is kept and listed as unrouted.\n\
         {mark}[[sources.alertmanager.routes]]\n{mark}match = {{ model = \"{name}\" }}\n{mark}service = \"{service}\"\n"
    );
    if !found.rules.is_empty() {
        let rules = found.rules.join(", ");
        let _ = writeln!(
            text,
            "# Prometheus has the alerts {rules}: give them the label `model`, or write a route for `alertname`."
        );
    }
    text.push_str(NOTIFIERS);
    text.push_str(&others::<dyn Notifier>("Other notifiers", "NAME"));
    metrics(&mut text, found, model.map(|model| model.url.as_str()));
    self::service(&mut text, chosen, name, &service, mark);
    text
}

fn metrics(text: &mut String, found: &Found, server: Option<&str>) {
    text.push_str("\n# Where metrics come from.\n");
    let (url, mark) = match &found.prometheus {
        Some(url) => (url.as_str(), ""),
        None => ("http://127.0.0.1:9090", "#: "),
    };
    let _ = write!(
        text,
        "{mark}[metrics.prometheus]\n{mark}kind = \"prometheus\"\n{mark}url = \"{url}\"\n\n\
         # Without Prometheus: a page of metrics, read every so often.\n"
    );
    let scraped = found.prometheus.is_none() && server.is_some();
    let (url, mark) = (server.unwrap_or("http://127.0.0.1:8080"), if scraped { "" } else { "#: " });
    let _ = write!(
        text,
        "{mark}[metrics.scrape]\n{mark}kind = \"scrape\"\n{mark}url = \"{url}/metrics\"\n\
         #: every-ms = 15000\n#: keep = 240                               # pages that are kept: an hour\n"
    );
    text.push_str(&others::<dyn Metrics>("Other sources of metrics", "NAME"));
}

fn service(text: &mut String, chosen: &Chosen, name: &str, service: &str, mark: &str) {
    let found = &chosen.found;
    let server = found.models.first().map_or("http://127.0.0.1:8080", |model| model.url.as_str());
    let registry = match &found.registry {
        Some(FoundRegistry::Directory(root)) => format!("{{ kind = \"directory\", root = \"{root}\" }}"),
        Some(FoundRegistry::Mlflow { url, alias }) => {
            let alias = alias.as_ref().map(|alias| format!(", alias = \"{alias}\"")).unwrap_or_default();
            format!("{{ kind = \"mlflow\", url = \"{url}\"{alias} }}")
        }
        None => "{ kind = \"directory\", root = \"registry\" }".to_owned(),
    };
    let probe = if chosen.probe { ", probe-input-file = \"probe.json\"" } else { "" };
    let settings = chosen
        .settings
        .as_ref()
        .map(|settings| format!(", write = {{ \"model-settings.json\" = '{settings}' }}"));
    let settings = settings.unwrap_or_default();
    let (output, output_mark) = chosen.output.as_deref().map_or(("decision", "#: "), |output| (output, mark));
    let folder = found.model_folder.clone().unwrap_or_else(|| format!("models/{name}"));
    let others = [
        others::<dyn Registry>("Other registries", "registry"),
        others::<dyn Deployer>("Other deployers", "deployer"),
        others::<dyn Restorer>(
            "What else can be put back, as tables below `configurations`, or as `fallback` (the safe mode)",
            "NAME",
        ),
        others::<dyn Producer>("What makes new versions, where going back is not enough", "producer"),
        others::<dyn Checkpoints>("Checkpoints of training runs", "checkpoints"),
    ]
    .concat();
    let metrics = if found.prometheus.is_some() { "prometheus" } else { "scrape" };
    let metrics_mark = if found.prometheus.is_some() || !found.models.is_empty() { mark } else { "#: " };
    let (log, log_mark) = found.request_log.as_deref().map_or(("requests.jsonl", "#: "), |log| (log, mark));
    let (set, path, golden_mark) =
        found.golden.first().map_or((name, format!("golden/{name}.jsonl"), "#: "), |(set, path)| {
            (set.as_str(), path.clone(), mark)
        });
    let _ = write!(
        text,
        r#"
# What is protected.
{mark}[services.{service}]
{mark}mode = "observe"                            # observe: plans, no shifts; ask: people approve every shift; act: policies decide who must
{mark}model = "{name}"                            # in its registry; the default is the service's name
#: environment = "production"
#: criticality = "medium"                      # low, medium, high
#: labels = {{ team = "ml" }}                    # for policies
#: floor = [{{ role = "approver", people = 1 }}] # under every approval policy
#: requester-counts = false                    # whether who asked counts where several must agree
#: may-pull = ["operator"]
#: break-glass = ["admin"]                     # who may grant a plan alone, past floor and policies; somebody else looks at it afterwards
#: proof-min = "answer"                        # control-plane, fingerprint, answer, digest
#: fingerprint = "{set}"                      # a golden data set: what a good version answers to it is kept, and compared after a rollback
#: evidence = "best-effort"                    # or "required"
#: preflight = "best-effort"                   # or "required", "off": whether versions are tried beside what is live, where the deployer can hold two
#: known-good-days = 90                        # how long a verified version stays known good
#: schedule-seconds = 60                       # triggers are asked this often without any alert
#: trials-max = 60                             # golden runs and rechecks of one incident
{metrics_mark}metrics = ["{metrics}"]                         # the first is the default
{mark}registry = {registry}
{mark}deployer = {{ kind = "open-inference", url = "{server}", model-directory = "{folder}"{probe}{settings} }}
# A harmless request proves which version answers: add `probe-input-file = "probe.json"` (the protocol's `inputs`) to the deployer.
{others}{output_mark}endpoint = {{ output = "{output}" }}          # where trials are sent: the deployer's server unless it has its own `url`
{log_mark}request-log = {{ kind = "jsonl", file = "{log}" }}
{golden_mark}golden = {{ {set} = "{path}" }}
#: golden-before = false                       # do not send them through the bad version before the shift: less to compare, a shorter way back

# Limits on automatic shifts, which no policy can loosen.
#: [services.{service}.breaker]
#: shifts-per-hour = 2
#: cool-down-seconds = 600
#: no-return-hours = 24

# How long things may take.
#: [services.{service}.deadlines]
#: evidence-seconds = 30
#: planning-seconds = 300
#: approval-seconds = 3600
#: stage-seconds = 600
#: preflight-seconds = 120
#: shift-seconds = 300
#: read-back-seconds = 600
#: verification-seconds = 1800
#: no-data-seconds = 600
#: hold-watch-seconds = 30
#: call-seconds = 120               # one call of a system that no step gives more time to
#: elsewhere-watch-seconds = 60     # between two looks whether someone else changed what is in production
#: soak-seconds = 600               # a version that someone else put live is known good after so long at the earliest
#: probation-seconds = 3600         # and people are told if it could not be verified until then
#: watch-floor-seconds = 5          # a policy that asks to be asked again is asked after so long at the soonest
#: healthy-seconds = 300            # a verification that found it well is not asked again for so long, while others do not know yet
#: reopen-after-seconds = 14400     # after an incident without a rollback its trigger opens none for so long, unless there is news; 0 lets it at once
#: readiness-seconds = 600          # between two looks whether a rollback could be made; `ripcord ready` looks at once

# Policies by role: triggers, planner, approvals, verifications. `ripcord policy inspect NAME` shows a policy's settings and the facts it
# may ask for; `facts = [..]` grants fewer.
{mark}[[services.{service}.triggers]]
{mark}policy = "security-alert-trigger"            # any alert of these kinds is a reason; the other triggers look at metrics
{mark}settings = {{ alerts = [{{ labels = {{ severity = ["page", "critical"] }}, urgency = "urgent" }}] }}

{mark}[services.{service}.planner]
{mark}policy = "last-known-good"

{mark}[[services.{service}.approvals]]
{mark}policy = "two-key"
# With more people than you: `people = 2`, and without `requester`, so that who asks for a rollback is not one of them.
{mark}settings = {{ people = 1, role = "approver", requester = "counts", expires-after = "1h" }}
{golden_mark}
{golden_mark}[[services.{service}.verifications]]
{golden_mark}policy = "golden-set"
{golden_mark}settings = {{ dataset = "{set}", accuracy = 0.9 }}
"#
    );
}
