//! One customer's journey: where they stand and why, what would be recommended and why, what they did day by day.

use std::collections::HashMap;

use askama::Template;
use tonic::Status;

use super::asked::{Picked, encoded};
use super::dropped::{self, Dropped};
use super::format::{count, happening, many, moment, money, number, share, title, words};
use super::outlook::Outlook;
use super::parts::{Downloads, Frame, Notice, Page};
use super::timeline::{self, Day, Wording};
use crate::domain::Places;
use crate::proto::v1;

/// The most events of a page of the timeline.
pub(super) const MAX_EVENTS: i32 = 200;

/// Who is asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) customer_id: String,
    pub(super) visitor_id: String,
    pub(super) page_token: String,
}

impl Asked {
    /// The page of the timeline that begins at a token; empty: the newest.
    fn at(&self, page_token: &str) -> String {
        let page = Self {
            page_token: page_token.to_owned(),
            ..self.clone()
        };
        format!("{}{}#happened", Page::Customers.path(), page.query())
    }

    /// As the query of a URL.
    fn query(&self) -> String {
        let parts = [
            ("customer_id", &self.customer_id),
            ("visitor_id", &self.visitor_id),
            ("page_token", &self.page_token),
        ];
        let parts = parts.iter().filter(|(_, value)| !value.is_empty());
        let parts = parts.map(|(name, value)| format!("{name}={}", encoded(value)));
        format!("?{}", parts.collect::<Vec<_>>().join("&"))
    }
}

/// What is known of a customer.
pub(super) struct Known {
    /// Who it is: of a visitor who turned out to be a customer, the customer.
    pub(super) asked: Asked,
    pub(super) customer: v1::Customer,
    /// The name of their persona.
    pub(super) persona: Option<String>,
    /// A page of them, the newest first, and where the next page begins.
    pub(super) events: Result<v1::ListEventsResponse, Status>,
    /// The stages of the journey, in order.
    pub(super) stages: Vec<String>,
    pub(super) explained: Result<v1::ExplainRecommendationResponse, Status>,
    /// Names of products by their ids.
    pub(super) names: HashMap<String, String>,
    /// Names of offers by their ids.
    pub(super) offers: HashMap<String, String>,
}

/// What the page shows below its form.
pub(super) enum Shown {
    /// Whoever asks has no right to personal data.
    Hidden,
    /// Some customers to choose from.
    Some(Result<v1::ListCustomersResponse, Status>),
    /// One of them.
    One(Box<Result<Known, Status>>),
}

#[derive(Template)]
#[template(
    path = "customer.html",
    config = "src/transport/http/dashboard/askama.toml"
)]
struct CustomerPage {
    frame: Frame,
    customer_id: String,
    visitor_id: String,
    hidden: bool,
    notice: Option<Notice>,
    /// Whether no customer is known at all.
    nobody: bool,
    some: Vec<One>,
    more: Option<String>,
    view: Option<View>,
}

struct One {
    id: String,
    href: String,
    told: String,
}

struct View {
    name: String,
    stage: String,
    facts: Vec<(String, String)>,
    why: Vec<String>,
    outlook: Outlook,
    products: Vec<Recommended>,
    offers: Vec<Recommended>,
    offer_note: String,
    dropped: Vec<Dropped>,
    notices: Vec<Notice>,
    days: Vec<Day>,
    picture: String,
    downloads: Downloads,
    /// Where newer and older steps are.
    newest: Option<String>,
    older: Option<String>,
}

struct Recommended {
    name: String,
    score: String,
    reasons: Vec<String>,
}

