//! What a version answers to the golden data, exactly: kept while it is good and live, compared after a shift.

use ripcord_core::digest::Digest;
use ripcord_core::event::{Event, FingerprintTaken, FingerprintWord, Fingerprinted, KnownFingerprint};
use ripcord_core::name::VersionName;
use ripcord_core::target::VersionTarget;
use ripcord_ports::endpoint::Fingerprint;
use ripcord_ports::requests::TrialInput;
use ripcord_ports::{ErrorKind, PortError};

use crate::batch::Batch;
use crate::context::Context;
use crate::nature;

/// Rows of the data set that are sent, from its beginning, one after the other.
const ROWS_MAX: usize = 32;

/// Takes the fingerprint of `version` if nothing else is live, before and after.
pub(super) async fn take(ctx: &Context, version: VersionName) -> Batch {
    let mut batch = Batch::default();
    let word = match taken(ctx, &version).await {
        Ok(Some(fingerprint)) => FingerprintTaken::Taken(fingerprint),
        Ok(None) => FingerprintTaken::NotLive,
        Err(error) => {
            let nature = nature::of_port_error(&error);
            FingerprintTaken::Failed { reason: batch.text(error.to_string()), nature }
        }
    };
    batch.with(Event::Fingerprinted(Fingerprinted { version, word }))
}

async fn taken(ctx: &Context, version: &VersionName) -> Result<Option<KnownFingerprint>, PortError> {
    let is_live = async || {
        let live = ctx.setup.ports.deployer.live().await?;
        Ok::<_, PortError>(live.state.sole_version().is_some_and(|sole| sole.version == *version))
    };
    if !is_live().await? {
        return Ok(None);
    }
    let inputs = inputs(ctx).await?;
    let print = of_live(ctx, &inputs).await?;
    let named = print.answered_by.is_none_or(|by| by.version == *version);
    let fingerprint = KnownFingerprint { inputs: digest_of(&inputs), answers: print.digest };
    Ok((named && is_live().await?).then_some(fingerprint))
}

/// Compares what answers now with what the target answered when it was good. `live` has the target as its sole version.
pub(super) async fn compare(ctx: &Context, target: &VersionTarget, batch: &mut Batch) -> FingerprintWord {
    let known = ctx.service.fingerprint_of(&target.version);
    let (Some(_), Some(known)) = (&ctx.setup.terms.fingerprint, known) else {
        return FingerprintWord::NotCompared;
    };
    let compared = async {
        let inputs = inputs(ctx).await?;
        if digest_of(&inputs) != known.inputs {
            let text = "the golden data set was changed since the target's fingerprint was taken";
            return Err(PortError::not_applied(ErrorKind::Configuration, text));
        }
        let print = of_live(ctx, &inputs).await?;
        match print.answered_by {
            Some(by) if by.version != target.version => {
                let text = format!("`{}` answered, and not `{}`", by.version, target.version);
                Err(PortError::not_applied(ErrorKind::Conflict, text))
            }
            _ => Ok(print.digest == known.answers),
        }
    };
    match compared.await {
        Ok(true) => FingerprintWord::Same,
        Ok(false) => FingerprintWord::Differs,
        Err(error) => FingerprintWord::Failed(batch.text(error.to_string())),
    }
}

async fn inputs(ctx: &Context) -> Result<Vec<TrialInput>, PortError> {
    let missing = |what: &str| {
        PortError::not_applied(
            ErrorKind::Configuration,
            format!("a fingerprint needs {what}, and none is configured"),
        )
    };
    let dataset = ctx.setup.terms.fingerprint.as_ref().ok_or_else(|| missing("a golden data set"))?;
    let golden = ctx.setup.ports.golden.as_ref().ok_or_else(|| missing("a golden data set"))?;
    let rows = golden.rows(dataset).await?;
    Ok(rows.into_iter().take(ROWS_MAX).map(|row| row.input).collect())
}

fn digest_of(inputs: &[TrialInput]) -> Digest {
    let parts: Vec<&[u8]> =
        inputs.iter().flat_map(|input| [input.id.as_bytes(), input.body.as_bytes()]).collect();
    Digest::tagged("ripcord fingerprint inputs 1", &parts)
}

async fn of_live(ctx: &Context, inputs: &[TrialInput]) -> Result<Fingerprint, PortError> {
    let endpoint = ctx.setup.ports.endpoint.as_ref().ok_or_else(|| {
        PortError::not_applied(
            ErrorKind::Configuration,
            "a fingerprint needs an endpoint, and none is configured",
        )
    })?;
    endpoint.fingerprint(inputs, None, "fingerprint").await
}
