//! Keys pressed in a terminal: a line grows until Return runs it.

/// The longest line that is followed, in characters.
const LONGEST: usize = 8 * 1024;

/// A key, or text that is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Text; a line end in it is Return.
    Text(String),
    /// A key by name, alone or with others: `Return`, `ctrl+c`, `C-u`, `a`.
    Named(String),
}

/// A line that Return has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it says.
    pub text: String,
    /// Whether all of it is known: no completion, no line of the history.
    pub known: bool,
}

/// What was typed since the last Return, and where the cursor stands.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Typed {
    line: Vec<char>,
    /// Characters behind the cursor.
    behind: usize,
    unsure: bool,
}

impl Typed {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The lines that pressing `keys` runs.
    pub(super) fn press(&mut self, keys: &[Key]) -> Vec<Line> {
        let mut lines = Vec::new();
        for key in keys {
            match key {
                Key::Text(text) => self.text(text, &mut lines),
                Key::Named(name) => self.named(name, &mut lines),
            }
        }
        lines
    }

    fn text(&mut self, text: &str, lines: &mut Vec<Line>) {
        // A terminal takes a line end, pasted or typed, for Return; of `\r\n` both.
        for c in text.chars() {
            match c {
                '\n' | '\r' => self.run(lines),
                '\u{3}' => self.clear(),
                '\u{15}' => self.kill_before(),
                '\u{7f}' | '\u{8}' => self.backspace(),
                '\t' => self.complete(),
                c if c.is_control() => {}
                c => self.insert(c),
            }
        }
    }

    fn named(&mut self, name: &str, lines: &mut Vec<Line>) {
        let mut parts: Vec<&str> = name.split('+').filter(|part| !part.is_empty()).collect();
        let last = parts.pop().unwrap_or(name);
        let (control, last) = match last.strip_prefix("C-").or_else(|| last.strip_prefix('^')) {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (parts.iter().any(|part| is_control(part)), last),
        };
        let meta = parts.iter().any(|part| matches!(part.to_ascii_lowercase().as_str(), "alt" | "meta"));
        let key = last.to_ascii_lowercase();
        match key.as_str() {
            _ if control => match key.as_str() {
                "c" | "d" | "g" => self.clear(),
                "u" => self.kill_before(),
                "w" => self.kill_word(),
                "h" => self.backspace(),
                "m" | "j" => self.run(lines),
                "a" => self.behind = self.line.len(),
                "e" => self.behind = 0,
                "k" => self.line.truncate(self.at()),
                "b" => self.left(),
                "f" => self.right(),
                "p" | "n" | "r" | "y" => self.unsure = true,
                "i" => self.complete(),
                _ => {}
            },
            _ if meta => self.unsure |= !self.line.is_empty(),
            "return" | "enter" | "kp_enter" | "linefeed" | "numpadenter" | "cr" => self.run(lines),
            "backspace" | "bspace" => self.backspace(),
            "delete" | "dc" => {
                if self.behind > 0 {
                    let at = self.at();
                    self.line.remove(at);
                    self.behind -= 1;
                }
            }
            "space" => self.insert(' '),
            "tab" => self.complete(),
            "left" | "arrowleft" => self.left(),
            "right" | "arrowright" => self.right(),
            "home" => self.behind = self.line.len(),
            "end" => self.behind = 0,
            "up" | "down" | "arrowup" | "arrowdown" => self.unsure = true,
            _ => {
                let mut chars = last.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => self.insert(c),
                    _ => SYMBOLS.iter().filter(|(name, _)| *name == key).for_each(|(_, c)| self.insert(*c)),
                }
            }
        }
    }

    fn at(&self) -> usize {
        self.line.len().saturating_sub(self.behind)
    }

    fn insert(&mut self, c: char) {
        if self.line.len() < LONGEST {
            self.line.insert(self.at(), c);
        } else {
            self.unsure = true;
        }
    }

    fn backspace(&mut self) {
        if let Some(at) = self.at().checked_sub(1) {
            self.line.remove(at);
        }
    }

    fn left(&mut self) {
        self.behind = (self.behind + 1).min(self.line.len());
    }

    fn right(&mut self) {
        self.behind = self.behind.saturating_sub(1);
    }

    fn kill_before(&mut self) {
        self.line.drain(..self.at());
    }

    fn kill_word(&mut self) {
        let end = self.at();
        let before = self.line.get(..end).unwrap_or_default();
        let word = before.iter().rposition(|c| !c.is_whitespace()).unwrap_or(0);
        let start = before.get(..word).and_then(|line| line.iter().rposition(|c| c.is_whitespace()));
        self.line.drain(start.map_or(0, |at| at + 1)..end);
    }

    /// The shell completes a name: it could go on in any way.
    fn complete(&mut self) {
        self.unsure = true;
        self.insert('*');
    }

    fn run(&mut self, lines: &mut Vec<Line>) {
        let text: String = self.line.iter().collect();
        if self.unsure || !text.trim().is_empty() {
            lines.push(Line { text, known: !self.unsure });
        }
        self.clear();
    }
}