/// The page.
pub(super) fn page(
    shop: &str,
    places: &Places,
    asked: &Asked,
    shown: &Shown,
) -> askama::Result<String> {
    let failed = match shown {
        Shown::Hidden => None,
        Shown::Some(list) => list.as_ref().err(),
        Shown::One(known) => known.as_ref().as_ref().err(),
    };
    let list = match shown {
        Shown::Some(Ok(list)) => Some(list),
        _ => None,
    };
    let view = match shown {
        Shown::One(known) => known
            .as_ref()
            .as_ref()
            .ok()
            .map(|known| view(places, known)),
        _ => None,
    };
    let more = list
        .filter(|list| !list.next_page_token.is_empty())
        .map(|list| {
            let token = encoded(&list.next_page_token);
            format!("{}?page_token={token}", Page::Customers.path())
        });
    let mut frame = Frame::new(Page::Customers, shop, &Picked::default());
    if let Some(view) = &view {
        frame.title.clone_from(&view.name);
    }
    CustomerPage {
        frame,
        nobody: list.is_some_and(|list| list.customers.is_empty()) && asked.page_token.is_empty(),
        customer_id: asked.customer_id.clone(),
        visitor_id: asked.visitor_id.clone(),
        hidden: matches!(shown, Shown::Hidden),
        notice: failed.map(|status| Notice::of("This cannot be shown", status)),
        some: list.map_or_else(Vec::new, |list| list.customers.iter().map(one).collect()),
        more,
        view,
    }
    .render()
}

fn one(customer: &v1::Customer) -> One {
    let stage = customer.stage.as_ref().map_or("", |stage| &stage.stage);
    One {
        id: customer.customer_id.clone(),
        href: format!(
            "{}?customer_id={}",
            Page::Customers.path(),
            encoded(&customer.customer_id)
        ),
        told: format!(
            "in {}, {}, {}",
            words(stage),
            many(customer.event_count, "event"),
            many(customer.order_count, "order")
        ),
    }
}

fn view(places: &Places, known: &Known) -> View {
    let (asked, customer) = (&known.asked, &known.customer);
    let stage = customer.stage.clone().unwrap_or_default();
    let mut facts = vec![
        (
            "First seen".to_owned(),
            moment(customer.first_event_time.as_ref()),
        ),
        (
            "Last seen".to_owned(),
            moment(customer.last_event_time.as_ref()),
        ),
        ("Events".to_owned(), count(customer.event_count)),
        ("Orders".to_owned(), count(customer.order_count)),
        (
            "Different products bought".to_owned(),
            count(customer.product_count),
        ),
    ];
    let mut traits: Vec<_> = customer.traits.iter().collect();
    traits.sort_unstable();
    facts.extend(
        traits
            .into_iter()
            .map(|(name, value)| (title(name), told_trait(places, name, value))),
    );
    let product = |id: &str| named(&known.names, id);
    let why = stage.evidence.iter().map(|evidence| {
        let what = happening(&evidence.event_type);
        let of = match evidence.product_id.as_str() {
            "" => String::new(),
            id => format!(": {}", product(id)),
        };
        format!("{} {what}{of}", moment(evidence.event_time.as_ref()))
    });
    let mut notices = Vec::new();
    let none = v1::ExplainRecommendationResponse::default();
    let explained = known.explained.as_ref().unwrap_or_else(|status| {
        notices.push(Notice::of(
            "What would be recommended cannot be shown",
            status,
        ));
        &none
    });
    let no_events = v1::ListEventsResponse::default();
    let page = known.events.as_ref().unwrap_or_else(|status| {
        notices.push(Notice::of("What happened cannot be shown", status));
        &no_events
    });
    let older = Some(&page.next_page_token).filter(|token| !token.is_empty());
    let events = &page.events;
    let answer = explained.response.clone().unwrap_or_default();
    let id = match customer.customer_id.as_str() {
        "" => format!("Visitor {}", customer.visitor_id),
        id => format!("Customer {id}"),
    };
    let since = stage.since.as_ref();
    let words_of = Wording {
        names: &known.names,
        places,
    };
    View {
        name: id,
        stage: format!(
            "In {}{}",
            words(&stage.stage),
            since.map_or_else(String::new, |since| format!(
                " since {}",
                moment(Some(since))
            ))
        ),
        facts,
        why: why.collect(),
        outlook: Outlook::of(customer, known.persona.as_deref(), &known.names),
        products: answer
            .products
            .iter()
            .map(|p| recommended(p, &known.names))
            .collect(),
        offers: explained
            .kept_offers
            .iter()
            .map(|o| offered(o, &known.names))
            .collect(),
        offer_note: offer_note(&answer),
        dropped: dropped::by_reason(&explained.dropped_offers, &known.offers),
        notices,
        days: timeline::days(events, words_of),
        picture: timeline::picture(events, &known.stages, words_of),
        downloads: Downloads::at(
            "/dashboard/customers/timeline",
            &asked.query(),
            "these steps",
        ),
        newest: (!asked.page_token.is_empty()).then(|| asked.at("")),
        older: older.map(|token| asked.at(token)),
    }
}

