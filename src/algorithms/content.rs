//! Content similarity: products whose texts are alike, for those too new for any other source. TF-IDF by
//! linfa-preprocessing.

use linfa_preprocessing::tf_idf_vectorization::TfIdfVectorizer;
use ndarray::Array1;

/// Terms in more than this share of the texts say nothing.
const COMMON_SHARE: f32 = 0.2;
/// At most so many texts of a term are looked at; of rarer use than that are the terms that matter.
const MAX_POSTINGS: usize = 2_000;
/// At most so many different terms are kept.
const MAX_TERMS: usize = 50_000;

/// TF-IDF vectors of all products, of length 1, by product and by term. A pure function of the texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content {
    /// By product: terms and weights, ordered by term.
    vectors: Vec<Vec<(u32, f32)>>,
    /// By term: products and weights, ordered by product.
    postings: Vec<Vec<(u32, f32)>>,
}

impl Content {
    /// Fits the texts of products 0, 1, …; an empty text has no vector. Falls back to no similarity at all when the
    /// texts hold no word that distinguishes.
    #[must_use]
    pub fn fit(texts: &[String]) -> Self {
        let empty = Self {
            vectors: vec![Vec::new(); texts.len()],
            postings: Vec::new(),
        };
        let filled = texts.iter().filter(|text| !text.trim().is_empty()).count();
        if filled < 2 {
            return empty;
        }
        // a term of one single text cannot connect
        let rare = 2.001 / texts.len() as f32;
        let common = (COMMON_SHARE * filled as f32 / texts.len() as f32)
            .max(2.0 * rare)
            .min(1.0);
        let documents = Array1::from(texts.to_vec());
        let vectorizer = TfIdfVectorizer::default()
            .convert_to_lowercase(true)
            .max_features(Some(MAX_TERMS))
            .document_frequency(rare.min(common), common);
        let Ok(fitted) = vectorizer.fit(&documents) else {
            return empty;
        };
        if fitted.nentries() == 0 {
            return empty;
        }
        let Ok(matrix) = fitted.transform(&documents) else {
            return empty;
        };
        // linfa numbers the terms in the order of a hash map: number them by their text, so that sums are reproducible
        let vocabulary = fitted.vocabulary();
        let mut order: Vec<usize> = (0..vocabulary.len()).collect();
        order.sort_by(|&a, &b| vocabulary[a].cmp(&vocabulary[b]));
        let mut number = vec![0u32; vocabulary.len()];
        for (new, &old) in order.iter().enumerate() {
            number[old] = new as u32;
        }
        let mut content = Self {
            vectors: empty.vectors,
            postings: vec![Vec::new(); vocabulary.len()],
        };
        for (product, row) in matrix.outer_iterator().enumerate() {
            let mut vector: Vec<(u32, f32)> = row
                .iter()
                .map(|(term, &weight)| (number[term], weight as f32))
                .collect();
            vector.sort_by_key(|&(term, _)| term);
            let length = vector
                .iter()
                .map(|(_, weight)| weight * weight)
                .sum::<f32>()
                .sqrt();
            if length > 0.0 {
                vector.iter_mut().for_each(|(_, weight)| *weight /= length);
            }
            for &(term, weight) in &vector {
                content.postings[term as usize].push((product as u32, weight));
            }
            content.vectors[product] = vector;
        }
        content
    }

    /// How many products have been fitted; later ones have no vector yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.vectors.len()
    }

    /// True if no product has been fitted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty()
    }

    /// Calls `found` with every product that shares a term with `seed`, and its part of the cosine; products come more
    /// than once, their parts add up.
    pub fn parts(&self, seed: u32, mut found: impl FnMut(u32, f32)) {
        for &(term, weight) in self.vectors.get(seed as usize).into_iter().flatten() {
            let postings = &self.postings[term as usize];
            for &(product, other) in postings.iter().take(MAX_POSTINGS) {
                if product != seed {
                    found(product, weight * other);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_texts_have_a_high_cosine() {
        let texts = [
            "red ceramic mug",
            "blue ceramic mug",
            "garden hose long",
            "garden hose short",
            "paper bag",
            "paper lamp",
            "",
        ];
        let content = Content::fit(&texts.map(str::to_owned));
        let mut cosines = vec![0.0; texts.len()];
        content.parts(0, |product, part| cosines[product as usize] += part);
        assert!(cosines[1] > 0.99, "{cosines:?}");
        assert_eq!(cosines.iter().filter(|&&cosine| cosine > 0.0).count(), 1);
        assert_eq!(content, Content::fit(&texts.map(str::to_owned)));
    }

    #[test]
    fn no_texts_no_similarity() {
        for texts in [vec![], vec![String::new(); 3], vec!["one".to_owned()]] {
            let content = Content::fit(&texts);
            content.parts(0, |_, _| panic!("nothing is alike"));
            assert_eq!(content.len(), texts.len());
        }
    }
}
