//! What kind of customer somebody is, how they are, and what is to be expected of them.

use std::collections::HashMap;

use super::customer::named;
use super::format::{happening, moment, rating, share, title, words};
use crate::proto::v1;

/// Of one customer, as the page shows it.
pub(super) struct Outlook {
    /// Persona and health, as far as they are known.
    pub(super) facts: Vec<(String, String)>,
    /// Why they are to be won back; absent: they are not.
    pub(super) recovery: Option<String>,
    /// Where they go next, the likeliest first.
    pub(super) next: Vec<Next>,
    /// What they do with which probability.
    pub(super) expected: Vec<(&'static str, String)>,
}

/// A stage they may enter next.
pub(super) struct Next {
    pub(super) stage: String,
    pub(super) probability: String,
    pub(super) reasons: Vec<String>,
}

impl Outlook {
    /// Of a customer whose persona has this name, if that is known.
    pub(super) fn of(
        customer: &v1::Customer,
        persona: Option<&str>,
        names: &HashMap<String, String>,
    ) -> Self {
        let mut facts = Vec::new();
        if !customer.persona_id.is_empty() {
            let name = persona.filter(|name| !name.is_empty());
            let name = name.unwrap_or(&customer.persona_id);
            facts.push(("Persona".to_owned(), name.to_owned()));
        }
        if !customer.health.is_empty() {
            facts.push(("Health".to_owned(), health(&customer.health)));
        }
        let stage = customer.stage.as_ref();
        let here = stage.map_or("", |stage| &stage.stage);
        let next = stage.map_or(&[][..], |stage| &stage.next_stages);
        let mut next: Vec<&v1::NextStage> = next.iter().collect();
        next.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        let low = customer
            .low_rating
            .as_ref()
            .filter(|_| customer.needs_recovery);
        Self {
            facts,
            recovery: low.map(|low| recovery(low, names)),
            next: next
                .into_iter()
                .map(|next| Next {
                    stage: match next.stage == here {
                        true => format!("Stay in {}, or leave", words(&next.stage)),
                        false => title(&next.stage),
                    },
                    probability: share(next.probability),
                    reasons: next.reasons.clone(),
                })
                .collect(),
            expected: customer
                .propensities
                .as_ref()
                .map_or_else(Vec::new, expected),
        }
    }
}

/// The health, with what it says.
fn health(name: &str) -> String {
    let says = match name {
        "active" => "ordered not long ago, by their usual gap",
        "due" => "the next order is to be expected about now",
        "at_risk" => "the next order is overdue",
        "lapsed" => "has not ordered for many times their usual gap",
        _ => return title(name),
    };
    format!("{}: {says}", title(name))
}

fn recovery(low: &v1::LowRating, names: &HashMap<String, String>) -> String {
    let of = match low.product_id.as_str() {
        "" => String::new(),
        id => format!(" for {}", named(names, id)),
    };
    format!(
        "To be won back: {} of {}{of}, {}.",
        kind(&low.event_type),
        rating(low.rating),
        moment(low.event_time.as_ref())
    )
}

fn kind(event_type: &str) -> String {
    match event_type {
        "nps_response" => format!("{} (0 to 10)", happening(event_type)),
        "csat_response" | "review" => format!("{} (1 to 5)", happening(event_type)),
        other => words(other),
    }
}

fn expected(said: &v1::Propensities) -> Vec<(&'static str, String)> {
    let all = [
        ("Buys within the time of this stage", said.buy),
        ("Leaves the cart unbought for 3 days", said.abandon_cart),
        (
            "Does not buy for twice their usual gap between orders",
            said.lapse,
        ),
    ];
    let told = all
        .into_iter()
        .filter_map(|(what, said)| Some((what, share(said?))));
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::super::customer::{Asked, Known, Shown, page};
    use super::*;
    use crate::domain::Places;

    const HOSTILE: &str = "<script>alert(\"x\")</script>'&";
    const ESCAPED: &str = "&#60;script&#62;alert(&#34;x&#34;)&#60;/script&#62;&#39;&#38;";

    fn shown(customer: v1::Customer, persona: Option<&str>) -> String {
        let known = Known {
            asked: Asked::default(),
            customer,
            persona: persona.map(str::to_owned),
            events: Ok(v1::ListEventsResponse::default()),
            stages: Vec::new(),
            explained: Ok(v1::ExplainRecommendationResponse::default()),
            names: [("p".to_owned(), HOSTILE.to_owned())].into(),
            offers: HashMap::new(),
        };
        page(
            "",
            &Places::default(),
            &Asked::default(),
            &Shown::One(Box::new(Ok(known))),
        )
        .unwrap()
    }

    fn customer(text: &str) -> v1::Customer {
        let next = |stage: &str, probability| v1::NextStage {
            stage: stage.to_owned(),
            probability,
            reasons: vec![text.to_owned()],
        };
        v1::Customer {
            customer_id: "anna".to_owned(),
            persona_id: text.to_owned(),
            health: "at_risk".to_owned(),
            needs_recovery: true,
            low_rating: Some(v1::LowRating {
                event_type: "nps_response".to_owned(),
                event_time: Some(prost_types::Timestamp {
                    seconds: 1_795_356_180,
                    nanos: 0,
                }),
                rating: 3.0,
                product_id: "p".to_owned(),
            }),
            stage: Some(v1::Stage {
                stage: "retention".to_owned(),
                next_stages: vec![next(text, 0.275), next("retention", 0.725)],
                ..v1::Stage::default()
            }),
            propensities: Some(v1::Propensities {
                buy: Some(0.125),
                abandon_cart: None,
                lapse: Some(f64::NAN),
            }),
            ..v1::Customer::default()
        }
    }

    #[test]
    fn whatever_is_said_of_somebody_is_shown_as_text() {
        let page = shown(customer(HOSTILE), Some(HOSTILE));
        assert!(!page.contains("<script>") && !page.contains("NaN"));
        // the persona, the product, one stage, two reasons
        assert_eq!(page.matches(ESCAPED).count(), 5, "{page}");
        for part in [
            "<dt>Health</dt><dd>At risk: the next order is overdue</dd>",
            "To be won back: NPS answer (0 to 10) of 3 for &#60;script",
            ", 2026-11-22 14:03 UTC.",
            "<b>Stay in retention, or leave</b> <span class=\"soft\">72.5 %</span>",
            "<dt>Buys within the time of this stage</dt><dd>12.5 %</dd>",
            "usual gap between orders</dt><dd>–</dd>",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("Leaves the cart"));
        assert!(
            page.find("72.5 %") < page.find("27.5 %"),
            "the likeliest first"
        );
    }

    #[test]
    fn what_is_not_known_is_not_shown() {
        let text = shown(customer("p7"), None);
        assert!(text.contains("<dt>Persona</dt><dd>p7</dd>"));
        let named = shown(customer("p7"), Some("Bargain hunters"));
        assert!(named.contains("<dd>Bargain hunters</dd>") && !named.contains("<dd>p7</dd>"));
        let new = v1::Customer {
            customer_id: "new".to_owned(),
            ..v1::Customer::default()
        };
        let text = shown(new, None);
        for part in ["<dt>Persona", "<dt>Health", "won back", "What comes next"] {
            assert!(!text.contains(part), "{part}: {text}");
        }
    }
}
