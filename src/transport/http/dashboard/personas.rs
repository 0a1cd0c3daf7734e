//! The kinds of customers, a card each.

use askama::Template;
use tonic::Status;

use super::asked::{Picked, encoded};
use super::format::{count, cut, many, money, number, share, title};
use super::parts::{Downloads, Frame, Notice, Page};
use super::svg::Svg;
use crate::proto::v1;

/// The most personas of a page.
const MAX_PERSONAS: usize = 24;

#[derive(Template)]
#[template(
    path = "personas.html",
    config = "src/transport/http/dashboard/askama.toml"
)]
struct PersonasPage {
    frame: Frame,
    notice: Option<Notice>,
    view: Option<View>,
}

struct View {
    told: String,
    picture: String,
    downloads: Downloads,
    cards: Vec<Card>,
}

struct Card {
    id: String,
    name: String,
    size: String,
    description: String,
    traits: Vec<String>,
    stages: String,
    href: String,
    kpis: String,
}

/// The page; `order` has the stages in the order of the journey, as far as they are known.
pub(super) fn page(
    shop: &str,
    personas: &Result<v1::ListPersonasResponse, Status>,
    order: &[String],
) -> askama::Result<String> {
    let failed = personas.as_ref().err();
    PersonasPage {
        frame: Frame::new(Page::Personas, shop, &Picked::default()),
        notice: failed.map(|status| Notice::of("Personas cannot be shown", status)),
        view: personas.as_ref().ok().map(|known| view(known, order)),
    }
    .render()
}

fn view(known: &v1::ListPersonasResponse, order: &[String]) -> View {
    let told = match known.personas.len() {
        0 => "No personas have been learned yet. They come with a training run, once enough customers have bought: \
              “Train now” on the page Models."
            .to_owned(),
        kinds => format!(
            "{kinds} kinds of customers, found by what they do; {} too little history to say. How well they are told \
             apart: {} on a scale from −1 (not at all) to 1 (they have nothing in common; mean silhouette).",
            match known.unassigned_count {
                1 => "1 customer has".to_owned(),
                people => format!("{} customers have", count(people)),
            },
            number(known.silhouette)
        ),
    };
    let cards = known
        .personas
        .iter()
        .take(MAX_PERSONAS)
        .map(|persona| Card {
            id: encoded(&persona.persona_id),
            name: persona.name.clone(),
            size: format!(
                "{}, {}",
                many(persona.customer_count, "customer"),
                share(persona.share)
            ),
            description: persona.description.clone(),
            traits: persona
                .traits
                .iter()
                .map(|of| told_trait(of, &known.currency_code))
                .collect(),
            stages: stages(persona, order),
            href: format!(
                "{}?persona_id={}",
                Page::Journey.path(),
                encoded(&persona.persona_id)
            ),
            kpis: format!(
                "{}?persona_id={}",
                Page::Kpis.path(),
                encoded(&persona.persona_id)
            ),
        });
    View {
        told,
        picture: picture(known),
        downloads: Downloads::at("/dashboard/personas", "", "customers by persona"),
        cards: cards.collect(),
    }
}

fn told_trait(of: &v1::PersonaTrait, currency: &str) -> String {
    let text = match of.text.as_str() {
        "" => &of.feature,
        text => text,
    };
    let unit = unit(&of.feature);
    let told = |value| match &*of.feature {
        "basket_value" => money(value, currency),
        _ if unit.starts_with(" of ") => share(value),
        _ => number(value),
    };
    format!(
        "{text}: {}{unit} (all customers: {})",
        told(of.value),
        told(of.mean)
    )
}

/// What stands behind a value of a feature; shares are of something.
fn unit(feature: &str) -> &'static str {
    match feature {
        "office_hours" | "evenings" | "nights" | "weekends" | "orders_per_visit" => " of visits",
        "offers_redeemed" => " of orders",
        "new_products" => " of what they buy",
        "price_level" => " standard deviations from the usual price",
        "units_per_line" => " units",
        "lines_per_order" => " products",
        _ if feature.starts_with("way:") => " of visits",
        _ if feature.starts_with("share:") => " of what they buy",
        _ if feature.ends_with("_days") => " days",
        _ if feature.ends_with("_per_month") => " a month",
        _ if feature.ends_with("_per_visit") => " a visit",
        _ if feature.ends_with("_per_order") => " an order",
        _ => "",
    }
}

