//! How well a list answers a question: the figures of the file contract, in one place.

/// The names of the figures, as they stand in reports before `@k`.
pub const NAMES: [&str; FIGURES] = [
    "recall",
    "ndcg",
    "hit_rate",
    "mrr",
    "repeat_recall",
    "explore_recall",
    "coverage",
    "novelty",
];

/// How many figures every method has.
pub const FIGURES: usize = 8;

/// The figure that only shops with categories have: see [`Tally::categories`].
pub const CATEGORIES: &str = "categories";

/// How many of the [`NAMES`], from the first on, are means of one value of each case.
pub const OF_A_CASE: usize = 4;

/// One product that was truly next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truth {
    /// The product's number; absent: a product that cannot be recommended, always a miss.
    pub product: Option<u32>,
    /// True if the customer had bought it before.
    pub is_repeat: bool,
}

/// What a recommended product is, whether or not it is a hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    /// How surprising it is to see it, in bits: see [`information`].
    pub information: f64,
    /// Its category, by any number; absent: it has none.
    pub category: Option<u32>,
}

/// The self-information of a product that `buyers` of `all` customers bought, in bits:
///
/// log2((all + 1) / (buyers + 1)), that is −log2 of the share of customers who bought it, where one more customer is
/// thought of who bought everything, so that it is finite for what nobody bought.
///
/// Its mean over what is recommended is the novelty of Zhou et al. 2010 ("Solving the apparent diversity-accuracy
/// dilemma of recommender systems", surprisal) and of Vargas and Castells 2011 ("Rank and relevance in novelty and
/// diversity metrics for recommender systems", mean self-information without discount).
#[must_use]
pub fn information(buyers: u64, all: u64) -> f64 {
    let share = (buyers as f64 + 1.0) / (all as f64 + 1.0);
    -share.min(1.0).log2()
}

/// Sums over cases, for one method and one `k`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    k: usize,
    cases: u64,
    recall: f64,
    ndcg: f64,
    hits: f64,
    mrr: f64,
    repeat: (f64, u64),
    explore: (f64, u64),
    shown: Vec<bool>,
    /// Of answers that hold something: Σ of their mean information.
    novelty: (f64, u64),
    /// Of answers that hold something with a category: Σ of the share of different ones.
    categories: (f64, u64),
    /// By place: the recall that hits at this place added.
    by_place: Vec<f64>,
}

