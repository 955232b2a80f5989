//! Why a record is not kept.

/// Why a record is refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Refusal {
    /// It is not JSON of a record.
    Malformed,
    /// It is older than records are kept.
    TooLate,
    /// It is of a gateway that the token is not for.
    Gateway,
    /// Its id is not a UUID.
    Id,
    /// Its time is missing or beyond the calendar.
    Time,
    /// A text is too long, empty or has control characters.
    Text,
    /// A count is too large.
    Count,
    /// An amount is out of range, or the charges do not add up to the cost.
    Money,
}

impl Refusal {
    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLate => "too_late",
            Self::Gateway => "gateway",
            Self::Id => "id",
            Self::Time => "time",
            Self::Text => "text",
            Self::Count => "count",
            Self::Money => "money",
        }
    }
}
