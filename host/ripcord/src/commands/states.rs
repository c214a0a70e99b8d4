//! The states of services as their journals have them. A journal that cannot be read hides no other, and is never left out in silence.

use std::collections::BTreeMap;
use std::sync::Arc;

use ripcord_core::name::ServiceName;
use ripcord_core::service::Service;
use ripcord_engine::{FoldError, recover};

use super::Reach;
use crate::output::style::{BAD, paint};
use crate::output::{Exit, Failure, Paragraph, Text, text};

/// A service and the state that its journal comes to, or why the journal cannot be read.
pub(super) struct Read {
    pub(super) name: ServiceName,
    pub(super) state: Result<Arc<Service>, FoldError>,
}

/// The services of the configuration, or the one that is asked for.
pub(super) fn names(reach: &Reach, service: Option<&ServiceName>) -> Result<Vec<ServiceName>, Failure> {
    let known: Vec<_> = reach.here()?.services.iter().map(|service| service.name.clone()).collect();
    match service {
        None => Ok(known),
        Some(name) if known.contains(name) => Ok(vec![name.clone()]),
        Some(name) => {
            let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
            let help = match known.as_slice() {
                [] => "it has none yet: add `[services.NAME]`".to_owned(),
                some => format!("it has {}", some.join(", ")),
            };
            Err(Failure::usage(format!("there is no service `{name}` in the configuration")).help(help))
        }
    }
}

/// The states of services; without a store they are new.
pub(super) async fn read_all(reach: &Reach, service: Option<&ServiceName>) -> Result<Vec<Read>, Failure> {
    let names = names(reach, service)?;
    let Some(store) = reach.store_if_any()? else {
        let new = |name: ServiceName| Read { state: Ok(Arc::new(Service::new(name.clone()))), name };
        return Ok(names.into_iter().map(new).collect());
    };
    let mut all = Vec::new();
    for name in names {
        let state = match recover(&store, &name).await {
            Ok(recovered) => Ok(recovered.state),
            Err(error) if error.is_of_this_journal() => Err(error),
            Err(error) => return Err(Failure::of(Exit::Failed, error)),
        };
        all.push(Read { name, state });
    }
    Ok(all)
}

/// Services of which nothing can be told because their journals are set aside, and why.
#[derive(Debug, Default)]
pub(super) struct Damaged(BTreeMap<ServiceName, String>);

impl Damaged {
    /// Takes out the states that could be read.
    pub(super) fn apart(all: Vec<Read>) -> (Vec<Arc<Service>>, Self) {
        let (mut states, mut damaged) = (Vec::new(), Self::default());
        for Read { name, state } in all {
            match state {
                Ok(state) => states.push(state),
                Err(why) => drop(damaged.0.insert(name, why.to_string())),
            }
        }
        (states, damaged)
    }

    /// What a page that tells of the others ends with.
    pub(super) fn exit(&self) -> Exit {
        if self.0.is_empty() { Exit::Done } else { Exit::Failed }
    }

    /// For people; empty where all could be read.
    pub(super) fn text(&self) -> Text {
        let lines = self.0.iter().map(|(service, why)| {
            let said = text!("`{}` is set aside and not protected, so this tells nothing of it:", service);
            text!("{} {}", paint(BAD, said), Paragraph(why))
        });
        let help = (!self.0.is_empty())
            .then(|| text!("`ripcord store verify` says more; restore the store from a backup"));
        Text::joined(lines.chain(help), "\n")
    }

    /// As a host tells them.
    pub(super) const fn told(damaged: BTreeMap<ServiceName, String>) -> Self {
        Self(damaged)
    }

    /// For scripts.
    pub(super) const fn json(&self) -> &BTreeMap<ServiceName, String> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let service = ServiceName::new("s").expect("a name");
        for (name, text) in hostile::table() {
            let damaged = Damaged([(service.clone(), text)].into());
            hostile::assert_harmless(&damaged.text(), name);
        }
    }
}
