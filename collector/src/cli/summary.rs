//! `tollgate summary`.

use clap::Args;

use super::client::{self, Ask};
use super::output::{self, Look, Page};
use super::runs::behind;
use crate::model::answers::summary::metric::Metric;
use crate::model::answers::summary::{By, SummaryAnswer, tables};
use crate::model::dimension::Dimension;
use crate::model::nearest::or_rather;

/// Arguments of `tollgate summary`.
#[derive(Args, Debug)]
pub(super) struct SummaryArgs {
    #[command(flatten)]
    ask: Ask,
    /// What to tell apart, with commas between: agent, team, feature, environment, provider, model,
    /// request_model, response_model, operation, gateway, service_tier, key, attribution_source, outcome,
    /// run, tag, rule, hour, day, week, month; empty for one total [default: team,agent]
    #[arg(long)]
    by: Option<String>,
    /// Numbers to show, with commas between, such as calls,cost,share; a wrong one lists all
    #[arg(long)]
    columns: Option<String>,
    /// Order rows by a name of --by or a number, with `-` before it for the largest first, such as -calls
    #[arg(long, allow_hyphen_values = true)]
    sort: Option<String>,
    /// Only so many rows, and one for all others
    #[arg(long, value_name = "N")]
    top: Option<u64>,
    /// Only calls that ended so: ok, error, client_abort, upstream_abort, denied; repeat for several
    #[arg(long)]
    outcome: Vec<String>,
    /// Only calls of this run; repeat for several
    #[arg(long)]
    run: Vec<String>,
    /// Only calls with this tag, such as customer=acme; repeat for several
    #[arg(long)]
    tag: Vec<String>,
    /// Only calls that this rule refused, or noted
    #[arg(long)]
    rule: Option<String>,
    /// With tag in --by: only tags with this key, such as customer, and what has none
    #[arg(long, value_name = "KEY")]
    tag_key: Option<String>,
    /// Only rows of which something is estimated
    #[arg(long)]
    estimated: bool,
    /// Compare with the period before; tables do it anyway
    #[arg(long)]
    compare: bool,
    #[command(flatten)]
    look: Look,
}

impl SummaryArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let unasked = (self.estimated && self.look.is_table()).then_some(ESTIMATED);
        let columns = self.columns.as_deref().or(unasked).map(chosen).transpose()?;
        let body = self.ask.get("/api/v1/summary", &self.parameters())?;
        if self.look.is_json() {
            return output::print(&body);
        }
        let answer: SummaryAnswer = client::read(&body)?;
        match self.look.export() {
            Some(export) => {
                if let Some(hint) = &answer.hint {
                    output::say(hint);
                }
                output::print_export(export, &tables::for_export(&answer, columns.as_deref()))
            }
            None => shown(&answer, columns.as_deref(), Page::new(self.look.screen())).print(),
        }
    }

    fn parameters(&self) -> Vec<(&str, String)> {
        let default = if self.ask.is_unattributed() { "team,agent,key_id" } else { "team,agent" };
        let by = self.by.as_deref().unwrap_or(default);
        let mut asked = vec![("by", by.to_owned())];
        asked.extend(self.columns.clone().map(|columns| ("columns", columns)));
        asked.extend(self.sort.clone().map(|sort| ("sort", sort)));
        asked.extend(self.top.map(|top| ("top", top.to_string())));
        for (name, values) in [("outcome", &self.outcome), ("run", &self.run), ("tag", &self.tag)] {
            asked.extend(values.iter().map(|value| (name, value.clone())));
        }
        asked.extend(self.rule.clone().map(|rule| ("rule", rule)));
        asked.extend(self.tag_key.clone().map(|key| ("tag_key", key)));
        asked.extend(self.estimated.then(|| ("estimated", "true".to_owned())));
        let is_table = self.look.is_table();
        // Weeks and months cut each other: there is no one period before.
        let has = |unit: &str| by.split(',').any(|name| name.trim() == unit);
        let has_previous = !(has("week") && has("month")) || has("day") || has("hour");
        asked.extend((self.compare || is_table && has_previous).then(|| ("compare", "previous".to_owned())));
        // A trend has room on a wide screen.
        let is_wide = is_table && self.look.screen().width.is_none_or(|width| width >= TREND_COLUMNS);
        asked.extend(is_wide.then(|| ("trend", "true".to_owned())));
        asked
    }
}