/// A trait as people read it: yes or no, a moment, a name of configuration, or what it says.
fn told_trait(places: &Places, name: &str, value: &str) -> String {
    match value {
        "true" => return "yes".to_owned(),
        "false" => return "no".to_owned(),
        _ => {}
    }
    // as the map calls it
    if name.contains("channel") || name.contains("touchpoint") {
        return title(places.unaliased(value));
    }
    if let Ok(time) = value.parse::<prost_types::Timestamp>() {
        return moment(Some(&time));
    }
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    match value.contains('_') && value.chars().all(is_plain) {
        true => title(value),
        false => value.to_owned(),
    }
}

/// The name of a product; its id if it has none.
pub(super) fn named(names: &HashMap<String, String>, id: &str) -> String {
    match names.get(id).map(String::as_str) {
        None | Some("") => id.to_owned(),
        Some(name) => name.to_owned(),
    }
}

fn reasons(reasons: &[v1::Reason], names: &HashMap<String, String>) -> Vec<String> {
    let reasons = reasons
        .iter()
        .map(|reason| match reason.because_product_id.as_str() {
            "" => reason.text.clone(),
            id => {
                let product = named(names, id);
                match reason.text.contains(&product) {
                    true => reason.text.clone(),
                    false => format!("{} (because of {product})", reason.text),
                }
            }
        });
    reasons.collect()
}

fn recommended(product: &v1::RecommendedProduct, names: &HashMap<String, String>) -> Recommended {
    Recommended {
        name: named(names, &product.product_id),
        score: match product.calibrated {
            true => format!("probability {}", share(product.score)),
            false => format!("score {}", number(product.score)),
        },
        reasons: reasons(&product.reasons, names),
    }
}

fn offered(offer: &v1::RecommendedOffer, names: &HashMap<String, String>) -> Recommended {
    let name = match offer.name.as_str() {
        "" => &offer.offer_id,
        name => name,
    };
    Recommended {
        name: name.to_owned(),
        score: format!(
            "expected to bring {}",
            money(offer.score, &offer.currency_code)
        ),
        reasons: reasons(&offer.reasons, names),
    }
}

fn offer_note(answer: &v1::RecommendResponse) -> String {
    if answer.offer_holdout {
        return "This customer never gets an offer, so that what offers do can be measured."
            .to_owned();
    }
    let chosen: Vec<&str> = answer
        .offers
        .iter()
        .map(|offer| match offer.name.as_str() {
            "" => offer.offer_id.as_str(),
            name => name,
        })
        .collect();
    match chosen.is_empty() {
        true => "No offer would be shown now.".to_owned(),
        false => format!("Would be shown now: {}.", chosen.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::journey::KindSet;
    use crate::domain::places::Described;

    #[test]
    fn traits_are_told_as_people_read_them() {
        let places = Places {
            touchpoints: vec![Described {
                name: "website".into(),
                kinds: KindSet::default(),
                aliases: vec!["site".into()],
            }],
            ..Places::default()
        };
        let told = ["search_ad", "2026-08-25T11:31:09Z", "FR", "c_1", "gold"];
        assert_eq!(
            told.map(|value| told_trait(&places, "of", value)),
            ["Search ad", "2026-08-25 11:31 UTC", "FR", "c_1", "gold"]
        );
        assert_eq!(told_trait(&places, "consent", "true"), "yes");
        assert_eq!(told_trait(&places, "signup_channel", "site"), "Website");
        assert_eq!(told_trait(&places, "building", "site"), "site");
    }

    #[test]
    fn what_a_reason_says_is_not_said_twice() {
        let because = |text: &str| v1::Reason {
            text: text.to_owned(),
            because_product_id: "p".to_owned(),
            ..v1::Reason::default()
        };
        let names = [("p".to_owned(), "Lamp".to_owned())].into();
        let told = reasons(
            &[because("goes with Lamp"), because("goes together")],
            &names,
        );
        assert_eq!(told, ["goes with Lamp", "goes together (because of Lamp)"]);
    }
}