impl Tally {
    /// No cases yet. `k` is greater than zero.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self {
            k,
            cases: 0,
            recall: 0.0,
            ndcg: 0.0,
            hits: 0.0,
            mrr: 0.0,
            repeat: (0.0, 0),
            explore: (0.0, 0),
            shown: Vec::new(),
            novelty: (0.0, 0),
            categories: (0.0, 0),
            by_place: vec![0.0; k],
        }
    }

    /// The length at which lists are cut.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// How many cases were added.
    #[must_use]
    pub fn cases(&self) -> u64 {
        self.cases
    }

    /// Adds a case: the answer, best first, without doubles, and what was truly next, each product once. A case without
    /// truth is none. Returns the figures of the case, in the order of [`NAMES`].
    pub fn add(&mut self, answer: &[u32], truth: &[Truth]) -> [f64; OF_A_CASE] {
        if truth.is_empty() {
            return [0.0; OF_A_CASE];
        }
        let answer = &answer[..answer.len().min(self.k)];
        let hit = |wanted: &Truth| wanted.product.is_some_and(|p| answer.contains(&p));
        let found = truth.iter().filter(|wanted| hit(wanted)).count();
        let mut gain = 0.0;
        let mut first = None;
        for (place, product) in answer.iter().enumerate() {
            if truth.iter().any(|wanted| wanted.product == Some(*product)) {
                gain += discount(place);
                first = first.or(Some(place));
                self.by_place[place] += 1.0 / truth.len() as f64;
            }
            let number = *product as usize;
            if number >= self.shown.len() {
                self.shown.resize(number + 1, false);
            }
            self.shown[number] = true;
        }
        let ideal: f64 = (0..truth.len().min(self.k)).map(discount).sum();
        let recall = found as f64 / truth.len() as f64;
        let hit_any = f64::from(u8::from(found > 0));
        let reciprocal = first.map_or(0.0, |place| 1.0 / (place as f64 + 1.0));
        self.cases += 1;
        self.recall += recall;
        self.ndcg += gain / ideal;
        self.hits += hit_any;
        self.mrr += reciprocal;
        for (is_repeat, sum) in [(true, &mut self.repeat), (false, &mut self.explore)] {
            let part = || truth.iter().filter(|wanted| wanted.is_repeat == is_repeat);
            let size = part().count();
            if size > 0 {
                sum.0 += part().filter(|wanted| hit(wanted)).count() as f64 / size as f64;
                sum.1 += 1;
            }
        }
        [recall, gain / ideal, hit_any, reciprocal]
    }

    /// Notes what the answer of a case that was added holds, best first.
    pub fn describe(&mut self, answer: &[Shown]) {
        let answer = &answer[..answer.len().min(self.k)];
        if !answer.is_empty() {
            let sum: f64 = answer.iter().map(|shown| shown.information).sum();
            self.novelty.0 += sum / answer.len() as f64;
            self.novelty.1 += 1;
        }
        let known: Vec<u32> = answer.iter().filter_map(|shown| shown.category).collect();
        if !known.is_empty() {
            let is_first = |&(place, category): &(usize, &u32)| !known[..place].contains(category);
            let different = known.iter().enumerate().filter(is_first).count();
            self.categories.0 += different as f64 / known.len() as f64;
            self.categories.1 += 1;
        }
    }

    /// How many different categories there are among the products of an answer that have one, as a share of these
    /// products, on average: 1 if no two are of one category. None if no product had a category.
    #[must_use]
    pub fn categories(&self) -> Option<f64> {
        let (sum, answers) = self.categories;
        (answers > 0).then(|| sum / answers as f64)
    }

    /// The recall of lists that are cut at 1, 2, … k; all 0 without cases.
    #[must_use]
    pub fn recall_by_k(&self) -> Vec<f64> {
        let mut sum = 0.0;
        let added = self.by_place.iter().map(|added| {
            sum += added;
            sum / self.cases.max(1) as f64
        });
        added.collect()
    }

    /// The figures over the cases, in the order of [`NAMES`]; all 0 without cases. `recommendable` is how many products
    /// could have been recommended.
    #[must_use]
    pub fn figures(&self, recommendable: usize) -> [f64; FIGURES] {
        let over = |sum: f64, cases: u64| if cases > 0 { sum / cases as f64 } else { 0.0 };
        let shown = self.shown.iter().filter(|&&shown| shown).count();
        [
            over(self.recall, self.cases),
            over(self.ndcg, self.cases),
            over(self.hits, self.cases),
            over(self.mrr, self.cases),
            over(self.repeat.0, self.repeat.1),
            over(self.explore.0, self.explore.1),
            over(shown as f64, recommendable as u64),
            over(self.novelty.0, self.novelty.1),
        ]
    }
}

/// The area under the ROC curve: the probability that something true has a higher score than something false, equal
/// scores counting half (Mann and Whitney 1947). None without both. Scores are finite.
#[must_use]
pub fn auc(mut scored: Vec<(f64, bool)>) -> Option<f64> {
    scored.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins) = (0.0, 0.0);
    let mut positives = 0.0;
    for equal in scored.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let own = equal.iter().filter(|&&(_, is_true)| is_true).count() as f64;
        let others = equal.len() as f64 - own;
        wins += own * (below + others / 2.0);
        below += others;
        positives += own;
    }
    (positives > 0.0 && below > 0.0).then(|| wins / (positives * below))
}

