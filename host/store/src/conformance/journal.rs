//! Journals.

use ripcord_core::digest::Digest;
use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::{SetName, SignalId};
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{Append, StoreError};
use tokio::task::JoinSet;

use super::{Fresh, append, ids, incident, records, service, signal, text, waiting};

/// Byte for byte, in order, from any number on; services by name.
pub async fn records_are_read_as_they_were_written(store: Fresh) {
    let (fraud, spam) = (service("fraud-api"), service("spam"));
    let all = records(&fraud, Tip::START, 5);
    let tip =
        store.append(Append { records: all[..3].to_vec(), ..Append::default() }).await.expect("appends");
    assert_eq!(tip, all[2].tip());
    store.append(append(&spam, Tip::START, 1)).await.expect("appends");
    let tip =
        store.append(Append { records: all[3..].to_vec(), ..Append::default() }).await.expect("appends");
    assert_eq!(tip, all[4].tip());

    let read = store.journal(&fraud, 0, u32::MAX).await.expect("reads");
    assert_eq!(read, all);
    let mut tip = Tip::START;
    for record in &read {
        record.read::<String>(tip).expect("chains");
        tip = record.tip();
    }
    assert_eq!(store.journal(&fraud, 3, u32::MAX).await.expect("reads"), all[3..]);
    assert_eq!(store.journal(&fraud, 5, u32::MAX).await.expect("reads"), []);
    assert_eq!(store.journal(&fraud, 1, 2).await.expect("reads a page"), all[1..3]);
    assert_eq!(store.journal(&fraud, u64::MAX, u32::MAX).await.expect("reads"), []);
    assert_eq!(store.journal(&service("nobody"), 0, u32::MAX).await.expect("reads"), []);
    let set = SetName::new("pair").expect("a name");
    let of_set = Record::write(&set.journal(), Tip::START, UnixMillis(1), &"asked").expect("writes");
    let records = vec![of_set.clone()];
    store.append(Append { records, ..Append::default() }).await.expect("appends");
    assert_eq!(store.services().await.expect("lists"), [fraud, spam], "a set is no service");
    assert_eq!(store.sets().await.expect("lists"), std::slice::from_ref(&set));
    assert_eq!(store.journal(&set.journal(), 0, u32::MAX).await.expect("reads"), [of_set]);
}

/// Not an older tip, not one ahead, not another history of the same length.
pub async fn only_the_tip_can_be_continued(store: Fresh) {
    let fraud = service("fraud-api");
    let tip = store.append(append(&fraud, Tip::START, 2)).await.expect("appends");
    let other_history = Tip { hash: Digest::of("another"), ..tip };
    let ahead = Tip { length: tip.length + 1, ..tip };
    let older = store.journal(&fraud, 0, u32::MAX).await.expect("reads")[0].tip();
    for wrong in [Tip::START, older, ahead, other_history] {
        let error = store.append(append(&fraud, wrong, 1)).await.expect_err("does not continue");
        assert!(matches!(&error, StoreError::Moved { service } if *service == fraud), "{wrong:?}: {error}");
    }
    let error = store.append(append(&service("new"), tip, 1)).await.expect_err("does not continue");
    assert!(matches!(error, StoreError::Moved { .. }), "{error}");
    assert_eq!(store.journal(&fraud, 0, u32::MAX).await.expect("reads").len(), 2);
    store.append(append(&fraud, tip, 1)).await.expect("the tip itself can be continued");
}

/// Compare-and-set: one wins, the others learn that the journal moved.
pub async fn of_writers_at_once_one_wins(store: Fresh) {
    let fraud = service("fraud-api");
    let mut tip = Tip::START;
    for round in 0..20_u64 {
        let mut writers = JoinSet::new();
        for writer in 0..8_u64 {
            let event = format!("round {round} writer {writer}");
            let record = Record::write(&fraud, tip, UnixMillis(round), &event).expect("encodes");
            let store = store.clone();
            writers.spawn(async move {
                store.append(Append { records: vec![record], ..Append::default() }).await
            });
        }
        let mut won = Vec::new();
        for outcome in writers.join_all().await {
            match outcome {
                Ok(tip) => won.push(tip),
                Err(error) => assert!(matches!(error, StoreError::Moved { .. }), "{error}"),
            }
        }
        assert_eq!(won.len(), 1);
        tip = won[0];
    }
    let read = store.journal(&fraud, 0, u32::MAX).await.expect("reads");
    assert_eq!((read.len(), read[19].tip()), (20, tip));
}

