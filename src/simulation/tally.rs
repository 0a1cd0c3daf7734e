//! Living the days after the history under a policy, and counting what it brought.

use super::campaign::Campaign;
use super::economics::profit_cents;
use super::event::Event;
use super::offer::OfferKind;
use super::prospect::Prospect;

/// Decides what is sent, and hears what happened.
pub trait Sender {
    /// Why it cannot.
    type Error;

    /// What each reader is sent today. `prospects` is the truth: what the readers are expected to bring.
    ///
    /// # Errors
    /// When nothing can be decided.
    fn choose(
        &mut self,
        campaign: &Campaign,
        prospects: &[Prospect],
    ) -> Result<Vec<Option<OfferKind>>, Self::Error>;

    /// A day was lived: its events in the order of time.
    ///
    /// # Errors
    /// When they cannot be taken.
    fn tell(&mut self, campaign: &Campaign, events: &[Event]) -> Result<(), Self::Error>;
}

/// What a policy brought in the days from one mail to the next. Money is in cents.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Week {
    /// The first day, counted from the end of the history.
    pub day: u32,
    /// What the readers brought: the margin of what they bought, less what redeemed offers cost besides.
    pub profit: i64,
    /// What the truth expects the readers to bring in the seven days of the offers, with what was sent.
    pub expected: f64,
    /// What the truth expects of what was sent, beyond sending nothing, in the seven days of the offers.
    pub gain: f64,
    /// The most that could have been expected, with the same people in the same state.
    pub best: f64,
    /// Readers who were sent each kind.
    pub sent: [u32; 9],
    /// Readers who were sent nothing.
    pub none: u32,
}

/// What a policy brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// From mail to mail; days before the first one are a week of their own.
    pub weeks: Vec<Week>,
    /// What each reader brought over all days, in cents.
    pub profits: Vec<i64>,
}

impl Tally {
    /// What all readers brought, in cents.
    #[must_use]
    pub fn profit(&self) -> i64 {
        self.profits.iter().sum()
    }

    /// What the truth expected of what was sent beyond sending nothing, and the most it could have expected.
    #[must_use]
    pub fn expected(&self) -> (f64, f64) {
        let weeks = self.weeks.iter();
        weeks.fold((0.0, 0.0), |(gain, best), week| {
            (gain + week.gain, best + week.best)
        })
    }

    /// How often each kind was sent, and how often nothing.
    #[must_use]
    pub fn sent(&self) -> ([u32; 9], u32) {
        let mut sent = [0; 9];
        let mut none = 0;
        for week in &self.weeks {
            sent.iter_mut()
                .zip(week.sent)
                .for_each(|(all, some)| *all += some);
            none += week.none;
        }
        (sent, none)
    }
}

/// Lives all days of a campaign; `on_day` is called after each.
///
/// # Errors
/// The sender's.
pub fn live<S: Sender>(
    mut campaign: Campaign,
    sender: &mut S,
    mut on_day: impl FnMut(),
) -> Result<Tally, S::Error> {
    let customers = campaign.simulation().customers().len();
    let mut places: Vec<Option<usize>> = vec![None; customers];
    for (place, &number) in campaign.readers().iter().enumerate() {
        places[number as usize] = Some(place);
    }
    let mut tally = Tally {
        weeks: Vec::new(),
        profits: vec![0; campaign.readers().len()],
    };
    while !campaign.is_over() {
        let mut sent = Vec::new();
        if campaign.is_mail_day() {
            let prospects = campaign.prospects();
            sent = sender.choose(&campaign, &prospects)?;
            tally.weeks.push(begun(campaign.day(), &prospects, &sent));
        } else if tally.weeks.is_empty() {
            tally.weeks.push(Week::default());
        }
        let events = campaign.live(&sent);
        let world = campaign.simulation().world();
        for event in &events {
            let place = places.get(event.person as usize).copied().flatten();
            if let (Some(place), Some(week)) = (place, tally.weeks.last_mut()) {
                let earned = profit_cents(world, event);
                tally.profits[place] += earned;
                week.profit += earned;
            }
        }
        sender.tell(&campaign, &events)?;
        on_day();
    }
    Ok(tally)
}

/// A week of which only the mails are known yet.
fn begun(day: u32, prospects: &[Prospect], sent: &[Option<OfferKind>]) -> Week {
    let mut week = Week {
        day,
        ..Week::default()
    };
    for (prospect, kind) in prospects.iter().zip(sent) {
        week.expected += prospect.profit(*kind);
        week.gain += prospect.gain(*kind);
        week.best += prospect.best().1;
        match kind {
            Some(kind) => week.sent[kind.place()] += 1,
            None => week.none += 1,
        }
    }
    week
}
