//! The policies that need no service: what others are compared with.

use std::convert::Infallible;

use super::Event;
use super::campaign::Campaign;
use super::economics::DEEPEST;
use super::offer::OfferKind;
use super::prospect::Prospect;
use super::tally::Sender;

/// Who is sent which offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nobody is sent anything.
    Nobody,
    /// The randomised trial of the history goes on.
    Random,
    /// Everybody is sent the same.
    Everybody(OfferKind),
    /// Everybody is sent what the truth expects to bring the most, or nothing.
    Oracle,
}

impl Policy {
    /// All of them; nobody first, the oracle last.
    #[must_use]
    pub fn all() -> Vec<Policy> {
        let same = OfferKind::ALL.map(Policy::Everybody);
        let first = [Policy::Nobody, Policy::Random];
        first
            .into_iter()
            .chain(same)
            .chain([Policy::Oracle])
            .collect()
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Policy::Nobody => "nobody".to_owned(),
            Policy::Random => "random, as logged".to_owned(),
            Policy::Everybody(DEEPEST) => format!("{} for all (the deepest)", DEEPEST.name()),
            Policy::Everybody(kind) => format!("{} for all", kind.name()),
            Policy::Oracle => "oracle".to_owned(),
        }
    }
}

impl Sender for Policy {
    type Error = Infallible;

    fn choose(
        &mut self,
        campaign: &Campaign,
        prospects: &[Prospect],
    ) -> Result<Vec<Option<OfferKind>>, Infallible> {
        Ok(match self {
            Policy::Nobody => vec![None; prospects.len()],
            Policy::Random => campaign.trial(),
            Policy::Everybody(kind) => vec![Some(*kind); prospects.len()],
            Policy::Oracle => prospects.iter().map(|prospect| prospect.best().0).collect(),
        })
    }

    fn tell(&mut self, _: &Campaign, _: &[Event]) -> Result<(), Infallible> {
        Ok(())
    }
}
