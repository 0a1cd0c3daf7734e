//! The live revision, asked the questions that judge another one: ranked as it is served, with its own tuning.

use crate::application::model::{Aim, FittedRanking, Part, Ranking};
use crate::application::personas::Personas;
use crate::state::candidates::Gathered;
use crate::state::relations::Relations;
use crate::state::scratch::Scratch;
use crate::state::tuning::Tuning;

/// The ranking of the live revision beside another one.
#[derive(Debug)]
pub struct Rival<'a> {
    part: &'a Part<FittedRanking>,
    /// What its own tuning and personas make of State; absent where those are the other one's.
    own: Option<(Relations, Scratch)>,
}

impl<'a> Rival<'a> {
    /// Beside one that is tuned by `other` and goes by personas of its own, if `has_personas`; `personas` are those of
    /// the live revision.
    #[must_use]
    pub fn new(
        part: &'a Part<FittedRanking>,
        personas: Option<&Personas>,
        (other, has_personas): (&Tuning, bool),
    ) -> Self {
        let tuning = &part.fitted.tuning;
        let is_own = tuning != other || personas.is_some() || has_personas;
        let own = is_own.then(|| {
            let mut relations = Relations::new(tuning);
            relations.tell_by(personas.map(|personas| &personas.teller));
            (relations, Scratch::default())
        });
        Self { part, own }
    }

    /// Its products for a question that was `gathered` by the tuning of the other one, best first; nothing on what it
    /// has learned from: that it knows by heart. `ranking` says how the other one ranks.
    pub fn products(
        &mut self,
        gathered: &mut Gathered<'_>,
        ranking: &Ranking<'_>,
        aim: Aim,
        allowed: impl FnMut(u32) -> bool,
    ) -> Option<Vec<u32>> {
        let view = gathered.view();
        if self.part.learned_until >= view.now {
            return None;
        }
        let fitted = &self.part.fitted;
        let ranking = Ranking {
            scorer: Some(fitted.scorer(aim)),
            with_trees: true,
            ..*ranking
        };
        let ranked = match &mut self.own {
            Some((relations, scratch)) => {
                relations.keep_current(view.state);
                let mut own = Gathered::of(view, relations, &fitted.tuning, scratch);
                ranking.rank(&mut own, allowed, |_| 1.0)
            }
            None => ranking.rank(gathered, allowed, |_| 1.0),
        };
        Some(ranked.products().collect())
    }
}
