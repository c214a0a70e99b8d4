//! Every fixture and every example of the policy, natively.

#[test]
fn fixtures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    ripcord_sdk::testing::check::<golden_set::GoldenSet>(folder);
}

#[test]
fn examples() {
    ripcord_sdk::testing::check_examples::<golden_set::GoldenSet>(include_str!("../README.md"));
}
