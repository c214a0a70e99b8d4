//! Whose harm is judged: with a time that has passed, the version that is live now may not be the one that did it.

use std::borrow::Cow;

use ripcord_sdk::calendar;
use ripcord_sdk::contract::facts::Live;
use ripcord_sdk::contract::types::LiveState;
use ripcord_sdk::prelude::*;

use crate::settings::Settings;

/// In a query, the name of the version that is live now.
const LIVE: &str = "$live";

/// What is to be judged.
pub(crate) enum Subject<'s> {
    /// These settings, with the live version's name in their queries.
    Judge(Cow<'s, Settings>),
    /// What is live is not known, or not one version.
    Unknown(String),
    /// What is live was not live yet at the instant that is judged.
    Younger(String),
}

impl<'s> Subject<'s> {
    pub(crate) fn of(case: &TriggerCase, facts: &Facts, settings: &'s Settings) -> Step<Self> {
        if settings.as_of.is_none() && !settings.names_live() {
            return Ok(Self::Judge(Cow::Borrowed(settings)));
        }
        let live = facts.live().get()?;
        if let (Some(ago), Ok(Live { since: Some(since), .. })) = (settings.as_of, live)
            && *since > case.now() - ago
        {
            let (title, since) = (settings.title(), calendar::minute(*since));
            return Ok(Self::Younger(format!(
                "what is live serves since {since}: {title} of {ago} ago is not about it"
            )));
        }
        if !settings.names_live() {
            return Ok(Self::Judge(Cow::Borrowed(settings)));
        }
        Ok(match version(live) {
            Ok(name) => Self::Judge(Cow::Owned(settings.about(name))),
            Err(why) => Self::Unknown(format!("`{LIVE}` in the query stands for nothing: {why}")),
        })
    }
}

/// The one version that is live.
fn version(live: Fact<'_, Live>) -> Result<&str, String> {
    match live {
        Err(unavailable) => Err(unavailable.to_string()),
        Ok(Live { state: LiveState::Unknown(why), .. }) => Err(format!("what is live is not known: {why}")),
        Ok(Live { state: LiveState::Serving(shares), .. }) => {
            let mut names: Vec<&str> = shares.iter().map(|share| share.version.version.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            match names.as_slice() {
                [name] => Ok(name),
                [] => Err("nothing is live".to_owned()),
                several => Err(format!("several versions are live, `{}`", several.join("`, `"))),
            }
        }
    }
}

impl Settings {
    fn queries(&mut self) -> impl Iterator<Item = &mut String> {
        let volume = self.volume.iter_mut().map(|volume| &mut volume.metric);
        std::iter::once(&mut self.metric).chain(&mut self.per).chain(volume).map(|metric| &mut metric.query)
    }

    pub(crate) fn names_live(&self) -> bool {
        self.clone().queries().any(|query| query.contains(LIVE))
    }

    fn about(&self, version: &str) -> Self {
        let mut named = self.clone();
        for query in named.queries() {
            *query = query.replace(LIVE, version);
        }
        named
    }
}
