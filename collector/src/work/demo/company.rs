//! Who is who in the sample data.

/// An agent with what is particular to it.
#[derive(Debug)]
pub(super) struct Agent {
    /// What it does.
    pub(super) role: Role,
    pub(super) name: &'static str,
    pub(super) team: &'static str,
    /// Its calls, as a share of all.
    pub(super) weight: u64,
    /// Its calls on a Saturday or Sunday, as a share of those of a working day: parts in a hundred.
    pub(super) weekend_percent: u64,
    /// Its calls by hour of the day, UTC.
    pub(super) hours: &'static [u64; 24],
    /// Its calls in production, staging and development.
    pub(super) environments: [u64; 3],
    /// How its identity is known.
    pub(super) is_verified: bool,
}

/// What an agent does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Answers customers.
    Support,
    /// Researches, with sub-agents.
    Research,
    /// Reviews changes of code.
    Review,
    /// Puts labels on tickets.
    Classification,
    /// Summarises documents.
    Summary,
    /// Nobody said who it is.
    Unknown,
}

/// In the order of [`Agent::environments`].
pub(super) const ENVIRONMENTS: [&str; 3] = ["production", "staging", "development"];

/// Customers, the largest first.
pub(super) const CUSTOMERS: [&str; 20] = [
    "northwind",
    "acme",
    "globex",
    "initech",
    "umbrella",
    "hooli",
    "stark",
    "wayne",
    "wonka",
    "cyberdyne",
    "tyrell",
    "soylent",
    "vandelay",
    "dunder",
    "pied-piper",
    "gringotts",
    "oscorp",
    "massive",
    "aperture",
    "blue-sun",
];

/// All agents; the last stands for calls without a name.
pub(super) const AGENTS: [Agent; 6] = [
    Agent {
        role: Role::Support,
        name: "support-agent",
        team: "customer-care",
        weight: 300,
        weekend_percent: 55,
        hours: &[3, 2, 2, 2, 3, 6, 14, 28, 44, 52, 54, 50, 44, 48, 52, 54, 50, 42, 32, 24, 18, 12, 8, 5],
        environments: [870, 110, 20],
        is_verified: true,
    },
    Agent {
        role: Role::Research,
        name: "research-agent",
        team: "market-intel",
        weight: 190,
        weekend_percent: 15,
        hours: &[0, 0, 0, 0, 0, 1, 6, 16, 34, 46, 44, 38, 26, 36, 42, 40, 34, 20, 8, 4, 2, 1, 0, 0],
        environments: [820, 140, 40],
        is_verified: true,
    },
    Agent {
        role: Role::Review,
        name: "code-review",
        team: "platform",
        weight: 140,
        weekend_percent: 12,
        hours: &[1, 1, 0, 0, 1, 2, 6, 18, 36, 46, 50, 44, 30, 42, 50, 52, 46, 34, 20, 12, 9, 6, 4, 2],
        environments: [560, 380, 60],
        is_verified: true,
    },
    Agent {
        role: Role::Classification,
        name: "classifier",
        team: "data",
        weight: 250,
        weekend_percent: 65,
        hours: &[
            14, 12, 10, 10, 12, 16, 22, 30, 40, 44, 44, 42, 40, 42, 44, 44, 42, 38, 32, 28, 24, 20, 18, 16,
        ],
        environments: [930, 60, 10],
        is_verified: false,
    },
    Agent {
        role: Role::Summary,
        name: "doc-summary",
        team: "legal-ops",
        weight: 100,
        weekend_percent: 20,
        hours: &[2, 40, 44, 10, 2, 2, 8, 22, 34, 36, 30, 26, 20, 28, 30, 28, 22, 12, 6, 3, 2, 2, 1, 1],
        environments: [900, 80, 20],
        is_verified: true,
    },
    Agent {
        role: Role::Unknown,
        name: "",
        team: "",
        weight: 20,
        weekend_percent: 90,
        hours: &[8, 8, 8, 8, 8, 8, 9, 10, 12, 12, 12, 12, 12, 12, 12, 12, 12, 11, 10, 10, 9, 9, 8, 8],
        environments: [1, 0, 0],
        is_verified: false,
    },
];
