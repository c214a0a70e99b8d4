//! Condemned data: what was trained on it is not gone back to, whenever it was registered. The journal knows of data; what a version was trained on, its
//! registry says.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Illegal, Opener, Run, RunEnd, Service};
use crate::blob::BlobRef;
use crate::data::{DataRevision, PURGED_FROM};
use crate::effect::Topic;
use crate::event::{DataCondemned, DataLifted, LiveData, LiveDataSeen};
use crate::facet::Revision;
use crate::fact::Lineage;
use crate::name::{IncidentId, PersonName, VersionName};
use crate::plan::Leaving;
use crate::signal::Severity;
use crate::target::{Target, VersionTarget};
use crate::time::UnixMillis;

/// Condemned data revisions of one service. Nobody forgets one but who lifts it, so beyond these none is added without a word.
pub const CONDEMNED_DATA_MAX: usize = 64;

/// Versions that are known to have been made without the bad rows of one revision, the last ones.
const CLEANED_MAX: usize = 64;

/// A condemned data revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CondemnedData {
    /// By whom.
    pub by: CondemnedBy,
    /// Why.
    pub reason: BlobRef,
    /// Since when.
    pub since: UnixMillis,
    /// Versions that runs of this service made without some of its rows, oldest first: whatever their lineage calls the data, they are not trained on it.
    pub cleaned: Vec<VersionName>,
}

/// Who condemned a data revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CondemnedBy {
    /// A version that was trained without some of its rows was verified in this incident, whose plan said so.
    Incident(IncidentId),
    /// A person.
    Person(PersonName),
}

/// What a lineage says of a version, held against the condemned data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrainedOn {
    /// Data that nothing is known against.
    Uncondemned,
    /// This, which is condemned.
    Condemned(DataRevision),
    /// It names no data, or no revision of a set that has a condemned one.
    NotKnown,
}

/// As people read a chain of versions of which each began with the weights of the next one, after the name of the version that began with the first.
pub fn began_with(through: &[VersionName]) -> String {
    let mut text = String::from("began with the weights of");
    for (at, version) in through.iter().enumerate() {
        let joined = if at == 0 { "" } else { ", that one with those of" };
        text.push_str(&format!("{joined} `{version}`"));
    }
    text
}

impl Service {
    /// The condemned data that this set and revision mean: the same name, or the same content under another.
    pub fn condemned(&self, dataset: &str, revision: &str) -> Option<&DataRevision> {
        self.condemned_data.keys().find(|data| data.is(dataset, revision))
    }

    fn is_condemned(&self, data: &DataRevision) -> bool {
        self.condemned(data.dataset(), data.revision()).is_some()
    }

    /// Whether its lineage says anything that counts: nothing is condemned but what it is known to have been made without.
    pub fn is_known_clean(&self, version: &VersionName) -> bool {
        self.condemned_data.values().all(|known| known.cleaned.contains(version))
    }

    /// What the last version of `chain` was trained on, by its lineage. Data that it was only measured with do not count.
    ///
    /// `chain` begins with the version that is asked about, and each began with the weights of the next one. What one of them is known to have been made
    /// without does not count, whatever the lineages behind it call the data.
    pub fn trained_on(&self, chain: &[VersionName], lineage: &Lineage) -> TrainedOn {
        let sets: Vec<(&str, Option<&str>)> = lineage.trained_on().collect();
        let condemned = || {
            let made_on_it =
                |known: &CondemnedData| !chain.iter().any(|version| known.cleaned.contains(version));
            self.condemned_data.iter().filter(move |(_, known)| made_on_it(known)).map(|(data, _)| data)
        };
        let names = |data: &&DataRevision| {
            sets.iter().any(|(name, revision)| revision.is_some_and(|revision| data.is(name, revision)))
        };
        if let Some(data) = condemned().find(names) {
            return TrainedOn::Condemned(data.clone());
        }
        let purged_from = lineage.parameters.iter().find(|label| label.name == PURGED_FROM);
        let may_be = |data: &DataRevision| {
            let is_left = purged_from.is_some_and(|label| label.value == data.revision());
            sets.is_empty()
                || !is_left
                    && sets.iter().any(|(name, revision)| *name == data.dataset() && revision.is_none())
        };
        if condemned().any(may_be) { TrainedOn::NotKnown } else { TrainedOn::Uncondemned }
    }

