//! How much there is.

use std::collections::BTreeMap;

use ripcord_core::journal::Tip;
use ripcord_core::retention::Class;
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{Append, Content, Store, Use};

use super::{folder, open};
use crate::conformance::{append, service, text};

#[tokio::test]
async fn content_counts_once_in_each_class_that_needs_it_and_may_go_with_its_youngest_record() {
    let (path, _folder) = folder();
    let store = open(&path);
    let fraud = service("fraud-api");
    let (shared, alone) = (text(1, "what is needed often"), text(2, "once"));
    let needs = |class, number: u64, content: &ripcord_ports::store::NewBlob| Use {
        class,
        incident: None,
        number,
        at: UnixMillis(number),
        content: Content::Blob(content.reference.commitment),
    };
    let mut uses: Vec<_> = (0..9).map(|number| needs(Class::Decisions, number, &shared)).collect();
    uses.push(needs(Class::Decisions, 3, &alone));
    uses.push(needs(Class::Incidents, 9, &shared));
    let blobs = vec![shared, alone];
    store.append(Append { blobs, uses, ..append(&fraud, Tip::START, 10) }).await.expect("appends");
    let before = |at| BTreeMap::from([(Class::Decisions, UnixMillis(at))]);
    let of = async |at| {
        let sizes = store.sizes(before(at)).await.expect("reads");
        (
            sizes.classes[&Class::Decisions].count,
            sizes.may_go[&Class::Decisions].count,
            sizes.classes[&Class::Incidents].count,
        )
    };
    assert_eq!(of(3).await, (2, 0, 1));
    assert_eq!(of(8).await, (2, 1, 1), "the other one is needed still");
    assert_eq!(of(9).await, (2, 2, 1));
    let sizes = store.sizes(before(0)).await.expect("reads");
    let [decisions, incidents] =
        [Class::Decisions, Class::Incidents].map(|class| sizes.classes[&class].bytes);
    assert!(incidents > 0 && decisions > incidents && decisions < 2 * incidents, "{sizes:?}");
}
