//! Trying again: only what cannot have happened, no sooner than the system asks for, and not for ever.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use jiff::fmt::rfc2822;
use ripcord_core::time::Millis;
use ripcord_ports::{Applied, PortError, Retry, waiting};
use tokio::time::Instant;

const ATTEMPTS_MAX: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How long a call is tried again: no attempt begins after this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience(pub(crate) Millis);

/// Runs `attempt` until it succeeds, fails for good, may have had its effect, or patience ends. The last error is returned, with
/// what the system asked for, so that whoever called can come back then.
pub(crate) async fn patiently<T, F>(
    patience: Patience,
    mut attempt: impl FnMut() -> F,
) -> Result<T, PortError>
where
    F: Future<Output = Result<T, PortError>>,
{
    let end = Instant::now() + Duration::from_millis(patience.0.0);
    let mut wait = FIRST_WAIT;
    let mut number = 0;
    loop {
        number += 1;
        let error = match attempt().await {
            Err(error) if error.applied == Applied::No => error,
            settled => return settled,
        };
        let wanted = match error.retry {
            Retry::No => return Err(error),
            Retry::Later => spread(wait),
            Retry::After(asked) => Duration::from_millis(asked.0).max(spread(wait)),
        };
        if number == ATTEMPTS_MAX || Instant::now() + wanted > end {
            return Err(error);
        }
        tracing::debug!(%error, attempt = number, wait_ms = wanted.as_millis() as u64, "a call is tried again");
        waiting::pausing(tokio::time::sleep(wanted)).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// Between once and twice as long, so that calls that failed together do not come back together.
fn spread(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 1_000;
    wait + wait.mul_f64(random as f64 / 1_000.0)
}

/// What `Retry-After` asks for: seconds, or an instant, which is read against the answer's own `Date`, since clocks differ.
pub(super) fn asked_for(retry_after: Option<&str>, date: Option<&str>) -> Option<Millis> {
    let text = retry_after?;
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Millis(seconds.saturating_mul(1_000)));
    }
    let instant = |text: &str| Some(rfc2822::parse(text).ok()?.timestamp().as_millisecond());
    let left = instant(text)?.saturating_sub(instant(date?)?);
    Some(Millis(u64::try_from(left).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use ripcord_ports::ErrorKind;

    use super::*;

    fn failed(retry: Retry) -> PortError {
        PortError::not_applied(ErrorKind::Failed, "no").retry(retry)
    }

    async fn attempts(patience: Millis, error: impl Fn() -> PortError) -> (u32, Duration) {
        let mut made = 0;
        let begun = Instant::now();
        let result: Result<(), _> = patiently(Patience(patience), || {
            made += 1;
            let error = error();
            async move { Err(error) }
        })
        .await;
        assert!(result.is_err());
        (made, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_succeed_later_is_tried_a_few_times_and_what_cannot_is_not() {
        let (made, took) = attempts(Millis::minutes(5), || failed(Retry::Later)).await;
        assert_eq!(made, ATTEMPTS_MAX);
        assert!(took >= FIRST_WAIT * 31, "{took:?}");
        assert_eq!(attempts(Millis::minutes(5), || failed(Retry::No)).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_have_happened_is_never_repeated() {
        let made = attempts(Millis::minutes(5), || failed(Retry::Later).outcome_unknown()).await.0;
        assert_eq!(made, 1);
        let asked = || failed(Retry::After(Millis(1))).outcome_unknown();
        assert_eq!(attempts(Millis::minutes(5), asked).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_system_is_given_the_time_it_asks_for_or_the_error_is_returned_at_once() {
        let asked = || failed(Retry::After(Millis::seconds(7)));
        let (made, took) = attempts(Millis::seconds(20), asked).await;
        assert_eq!(made, 3);
        assert!(took >= Duration::from_secs(14) && took < Duration::from_secs(20), "{took:?}");
        let (made, took) = attempts(Millis::seconds(5), asked).await;
        assert_eq!((made, took), (1, Duration::ZERO));
    }

    #[test]
    fn seconds_and_instants_are_read() {
        let date = Some("Sun, 22 Nov 2026 18:44:33 GMT");
        let check = |retry_after, expected: Option<u64>| {
            assert_eq!(asked_for(Some(retry_after), date), expected.map(Millis), "{retry_after}");
        };
        check("0", Some(0));
        check("120", Some(120_000));
        check("Sun, 22 Nov 2026 18:45:03 GMT", Some(30_000));
        check("Sun, 22 Nov 2026 18:00:00 GMT", Some(0));
        check("99999999999999999999", None);
        check("soon", None);
        check("-1", None);
        assert_eq!(asked_for(Some("Sun, 22 Nov 2026 18:45:03 GMT"), None), None);
        assert_eq!(asked_for(None, date), None);
    }
}
