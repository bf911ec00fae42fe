//! "Did you mean": the candidate that a mistyped word is closest to.

/// The candidate within a third of the word's length in edits (at least one), or `None`.
///
/// Letter case costs nothing, so `patient` finds `Patient`. Among equals the first wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(LONGEST).map(fold).collect();
    let limit = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|c| (distance(&word, c), c))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// No FHIR name is longer; what is cut off can only make a match less likely.
const LONGEST: usize = 64;

fn fold(c: char) -> char {
    c.to_ascii_lowercase()
}

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
fn distance(word: &[char], candidate: &str) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=word.len()).collect();
    let mut previous = None;
    for (row, c) in candidate.chars().map(fold).enumerate() {
        let mut now = vec![row + 1];
        for (column, w) in word.iter().enumerate() {
            let at = |line: &[usize], i: usize| line.get(i).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, column + 1) + 1)
                .min(at(&now, column) + 1)
                .min(at(&last, column) + usize::from(*w != c));
            let neighbour = column.checked_sub(1).and_then(|i| word.get(i));
            if let Some(neighbour) = neighbour
                && *neighbour == c
                && previous == Some(*w)
            {
                best = best.min(at(&before, column - 1) + 1);
            }
            now.push(best);
        }
        before = last;
        last = now;
        previous = Some(c);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_found_and_another_word_is_not() {
        let names = ["Observation", "ObservationDefinition", "Patient", "Person"];
        let cases = [
            ("Observaton", Some("Observation")),
            ("Obsrevation", Some("Observation")),
            ("patient", Some("Patient")),
            ("Patinet", Some("Patient")),
            ("Persn", Some("Person")),
            ("Invoice", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, names), expected, "{word}");
        }
    }

    #[test]
    fn a_swap_costs_one_edit() {
        let word: Vec<char> = "ab".chars().collect();
        assert_eq!(distance(&word, "ba"), 1);
        assert_eq!(distance(&word, "b"), 1);
        assert_eq!(distance(&word, "xyz"), 3);
    }
}