    /// Data revisions that a plan with these targets condemns in the end: what a training leaves rows out of, said when it is ordered and again when what
    /// it made is put in place.
    pub fn data_left_by(&self, targets: &[Target]) -> Vec<DataRevision> {
        let Some(incident) = &self.incident else { return Vec::new() };
        let left = match targets.first() {
            Some(Target::Retrain(retrain)) if incident.leaving == Leaving::Condemn => {
                DataRevision::purged_by(retrain)
            }
            Some(Target::Version(version)) => self.purged_for(version),
            _ => None,
        };
        left.filter(|data| !self.is_condemned(data)).into_iter().collect()
    }

    /// What rows were left out of for this version, where the open incident is to put it in place.
    fn purged_for(&self, version: &VersionTarget) -> Option<DataRevision> {
        let Opener::Produced(by) = &self.incident.as_ref()?.opened_by else { return None };
        let past = self.producing.past_of(by).filter(|past| past.ordered.leaving == Leaving::Condemn)?;
        match (&past.end, &past.ordered.target) {
            (RunEnd::Made { version: made, .. }, Target::Retrain(retrain))
                if made.version == version.version =>
            {
                DataRevision::purged_by(retrain)
            }
            _ => None,
        }
    }

    /// Condemns what the plan said, now that the version is verified that it was for. Gives back what it has condemned.
    pub(super) fn condemn_data_left(&mut self, target: &Target) -> Vec<DataRevision> {
        let Some(incident) = &self.incident else { return Vec::new() };
        let plan = incident.plan().filter(|plan| plan.targets.first() == Some(target));
        let left = plan.map(|plan| plan.condemns_data.clone()).unwrap_or_default();
        let (by, reason) = (CondemnedBy::Incident(incident.id.clone()), incident.reason.cause);
        let mut condemned = Vec::new();
        for data in left {
            if self.is_condemned(&data) {
                continue;
            }
            if self.condemned_data.len() >= CONDEMNED_DATA_MAX {
                let text = format!(
                    "`{data}` is not condemned for `{name}`, as its plan said: {CONDEMNED_DATA_MAX} data revisions are already; `ripcord hold lift {name} --data DATA --reason TEXT` lets one go, then `ripcord hold put {name} --data {} --reason TEXT` does it",
                    data.typed(),
                    name = self.name
                );
                self.tell(Topic::DataNotCondemned, Severity::Warning, text);
                continue;
            }
            self.condemn_data(data.clone(), by.clone(), reason);
            condemned.push(data);
        }
        condemned
    }

    pub(super) fn data_condemned(&mut self, said: &DataCondemned) -> Result<(), Illegal> {
        if self.condemned_data.contains_key(&said.data) {
            return Err(Illegal::Unchanged(format!("`{}` is condemned for `{}`", said.data, self.name)));
        }
        if self.condemned_data.len() >= CONDEMNED_DATA_MAX {
            return Err(Illegal::TooOften(
                format!("{CONDEMNED_DATA_MAX} data revisions are condemned for `{}` already", self.name),
                "`ripcord hold list` shows them: lift one that nothing is trained on any more",
            ));
        }
        self.condemn_data(said.data.clone(), CondemnedBy::Person(said.person.clone()), said.reason);
        Ok(())
    }

    fn condemn_data(&mut self, data: DataRevision, by: CondemnedBy, reason: BlobRef) {
        let of_it = |target: &Target| match target {
            Target::Retrain(retrain) => {
                let purged = DataRevision::purged_by(retrain);
                purged.is_some_and(|purged| data.is(purged.dataset(), purged.revision()))
            }
            _ => false,
        };
        let cleaned = self.producing.past.iter().filter(|past| of_it(&past.ordered.target));
        let cleaned = cleaned.filter_map(|past| match &past.end {
            RunEnd::Made { version, .. } => Some(version.version.clone()),
            _ => None,
        });
        let cleaned = cleaned.collect();
        self.condemnations = self.condemnations.saturating_add(1);
        self.condemned_data.insert(data, CondemnedData { by, reason, since: self.at, cleaned });
    }

