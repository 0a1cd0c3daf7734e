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
        if !self.category.is_empty() {
            let of = match &self.whom {
                Whom::Everybody => String::new(),
                Whom::Persona(_) => format!(" of {persona}"),
                Whom::Unassigned => " of people of no known persona".to_owned(),
            };
            return format!("{place}: more visits{of} end here in {stage}");
        }
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
            "" => "stays that passed here were lost here",
            _ => "visits that looked here ended here",
        };
        let compared = match self.comparison {
            Comparison::Before => format!(
                "as before ({} of {}) it would have been",
                self.before.lost, self.before.passed
            ),
            Comparison::Elsewhere => "as elsewhere it would have been".to_owned(),
        };
        format!(
            "{} of {} {what}: {:.1} % ({:.1} to {:.1} %); {compared} {:.1} %. That is {:.0} more, at \
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

#[cfg(test)]
mod tests {
    use super::super::Counts;
    use super::*;

    fn finding(category: &str, whom: Whom) -> Finding {
        Finding {
            id: String::new(),
            stage: "consideration".to_owned(),
            touchpoint: "product_page".to_owned(),
            whom,
            category: category.to_owned(),
            comparison: Comparison::Before,
            window: Counts {
                passed: 100,
                lost: 40,
            },
            before: Counts {
                passed: 400,
                lost: 80,
            },
            expected_share: 0.2,
            extra_lost: 20.0,
            odds_ratio: 2.7,
            lost_value: 0.0,
            q_value: 0.001,
        }
    }

    #[test]
    fn people_are_lost_and_visits_end() {
        let persona = || Whom::Persona("p1".to_owned());
        let titles = [
            finding("", Whom::Everybody),
            finding("", persona()),
            finding("Phones", Whom::Everybody),
            finding("Phones", persona()),
            finding("Phones", Whom::Unassigned),
        ]
        .map(|finding| finding.title("Gamers"));
        let wanted = [
            "product page: more people are lost here in consideration",
            "product page: more of Gamers are lost here in consideration",
            "product page of Phones: more visits end here in consideration",
            "product page of Phones: more visits of Gamers end here in consideration",
            "product page of Phones: more visits of people of no known persona end here in consideration",
        ];
        assert_eq!(titles, wanted);
        let stays = finding("", Whom::Everybody).evidence();
        assert!(
            stays.starts_with("40 of 100 stays that passed here were lost here: 40.0 % ("),
            "{stays}"
        );
        let visits = finding("Phones", Whom::Everybody).evidence();
        assert!(
            visits.starts_with("40 of 100 visits that looked here ended here: 40.0 % ("),
            "{visits}"
        );
    }
}
