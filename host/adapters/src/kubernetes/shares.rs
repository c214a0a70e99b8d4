//! What is served, as parts of the traffic: of each pod its part, of each version the sum.

use ripcord_core::live::{Proof, Share};
use ripcord_core::name::VersionName;
use ripcord_core::ratio::Ratio;
use ripcord_core::target::VersionTarget;
use ripcord_ports::PortError;

use super::{Answers, Behind, Replica};

/// What a part of the traffic goes to.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) version: VersionName,
    /// Of all traffic, from 0 to 1.
    pub(crate) weight: f64,
    pub(crate) proof: Proof,
}

/// What the ready pods behind a service serve, each with the same part of `weight`; or why that cannot be told.
pub(crate) async fn parts(
    behind: &Behind,
    weight: f64,
    answers: Option<&Answers>,
    made_for: impl Fn(&Replica) -> Result<VersionName, String> + Send + Sync,
) -> Result<Result<Vec<Part>, String>, PortError> {
    let counted = match behind.counted(&made_for) {
        Ok(counted) => counted,
        Err(why) => return Ok(Err(why)),
    };
    let mut proof = Proof::ControlPlane;
    if let Some(answers) = answers {
        match answers.of(behind, &made_for).await? {
            Ok(()) => proof = Proof::Answer,
            Err(why) => return Ok(Err(why)),
        }
    }
    let all = behind.ready.len();
    let part = |(version, count)| Part { version, weight: weight * portion(count, all), proof };
    Ok(Ok(counted.into_iter().map(part).collect()))
}

/// A count as a part of all; of nothing it is none.
pub(crate) fn portion(count: usize, all: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    number(count) / number(all.max(1))
}

/// One share for each version, with the weakest proof of its parts.
pub(crate) fn shares(parts: Vec<Part>) -> Vec<Share> {
    let mut shares: Vec<(VersionName, f64, Proof)> = Vec::new();
    for Part { version, weight, proof } in parts {
        match shares.iter_mut().find(|(known, ..)| *known == version) {
            Some((_, sum, weakest)) => {
                *sum += weight;
                *weakest = (*weakest).min(proof);
            }
            None => shares.push((version, weight, proof)),
        }
    }
    shares.sort_by(|a, b| a.0.cmp(&b.0));
    let share = |(version, weight, proof): (VersionName, f64, Proof)| Share {
        // What lies at a storage address, or under an image's tag, may have been written over: no digest is claimed for it.
        version: VersionTarget { version, digest: None },
        place: String::new(),
        weight: Ratio::new(weight.min(1.0)).unwrap_or(Ratio::ONE),
        proof,
    };
    shares.into_iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_one_version_are_one_share() {
        let part = |version: &str, weight, proof| Part {
            version: VersionName::new(version).unwrap(),
            weight,
            proof,
        };
        let found = shares(vec![
            part("2", 0.5, Proof::Answer),
            part("1", 0.25, Proof::Answer),
            part("1", 0.25, Proof::ControlPlane),
        ]);
        let told: Vec<_> =
            found.iter().map(|s| (s.version.version.as_str(), s.weight.get(), s.proof)).collect();
        assert_eq!(told, [("1", 0.5, Proof::ControlPlane), ("2", 0.5, Proof::Answer)]);
    }
}
