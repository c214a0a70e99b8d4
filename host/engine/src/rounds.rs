//! The rounds of one decision: call, have fetched what is missing, call again.

use ripcord_core::fact::{Fact, Request};
use ripcord_core::role::Answer;
use ripcord_ports::waiting::own;
use ripcord_sandbox::{Deciding, Fault, FaultKind, Nature, Progress};

use futures_util::future::join_all;

use crate::blocking::Blocking;

/// A decision that came to its end.
pub(crate) struct Rounds {
    pub(crate) deciding: Deciding,
    pub(crate) end: Result<Answer, Fault>,
    /// In the order in which they were asked for.
    pub(crate) facts: Vec<Fact>,
    pub(crate) count: u32,
}

/// A call that was lost with all that it held: the host itself failed.
pub(crate) struct LostCall {
    pub(crate) rounds: u32,
    pub(crate) fault: Fault,
}

/// Asks until there is an answer or a fault. `fetch` is given an id for the fact and what was asked for; all of one round is fetched at once.
pub(crate) async fn to_the_end<F>(
    blocking: Blocking,
    mut deciding: Deciding,
    fetch: impl Fn(String, Request) -> F,
) -> Result<Rounds, LostCall>
where
    F: Future<Output = Fact>,
{
    let mut facts: Vec<Fact> = Vec::new();
    let mut count = 0_u32;
    let end = loop {
        count += 1;
        let (back, progress) = own("policies", call(blocking, deciding))
            .await
            .map_err(|fault| LostCall { rounds: count, fault })?;
        deciding = back;
        match progress {
            Progress::Done(answer) => break Ok(answer),
            Progress::Fault(fault) => break Err(fault),
            Progress::Need(requests) => {
                let fetching = requests
                    .into_iter()
                    .enumerate()
                    .map(|(index, request)| fetch(format!("{count}.{index}"), request));
                let fetched = join_all(fetching).await;
                facts.extend(fetched.iter().cloned());
                if let Err(error) = deciding.add_facts(fetched) {
                    break Err(host_fault(error.to_string()));
                }
            }
        }
    };
    Ok(Rounds { deciding, end, facts, count })
}

/// One round.
async fn call(blocking: Blocking, mut deciding: Deciding) -> Result<(Deciding, Progress), Fault> {
    let called = blocking.run(move || {
        let progress = deciding.call();
        (deciding, progress)
    });
    called.await.map_err(|error| host_fault(format!("the call of the policy was lost: {error}")))
}

/// A fault that says nothing of the policy.
pub(crate) fn host_fault(message: String) -> Fault {
    Fault { kind: FaultKind::Host { message: message.clone() }, nature: Nature::Environmental, message }
}
