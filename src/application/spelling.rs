//! What somebody may have meant who misspelt a name in a recipe, a setting or a header.

/// The most letters that may differ; more is another word.
const MAX_DISTANCE: usize = 3;

/// What to say of `word`, which is none of `names`: the name that was probably meant, or all there
/// are.
#[must_use]
pub fn suggestion(word: &str, names: &[&str]) -> String {
    match nearest(word, names) {
        Some(name) => format!("did you mean {name:?}?"),
        None => format!("there are: {}", names.join(", ")),
    }
}

/// The name that is least different from `word`, if it is similar at all.
#[must_use]
pub fn nearest<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let limit = MAX_DISTANCE.min(1 + word.chars().count() / 3);
    names
        .iter()
        .map(|name| (distance(word, name), *name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein's distance, in letters of any case, two swapped neighbours counting once.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().take(64).collect();
    let b: Vec<char> = b.to_lowercase().chars().take(64).collect();
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_strange_ones_are_not() {
        let names = ["personal", "together", "popular"];
        assert_eq!(nearest("persnal", &names), Some("personal"));
        assert_eq!(nearest("populra", &names), Some("popular"));
        assert_eq!(nearest("Together", &names), Some("together"));
        assert_eq!(nearest("ease", &names), None);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(
            suggestion("ease", &names),
            "there are: personal, together, popular"
        );
    }
}
