//! FOCUS, of whoever writes it: billed cost by charge period.

use super::{Line, Row, Wrong, names};

/// A line; none of a service that is no provider of models.
pub(super) fn line(row: &Row<'_>) -> Result<Option<Line>, Wrong> {
    let sellers = ["ServiceName", "ServiceProviderName", "ProviderName", "PublisherName"];
    let provider = sellers.iter().find_map(|column| {
        let text = row.cell(column)?.to_lowercase();
        SERVICES.iter().find(|(part, _)| text.contains(part)).map(|(_, id)| *id)
    });
    let Some(provider) = provider.filter(|id| row.is_of(id)) else { return Ok(None) };
    row.needed("ChargePeriodEnd")?;
    row.in_usd("BillingCurrency")?;
    let items = ["x_Model", "x_SkuDescription", "SkuMeter", "ResourceName", "ChargeDescription", "SkuId"];
    let item = items.iter().find_map(|column| row.cell(column)).unwrap_or_default();
    Ok(Some(Line {
        day: row.day("ChargePeriodStart", Some("ChargePeriodEnd"))?,
        provider: provider.to_owned(),
        model: names::without_kinds(item),
        cost: row.amount("BilledCost", 0)?,
        tokens: row.tokens("ConsumedQuantity", row.cell("ConsumedUnit")),
    }))
}

/// Parts of names of services and companies, with ids of providers; the closest comes first.
const SERVICES: [(&str, &str); 14] = [
    ("bedrock", "bedrock"),
    ("vertex", "vertex"),
    ("gemini", "gemini"),
    ("azure openai", "azure"),
    ("cognitive services", "azure"),
    ("openai", "openai"),
    ("claude", "anthropic"),
    ("anthropic", "anthropic"),
    ("mistral", "mistral"),
    ("cohere", "cohere"),
    ("groq", "groq"),
    ("deepseek", "deepseek"),
    ("openrouter", "openrouter"),
    ("xai", "xai"),
];
