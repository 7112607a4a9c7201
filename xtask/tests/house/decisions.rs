//! Decisions are told by their number: each has one of its own, in its name and in its title.

use std::collections::HashMap;

use crate::source::{Source, files};

fn misnumbered(decisions: &[Source]) -> Vec<String> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    let mut found = Vec::new();
    for file in decisions {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let number = name.split('-').next().unwrap_or_default().to_owned();
        let title = file.text.lines().next().unwrap_or_default();
        if !title.starts_with(&format!("# {number}: ")) {
            found.push(format!("{}: its title is not `# {number}: …`", file.path));
        }
        if let Some(other) = seen.insert(number, &file.path) {
            found.push(format!("{} has the number of {other}", file.path));
        }
    }
    found
}

#[test]
fn every_decision_has_a_number_of_its_own() {
    let decisions = files("docs/decisions");
    assert!(decisions.len() >= 9);
    assert_eq!(misnumbered(&decisions), Vec::<String>::new());
    let file = |path: &str, title: &str| Source { path: path.into(), text: format!("{title}\n\ntext") };
    let two = [file("d/0001-a.md", "# 0001: A"), file("d/0001-b.md", "# 0001: B")];
    assert_eq!(misnumbered(&two).len(), 1);
    assert_eq!(misnumbered(&[file("d/0002-a.md", "# 0001: A")]).len(), 1);
}