fn is_control(part: &str) -> bool {
    matches!(part.to_ascii_lowercase().as_str(), "ctrl" | "control" | "control_l" | "control_r" | "ctl")
}

/// Characters by the names that X gives their keys.
const SYMBOLS: &[(&str, char)] = &[
    ("minus", '-'),
    ("period", '.'),
    ("slash", '/'),
    ("backslash", '\\'),
    ("asciitilde", '~'),
    ("bar", '|'),
    ("ampersand", '&'),
    ("semicolon", ';'),
    ("colon", ':'),
    ("dollar", '$'),
    ("quotedbl", '"'),
    ("apostrophe", '\''),
    ("underscore", '_'),
    ("equal", '='),
    ("comma", ','),
    ("asterisk", '*'),
    ("greater", '>'),
    ("less", '<'),
    ("parenleft", '('),
    ("parenright", ')'),
    ("exclam", '!'),
    ("at", '@'),
    ("numbersign", '#'),
    ("percent", '%'),
    ("grave", '`'),
    ("plus", '+'),
];

#[cfg(test)]
mod tests {
    use super::{Key, Line, Typed};

    fn pressed(keys: &[&str]) -> Vec<Line> {
        let key = |key: &&str| match key.strip_prefix('=') {
            Some(text) => Key::Text(text.into()),
            None => Key::Named((*key).into()),
        };
        Typed::default().press(&keys.iter().map(key).collect::<Vec<_>>())
    }

    fn text(keys: &[&str]) -> String {
        pressed(keys).into_iter().map(|line| line.text + if line.known { ";" } else { "?" }).collect()
    }

    #[test]
    fn return_runs_what_was_typed() {
        assert_eq!(text(&["=cat ", "=a.txt", "Return"]), "cat a.txt;");
        assert_eq!(text(&["=ls\npwd\n"]), "ls;pwd;");
        assert_eq!(text(&["=ls", "C-m", "=x"]), "ls;");
        assert_eq!(text(&["=ls"]), "");
        assert_eq!(text(&["Return", "KP_Enter"]), "");
    }

    #[test]
    fn keys_edit_the_line() {
        assert_eq!(text(&["=lsx", "BackSpace", "Return"]), "ls;");
        assert_eq!(text(&["=rm -rf", "ctrl+u", "=ls", "Return"]), "ls;");
        assert_eq!(text(&["=rm -rf", "CTRL+C", "=ls", "ENTER"]), "ls;");
        assert_eq!(text(&["=cat one two", "ctrl+w", "=three", "Return"]), "cat one three;");
        assert_eq!(text(&["=at a", "Home", "c", "ctrl+e", "=b", "Return"]), "cat ab;");
        assert_eq!(text(&["=abd", "Left", "=c", "Right", "=e", "Return"]), "abcde;");
        assert_eq!(text(&["l", "s", "space", "minus", "l", "Return"]), "ls -l;");
        assert_eq!(text(&["=ls\u{7f}\u{7f}pwd\r"]), "pwd;");
        assert_eq!(text(&["=abc", "ctrl+a", "Delete", "Return"]), "bc;");
    }

    #[test]
    fn what_the_shell_adds_is_not_known() {
        assert_eq!(text(&["=cat ~/.ssh/id_r", "Tab", "Return"]), "cat ~/.ssh/id_r*?");
        assert_eq!(text(&["Up", "Return"]), "?");
        assert_eq!(text(&["Up", "ctrl+c", "=ls", "Return"]), "ls;");
    }
}