/// The numbers of these names.
fn chosen(names: &str) -> anyhow::Result<Vec<&'static Metric>> {
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| {
            Metric::asked(name).ok_or_else(|| {
                anyhow::anyhow!("--columns has `{name}`, not one of {}", or_rather(name, Metric::names()))
            })
        })
        .collect()
}

fn shown(answer: &SummaryAnswer, columns: Option<&[&'static Metric]>, page: Page) -> Page {
    if let Some(hint) = &answer.hint {
        return page.words(hint);
    }
    let end = if answer.partial { ", not over yet" } else { "" };
    let page = page.words(&format!("from {} to {}{end}", answer.from, answer.to)).gap();
    let mut page = page.table(&tables::for_screen(answer, columns));
    if answer.rows.iter().any(|row| row.partial) {
        let unit = answer.by.iter().filter_map(|by| by.unit()).min().map_or("period", |unit| unit.name());
        page = page
            .note(&format!("{} a part of its {unit}: the question cuts it, or it is not over", tables::MARK));
    }
    let is_new = tables::has_nothing_before(answer);
    if let Some(previous) = answer.previous.as_ref().filter(|_| !is_new) {
        let against = match answer.by.iter().find_map(|by: &By| by.unit()) {
            None => format!("{} to {}", previous.from, previous.to),
            Some(_) => "the one before".to_owned(),
        };
        page = page.note(&format!("change: against {against}"));
    }
    if answer.by.contains(&By::Dimension(Dimension::Tag)) {
        page = page.note("a call with several tags is in several rows, unless --tag-key names one key");
    }
    if answer.by.contains(&By::Dimension(Dimension::Rule)) {
        page = page.note(
            "denied: what the rule refused. With (noted): what a rule in shadow would have refused, and what others \
             flagged or corrected; a call may be in several rows",
        );
    }
    let page = behind(page, answer.unfollowed_records);
    match answer.folded_calls {
        0 => page,
        calls => page.gap().words(&format!(
            "{calls} of these calls came in totals only: their gateways had no room for records"
        )),
    }
}

/// What a table of estimates shows unasked.
const ESTIMATED: &str = "estimated_calls,estimated_cost,calls,cost,share,error";
/// Columns of a screen that has room for a trend.
const TREND_COLUMNS: usize = 100;

#[cfg(test)]
mod tests {
    use super::super::output::Screen;
    use super::*;

    const BODY: &str = r#"{"from":"2026-11-01T00:00:00Z","to":"2026-11-02T00:00:00Z","by":["team"],
        "rows":[{"team":"support","calls":3,"denied":0,"errors":1,"unpriced":0,"input_tokens":1000,
        "cache_read_tokens":0,"cache_write_tokens":0,"output_tokens":7,"reasoning_tokens":0,
        "cost_usd":"0.001200000000","estimated_cost_usd":"0.000000000000"}],
        "total":{"calls":3,"denied":0,"errors":1,"unpriced":0,"input_tokens":1000,"cache_read_tokens":0,
        "cache_write_tokens":0,"output_tokens":7,"reasoning_tokens":0,"cost_usd":"0.001200000000",
        "estimated_cost_usd":"0.000000000000"},"folded_calls":2}"#;

    #[test]
    fn a_table_has_the_span_the_rows_and_the_total() {
        let page = shown(&client::read(BODY).unwrap(), None, Page::new(Screen::plain(80)));
        let shown = page.text();
        assert!(shown.starts_with("from 2026-11-01T00:00:00Z to 2026-11-02T00:00:00Z\n\n"));
        let line = |start: &str| {
            let found = shown.lines().find(|line| line.trim_start().starts_with(start));
            found.unwrap_or_else(|| panic!("{start} in\n{shown}")).to_owned()
        };
        assert!(line("support").contains("0.0012"));
        assert!(line("team").contains("tokens in") && !shown.contains("reasoning"), "{shown}");
        assert!(line("total").contains('3'));
        assert!(shown.contains("\n2 of these calls came in totals only: "));
        page.assert_fits(80);
    }
}
