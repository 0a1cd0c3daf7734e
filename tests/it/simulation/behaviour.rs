//! The simulated shop behaves as its model says, and the truth files tell the truth.

use std::collections::{HashMap, HashSet};

use nextbest::simulation::{EventKind, OfferKind, Simulation, week_purchase};

use super::{DAY, Row, SHOP, Seen, read, seconds, settings, write};

fn of_kind(kind: &str) -> impl Iterator<Item = &'static Seen> {
    SHOP.events.iter().filter(move |event| event.kind == kind)
}

fn mean(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "a mean of nothing");
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn personas_differ_in_what_can_be_seen() {
    let shop = &*SHOP;
    let about = |persona: &str, of: &dyn Fn(&Seen) -> Option<f64>| {
        let theirs = shop.events.iter().filter(|event| {
            shop.personas
                .get(&event.customer)
                .is_some_and(|found| found == persona)
        });
        mean(&theirs.filter_map(of).collect::<Vec<_>>())
    };
    let units = |event: &Seen| {
        (event.kind == "purchase").then(|| event.row["quantity"].parse::<f64>().unwrap())
    };
    let (tech, everyday, business) = ("tech_enthusiast", "everyday_consumer", "business_client");
    assert!(about(business, &units) > 3.0 * about(everyday, &units));
    let evening = |event: &Seen| {
        let hour = event.time.rem_euclid(DAY) / 3_600;
        Some(f64::from(u8::from(hour >= 19)))
    };
    assert!(about(tech, &evening) > 1.5 * about(everyday, &evening));
    assert!(about(everyday, &evening) > 2.0 * about(business, &evening));
    let reduced = |event: &Seen| {
        let price = shop
            .products
            .get(&event.product)
            .filter(|_| event.kind == "purchase")?;
        let list = price["price"].parse::<f64>().unwrap();
        Some(f64::from(u8::from(
            event.row["unit_price"].parse::<f64>().unwrap() < 0.94 * list,
        )))
    };
    assert!(about(everyday, &reduced) > 1.2 * about(tech, &reduced));
    let office = |event: &Seen| {
        let product = shop
            .products
            .get(&event.product)
            .filter(|_| event.kind == "view_item")?;
        Some(f64::from(u8::from(
            product["category"].starts_with("Office"),
        )))
    };
    assert!(about(business, &office) > 3.0 * about(tech, &office));
}

#[test]
fn accessories_follow_their_main_product() {
    let shop = &*SHOP;
    let role = |product: &str| shop.truth_products[product]["role"].as_str();
    let fits = |product: &str| shop.truth_products[product]["fits"].as_str();
    let department = |product: &str| shop.products[product]["category"].split(" > ").next();
    let mut bought: HashMap<&str, Vec<(&str, i64)>> = HashMap::new();
    for event in of_kind("purchase").filter(|event| !event.customer.is_empty()) {
        bought
            .entry(&event.customer)
            .or_default()
            .push((&event.product, event.time));
    }
    let (mut after, mut before, mut fitting, mut others) = (0, 0, 0, 0);
    for mine in bought.values() {
        for &(main, at) in mine.iter().filter(|(product, _)| role(product) == "main") {
            let accessories = mine
                .iter()
                .filter(|(product, _)| role(product) == "accessory")
                .filter(|(product, _)| department(product) == department(main));
            for &(accessory, then) in accessories {
                after += u32::from(then > at && then <= at + 14 * DAY);
                before += u32::from(then < at && then >= at - 14 * DAY);
                if then > at && then <= at + 14 * DAY && !fits(accessory).is_empty() {
                    fitting += u32::from(fits(accessory) == main);
                    others += u32::from(fits(accessory) != main);
                }
            }
        }
    }
    assert!(
        after > 60 && after > 2 * before,
        "{after} after, {before} before"
    );
    assert!(fitting > others, "{fitting} fit, {others} do not");
}

