//! "Did you mean": the nearest known name.

/// The candidate nearest to `name`, if it is near enough to be what was meant:
/// at most one edit in three characters, case aside; a swap of neighbours is one
/// edit. The first of equals wins.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = fold(name);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let folded = fold(candidate);
        let longer = name.len().max(folded.len());
        let allowed = (longer / 3).max(1);
        if folded.len().abs_diff(name.len()) > allowed {
            continue;
        }
        let distance = distance(&name, &folded);
        let near = distance <= allowed && distance < longer;
        if near && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Lowercase, `-` and `_` alike.
fn fold(name: &str) -> Vec<char> {
    let folded = name.chars().flat_map(char::to_lowercase);
    folded.map(|c| if c == '-' { '_' } else { c }).collect()
}

/// Optimal string alignment distance, by three rows.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = usize::from(x != y);
            let mut least = at(&above, j) + cost;
            least = least.min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                least = least.min(at(&before, j - 1) + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(a.len())
}

fn at(row: &[usize], index: usize) -> usize {
    row.get(index).copied().unwrap_or(usize::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["n", "hide", "show", "where", "upstream", "client_auth"];
        for (name, meant) in [
            ("hid", Some("hide")),
            ("Hide", Some("hide")),
            ("hdie", Some("hide")),
            ("wher", Some("where")),
            ("upstraem", Some("upstream")),
            ("client-auth", Some("client_auth")),
            ("mask", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
        let types = ["Observation", "ObservationDefinition", "Patient", "Person"];
        for (name, meant) in [
            ("Observaton", Some("Observation")),
            ("Obsrevation", Some("Observation")),
            ("patient", Some("Patient")),
            ("Patinet", Some("Patient")),
            ("Persn", Some("Person")),
            ("Invoice", None),
        ] {
            assert_eq!(nearest(name, types), meant, "{name}");
        }
    }
}
