//! Evidence in a folder.

use std::sync::Arc;

use ripcord_adapters::clock_system::SystemClock;
use ripcord_adapters::evidence_directory::{DirectoryEvidence, DirectoryEvidenceConfig};
use ripcord_core::digest::Digest;
use ripcord_ports::waiting::{Watch, watched};
use ripcord_ports::{ErrorKind, Objects, PortError};

/// Keeps one object.
async fn put(evidence: &DirectoryEvidence, bytes: &[u8]) -> Result<Digest, PortError> {
    evidence.put(vec![bytes.to_vec()]).await?.remove(0)
}

#[tokio::test]
async fn objects_lie_under_their_digest_and_are_checked() {
    let root = tempfile::tempdir().unwrap();
    let evidence =
        DirectoryEvidence::new(DirectoryEvidenceConfig { root: root.path().to_owned(), bytes_max: 100 })
            .unwrap();
    let digest = put(&evidence, b"abc").await.unwrap();
    assert_eq!(digest, Digest::of("abc"));
    assert_eq!(evidence.get(&digest).await.unwrap().as_deref(), Some(&b"abc"[..]));
    assert_eq!(evidence.get(&Digest::of("other")).await.unwrap(), None);

    let text = digest.to_string();
    let path = root.path().join(&text[..2]).join(&text);
    let written = path.metadata().unwrap().modified().unwrap();
    put(&evidence, b"abc").await.unwrap();
    assert_eq!(path.metadata().unwrap().modified().unwrap(), written, "what is there is not written again");

    std::fs::write(&path, "abd").unwrap();
    let error = evidence.get(&digest).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongDigest);
    assert!(error.to_string().contains(&text), "{error}");
    put(&evidence, b"abc").await.unwrap();
    assert_eq!(evidence.get(&digest).await.unwrap().as_deref(), Some(&b"abc"[..]), "it is whole again");
    assert_eq!(put(&evidence, &[0; 101]).await.unwrap_err().kind, ErrorKind::TooLarge);
}

#[tokio::test]
async fn all_pieces_of_one_incident_wait_for_the_disk_once_and_one_that_fails_fails_alone() {
    let root = tempfile::tempdir().unwrap();
    let config = DirectoryEvidenceConfig { root: root.path().to_owned(), bytes_max: 100 };
    let evidence = DirectoryEvidence::new(config).unwrap();
    let watch = Arc::new(Watch::new(Arc::new(SystemClock)));
    let pieces: Vec<Vec<u8>> = vec![b"live".to_vec(), vec![0; 101], b"log".to_vec(), b"facts".to_vec()];
    let kept = watched(watch.clone(), evidence.put(pieces.clone())).await.unwrap();
    assert_eq!(watch.flushes(), 1);
    assert_eq!(kept.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    for (piece, digest) in
        pieces.iter().zip(&kept).filter_map(|(piece, kept)| Some((piece, kept.as_ref().ok()?)))
    {
        assert_eq!(evidence.get(digest).await.unwrap().as_deref(), Some(piece.as_slice()));
    }
}

#[tokio::test]
async fn the_same_object_from_many_sides_at_once_is_whole() {
    let root = tempfile::tempdir().unwrap();
    let config = DirectoryEvidenceConfig { root: root.path().to_owned(), bytes_max: 1 << 20 };
    let evidence = DirectoryEvidence::new(config).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let evidence = evidence.clone();
        tasks.spawn(async move { put(&evidence, &vec![7; 300_000]).await.unwrap() });
    }
    let digests = tasks.join_all().await;
    assert_eq!(evidence.get(&digests[0]).await.unwrap().unwrap().len(), 300_000);
    let shelf = std::fs::read_dir(root.path().join(&digests[0].to_string()[..2])).unwrap();
    assert_eq!(shelf.count(), 1, "nothing is left beside");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error() {
    let config = DirectoryEvidenceConfig { root: "/no/such/folder".into(), bytes_max: 100 };
    let error = put(&DirectoryEvidence::new(config).unwrap(), b"x").await.unwrap_err();
    assert!(error.to_string().contains("/no/such/folder"), "{error}");
}
