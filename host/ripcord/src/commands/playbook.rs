//! `ripcord playbook`.

use ripcord_core::name::ServiceName;

use super::states::names;
use super::{Outcome, Reach};
use crate::cli::Global;
use crate::output::document::DocumentForm;
use crate::output::{Failure, playbook};

/// A service's playbook, from the configuration on this machine.
pub(super) fn playbook(global: &Global, service: &ServiceName, form: DocumentForm) -> Outcome {
    let reach = Reach::new(global)?;
    names(&reach, Some(service))?;
    let config = reach.here()?;
    let found = config.service(service.as_str());
    let found = found.ok_or_else(|| Failure::usage(format!("there is no service `{service}`")))?;
    Ok(playbook::playbook(config, found).page(form))
}