fn discount(place: usize) -> f64 {
    1.0 / (place as f64 + 2.0).log2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(products: &[(u32, bool)]) -> Vec<Truth> {
        products
            .iter()
            .map(|&(product, is_repeat)| Truth {
                product: Some(product),
                is_repeat,
            })
            .collect()
    }

    fn close(figures: [f64; FIGURES], expected: [f64; FIGURES]) {
        for ((name, figure), expected) in NAMES.iter().zip(figures).zip(expected) {
            assert!(
                (figure - expected).abs() < 1e-12,
                "{name}: {figure}, expected {expected}"
            );
        }
    }

    #[test]
    fn figures_are_as_computed_by_hand() {
        let mut tally = Tally::new(3);
        // hits at ranks 1 and 3 of three truths: recall 2/3; dcg 1 + 1/2, ideal 1 + 1/log2(3) + 1/2
        let of_case = tally.add(&[5, 6, 7, 8], &truth(&[(5, true), (7, false), (8, false)]));
        let ideal = 1.0 + 1.0 / 3f64.log2() + 0.5;
        for (figure, expected) in of_case.iter().zip([2.0 / 3.0, 1.5 / ideal, 1.0, 1.0]) {
            assert!((figure - expected).abs() < 1e-12, "{of_case:?}");
        }
        close(
            tally.figures(10),
            [2.0 / 3.0, 1.5 / ideal, 1.0, 1.0, 1.0, 0.5, 0.3, 0.0],
        );
        // a miss: one truth that cannot be recommended
        tally.add(
            &[6, 9],
            &[Truth {
                product: None,
                is_repeat: false,
            }],
        );
        close(
            tally.figures(10),
            [1.0 / 3.0, 0.75 / ideal, 0.5, 0.5, 1.0, 0.25, 0.4, 0.0],
        );
        assert_eq!(tally.cases(), 2);
        let by_k = tally.recall_by_k();
        for (recall, expected) in by_k.iter().zip([1.0 / 6.0, 1.0 / 6.0, 1.0 / 3.0]) {
            assert!((recall - expected).abs() < 1e-12, "{by_k:?}");
        }
    }

    #[test]
    fn a_hit_at_rank_two_of_one_truth() {
        let mut tally = Tally::new(10);
        tally.add(&[1, 2], &truth(&[(2, false)]));
        close(
            tally.figures(2),
            [1.0, 1.0 / 3f64.log2(), 1.0, 0.5, 0.0, 1.0, 1.0, 0.0],
        );
    }

    #[test]
    fn novelty_and_categories_are_as_computed_by_hand() {
        // 3 of 7 customers, all of them, nobody
        for (buyers, bits) in [(3, 1.0), (7, 0.0), (0, 3.0), (9, 0.0)] {
            assert!((information(buyers, 7) - bits).abs() < 1e-12, "{buyers}");
        }
        let shown = |bits: f64, category: u32| Shown {
            information: bits,
            category: (category > 0).then_some(category),
        };
        let mut tally = Tally::new(3);
        tally.describe(&[shown(1.0, 5), shown(3.0, 5), shown(2.0, 6), shown(9.0, 7)]);
        tally.describe(&[shown(4.0, 0), shown(0.0, 8)]);
        tally.describe(&[]);
        assert!((tally.novelty.0 - 4.0).abs() < 1e-12 && tally.novelty.1 == 2);
        assert!((tally.categories().unwrap() - (2.0 / 3.0 + 1.0) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_area_under_the_curve_counts_pairs() {
        let scored = vec![(0.1, false), (0.4, true), (0.4, false), (0.9, true)];
        // of four pairs three are won and one is equal
        assert!((auc(scored).unwrap() - 3.5 / 4.0).abs() < 1e-12);
        assert_eq!(auc(vec![(0.1, true)]), None);
        assert_eq!(auc(Vec::new()), None);
    }

    #[test]
    fn no_truth_no_case() {
        let mut tally = Tally::new(10);
        tally.add(&[1], &[]);
        assert_eq!(tally.cases(), 0);
        close(tally.figures(0), [0.0; FIGURES]);
        assert_eq!(tally.categories(), None);
    }
}
