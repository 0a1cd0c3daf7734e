//! Where somebody meets the shop: touchpoints, the events that happen there, and how long a stage waits.

use serde::{Deserialize, Serialize};

use crate::domain::event::EventKind;
use crate::domain::journey::{KindSet, StageIndex};
use crate::domain::time::DAY_MS;

/// The most touchpoints that `journey.toml` may describe.
pub const MAX_TOUCHPOINTS: usize = 128;
/// How long a stage waits where `journey.toml` does not say.
pub const DEFAULT_HORIZON_MS: i64 = 30 * DAY_MS;
/// The touchpoint of an event that names none, of a kind that has none.
pub const NO_TOUCHPOINT: &str = "(none)";

/// A touchpoint that `journey.toml` describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// Its name.
    pub name: Box<str>,
    /// What happens here, wherever the shop is too wide to say where.
    pub kinds: KindSet,
    /// What events call it, too.
    pub aliases: Vec<Box<str>>,
}

/// What the journey map needs to know besides the rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// By stage: after how long without anything somebody has left it, in milliseconds.
    pub horizons_ms: Vec<i64>,
    /// Names that are too wide to say where something happened.
    pub channels: Vec<Box<str>>,
    /// The touchpoints that are described.
    pub touchpoints: Vec<Described>,
    /// By stage: the touchpoints that belong to it.
    pub homes: Vec<Vec<Box<str>>>,
}

impl Places {
    /// After how long without anything somebody has left a stage, in milliseconds.
    #[must_use]
    pub fn horizon_ms(&self, stage: StageIndex) -> i64 {
        let horizon = self.horizons_ms.get(usize::from(stage.0));
        horizon.copied().unwrap_or(DEFAULT_HORIZON_MS)
    }

    /// The touchpoint at which an event counts that calls itself `named`.
    #[must_use]
    pub fn touchpoint<'a>(&'a self, kind: EventKind, named: Option<&'a str>) -> &'a str {
        let named = named.map(|name| self.unaliased(name));
        let is_wide = |name: &&str| self.channels.iter().any(|channel| **channel == **name);
        if let Some(name) = named.filter(|name| !is_wide(name)) {
            return name;
        }
        let described = self.touchpoints.iter().find(|t| t.kinds.contains(kind));
        match (described.map(|described| &*described.name), named) {
            // one channel is no closer look at another
            (Some(place), Some(name)) if is_wide(&place) => name,
            (Some(place), _) => place,
            (None, named) => named.unwrap_or(NO_TOUCHPOINT),
        }
    }

    /// What a touchpoint is called that events may call otherwise.
    #[must_use]
    pub fn unaliased<'a>(&'a self, name: &'a str) -> &'a str {
        let is_it = |described: &&Described| described.aliases.iter().any(|alias| **alias == *name);
        let described = self.touchpoints.iter().find(is_it);
        described.map_or(name, |described| &described.name)
    }

    /// What was learned of ways in, with these called as the map calls them: who "often come by site" come by website.
    #[must_use]
    pub fn spoken(&self, learned: &str) -> String {
        let mut text = learned.to_owned();
        for described in &self.touchpoints {
            for (alias, lead) in described
                .aliases
                .iter()
                .flat_map(|alias| ["isitors by ", "come by "].map(|lead| (alias, lead)))
            {
                let [from, to] = [alias, &described.name].map(|name| name.replace('_', " "));
                text = with_word(&text, &format!("{lead}{from}"), &format!("{lead}{to}"));
            }
        }
        text
    }

    /// The stage a touchpoint belongs to.
    #[must_use]
    pub fn home(&self, touchpoint: &str) -> Option<StageIndex> {
        let is_home = |names: &Vec<Box<str>>| names.iter().any(|name| **name == *touchpoint);
        let stage = self.homes.iter().position(is_home)?;
        u8::try_from(stage).ok().map(StageIndex)
    }

    /// Every name that `journey.toml` says, each once.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let described = self.touchpoints.iter().map(|described| &*described.name);
        let homes = self.homes.iter().flatten().map(|name| &**name);
        let mut names: Vec<&str> = Vec::new();
        for name in homes.chain(described) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// `text` with `to` in the place of `from`, where the phrase ends with that.
fn with_word(text: &str, from: &str, to: &str) -> String {
    let mut parts = text.split(from);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_end = part.is_empty() || part.starts_with([';', ':', '.']);
        whole.push_str(if is_end { to } else { from });
        whole.push_str(part);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_counts_where_its_kind_happens_unless_it_says_where() {
        let described = |name: &str, kinds: &[EventKind], aliases: &[&str]| Described {
            name: name.into(),
            kinds: KindSet::of(kinds),
            aliases: aliases.iter().map(|&alias| alias.into()).collect(),
        };
        let places = Places {
            horizons_ms: vec![DAY_MS],
            channels: vec!["website".into(), "app".into()],
            touchpoints: vec![
                described("cart", &[EventKind::AddToCart], &[]),
                described("website", &[EventKind::PageView], &["site"]),
                described("organic_search", &[], &["search"]),
            ],
            homes: vec![vec!["organic_search".into()], vec!["cart".into()]],
        };
        let at = |kind, named| places.touchpoint(kind, named);
        assert_eq!(at(EventKind::AddToCart, Some("site")), "cart");
        assert_eq!(at(EventKind::AddToCart, Some("app")), "cart");
        assert_eq!(at(EventKind::AddToCart, None), "cart");
        assert_eq!(at(EventKind::AddToCart, Some("store")), "store");
        assert_eq!(at(EventKind::PageView, Some("site")), "website");
        assert_eq!(at(EventKind::PageView, Some("search")), "organic_search");
        assert_eq!(at(EventKind::PageView, Some("kiosk")), "kiosk");
        assert_eq!(at(EventKind::PageView, Some("app")), "app");
        assert_eq!(at(EventKind::PageView, None), "website");
        assert_eq!(at(EventKind::Login, Some("app")), "app");
        assert_eq!(at(EventKind::Login, None), NO_TOUCHPOINT);
        assert_eq!(places.home("cart"), Some(StageIndex(1)));
        assert_eq!(places.home("kiosk"), None);
        assert_eq!(places.horizon_ms(StageIndex(0)), DAY_MS);
        assert_eq!(places.horizon_ms(StageIndex(9)), DEFAULT_HORIZON_MS);
        assert_eq!(places.names(), ["organic_search", "cart", "website"]);
    }

    #[test]
    fn ways_in_are_called_as_the_map_calls_them() {
        let described = |name: &str, aliases: &[&str]| Described {
            name: name.into(),
            kinds: KindSet::default(),
            aliases: aliases.iter().map(|&alias| alias.into()).collect(),
        };
        let places = Places {
            touchpoints: vec![
                described("website", &["site", "web"]),
                described("organic_search", &["search"]),
            ],
            ..Places::default()
        };
        let told = [
            "Visitors by search",
            "Visitors by search ad",
            "Often come by site; rarely come by sitemap; come by web.",
        ];
        let spoken = told.map(|text| places.spoken(text));
        assert_eq!(
            spoken,
            [
                "Visitors by organic search",
                "Visitors by search ad",
                "Often come by website; rarely come by sitemap; come by website.",
            ]
        );
    }
}