    pub(super) fn data_lifted(&mut self, lifted: &DataLifted) -> Result<(), Illegal> {
        let not_condemned = || Illegal::DataNotCondemned(self.name.clone(), lifted.data.clone());
        let known = self.condemned_data.get(&lifted.data).ok_or_else(not_condemned)?;
        if known.since != lifted.since {
            return Err(Illegal::OtherCondemnation(lifted.data.clone()));
        }
        self.condemned_data.remove(&lifted.data);
        Ok(())
    }

    /// A run has made a version without the rows of data that were condemned before.
    pub(super) fn note_cleaned(&mut self, run: &Run, version: &VersionTarget) {
        let Target::Retrain(retrain) = &run.ordered.target else { return };
        let Some(purged) = DataRevision::purged_by(retrain) else { return };
        // People may have condemned the same content under each of its names.
        for (data, known) in &mut self.condemned_data {
            if !data.is(purged.dataset(), purged.revision()) {
                continue;
            }
            known.cleaned.retain(|cleaned| *cleaned != version.version);
            known.cleaned.push(version.version.clone());
            let more = known.cleaned.len().saturating_sub(CLEANED_MAX);
            known.cleaned.drain(..more);
        }
    }

    /// Whether people were told this, while it is so.
    pub fn has_told_of(&self, seen: &LiveData) -> bool {
        self.live_data_told.contains(seen)
    }

    pub(super) fn live_data_seen(&mut self, seen: &LiveDataSeen) -> Result<(), Illegal> {
        if !self.watches_production() || seen.after != self.ended_last() {
            return Err(Illegal::Stale);
        }
        let news: BTreeSet<LiveData> =
            seen.seen.iter().filter(|seen| self.is_so(seen) && !self.has_told_of(seen)).cloned().collect();
        if news.is_empty() {
            return Err(Illegal::Stale);
        }
        let name = self.name.clone();
        let (known, unknown): (Vec<_>, Vec<_>) = news.iter().partition(|one| one.trained_on.is_some());
        let each = |one: &&LiveData| {
            let data = one.trained_on.as_ref()?;
            let was = match one.through.is_empty() {
                true => "was".to_owned(),
                false => format!("{}, which was", began_with(&one.through)),
            };
            Some(format!(
                "`{}`, which is live on `{name}`, {was} trained on `{data}`, which is condemned: `ripcord pull {name}` goes back to what was not; `ripcord hold lift {name} --data {} --reason TEXT` if the data are fine",
                one.version,
                data.typed()
            ))
        };
        let texts: Vec<String> = known.iter().filter_map(each).collect();
        if !texts.is_empty() {
            self.tell_about(None, Topic::CondemnedDataLive, Severity::Critical, texts.join("; "));
        }
        if !unknown.is_empty() {
            let versions: Vec<_> = unknown.iter().map(|one| format!("`{}`", one.version)).collect();
            let text = format!(
                "nobody knows what {} was trained on, which is live on `{name}`, and data are condemned (`ripcord hold list {name}`): have the registry name its data and their revision, and those of whose weights it began with, or look where it was trained",
                versions.join(" and ")
            );
            self.tell_about(None, Topic::DataOfLiveUnknown, Severity::Warning, text);
        }
        self.live_data_told.extend(news);
        Ok(())
    }

    fn is_so(&self, seen: &LiveData) -> bool {
        let is_condemned = match &seen.trained_on {
            Some(data) => self.condemned_data.contains_key(data),
            None => !self.condemned_data.is_empty(),
        };
        is_condemned && self.production.serves(&Revision::of_model(&seen.version))
    }

    /// What is live no more, or condemned no more, is told anew when it comes back.
    pub(super) fn forget_live_data(&mut self) {
        if self.live_data_told.is_empty() {
            return;
        }
        let told = std::mem::take(&mut self.live_data_told);
        self.live_data_told = told.into_iter().filter(|seen| self.is_so(seen)).collect();
    }
}