/// How many are where now, in the order of the journey.
fn stages(persona: &v1::Persona, order: &[String]) -> String {
    let mut there: Vec<(&String, &i64)> = persona.customers_by_stage.iter().collect();
    let place = |stage: &String| {
        order
            .iter()
            .position(|other| other == stage)
            .unwrap_or(usize::MAX)
    };
    there.sort_by_key(|&(stage, _)| (place(stage), stage.clone()));
    let there: Vec<String> = there
        .into_iter()
        .map(|(stage, people)| format!("{} {}", title(stage), count(*people)))
        .collect();
    there.join(", ")
}

/// A bar for each persona, as long as it has customers.
pub(super) fn picture(known: &v1::ListPersonasResponse) -> String {
    let personas = &known.personas[..known.personas.len().min(MAX_PERSONAS)];
    let described: Vec<String> = personas
        .iter()
        .map(|p| {
            format!(
                "{}: {} customers, {}.",
                p.name,
                count(p.customer_count),
                share(p.share)
            )
        })
        .collect();
    let height = 12 + 30 * personas.len().max(1) as u32;
    let mut svg = Svg::new(
        "personas",
        900,
        height,
        "Customers by persona",
        &described.join(" "),
    );
    let most = personas
        .iter()
        .map(|p| p.customer_count)
        .max()
        .unwrap_or(0)
        .max(1) as f64;
    let mut y = 6.0;
    for persona in personas {
        let wide = 480.0 * (persona.customer_count.max(0) as f64 / most);
        svg.label("label", [238.0, y + 16.0], "end", &cut(&persona.name, 34));
        svg.bar("on", [250.0, y + 2.0], [wide, 20.0], &persona.name);
        let told = format!(
            "{}, {}",
            count(persona.customer_count),
            share(persona.share)
        );
        svg.label("small", [258.0 + wide, y + 16.0], "start", &told);
        y += 30.0;
    }
    svg.finish()
}

/// The personas as rows, the first one their names.
pub(super) fn rows(known: &v1::ListPersonasResponse) -> Vec<Vec<String>> {
    let heads = ["persona_id", "name", "customers", "share", "description"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let each = known.personas.iter().map(|persona| {
        vec![
            persona.persona_id.clone(),
            persona.name.clone(),
            persona.customer_count.to_string(),
            persona.share.to_string(),
            persona.description.clone(),
        ]
    });
    rows.extend(each);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::personas::Scale;

    #[test]
    fn a_trait_is_told_in_its_unit() {
        let told = |feature: &str, value, mean| {
            let of = v1::PersonaTrait {
                feature: feature.to_owned(),
                text: "so".to_owned(),
                value,
                mean,
                ..v1::PersonaTrait::default()
            };
            told_trait(&of, "EUR")
        };
        let told = [
            told("way:store", 0.073, 0.049),
            told("share:Phones", 0.5, 0.25),
            told("nights", 0.283, 0.098),
            told("basket_value", 247.2, 105.0),
            told("recency_days", 12.3, 30.0),
            told("visits_per_month", 1.82, 2.28),
            told("something_new", 1.5, 2.0),
        ];
        assert_eq!(
            told,
            [
                "so: 7.3 % of visits (all customers: 4.9 %)",
                "so: 50.0 % of what they buy (all customers: 25.0 %)",
                "so: 28.3 % of visits (all customers: 9.8 %)",
                "so: €247 (all customers: €105)",
                "so: 12.3 days (all customers: 30.0)",
                "so: 1.82 a month (all customers: 2.28)",
                "so: 1.50 (all customers: 2.00)",
            ]
        );
    }

    /// What is learned as a share is told as one.
    #[test]
    fn every_share_is_known_as_one() {
        let columns = crate::state::profile::Assortment::default().columns();
        for column in columns {
            let is_share = matches!(column.scale, Scale::Share | Scale::Part);
            let told = unit(&column.name);
            assert_eq!(
                told.starts_with(" of "),
                is_share,
                "{}: {told}",
                column.name
            );
        }
    }
}