/// No blob, no consumed signal, no incident, no record.
pub async fn an_append_that_fails_leaves_nothing(store: Fresh) {
    let fraud = service("fraud-api");
    let tip = store.append(append(&fraud, Tip::START, 1)).await.expect("appends");
    store.accept(vec![signal("s-1", Some(&fraud), "a", 0)]).await.expect("accepts");
    let blob = text(1, "reason");
    let whole = |tip, consumed: &[&str]| Append {
        records: records(&fraud, tip, 2),
        blobs: vec![blob.clone()],
        consumed: consumed.iter().map(|id| SignalId::new(*id).expect("an id")).collect(),
        incidents: vec![incident(&fraud, 1, 0)],
        ..Append::default()
    };
    // The second one fails at its last step, after records, blobs and one signal were written.
    for wrong in [whole(Tip::START, &["s-1"]), whole(tip, &["s-1", "unknown"])] {
        store.append(wrong).await.expect_err("fails");
        assert_eq!(store.journal(&fraud, 0, u32::MAX).await.expect("reads").len(), 1);
        assert_eq!(ids(&waiting(&*store, &fraud).await), ["s-1"]);
        assert_eq!(store.incidents(None, 9).await.expect("lists"), []);
        let error = store.blob(&blob.reference).await.expect_err("was not kept");
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    }
    store.append(whole(tip, &["s-1"])).await.expect("appends");
    assert_eq!(store.journal(&fraud, 0, u32::MAX).await.expect("reads").len(), 3);
    assert_eq!(ids(&waiting(&*store, &fraud).await), [""; 0]);
    assert_eq!(store.incidents(None, 9).await.expect("lists").len(), 1);
    assert!(store.blob(&blob.reference).await.expect("reads").is_some());
}

/// Not by another one, not again.
pub async fn a_signal_is_consumed_once_and_by_its_service(store: Fresh) {
    let (fraud, spam) = (service("fraud-api"), service("spam"));
    let news = vec![signal("s-1", Some(&fraud), "a", 0), signal("nobody", None, "b", 0)];
    store.accept(news).await.expect("accepts");
    let consume = |service, tip, id| Append {
        consumed: vec![SignalId::new(id).expect("an id")],
        ..append(service, tip, 1)
    };
    store.append(consume(&spam, Tip::START, "s-1")).await.expect_err("another service's");
    store.append(consume(&fraud, Tip::START, "nobody")).await.expect_err("nobody's");
    let tip = store.append(consume(&fraud, Tip::START, "s-1")).await.expect("appends");
    let error = store.append(consume(&fraud, tip, "s-1")).await.expect_err("again");
    assert!(matches!(&error, StoreError::Refused(text) if text.contains("`s-1`")), "{error}");
    assert_eq!(store.services().await.expect("lists"), [fraud]);
}

/// The store takes no record that could not be read back.
pub async fn records_that_do_not_chain_are_refused(store: Fresh) {
    let fraud = service("fraud-api");
    let good = records(&fraud, Tip::START, 3);
    let mut changed = good.clone();
    changed[2].bytes.push(b' ');
    let mut renumbered = good.clone();
    renumbered[0].number = 1;
    let mut garbage = good.clone();
    garbage[0].bytes = b"{".to_vec();
    let mut renamed = good.clone();
    renamed.iter_mut().for_each(|record| record.service = service("other"));
    let mixed = [&good[..1], &records(&service("other"), good[0].tip(), 1)].concat();
    let gap = vec![good[0].clone(), good[2].clone()];
    let swapped = vec![good[1].clone(), good[0].clone()];
    for wrong in [vec![], changed, renumbered, garbage, renamed, mixed, gap, swapped] {
        let error = store.append(Append { records: wrong, ..Append::default() }).await.expect_err("refused");
        assert!(matches!(&error, StoreError::Refused(_)), "{error}");
    }
    assert_eq!(store.services().await.expect("lists"), []);
    store.append(Append { records: good, ..Append::default() }).await.expect("appends");
}

/// Those that share a flush with it are written.
pub async fn an_append_that_fails_does_not_harm_others(store: Fresh) {
    let mut calls = JoinSet::new();
    for number in 0..60_u64 {
        let (store, service) = (store.clone(), service(&format!("s-{number}")));
        let fails = number % 3 == 0;
        calls.spawn(async move {
            let tip = if fails { Tip { length: 1, ..Tip::START } } else { Tip::START };
            let outcome = store.append(append(&service, tip, 2)).await;
            assert_eq!(outcome.is_err(), fails, "{outcome:?}");
            let length = store.journal(&service, 0, u32::MAX).await.expect("reads").len();
            assert_eq!(length, if fails { 0 } else { 2 });
        });
    }
    calls.join_all().await;
    assert_eq!(store.services().await.expect("lists").len(), 40);
}