#[test]
fn what_is_needed_again_is_known_at_every_purchase() {
    let shop = &*SHOP;
    let mut refills: HashMap<(&str, &str), Vec<&Row>> = HashMap::new();
    for row in &shop.refills {
        let pair = (row["customer_id"].as_str(), row["product_id"].as_str());
        refills.entry(pair).or_default().push(row);
    }
    let mut next_times = 0;
    for row in &shop.due {
        let pair = (row["customer_id"].as_str(), row["product_id"].as_str());
        let refills = &refills[&pair];
        assert_eq!(refills.len().to_string(), row["purchases"]);
        let newest = refills[refills.len() - 1];
        assert_eq!(newest["purchased_at"], row["last_purchase_at"]);
        if row["active"] == "true" {
            assert_eq!(newest["next_due_at"], row["next_purchase_at"]);
        }
        // a need is met when it comes, by this product or another of its family, unless something was in between
        for two in refills
            .windows(2)
            .filter(|two| !two[0]["next_due_at"].is_empty())
        {
            let due = seconds(&two[0]["next_due_at"]);
            let met = seconds(&two[1]["purchased_at"]) - due;
            next_times += u32::from((0..2 * DAY).contains(&met));
        }
    }
    let bought: HashSet<(&str, &str, i64)> = of_kind("purchase")
        .map(|event| (&*event.customer, &*event.product, event.time))
        .collect();
    let known = shop.refills.iter().filter(|row| {
        let time = seconds(&row["purchased_at"]);
        bought.contains(&(&*row["customer_id"], &*row["product_id"], time))
    });
    // the others were bought as a guest
    let share = known.count() as f64 / shop.refills.len() as f64;
    assert!(share > 0.9 && next_times > 1_000, "{share} {next_times}");
}

#[test]
fn replenishment_keeps_the_true_rhythm() {
    let shop = &*SHOP;
    let mut bought: HashMap<(&str, &str), Vec<i64>> = HashMap::new();
    for event in of_kind("purchase").filter(|event| !event.customer.is_empty()) {
        bought
            .entry((&event.customer, &event.product))
            .or_default()
            .push(event.time);
    }
    let (mut ratios, mut said, mut spread, mut came) = (Vec::new(), 0.0, 0.0, 0.0);
    let end = seconds("2026-06-30T00:00:00Z");
    for row in &shop.due {
        let pair = (row["customer_id"].as_str(), row["product_id"].as_str());
        let times = &bought.get(&pair).cloned().unwrap_or_default();
        let last = seconds(&row["last_purchase_at"]);
        assert!(times.last().is_none_or(|&time| time == last));
        let rhythm: f64 = row["mean_rhythm_days"].parse().unwrap();
        let mut gaps: Vec<f64> = times
            .windows(2)
            .map(|two| (two[1] - two[0]) as f64 / DAY as f64)
            .collect();
        if gaps.len() >= 4 {
            // The median: a habit that ended and began again leaves one long gap.
            gaps.sort_by(f64::total_cmp);
            ratios.push(gaps[gaps.len() / 2] / rhythm);
        }
        if row["active"] == "true" {
            let next = seconds(&row["next_purchase_at"]);
            assert!(next > last && next >= end);
            came += f64::from(u8::from(next < end + 7 * DAY));
        }
        let probability: f64 = row["purchase_probability_7_days"].parse().unwrap();
        assert!((0.0..=1.0).contains(&probability));
        said += probability;
        spread += probability * (1.0 - probability);
    }
    // The drawn purchases of the next week are as many as the stated probabilities say.
    assert!(said > 20.0 && (came - said).abs() < 3.0 * f64::sqrt(spread) + 0.03 * said);
    assert!(ratios.len() > 100, "{} pairs", ratios.len());
    assert!(
        (mean(&ratios) - 1.0).abs() < 0.06,
        "median gap / rhythm is {}",
        mean(&ratios)
    );
}

#[test]
fn no_product_is_seen_before_its_launch() {
    let shop = &*SHOP;
    let launches: HashMap<&str, i64> = shop
        .products
        .iter()
        .map(|(id, row)| (id.as_str(), seconds(&row["created_at"])))
        .collect();
    let start = seconds("2025-06-30T00:00:00Z");
    assert!(launches.values().filter(|&&at| at > start).count() > 20);
    let mut seen_new = HashSet::new();
    for event in shop.events.iter().filter(|event| !event.product.is_empty()) {
        let launch = launches[event.product.as_str()];
        assert!(event.time >= launch, "{} before its launch", event.product);
        if launch > start {
            seen_new.insert(event.product.as_str());
        }
    }
    assert!(seen_new.len() > 15);
}

#[test]
fn refunds_and_reviews_come_after_their_purchase() {
    let mut bought = HashMap::new();
    let (mut refunds, mut reviews) = (0, 0);
    for event in &SHOP.events {
        let line = (event.order.as_str(), event.product.as_str());
        match event.kind.as_str() {
            "purchase" => drop(bought.insert(line, event.time)),
            "refund" | "review" => {
                assert!(
                    bought.get(&line).is_some_and(|&at| at < event.time),
                    "{:?}",
                    event.row
                );
                refunds += u32::from(event.kind == "refund");
                reviews += u32::from(event.kind == "review");
            }
            _ => {}
        }
    }
    assert!(refunds > 50 && reviews > 100);
}

