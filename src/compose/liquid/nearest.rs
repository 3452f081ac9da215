//! Names that a template may get wrong, and the known name that is nearest.

/// Letters to change beyond which a name is not taken for a misspelling.
const DISTANCE_MAX: usize = 3;
/// Characters of a name that is compared; longer ones are no misspelling of ours.
const LENGTH_MAX: usize = 40;

/// `; did you mean …?`, or nothing where no known name is near.
pub(super) fn suggestion<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    if name.chars().count() > LENGTH_MAX {
        return String::new();
    }
    let near = known.map(|candidate| (distance(name, candidate), candidate)).min();
    match near {
        Some((steps, candidate))
            if steps <= DISTANCE_MAX && steps * 2 <= candidate.len().max(2) =>
        {
            format!("; did you mean `{candidate}`?")
        }
        _ => String::new(),
    }
}

/// Letters to insert, remove or replace (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}
