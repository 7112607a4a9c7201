//! What decides beside rules: every table that is compiled in. A revision that names what was judged by covers all
//! of it.

/// The tables; a test compares the list with the files there are.
#[rustfmt::skip]
pub(super) const TABLES: &[&str] = &[
    include_str!("../../action/shell/aliases.tbl"),
    include_str!("../../action/shell/deeds.tbl"),
    include_str!("../../action/shell/given.tbl"),
    include_str!("../../action/shell/programs.tbl"),
    include_str!("../../policy/matrix.tbl"),
    include_str!("../../action/shell/special/lookalike.tbl"),
    include_str!("../../action/shell/programs_windows.tbl"),
    include_str!("../../detect/secrets/bip39.txt"),
    include_str!("../../detect/secrets/services.txt"),
    include_str!("../../detect/secrets/types.tbl"),
    include_str!("../../session/chains/shipped.yaml"),
    include_str!("../../session/taint/common.tbl"),
    include_str!("../../url/special.txt"),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::RuleSet;
    use super::TABLES;
    use crate::detect::injection::learnt;
    use crate::syntax::digest;

    fn tables_in(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                tables_in(&path, found);
            } else if path.extension().is_none_or(|end| end != "rs") && !path.ends_with("policy/shipped.yaml")
            {
                found.push(fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn every_table_is_covered_by_the_revision() {
        let mut found = Vec::new();
        tables_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert!(found.len() >= 8);
        assert!(found.iter().all(|table| TABLES.contains(&table.as_str())), "a file is missing in the list");
        assert_eq!(found.len(), TABLES.len());
        let rules = RuleSet::shipped().unwrap();
        let texts = || super::super::shipped().iter().map(|source| source.text);
        let all = || texts().chain(TABLES.iter().copied()).map(str::as_bytes);
        assert_eq!(rules.revision(), digest(all().chain([learnt::SHIPPED])));
        assert_ne!(rules.revision(), digest(all()));
        assert_ne!(rules.revision(), digest(texts()));
    }
}