#[test]
fn late_deliveries_and_returns_lower_ratings() {
    let paid: HashMap<&str, i64> = of_kind("purchase")
        .map(|event| (event.order.as_str(), event.time))
        .collect();
    let late: HashSet<&str> = of_kind("order_delivered")
        .filter(|event| event.time - paid[event.order.as_str()] > 4 * DAY)
        .map(|event| event.order.as_str())
        .collect();
    let returned: HashSet<(&str, &str)> = of_kind("refund")
        .map(|event| (event.order.as_str(), event.product.as_str()))
        .collect();
    let (mut fine, mut waited, mut sent_back) = (Vec::new(), Vec::new(), Vec::new());
    for event in of_kind("review") {
        let rating: f64 = event.row["rating"].parse().unwrap();
        if returned.contains(&(event.order.as_str(), event.product.as_str())) {
            sent_back.push(rating);
        } else if late.contains(event.order.as_str()) {
            waited.push(rating);
        } else {
            fine.push(rating);
        }
    }
    assert!(
        mean(&waited) < mean(&fine) - 0.5,
        "{} and {}",
        mean(&waited),
        mean(&fine)
    );
    assert!(mean(&sent_back) < mean(&fine) - 0.5);
}

#[test]
fn guests_make_accounts_and_log_in() {
    let shop = &*SHOP;
    let accounts: HashMap<&str, i64> = shop
        .customers
        .iter()
        .map(|row| (row["customer_id"].as_str(), seconds(&row["signed_up_at"])))
        .collect();
    for event in shop
        .events
        .iter()
        .filter(|event| !event.customer.is_empty())
    {
        assert!(
            event.time >= accounts[event.customer.as_str()],
            "{:?}",
            event.row
        );
    }
    let mut devices: HashMap<&str, HashSet<&str>> = HashMap::new();
    for event in shop
        .events
        .iter()
        .filter(|event| ["sign_up", "login"].contains(&&*event.kind))
    {
        assert!(!event.customer.is_empty() && !event.visitor.is_empty());
        devices
            .entry(&event.visitor)
            .or_default()
            .insert(&event.customer);
    }
    assert!(devices.values().all(|customers| customers.len() == 1));
    let start = seconds("2025-06-30T00:00:00Z");
    let new = accounts.values().filter(|&&at| at >= start).count();
    assert_eq!(
        of_kind("sign_up").count(),
        new,
        "every account made in the year has its event"
    );
    let guests: HashSet<&str> = shop
        .events
        .iter()
        .filter(|event| event.customer.is_empty())
        .map(|event| event.visitor.as_str())
        .collect();
    let linked = guests
        .iter()
        .filter(|visitor| devices.contains_key(*visitor))
        .count();
    assert!(linked > 100, "{linked} visitors became known");
    assert!(guests.len() - linked > 1_000, "most visitors never do");
}

#[test]
fn offers_work_as_the_truth_says() {
    for offer in [None, Some(OfferKind::Percentage), Some(OfferKind::Referral)] {
        let mut simulation = Simulation::new(&settings(11, 4_000, 120, 60));
        while !simulation.is_over() {
            simulation.next_day();
        }
        simulation.end_campaigns();
        simulation.settle();
        let (world, today) = (simulation.world(), simulation.today());
        let said: Vec<f64> = simulation
            .customers()
            .iter()
            .map(|person| week_purchase(world, person, today, offer))
            .collect();
        if let Some(kind) = offer {
            (0..4_000).for_each(|customer| simulation.offer(customer, kind));
        }
        let mut bought = HashSet::new();
        for _ in 0..7 {
            let events = simulation.next_day().unwrap();
            let purchases = events
                .iter()
                .filter(|event| event.kind == EventKind::Purchase);
            bought.extend(purchases.filter_map(|event| event.customer));
        }
        let expected: f64 = said.iter().sum();
        let spread = said.iter().map(|p| p * (1.0 - p)).sum::<f64>().sqrt();
        let away = (bought.len() as f64 - expected).abs();
        // Chance, and 3 % for customers who leave during the week.
        let allowed = 3.0 * spread + 0.03 * expected;
        assert!(
            away < allowed,
            "{offer:?}: {} bought, {expected} said",
            bought.len()
        );
    }
}

#[test]
fn responses_to_offers_differ_in_sign() {
    let dir = write(&settings(7, 300, 100, 60));
    let rows = read(dir.path(), "truth_offers");
    assert_eq!(rows.len(), 300 * 9);
    let uplift = |row: &Row| row["uplift"].parse::<f64>().unwrap();
    for kind in OfferKind::ALL {
        let of_kind = rows.iter().filter(|row| row["offer_kind"] == kind.name());
        let (up, down): (Vec<&Row>, Vec<&Row>) = of_kind.partition(|row| uplift(row) >= 0.0);
        assert!(up.len() > 30 && down.len() > 30, "{}", kind.name());
    }
}
