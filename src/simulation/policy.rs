//! The policies that need no service: what others are compared with.

use std::convert::Infallible;

use super::Event;
use super::campaign::Campaign;
use super::economics::DEEPEST;
use super::offer::OfferKind;
use super::persona::Persona;
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
    /// Everybody of a persona is sent what the truth expects to bring the most of all of them together, or nothing: as
    /// much as is to be had from knowing personas, but nobody's own response.
    Personas,
    /// Everybody is sent what the truth expects to bring the most, or nothing.
    Oracle,
}

impl Policy {
    /// All of them; nobody first, the oracle last.
    #[must_use]
    pub fn all() -> Vec<Policy> {
        let same = OfferKind::ALL.map(Policy::Everybody);
        let first = [Policy::Nobody, Policy::Random];
        let last = [Policy::Personas, Policy::Oracle];
        first.into_iter().chain(same).chain(last).collect()
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Policy::Nobody => "nobody".to_owned(),
            Policy::Random => "random, as logged".to_owned(),
            Policy::Everybody(DEEPEST) => format!("{} for all (the deepest)", DEEPEST.name()),
            Policy::Everybody(kind) => format!("{} for all", kind.name()),
            Policy::Personas => "best of each persona".to_owned(),
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
            Policy::Personas => by_persona(campaign, prospects),
            Policy::Oracle => prospects.iter().map(|prospect| prospect.best().0).collect(),
        })
    }

    fn tell(&mut self, _: &Campaign, _: &[Event]) -> Result<(), Infallible> {
        Ok(())
    }
}

/// What the truth expects to bring the most of all readers of a persona together.
fn by_persona(campaign: &Campaign, prospects: &[Prospect]) -> Vec<Option<OfferKind>> {
    let people = campaign.simulation().customers();
    let readers = campaign.readers().iter();
    let personas: Vec<usize> = readers
        .map(|&number| people[number as usize].persona.place())
        .collect();
    let mut gains = [[0.0; OfferKind::ALL.len()]; Persona::ALL.len()];
    for (prospect, &persona) in prospects.iter().zip(&personas) {
        for kind in OfferKind::ALL {
            gains[persona][kind.place()] += prospect.gain(Some(kind));
        }
    }
    let best = gains.map(|gains| {
        let above = OfferKind::ALL.into_iter().zip(gains);
        let best = above.filter(|&(_, gain)| gain > 0.0);
        best.max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(kind, _)| kind)
    });
    personas.into_iter().map(|persona| best[persona]).collect()
}
