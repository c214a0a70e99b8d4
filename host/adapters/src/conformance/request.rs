//! What every request says that a plan names: the same each time, another for another target, in one harmless line.

use ripcord_core::digest::Digest;
use ripcord_core::request::Request;

use super::restorer::one_line;

/// Checks what an adapter says of one target, of another one, and of one that it cannot do.
pub(super) fn says(of: &dyn Fn() -> Option<Request>, other: Option<Request>, impossible: Option<&Request>) {
    let (Some(first), Some(again), Some(other)) = (of(), of(), other) else {
        panic!("what it can do it says beforehand");
    };
    for request in [&first, &other] {
        assert!(!request.words().is_empty(), "it is said in words");
        one_line(request.words(), "what will be sent, in words,");
    }
    assert_eq!(first.words(), again.words(), "the words are the same each time");
    assert_eq!(digest(&first), digest(&again), "what will be sent is the same each time");
    assert_ne!(digest(&first), digest(&other), "another target is another request: {}", other.words());
    assert!(impossible.is_none(), "what it cannot do it does not say that it will: {impossible:?}");
}

fn digest(request: &Request) -> Digest {
    request.digest().unwrap_or_else(|error| panic!("a request has a digest: {error}"))
}
