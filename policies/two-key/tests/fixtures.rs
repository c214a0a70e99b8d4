//! Every fixture and every example of the policy, natively.

#[test]
fn fixtures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    ripcord_sdk::testing::check::<two_key::TwoKey>(folder);
}

#[test]
fn examples() {
    ripcord_sdk::testing::check_examples::<two_key::TwoKey>(include_str!("../README.md"));
}
