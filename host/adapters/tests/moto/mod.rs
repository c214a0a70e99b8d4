//! Checkpoints in a real S3 interface: moto, which keeps objects as S3 does, and checks signatures and rights where it is told to. Not run unless asked for:
//!
//!     RIPCORD_TEST_MOTO=$(.ci/moto) cargo test --workspace --test suite -- --ignored moto::

mod objects;
#[cfg(feature = "aws")]
mod sagemaker;
#[cfg(feature = "aws")]
mod sagemaker_endpoint;
mod server;

use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use ripcord_adapters::Secret;
use ripcord_adapters::checkpoints_s3::{S3Checkpoints, S3CheckpointsConfig};
use ripcord_adapters::conformance::checkpoints::{Expected, conforms, conforms_in_faults};
use ripcord_adapters::conformance::producer::order;
use ripcord_adapters::fault_proxy::FaultProxy;
use ripcord_adapters::producer_checkpoint::{CheckpointProducer, CheckpointProducerConfig, CheckpointSource};
use ripcord_ports::producer::Progress;
use ripcord_ports::{Applied, Checkpoints, ErrorKind, Producer};

use crate::adapters::checkpoints::{all_kinds, plain};
use crate::adapters::producers::{checkpoint, ended, registry, surroundings};
use crate::adapters::support::{empty_dir, shared};
use server::{Checks, Key, Moto};

fn config(url: &str, key: &Key) -> S3CheckpointsConfig {
    S3CheckpointsConfig {
        bucket: "training".into(),
        prefix: "fraud/".into(),
        endpoint: Some(url.to_owned()),
        region: "us-east-1".into(),
        access_key_id: Some(key.id.clone()),
        profile: None,
        credentials_file: None,
        unsigned: false,
        run: None,
        files: Vec::new(),
        deadline_ms: 3_000,
    }
}

fn place(config: S3CheckpointsConfig, key: &Key) -> S3Checkpoints {
    S3Checkpoints::new(config, Some(Secret::new(key.secret.clone())), &shared()).unwrap()
}

/// What the folder of every kind is in a bucket.
async fn filled(moto: &Moto) -> Expected {
    let root = tempfile::tempdir().unwrap();
    let kinds = all_kinds(root.path());
    // In this order: the time of two of them is that of their upload.
    for folder in ["version_3", "hugging", "online-7", "linked", "checkpoint-9"] {
        moto.upload(root.path(), folder).await;
    }
    let newest_first = [("hugging", 300), ("version_3", 10), ("online-7", 200), ("online-7", 100)];
    let mut unreadable = kinds.unreadable;
    // There are no links.
    unreadable.retain(|name| !name.ends_with("step=40.ckpt"));
    Expected { newest_first: newest_first.map(|(run, step)| (run.to_owned(), step)).to_vec(), unreadable }
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn a_bucket_of_every_kind_conforms_with_the_least_rights_and_gives_versions() {
    let moto = Moto::start(Checks::SignaturesAndRights).await;
    let expected = filled(&moto).await;
    let reads = moto.reads();
    conforms(&place(config(&moto.url, reads), reads), &expected).await;

    let root = tempfile::tempdir().unwrap();
    registry(root.path());
    let producer = CheckpointProducerConfig {
        from: CheckpointSource::S3(config(&moto.url, reads)),
        name: "{run}-step-{step}".into(),
    };
    let secret = Some(Secret::new(reads.secret.clone()));
    let producer = CheckpointProducer::new(producer, secret, surroundings(root.path())).unwrap();
    assert_eq!(producer.obstacle().await, None);
    for (run, step, file) in
        [("hugging", 300, "model.safetensors"), ("version_3", 10, "epoch=1-step=10-val_loss=0.25.ckpt")]
    {
        let target = producer.pinned(&checkpoint(run, step)).await.unwrap();
        let order = order("s3", &target);
        producer.start(&order).await.unwrap();
        let Progress::Made(made) = ended(&producer, &order).await else { panic!("it is made") };
        assert_eq!(made.version.digest, target.digest());
        let (folder, dir) = empty_dir();
        registry(root.path()).fetch(&made.version, dir).await.unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join(file)).unwrap(), "weights");
    }

    // What was put in its place since the plan was made is not what was agreed to.
    let pinned = producer.pinned(&checkpoint("hugging", 300)).await.unwrap();
    moto.put("fraud/hugging/checkpoint-300/model.safetensors", "others").await;
    let order = order("replaced", &pinned);
    producer.start(&order).await.unwrap();
    let Progress::Failed(why) = ended(&producer, &order).await else { panic!("it is another content") };
    assert!(why.contains("is pinned: it is another artefact under the same name"), "{why}");
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn in_faults_none_is_left_out_in_silence() {
    // The signature names the server that it is sent to, which is the proxy: this server is told not to check.
    let moto = Moto::start(Checks::Nothing).await;
    filled(&moto).await;
    let proxy = FaultProxy::start(&moto.url).await.unwrap();
    let reads = moto.reads();
    let through = S3CheckpointsConfig { deadline_ms: 1_000, ..config(&proxy.url(), reads) };
    conforms_in_faults(&place(through, reads), &proxy).await;
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn what_is_denied_or_away_is_an_error_that_says_so_and_shows_no_secret() {
    let moto = Moto::start(Checks::SignaturesAndRights).await;
    let reads = moto.reads();
    let refused = async |config: S3CheckpointsConfig, key: &Key, kind: ErrorKind, expected: &str| {
        let error = place(config, key).checkpoints(None, 9).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (kind, Applied::No), "{error}");
        let text = format!("{error:?} {error}");
        assert!(text.contains(expected) && !text.contains(&key.secret), "{text}");
    };
    let wrong = Key { id: reads.id.clone(), secret: "of-another-key".into() };
    refused(config(&moto.url, &wrong), &wrong, ErrorKind::Denied, "check the key and its secret").await;
    let other = S3CheckpointsConfig { bucket: "of-others".into(), ..config(&moto.url, moto.fills()) };
    refused(other, moto.fills(), ErrorKind::NotFound, "check `bucket`").await;
    let other = S3CheckpointsConfig { bucket: "of-others".into(), ..config(&moto.url, reads) };
    refused(other, reads, ErrorKind::Denied, "may list and read the bucket").await;

    let shown = format!("{:?}", place(config(&moto.url, reads), reads));
    assert!(!shown.contains(&reads.secret), "{shown}");
    let (url, reads) = (moto.url.clone(), Key { id: reads.id.clone(), secret: reads.secret.clone() });
    drop(moto);
    refused(config(&url, &reads), &reads, ErrorKind::Unreachable, "check `endpoint`").await;
}

