//! Adapters that a build is without: those that pull in much stand behind features.

use std::fmt;

/// An adapter that is not in this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// The port's name.
    pub port: &'static str,
    /// As `kind` in the configuration.
    pub kind: &'static str,
    /// The feature of `ripcord` that brings it.
    pub feature: &'static str,
}

impl LeftOut {
    /// What to do about it.
    pub fn help(&self) -> String {
        format!("take the program of a release, which has it, or build it with `--features {}`", self.feature)
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, kind, feature } = self;
        write!(
            f,
            "`{kind}`, for {port}, is not in this program, which was built without the feature `{feature}`"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_told_with_the_feature_that_brings_it() {
        let left_out = LeftOut { port: "checkpoints", kind: "s3", feature: "s3" };
        let told = format!("{left_out}: {}", left_out.help());
        assert!(told.starts_with("`s3`, for checkpoints, is not in this program"), "{told}");
        assert!(told.contains("`--features s3`"), "{told}");
    }
}
