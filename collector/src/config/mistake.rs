//! A mistake in a configuration.

/// One mistake.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ConfigError {
    /// Where it stands, counted from 1; none where no line has it.
    pub(super) line: Option<usize>,
    /// What is wrong, with the key, the value and what would be right.
    pub(super) message: String,
}
