//! One rule of a suite, and the name under which its failure is told.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

/// Runs the check of one rule. If it panics, so does this, with the rule's name and what the check said.
pub(super) async fn holds(rule: &'static str, check: impl Future<Output = ()>) {
    if let Err(panic) = AssertUnwindSafe(check).catch_unwind().await {
        panic!("the rule `{rule}` is broken: {}", said(panic.as_ref()));
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the check says nothing")
}
