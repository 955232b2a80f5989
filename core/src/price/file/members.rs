//! The keys of a price, as price files and `tollgate.toml` have them; a test holds them against the reader.

use super::FACTS;
use crate::keys::{Asked, Kind};
use crate::usage::Kind as UsageKind;

/// The keys of a price that an operator may give: those of `[[model.price]]` but where it was read.
#[must_use]
pub fn members() -> Vec<Asked> {
    let mut members = Vec::new();
    let mut table = |prefix: &str, keys: Vec<(&str, Kind, bool)>| {
        members.extend(keys.into_iter().map(|(key, kind, required)| Asked {
            path: format!("{prefix}{key}"),
            kind,
            required,
        }));
    };
    table(
        "",
        vec![
            ("from", Kind::Text, false),
            ("until", Kind::Text, false),
            ("tokens", tokens(), false),
            ("calls", calls(), false),
            ("tier", Kind::Tables, false),
            ("variant", Kind::Tables, false),
            ("factor", Kind::Tables, false),
            ("note", Kind::Text, false),
        ],
    );
    for prefix in ["tier.", "variant.tier."] {
        table(
            prefix,
            vec![
                ("input_above", Kind::Whole(0, u64::MAX), true),
                ("tokens", tokens(), false),
                ("calls", calls(), false),
            ],
        );
    }
    table(
        "variant.",
        vec![
            ("when", facts(), false),
            ("daily", Kind::Text, false),
            ("multiply", Kind::Text, false),
            ("tokens", tokens(), false),
            ("calls", calls(), false),
            ("tier", Kind::Tables, false),
        ],
    );
    table(
        "factor.",
        vec![("when", facts(), true), ("multiply", Kind::Text, false), ("calls", calls(), false)],
    );
    members
}

fn tokens() -> Kind {
    amounts(|kind| kind.is_input() || kind.is_output())
}

fn calls() -> Kind {
    amounts(|kind| !kind.is_input() && !kind.is_output())
}

fn amounts(belongs: impl Fn(&UsageKind) -> bool) -> Kind {
    let names = UsageKind::ALL.into_iter().filter(belongs).map(|kind| kind.name().to_owned());
    Kind::Map(names.collect(), Box::new(Kind::Text))
}

fn facts() -> Kind {
    Kind::Map(FACTS.iter().map(|fact| (*fact).to_owned()).collect(), Box::new(Kind::Text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{FactorRow, PriceRow, TierRow, VariantRow};
    use super::*;

    /// What the reader says that there is.
    fn known<T: serde::de::DeserializeOwned>() -> BTreeSet<String> {
        let said = toml::from_str::<T>("no_such_key = 1").err().unwrap().to_string();
        assert!(said.contains("unknown field"), "{said}");
        said.split('`').skip(1).step_by(2).map(str::to_owned).filter(|key| key != "no_such_key").collect()
    }

    #[test]
    fn the_members_are_those_that_the_reader_takes() {
        let of = |prefix: &str| -> BTreeSet<String> {
            let members = members().into_iter().filter_map(|member| {
                Some(member.path.strip_prefix(prefix)?.to_owned()).filter(|key| !key.contains('.'))
            });
            members.collect()
        };
        let mut price = known::<PriceRow>();
        assert!(price.remove("source") && price.remove("checked"));
        assert_eq!(of(""), price);
        assert_eq!(of("tier."), known::<TierRow>());
        assert_eq!(of("variant."), known::<VariantRow>());
        assert_eq!(of("variant.tier."), known::<TierRow>());
        assert_eq!(of("factor."), known::<FactorRow>());
    }
}
