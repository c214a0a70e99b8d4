//! Evidence in a folder.

use ripcord_adapters::evidence_directory::{DirectoryEvidence, DirectoryEvidenceConfig};
use ripcord_core::digest::Digest;
use ripcord_ports::{ErrorKind, Objects};

#[tokio::test]
async fn objects_lie_under_their_digest_and_are_checked() {
    let root = tempfile::tempdir().unwrap();
    let evidence =
        DirectoryEvidence::new(DirectoryEvidenceConfig { root: root.path().to_owned(), bytes_max: 100 })
            .unwrap();
    let digest = evidence.put(b"abc").await.unwrap();
    assert_eq!(digest, Digest::of("abc"));
    assert_eq!(evidence.get(&digest).await.unwrap().as_deref(), Some(&b"abc"[..]));
    assert_eq!(evidence.get(&Digest::of("other")).await.unwrap(), None);

    let text = digest.to_string();
    let path = root.path().join(&text[..2]).join(&text);
    let written = path.metadata().unwrap().modified().unwrap();
    evidence.put(b"abc").await.unwrap();
    assert_eq!(path.metadata().unwrap().modified().unwrap(), written, "what is there is not written again");

    std::fs::write(&path, "abd").unwrap();
    for error in [evidence.get(&digest).await.unwrap_err(), evidence.put(b"abc").await.unwrap_err()] {
        assert_eq!(error.kind, ErrorKind::WrongDigest);
        assert!(error.to_string().contains(&text), "{error}");
    }
    assert_eq!(evidence.put(&[0; 101]).await.unwrap_err().kind, ErrorKind::TooLarge);
}

#[tokio::test]
async fn the_same_object_from_many_sides_at_once_is_whole() {
    let root = tempfile::tempdir().unwrap();
    let config = DirectoryEvidenceConfig { root: root.path().to_owned(), bytes_max: 1 << 20 };
    let evidence = DirectoryEvidence::new(config).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let evidence = evidence.clone();
        tasks.spawn(async move { evidence.put(&vec![7; 300_000]).await.unwrap() });
    }
    let digests = tasks.join_all().await;
    assert_eq!(evidence.get(&digests[0]).await.unwrap().unwrap().len(), 300_000);
    let shelf = std::fs::read_dir(root.path().join(&digests[0].to_string()[..2])).unwrap();
    assert_eq!(shelf.count(), 1, "nothing is left beside");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error() {
    let config = DirectoryEvidenceConfig { root: "/no/such/folder".into(), bytes_max: 100 };
    let error = DirectoryEvidence::new(config).unwrap().put(b"x").await.unwrap_err();
    assert!(error.to_string().contains("/no/such/folder"), "{error}");
}
