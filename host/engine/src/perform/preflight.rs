//! Trying a rung's target beside what is live: signature, golden data, captured inputs, verification policies. No traffic moves.

use ripcord_core::blob::BlobKind;
use ripcord_core::digest::Digest;
use ripcord_core::effect::Effect;
use ripcord_core::event::{
    CandidateCleared, Event, FaultNature, PlannedRung, PreflightBegan, PreflightWord, Preflighted, TrialPhase,
};
use ripcord_core::fact::{
    Detail, GoldenQuery, RecheckQuery, Request, Trial, Unavailable, UnavailableReason, Value,
};
use ripcord_core::policy::Role;
use ripcord_core::role::{Finding, PreflightSubject, Subject};
use ripcord_core::service::{Phase, StepState};
use ripcord_core::target::Target;
use ripcord_core::time::Millis;
use ripcord_ports::deployer::{Beside, CandidateOrder};
use ripcord_ports::endpoint::SignatureCheck;
use ripcord_ports::store::StoreError;
use ripcord_ports::{ErrorKind, PortError};

use super::fetch::{fetch, stage_failed};
use super::verify::{Asking, ask_sharing, before};
use crate::batch::Batch;
use crate::context::Context;
use crate::deadline::within;
use crate::mailbox::append;
use crate::nature;
use crate::trials::Trials;

/// Captured inputs that are sent through a candidate.
const CAPTURED_MAX: u32 = 100;
/// There is always some time, where the deadline has passed while no host ran.
const LEAST: Millis = Millis::seconds(1);

pub(super) async fn preflight(ctx: &Context, plan: Digest, rung: u32, round: u32) -> Batch {
    let whole = match ctx.plan().await {
        Ok(whole) => whole,
        Err(instead) => return instead,
    };
    let Some(target) = super::shift::target(ctx, rung) else { return Batch::default() };
    let artefact = match fetch(ctx, &target).await {
        Ok(artefact) => artefact,
        Err(error) => return stage_failed(plan, rung, &error),
    };
    let (Target::Version(version), Some(staged)) = (target, artefact) else { return Batch::default() };
    let began = Batch::of(Event::PreflightBegan(PreflightBegan { plan, rung, round }));
    if let Err(error) = append(&ctx.mailbox, began).await {
        tracing::debug!(service = %ctx.service.name, %error, "the preflight was not begun");
        return Batch::default();
    }
    let left = time_left(ctx);
    let order = CandidateOrder { version, staged, deadline: left };
    let held = hold(ctx, &order).await;
    let mut batch = Batch::default();
    let mut seen = Seen::default();
    let mut judged = Batch::default();
    let word = match held {
        Err(error) => error.into(),
        Ok(held) => {
            let trying = async {
                let trials = Trials::new(
                    ctx.clone(),
                    TrialPhase::Preflight(PlannedRung { plan, rung }),
                    round,
                    Some(held.clone()),
                );
                seen.look(ctx, &held, &trials).await?;
                if ctx.setup.policies(Role::Verification).next().is_some()
                    && let Some(incident) = ctx.incident()
                {
                    let proposal = ctx.proposal(&incident.reason).await?;
                    let subject = PreflightSubject { proposal, plan: whole, plan_digest: plan, rung };
                    let subject = Subject::Preflight(subject);
                    let (signals, before) = (ctx.alerts().await?, before(ctx).await?);
                    let phase = TrialPhase::Preflight(PlannedRung { plan, rung });
                    judged =
                        ask_sharing(ctx, Asking { phase, round, subject, signals, before }, &trials).await?;
                }
                Ok(())
            };
            tokio::select! {
                biased;
                // Paused, aborted, or another plan: whatever it came to, nobody waits for it.
                () = unwanted(ctx, plan, rung, round) => return cleared(ctx, batch).await,
                tried = within(ctx.host.setup.clock.as_ref(), left, trying) => match tried {
                    Some(Ok(())) => Word::Fits,
                    Some(Err(word)) => word,
                    None => Word::NotDone(format!("trying it took longer than {left}"), FaultNature::Environmental),
                },
            }
        }
    };
    let word = match word {
        Word::Fits => PreflightWord::Fits,
        Word::Unfit(why) => PreflightWord::Unfit(batch.text(why)),
        Word::NotDone(why, nature) => PreflightWord::NotDone { reason: batch.text(why), nature },
    };
    let findings = (!seen.0.is_empty()).then(|| batch.json(BlobKind::Text, &seen.0));
    let fits = word == PreflightWord::Fits;
    batch.events.push(Event::Preflighted(Preflighted { plan, rung, round, word, findings }));
    if fits {
        batch.absorb(judged);
    }
    cleared(ctx, batch).await
}

