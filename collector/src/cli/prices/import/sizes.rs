//! Sizes of models, put into a price file whose other lines stay as they are: its comments, factors and
//! multipliers.

use std::fmt::Write as _;

use tollgate_core::price::{PricedModel, quoted};

/// The file with the sizes of these models behind their ids.
pub(super) fn written(text: &str, models: &[PricedModel]) -> String {
    let mut written = String::with_capacity(text.len());
    let mut in_model = false;
    for line in text.lines() {
        if line.starts_with('[') {
            in_model = line.trim_end() == "[[model]]";
        }
        let was_size = in_model && SIZES.iter().any(|key| is_key(line, key));
        if !was_size {
            let _ = writeln!(written, "{line}");
        }
        if in_model && is_key(line, "id") {
            let of_line = |model: &&PricedModel| line.trim_end().ends_with(&quoted(&model.id));
            if let Some(model) = models.iter().find(of_line) {
                for (key, tokens) in SIZES.iter().zip([model.context_tokens, model.output_tokens]) {
                    if let Some(tokens) = tokens {
                        let _ = writeln!(written, "{key} = {tokens}");
                    }
                }
            }
        }
    }
    written
}

fn is_key(line: &str, key: &str) -> bool {
    line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
}

const SIZES: [&str; 2] = ["context_tokens", "output_tokens"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_change_and_everything_else_stays() {
        let text = "# comment\n[[model]]\nid = \"a\"\noutput_tokens = 1\naliases = [\"b\"]\n\
                    [[model.price]]\ntokens = { input = \"1\" } # id = \"a\"\n[[model]]\nid = \"c\"\n";
        let model = |id: &str, context_tokens, output_tokens| PricedModel {
            id: id.into(),
            context_tokens,
            output_tokens,
            ..PricedModel::default()
        };
        let models = [model("a", Some(10), Some(5)), model("c", None, Some(7))];
        let expected = "# comment\n[[model]]\nid = \"a\"\ncontext_tokens = 10\noutput_tokens = 5\naliases = [\"b\"]\n\
                        [[model.price]]\ntokens = { input = \"1\" } # id = \"a\"\n[[model]]\nid = \"c\"\noutput_tokens = 7\n";
        assert_eq!(written(text, &models), expected);
        assert_eq!(written(expected, &models), expected);
    }
}
