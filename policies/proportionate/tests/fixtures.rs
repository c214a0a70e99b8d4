//! Every fixture and every example of the policy, natively.

#[test]
fn fixtures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    ripcord_sdk::testing::check::<proportionate::Proportionate>(folder);
}

#[test]
fn examples() {
    ripcord_sdk::testing::check_examples::<proportionate::Proportionate>(include_str!("../README.md"));
}