/// Takes away what a preflight left.
pub(super) async fn clear(ctx: &Context) -> Batch {
    cleared(ctx, Batch::default()).await
}

async fn cleared(ctx: &Context, mut batch: Batch) -> Batch {
    let failed = ctx.setup.ports.deployer.clear().await.err().map(|error| batch.text(error.to_string()));
    batch.with(Event::CandidateCleared(CandidateCleared { failed }))
}

/// What the host has to say of a candidate.
enum Word {
    Fits,
    Unfit(String),
    NotDone(String, FaultNature),
}

impl From<StoreError> for Word {
    /// What the policies are to be told cannot be read now.
    fn from(error: StoreError) -> Self {
        Self::NotDone(error.to_string(), FaultNature::Environmental)
    }
}

impl From<PortError> for Word {
    fn from(error: PortError) -> Self {
        match error.kind {
            // What was placed is not what the plan names, or does not answer as that.
            ErrorKind::BadAnswer | ErrorKind::WrongDigest => Self::Unfit(error.to_string()),
            _ => Self::NotDone(error.to_string(), nature::of_port_error(&error)),
        }
    }
}

/// Whatever an earlier one left is taken away first: that makes it safe to repeat.
async fn hold(ctx: &Context, order: &CandidateOrder) -> Result<Beside, PortError> {
    let deployer = &ctx.setup.ports.deployer;
    deployer.clear().await?;
    deployer.beside(order).await
}

/// Until the core's deadline; a moment where it has passed while no host ran.
fn time_left(ctx: &Context) -> Millis {
    let since = match ctx.incident().map(|incident| &incident.phase) {
        Some(Phase::Acting(acting)) => match acting.step {
            StepState::Preflighting { waiting, .. } => waiting.since,
            _ => ctx.now(),
        },
        _ => ctx.now(),
    };
    let until = since + ctx.setup.terms.deadlines.preflight;
    until.since(ctx.now()).max(LEAST)
}

async fn unwanted(ctx: &Context, plan: Digest, rung: u32, round: u32) {
    let effect = Effect::Preflight { plan, rung, round };
    let mut latest = ctx.latest.clone();
    // A driver that has ended wants nothing more.
    drop(latest.wait_for(|service| !service.owed().contains(&effect)).await);
}

/// What was compared.
#[derive(Default)]
struct Seen(Vec<Finding>);

impl Seen {
    fn add(&mut self, check: impl Into<String>, passed: Passed, observed: impl Into<String>, expected: &str) {
        self.0.push(Finding {
            check: check.into(),
            passed: passed == Passed::Yes,
            observed: observed.into(),
            expected: expected.into(),
        });
    }

    /// Signature, golden data and captured inputs, all at once.
    async fn look(&mut self, ctx: &Context, held: &Beside, trials: &Trials) -> Result<(), Word> {
        let names = ctx.setup.ports.golden.as_ref().map(|golden| golden.names()).unwrap_or_default();
        let candidate = Some(held.version.clone());
        let golden = names.iter().map(|dataset| {
            let query = GoldenQuery {
                dataset: dataset.clone(),
                candidate: candidate.clone(),
                detail: Detail::Summary,
            };
            async { trials.fact(&Request::Golden(query)).await.value }
        });
        let recheck = async {
            ctx.setup.ports.requests.as_ref()?;
            let query =
                RecheckQuery { candidate: candidate.clone(), limit: CAPTURED_MAX, detail: Detail::Summary };
            Some(trials.fact(&Request::Recheck(query)).await.value)
        };
        let (signature, golden, recheck) =
            tokio::join!(signature(ctx, held), futures_util::future::join_all(golden), recheck);
        let mut words = vec![self.signature(signature)];
        for (dataset, value) in names.iter().zip(golden) {
            words.push(match value {
                Ok(Value::Golden(trial)) => self.trial(&format!("golden data {dataset}"), &trial, held),
                Ok(_) => Word::NotDone("a golden run gave something else".into(), FaultNature::Deterministic),
                Err(why) => self.missing(&format!("golden data {dataset}"), &why),
            });
        }
        words.extend(recheck.map(|recheck| self.captured(recheck, held)));
        let mut not_done = None;
        for word in words {
            match word {
                Word::Fits => {}
                Word::Unfit(_) => return Err(word),
                Word::NotDone(..) => not_done = not_done.or(Some(word)),
            }
        }
        not_done.map_or(Ok(()), Err)
    }

