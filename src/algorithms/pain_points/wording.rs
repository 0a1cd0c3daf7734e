//! A finding in sentences.

use super::{Comparison, Finding, Whom};

impl Finding {
    /// What hurts, in a sentence. `persona` is the name of the persona it is about; not read where it is about
    /// everybody.
    #[must_use]
    pub fn title(&self, persona: &str) -> String {
        let touchpoint = self.touchpoint.replace('_', " ");
        let place = match self.category.as_str() {
            "" => touchpoint,
            category => format!("{touchpoint} of {category}"),
        };
        let stage = &self.stage;
        match &self.whom {
            Whom::Everybody => format!("{place}: more people are lost here in {stage}"),
            Whom::Persona(_) => format!("{place}: more of {persona} are lost here in {stage}"),
            Whom::Unassigned => {
                format!("{place}: more people of no known persona are lost here in {stage}")
            }
        }
    }

    /// What was counted, and with what it is compared, in a sentence.
    #[must_use]
    pub fn evidence(&self) -> String {
        let (low, high) = self.window.interval();
        let what = match self.category.as_str() {
            "" => "stays that passed here",
            _ => "visits that looked here",
        };
        let compared = match self.comparison {
            Comparison::Before => format!(
                "as before ({} of {}) it would have been",
                self.before.lost, self.before.passed
            ),
            Comparison::Elsewhere => "as elsewhere it would have been".to_owned(),
        };
        format!(
            "{} of {} {what} were lost here: {:.1} % ({:.1} to {:.1} %); {compared} {:.1} %. That is {:.0} more, at \
             {:.1} times the odds; of findings as clear at most {} in 1,000 are \
             false.",
            self.window.lost,
            self.window.passed,
            100.0 * self.window.share(),
            100.0 * low,
            100.0 * high,
            100.0 * self.expected_share,
            self.extra_lost,
            self.odds_ratio,
            (1_000.0 * self.q_value).ceil().max(1.0),
        )
    }
}
