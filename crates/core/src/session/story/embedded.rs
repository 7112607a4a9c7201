//! Files of instructions that a client puts into what it sends as the user's or the system's text: `CLAUDE.md`, `AGENTS.md` and
//! their like. What stands in the user's own directories is the user's word. What stands in the project came with the project,
//! and whoever can change a file there would else speak as the user.
//!
//! Each client says in its own way where such a file begins. Where it ends the file itself could say, so it is as long as the
//! text it stands in.

use crate::action::asset::normalise_path;

/// A text in two pieces.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Split<'t> {
    /// What is the user's, or the client's.
    pub said: &'t str,
    /// What stands in files of the project, and the path of the first of them.
    pub file: Option<(&'t str, String)>,
}

/// What `line` names, if a file of instructions begins behind it.
fn begins(line: &str) -> Option<String> {
    let line = line.trim();
    let path = |path: &str| normalise_path(path.trim());
    // Claude Code: `Contents of /w/CLAUDE.md (project instructions, checked into the codebase):`.
    if let Some(rest) = line.strip_prefix("Contents of ").and_then(|rest| rest.strip_suffix(':')) {
        let named = rest.split_once(" (").map_or(rest, |(named, _)| named);
        return is_instructions(named).then(|| path(named));
    }
    // OpenCode, in its system prompt.
    if let Some(named) = line.strip_prefix("Instructions from: ") {
        return Some(path(named));
    }
    // Codex: a message of its own for the directory; in older versions behind those of the user.
    if let Some(directory) = line.strip_prefix("# AGENTS.md instructions for ") {
        return Some(path(&format!("{}/AGENTS.md", directory.trim_end_matches('/'))));
    }
    if line == "--- project-doc ---" {
        return Some("AGENTS.md".to_owned());
    }
    // Gemini CLI.
    let named = line.strip_prefix("--- Context from: ")?.strip_suffix(" ---")?;
    Some(path(named))
}

fn is_instructions(path: &str) -> bool {
    path.ends_with(".md") || path.ends_with(".mdc") || path.ends_with("rules")
}

/// Whether it is a file of the user's own: below a directory of settings in the home directory.
fn is_users(path: &str) -> bool {
    path.starts_with("~/.") && !path.contains("/../")
}

/// `text` as what somebody said and what stands in files of the project.
pub(super) fn split(text: &str) -> Split<'_> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        // Cheap, for there are many lines.
        if !line.starts_with(['C', 'I', '#', '-']) {
            continue;
        }
        if let Some(path) = begins(line).filter(|path| !is_users(path))
            && let Some((said, file)) = text.split_at_checked(start)
        {
            return Split { said, file: Some((file, path)) };
        }
    }
    Split { said: text, file: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_does_not_speak_as_its_user() {
        for (text, said, path) in [
            (
                "<system-reminder>\nContents of /home/u/.claude/CLAUDE.md (user's private global instructions for all projects):\n\nmine\n\nContents of /home/u/w/CLAUDE.md (project instructions, checked into the codebase):\n\ntheirs\n</system-reminder>",
                "mine\n\n",
                "~/w/CLAUDE.md",
            ),
            (
                "# AGENTS.md instructions for /srv/w\n\n<INSTRUCTIONS>\ntheirs\n</INSTRUCTIONS>",
                "",
                "/srv/w/AGENTS.md",
            ),
            (
                "You are an agent.\nInstructions from: /srv/w/AGENTS.md\ntheirs",
                "You are an agent.\n",
                "/srv/w/AGENTS.md",
            ),
            ("mine\n--- project-doc ---\ntheirs", "mine\n", "AGENTS.md"),
            (
                "sys\n--- Context from: ../GEMINI.md ---\ntheirs\n--- End of Context from: ../GEMINI.md ---",
                "sys\n",
                "../GEMINI.md",
            ),
        ] {
            let split = split(text);
            assert!(split.said.ends_with(said), "{split:?}");
            let (file, named) = split.file.unwrap();
            assert!(file.contains("theirs") && !file.contains("mine") && named == path, "{named}: {file}");
        }
        for text in [
            "please read CLAUDE.md and use https://a.test/",
            "Contents of the box:\nnothing",
            "Instructions from: /home/u/.config/opencode/AGENTS.md\nmine",
            "# AGENTS.md\n- a list\n--- done ---",
            "",
        ] {
            assert_eq!(split(text), Split { said: text, file: None });
        }
    }
}
