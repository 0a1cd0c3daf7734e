//! The answers that stay, against a plain look through the records.

use nextbest::domain::time::HOUR_MS;
use nextbest::domain::{AnswerKept, Position, Record, RecordBody};
use nextbest::state::State;

use super::history::slot;

/// Of each decision the last record counts, while it has not expired.
pub(super) fn compare(state: &State, records: &[Record]) {
    let kept: Vec<(usize, &AnswerKept)> = (0..)
        .zip(records)
        .filter_map(|(at, record)| match &record.body {
            RecordBody::AnswerKept(kept) => Some((at, &**kept)),
            _ => None,
        })
        .collect();
    let mut standing = 0;
    for (at, one) in &kept {
        let is_last = kept
            .iter()
            .all(|(other, kept)| kept.id() != one.id() || other <= at);
        if !is_last {
            continue;
        }
        for now in [slot(0), slot(0).plus_ms(HOUR_MS)] {
            let expected = (one.expires_at > now).then_some((Position(*at as u64), one.question));
            let found = state.decisions.get(one.id(), now);
            assert_eq!(
                found.map(|found| (found.position, found.question)),
                expected
            );
        }
        // what was over when the next record was taken in is forgotten
        let is_last_record = at + 1 == records.len();
        standing += usize::from(one.expires_at > slot(0) || is_last_record);
    }
    assert_eq!(state.decisions.len(), standing);
}
