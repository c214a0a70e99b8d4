//! Between the contract's exports and the author's traits.

use crate::contract::describe::{FactKind, Grant, Manifest, Role};
use crate::contract::types::{Context, Note, Severity};
use crate::contract::{approval, planner, trigger, verification};
use crate::facts::{Facts, Stop};
use crate::policy::{
    Approval, ApprovalCase, Planner, PlannerCase, Policy, Trigger, TriggerCase, Verification,
    VerificationCase,
};

/// Name, version and summary, from the Cargo package of the policy.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Package name.
    pub name: &'static str,
    /// Package version, a semantic version.
    pub version: &'static str,
    /// Package description.
    pub summary: &'static str,
}

/// A policy with its roles. [`export!`](crate::export) implements it.
pub trait Component: Policy {
    /// Name, version and summary.
    const ABOUT: About;

    /// The roles that it fills.
    fn roles() -> Vec<RoleEntry>;

    /// What `describe` answers.
    fn manifest() -> Manifest {
        Manifest {
            name: Self::ABOUT.name.to_owned(),
            version: Self::ABOUT.version.to_owned(),
            summary: Self::ABOUT.summary.to_owned(),
            settings_schema: settings_schema::<Self>(),
            grants: Self::roles().into_iter().map(|entry| entry.grant).collect(),
        }
    }
}

fn settings_schema<P: Policy + ?Sized>() -> String {
    // As it is read, not as it would be written: a field with a default is not required.
    let generator = schemars::generate::SchemaSettings::draft2020_12().for_deserialize().into_generator();
    generator.into_root_schema_for::<P::Settings>().as_value().to_string()
}

/// One role of a component.
#[derive(Clone, Debug)]
pub struct RoleEntry {
    pub(crate) grant: Grant,
    /// One call with the role's `input` as JSON, answered by its `step` as JSON.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) call: fn(serde_json::Value) -> Result<serde_json::Value, String>,
}

macro_rules! entries {
    ($($entry:ident: $policy:ident, $role:ident, $function:ident;)+) => {
        impl RoleEntry {$(
            /// The role of this name.
            pub fn $entry<P: $policy + Component>() -> Self {
                Self {
                    grant: grant(Role::$role, P::FACTS),
                    #[cfg(not(target_arch = "wasm32"))]
                    call: |input| crate::testing::in_json(input, $function::<P>),
                }
            }
        )+}
    };
}

entries! {
    trigger: Trigger, Trigger, assess;
    planner: Planner, Planner, propose;
    approval: Approval, Approval, authorize;
    verification: Verification, Verification, verify;
}

fn grant(role: Role, kinds: &[FactKind]) -> Grant {
    Grant { role, may_request: kinds.to_vec() }
}

/// Reads the settings, and drops a memo that another version of the policy wrote.
fn prepare<P: Component>(context: &mut Context) -> Result<P::Settings, String> {
    report_panics();
    if context.memo.as_ref().is_some_and(|memo| memo.written_by != P::ABOUT.version) {
        context.memo = None;
    }
    let name = P::ABOUT.name;
    let settings = serde_json::from_str(&context.settings)
        .map_err(|error| format!("the settings of `{name}` do not fit its schema: {error}"))?;
    P::check(&settings)
        .map_err(|error| format!("the settings of `{name}` contradict themselves: {error}"))?;
    Ok(settings)
}

/// A trap carries no text, so the message of a panic goes to the host's log first.
fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| crate::log(&Severity::Critical, &panic.to_string())));
    #[cfg(not(target_arch = "wasm32"))]
    let _ = Severity::Critical;
}

macro_rules! calls {
    ($($function:ident: $policy:ident, $role:ident, $case:ident { $($field:ident),* } $(unless $instead:ident)?;)+) => {$(
        /// One call of the role.
        ///
        /// # Errors
        /// Settings that do not fit, or what made the policy fail.
        pub fn $function<P: $policy + Component>(input: $role::Input) -> Result<$role::Step, String> {
            let $role::Input { mut context, signals, facts, $($field),* } = input;
            let settings = prepare::<P>(&mut context)?;
            let facts = Facts::new(context.now, facts);
            let case = $case { context, signals, $($field),* };
            $(if let Some(answer) = $instead(&case) {
                return Ok($role::Step::Done(answer));
            })?
            match P::$function(&case, &facts, &settings) {
                Ok(answer) => Ok($role::Step::Done(answer)),
                Err(Stop::Need(requests)) => Ok($role::Step::Need(requests)),
                Err(Stop::Fail(why)) => Err(why),
            }
        }
    )+};
}

calls! {
    assess: Trigger, trigger, TriggerCase {};
    propose: Planner, planner, PlannerCase { proposal, tried };
    authorize: Approval, approval, ApprovalCase { proposal, plan, plan_digest, opened_at, clock_jumped };
    verify: Verification, verification, VerificationCase { subject, before, previous } unless unknown;
}

/// Between two questions about a subject that is not known, milliseconds: only another build of the policy can answer.
const UNKNOWN_AGAIN: u64 = 60_000;

/// The answer to a subject of a later contract: no author has to think of it, and none can call it healthy.
fn unknown(case: &VerificationCase) -> Option<verification::Answer> {
    let verification::Subject::Other(name) = &case.subject else { return None };
    let note = Note::warning(format!(
        "this build of the policy does not know the subject `{name}`: build it with a newer SDK"
    ));
    let mut answer = verification::Answer::inconclusive(case.now() + UNKNOWN_AGAIN, Vec::new()).note(note);
    answer.memo = case.context.memo.as_ref().map(|memo| memo.bytes.clone()).unwrap_or_default();
    Some(answer)
}
