//! Starting the parts of the demo: the model server with its traffic, the host, the team's alert rule.

use std::time::{Duration, Instant};

use fraud::decision::Preset;

use super::stage::{self, SERVICE, Stage};
use super::strategy::GOOD_DECISION;
use super::{Demo, POLL};
use crate::cli::DemoStrategy;
use crate::client::Client;
use crate::output::Failure;

/// Until a server answers. The host compiles its policies first, which a machine that is busy with something else takes a while for; one that ends is noticed at once.
const START: Duration = Duration::from_secs(120);

impl Demo {
    /// The model server, its traffic.
    pub(super) async fn start_service(&mut self, stage: &Stage) -> Result<String, Failure> {
        let (models, log) = (stage.path("models"), stage.path("requests.jsonl"));
        let mut arguments =
            vec!["example-fraud", "serve", "--models", &models, "--listen", "127.0.0.1:0", "--log", &log];
        let decision = stage.path(fraud::decision::FILE);
        if matches!(self.scene.strategy, DemoStrategy::Configuration | DemoStrategy::Auto) {
            stage.keep_decision(GOOD_DECISION, Preset::Steady, "new accounts may pay up to 2000 euros")?;
            stage.decide_by(GOOD_DECISION, Preset::Steady)?;
            arguments.extend(["--decision-config", &decision]);
        }
        let server = self.parts.start_server("model-server", &arguments, START).await?;
        let serves = self.scene.served();
        self.progress.say(format!("the model server serves {serves} at http://{server}"));
        let (url, seed) = (format!("http://{server}"), self.scene.seed.to_string());
        let arguments = [
            "example-fraud",
            "traffic",
            "--url",
            &url,
            "--rate",
            "200",
            "--seconds",
            "86400",
            "--seed",
            &seed,
        ];
        self.parts.start("traffic", &arguments)?;
        Ok(server)
    }

    /// The host, and the team's alert rule that posts to it.
    pub(super) async fn start_host(&mut self, stage: &Stage, server: &str) -> Result<Client, Failure> {
        let address = stage::free_address()?;
        stage.configure(self.scene.strategy, server, address)?;
        let configuration = stage.path("ripcord.toml");
        self.parts.start("host", &["--config", &configuration, "serve"])?;
        let client = Client::remote(&format!("http://{address}"), Some(stage.token("olga")?))?;
        let since = Instant::now();
        while client.greet().await.is_err() {
            self.still_well(since, START, "the host does not answer")?;
            tokio::time::sleep(POLL).await;
        }
        self.progress.say(format!("the host protects {SERVICE}, at http://{address}"));
        let (metrics, webhook) =
            (format!("http://{server}/metrics"), format!("http://{address}/hooks/alertmanager"));
        let token = stage.path("secrets/alertmanager.token");
        let arguments = [
            "example-fraud",
            "watch",
            "--metrics",
            &metrics,
            "--webhook",
            &webhook,
            "--bearer-file",
            &token,
            "--every-ms",
            "500",
            "--window-ms",
            "3000",
            "--for-ms",
            "1000",
            "--seconds",
            "86400",
        ];
        self.parts.start("alert-rule", &arguments)?;
        Ok(client)
    }
}
