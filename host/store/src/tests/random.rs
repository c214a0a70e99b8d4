//! Random steps against a model, with restarts in between.

use proptest::prelude::*;

use super::{folder, open};
use crate::conformance::model::{Model, Step};

fn step() -> impl Strategy<Value = Option<Step>> {
    let accept = (prop::option::of(0..3_u8), 0..6_u8, 0..40_000_u64)
        .prop_map(|(service, key, later_ms)| Step::Accept { service, key, later_ms });
    let append = (0..3_u8, 1..4_u64, 0..4_usize).prop_map(|(service, records, consume)| Step::Append {
        service,
        records,
        consume,
    });
    let stale = (0..3_u8, 1..4_u64).prop_map(|(service, behind)| Step::Stale { service, behind });
    // None is a restart.
    prop_oneof![8 => accept.prop_map(Some), 6 => append.prop_map(Some), 3 => stale.prop_map(Some), 1 => Just(None)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(steps in prop::collection::vec(step(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (path, _folder) = folder();
            let mut store = open(&path);
            let mut model = Model::default();
            for step in &steps {
                match step {
                    Some(step) => model.step(&store, step).await,
                    None => {
                        drop(store);
                        store = open(&path);
                    }
                }
            }
            model.compare(&store).await;
        });
    }
}