#[tokio::test]
#[ignore = "needs moto: see the head of this suite"]
async fn keys_that_are_no_files_spoil_none_but_their_own_checkpoint_and_all_pages_are_read() {
    let moto = Moto::start(Checks::SignaturesAndRights).await;
    for step in [100, 200] {
        let folder = format!("fraud/online-7/checkpoint-{step}");
        moto.put(&format!("{folder}/checkpoint.json"), &plain(step, step / 100, "{}")).await;
        moto.put(&format!("{folder}/model.json"), "{}").await;
    }
    // What a console leaves to show a folder.
    for mark in ["fraud/", "fraud/online-7/", "fraud/online-7/checkpoint-100/", "fraud/empty/"] {
        moto.put_raw(mark).await;
    }
    moto.put_raw("fraud/online-7/checkpoint-200//lost").await;
    let many = (0..1_003).map(|number| format!("fraud/online-7/checkpoint-100/shards/{number}"));
    futures_util::future::join_all(many.map(|key| async { moto.put(&{ key }, "x").await })).await;

    let reads = moto.reads();
    let there = place(config(&moto.url, reads), reads).checkpoints(None, 9).await.unwrap();
    assert_eq!(there.checkpoints.iter().map(|one| one.step).collect::<Vec<_>>(), [100]);
    assert_eq!(there.unreadable.len(), 1, "{there:?}");
    assert_eq!(there.unreadable[0].name, "online-7/checkpoint-200");
    assert!(there.unreadable[0].value.contains("rename it"), "{there:?}");

    let root = tempfile::tempdir().unwrap();
    registry(root.path());
    let producer = CheckpointProducerConfig {
        from: CheckpointSource::S3(config(&moto.url, reads)),
        name: "{run}-step-{step}".into(),
    };
    let secret = Some(Secret::new(reads.secret.clone()));
    let producer = CheckpointProducer::new(producer, secret, surroundings(root.path())).unwrap();
    let order = order("many", &producer.pinned(&checkpoint("online-7", 100)).await.unwrap());
    producer.start(&order).await.unwrap();
    let Progress::Made(made) = ended(&producer, &order).await else { panic!("it is made") };
    let files = made.made_of.iter().find(|label| label.name == "files").unwrap();
    assert!(files.value.starts_with("1005, "), "no mark is a file, and no page is left out: {files:?}");
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let key = Key { id: "ripcord".into(), secret: "s3cret".into() };
    let refused = |config: S3CheckpointsConfig, expected: &str| {
        let error = S3Checkpoints::new(config, Some(Secret::new("s3cret")), &shared()).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Configuration);
        assert!(error.to_string().contains(expected), "{error}");
    };
    let good = || config("http://127.0.0.1:1", &key);
    refused(S3CheckpointsConfig { bucket: "a/b".into(), ..good() }, "cannot be a bucket");
    refused(S3CheckpointsConfig { prefix: "a//b".into(), ..good() }, "cannot be a prefix");
    refused(S3CheckpointsConfig { prefix: "a/../b".into(), ..good() }, "cannot be a prefix");
    refused(config("http://user:pw@127.0.0.1:1", &key), "holds a user");
    refused(config("127.0.0.1:1", &key), "write it as in `http://");
    refused(S3CheckpointsConfig { deadline_ms: 0, ..good() }, "deadline-ms");
    refused(S3CheckpointsConfig { files: vec!["/etc/*".into()], ..good() }, "bad pattern");
}

impl Moto {
    /// An object as a trainer puts it there.
    async fn put(&self, key: &str, content: &str) {
        let key = Path::parse(key).unwrap();
        self.store().put(&key, content.to_owned().into()).await.unwrap();
    }
}