    fn signature(&mut self, compared: Result<SignatureCheck, PortError>) -> Word {
        let check = "input signature";
        let expected = "the one that the registry has";
        match compared {
            Ok(SignatureCheck::Same) => {
                self.add(check, Passed::Yes, "the same", expected);
                Word::Fits
            }
            Ok(SignatureCheck::Differs(how)) => {
                let how = how.join("; ");
                self.add(check, Passed::No, &how, expected);
                Word::Unfit(format!("its input signature is another one than the registry's: {how}"))
            }
            Ok(SignatureCheck::Unknown(why)) => {
                self.add(check, Passed::Yes, format!("not compared: {why}"), expected);
                Word::Fits
            }
            Err(error) => {
                self.add(check, Passed::No, format!("not compared: {error}"), expected);
                Word::NotDone(
                    format!("its input signature could not be read: {error}"),
                    nature::of_port_error(&error),
                )
            }
        }
    }

    /// Who answered, and whether anyone did. How well is the policies' to judge.
    fn trial(&mut self, check: &str, trial: &Trial, held: &Beside) -> Word {
        let Some(whole) = trial.slices.first().filter(|whole| whole.rows > 0) else { return Word::Fits };
        let answered = whole.rows - whole.errors;
        let measures = whole.measures.iter().filter(|measure| !measure.name.contains(':'));
        let measures: String =
            measures.map(|measure| format!(", {} {:.3}", measure.name, measure.value)).collect();
        let observed = format!("{answered} of {} rows answered{measures}", whole.rows);
        let expected = format!("answers of {}", held.version.version);
        let other = trial.answered_by.iter().find(|share| share.version.version != held.version.version);
        if let Some(other) = other {
            let other = &other.version.version;
            self.add(check, Passed::No, format!("{observed}, some by {other}"), &expected);
            return Word::Unfit(format!("`{other}` answered where `{}` was asked", held.version.version));
        }
        if answered == 0 {
            self.add(check, Passed::No, observed, &expected);
            return Word::Unfit(format!("it answered none of {} rows ({check})", whole.rows));
        }
        self.add(check, Passed::Yes, observed, &expected);
        Word::Fits
    }

    /// Captured inputs are what there is of them: without any, the golden data has to do. That they could not be sent is no reason to wait, and
    /// is not called passed.
    fn captured(&mut self, recheck: Result<Value, Unavailable>, held: &Beside) -> Word {
        let check = "captured inputs";
        match recheck {
            Ok(Value::Recheck(trial)) => return self.trial(check, &trial, held),
            Ok(_) => self.add(check, Passed::No, "a recheck gave something else", ""),
            Err(why) if why.reason == UnavailableReason::NoData => {
                self.add(check, Passed::Yes, format!("none: {}", why.message), "");
            }
            Err(why) => self.add(check, Passed::No, format!("not sent: {}", why.message), ""),
        }
        Word::Fits
    }

    fn missing(&mut self, check: &str, why: &Unavailable) -> Word {
        self.add(check, Passed::No, format!("not sent: {}", why.message), "");
        let again = !matches!(
            why.reason,
            UnavailableReason::Denied | UnavailableReason::Unsupported | UnavailableReason::BadQuery
        );
        let nature = if again { FaultNature::Environmental } else { FaultNature::Deterministic };
        Word::NotDone(format!("{check}: {}", why.message), nature)
    }
}

#[derive(PartialEq, Eq)]
enum Passed {
    Yes,
    No,
}

/// The registry's signature against what the server says of the candidate.
async fn signature(ctx: &Context, held: &Beside) -> Result<SignatureCheck, PortError> {
    let listed = ctx.setup.ports.registry.version(&held.version.version).await?;
    match (listed.signature, &ctx.setup.ports.endpoint) {
        (None, _) => Ok(SignatureCheck::Unknown("the registry has none".into())),
        (_, None) => Ok(SignatureCheck::Unknown("no endpoint is configured".into())),
        (Some(signature), Some(endpoint)) => endpoint.compare_signature(&signature, Some(held)).await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use ripcord_core::name::VersionName;
    use ripcord_core::target::VersionTarget;

    #[test]
    fn captured_inputs_that_could_not_be_sent_hold_nothing_up_and_did_not_pass() {
        let version = VersionTarget { version: VersionName::new("1.1").unwrap(), digest: None };
        let held = Beside { version, address: "m-preflight".into() };
        for (reason, passed) in [(UnavailableReason::NoData, true), (UnavailableReason::Failed, false)] {
            let mut seen = Seen::default();
            let word = seen.captured(Err(Unavailable::new(reason, "the log says why")), &held);
            assert!(matches!(word, Word::Fits));
            let [finding] = &seen.0[..] else { panic!("{:?}", seen.0) };
            assert_eq!(finding.passed, passed);
            assert!(finding.observed.ends_with("the log says why"), "{finding:?}");
        }
    }
}
