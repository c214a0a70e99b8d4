//! What the pages tell people to write reads, and makes a restorer.

use std::path::PathBuf;

use ripcord_adapters::restorer_file::{FileRestorer, FileRestorerConfig};
use ripcord_adapters::restorer_git::{GitRestorer, GitRestorerConfig};
use ripcord_adapters::restorer_http::{HttpRestorer, HttpRestorerConfig};
use ripcord_adapters::restorer_mlflow_prompt::{MlflowPromptRestorer, MlflowPromptRestorerConfig};
use ripcord_adapters::{RestorerSecrets, Secret};
use ripcord_ports::Restorer;
use toml::Table;

use crate::adapters::support::shared;

/// The blocks of a page in this language.
fn blocks(folder: &str, language: &str) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src").join(folder).join("README.md");
    let page = std::fs::read_to_string(path).unwrap();
    let fence = format!("```{language}\n");
    let found: Vec<_> =
        page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect();
    assert!(!found.is_empty() || language != "toml", "{folder} shows no configuration");
    found
}

/// The one table of an adapter in a block, with what the host takes out of it.
fn adapter(block: &str) -> (String, Table, bool) {
    let whole: Table = block.parse().unwrap_or_else(|error| panic!("{block}\n{error}"));
    let service = whole["services"]["fraud-api"].as_table().unwrap();
    let mut found = match service.get("configurations") {
        Some(named) => named.as_table().unwrap().values().next().unwrap().as_table().unwrap().clone(),
        None => service["fallback"].as_table().unwrap().clone(),
    };
    let kind = found.remove("kind").unwrap().as_str().unwrap().to_owned();
    let before = found.len();
    found.retain(|key, _| !key.ends_with("-file") && !key.ends_with("-env"));
    let secret = found.len() < before;
    (kind, found, secret)
}

fn made(kind: &str, table: Table, secret: bool) -> Box<dyn Restorer> {
    let secrets = RestorerSecrets { store: secret.then(|| Secret::new("x")), service: None };
    match kind {
        "file" => {
            let config: FileRestorerConfig = table.try_into().unwrap();
            Box::new(FileRestorer::new(config, secrets, &shared()).unwrap())
        }
        "http" => {
            let config: HttpRestorerConfig = table.try_into().unwrap();
            Box::new(HttpRestorer::new(config, secrets, &shared()).unwrap())
        }
        "git" => {
            let config: GitRestorerConfig = table.try_into().unwrap();
            let config = GitRestorerConfig { data: "data".into(), ..config };
            Box::new(GitRestorer::new(config, secrets, &shared()).unwrap())
        }
        "mlflow-prompt" => {
            let config: MlflowPromptRestorerConfig = table.try_into().unwrap();
            Box::new(MlflowPromptRestorer::new(config, secrets, &shared()).unwrap())
        }
        other => panic!("there is no kind `{other}`"),
    }
}

#[test]
fn every_configuration_of_a_page_makes_its_restorer() {
    for folder in ["restorer_file", "restorer_http", "restorer_git", "restorer_mlflow_prompt"] {
        for block in blocks(folder, "toml") {
            let (kind, table, secret) = adapter(&block);
            let restorer = made(&kind, table, secret);
            assert_eq!(restorer.name(), folder);
            assert!(!format!("{:?}", restorer.arguments()).contains("hunter2"));
        }
    }
}

#[test]
fn every_part_of_a_page_fits_into_a_configuration() {
    let mut parts = 0;
    for block in blocks("restorer_file", "toml part") {
        for line in block.lines() {
            parts += 1;
            let text = format!("file = \"a/b\"\nhistory = \"c\"\n{line}");
            made("file", text.parse().unwrap_or_else(|error| panic!("{text}\n{error}")), false);
        }
    }
    assert_eq!(parts, 4);
}
