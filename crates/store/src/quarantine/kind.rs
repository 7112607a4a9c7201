//! What a content is, by its bytes: what it is called is whatever somebody wanted it to be called.

use doorward_core::detect::native::native;
use file_format::FileFormat;

/// What begins a script, and what runs it.
const INTERPRETERS: [(&str, &str); 10] = [
    ("python", "Python script"),
    ("bash", "shell script"),
    ("zsh", "shell script"),
    ("sh", "shell script"),
    ("pwsh", "PowerShell script"),
    ("powershell", "PowerShell script"),
    ("node", "JavaScript script"),
    ("perl", "Perl script"),
    ("ruby", "Ruby script"),
    ("php", "PHP script"),
];

/// How much of a text is looked at.
const LOOKED_AT: usize = 64 * 1024;

/// What `content` is, in words; never its name, and never anything it says of itself.
#[must_use]
pub fn kind(content: &[u8]) -> String {
    let format = FileFormat::from_bytes(content);
    let by_text = match format {
        FileFormat::Empty => Some("nothing"),
        FileFormat::ArbitraryBinaryData | FileFormat::PlainText => {
            Some(text_kind(content).unwrap_or("unknown binary data"))
        }
        _ => text_kind(content)
            .filter(|_| content.starts_with(b"#!"))
            .or_else(|| native(content).filter(|kind| *kind == "PE").map(|_| "Portable Executable")),
    };
    by_text.unwrap_or_else(|| format.name()).to_owned()
}

/// What kind of text it is; `None` if it is none.
fn text_kind(content: &[u8]) -> Option<&'static str> {
    let start = content.get(..LOOKED_AT).unwrap_or(content);
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // Cut within a character, or no text.
        Err(error) if start.len() == LOOKED_AT && error.valid_up_to() + 4 > start.len() => {
            std::str::from_utf8(start.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    if text.bytes().any(|byte| byte == 0) {
        return None;
    }
    if let Some(line) = text.strip_prefix("#!").and_then(|rest| rest.lines().next()) {
        let mut words = line.split([' ', '\t', '/']).filter(|word| !word.is_empty());
        let known = words.find_map(|word| {
            let name = word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            INTERPRETERS.iter().find(|(own, _)| *own == name).map(|(_, kind)| *kind)
        });
        return Some(known.unwrap_or("script"));
    }
    let begins = text.trim_start();
    Some(match begins.as_bytes().first() {
        Some(b'{' | b'[') if doorward_core::syntax::json::parse(content).is_ok() => "JSON",
        Some(b'<') if begins.starts_with("<?xml") => "XML",
        Some(b'<') if is_html(begins) => "HTML",
        _ if is_powershell(text) => "PowerShell script",
        _ if is_batch(begins) => "batch file",
        _ if is_python(text) => "Python script",
        _ => "text",
    })
}

fn is_html(text: &str) -> bool {
    let start: String = text.chars().take(15).collect::<String>().to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

fn is_batch(text: &str) -> bool {
    let start: String = text.chars().take(9).collect::<String>().to_ascii_lowercase();
    start.starts_with("@echo off")
}

fn is_powershell(text: &str) -> bool {
    const WORDS: [&str; 7] = [
        "Write-Host",
        "Write-Output",
        "Invoke-",
        "Set-ExecutionPolicy",
        "$PSVersionTable",
        "New-Object ",
        "[CmdletBinding",
    ];
    text.lines().take(100).any(|line| WORDS.iter().any(|word| line.trim_start().starts_with(word)))
}

fn is_python(text: &str) -> bool {
    text.lines().take(100).any(|line| {
        (line.starts_with("import ") && !line.contains([';', '"', '\'', '{']))
            || (line.starts_with("from ") && line.contains(" import "))
            || (line.starts_with("def ") && line.trim_end().ends_with(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_content_is_its_bytes_say() {
        let mut tar = vec![0; 512];
        tar[257..265].copy_from_slice(b"ustar\x0000");
        let mut pe = vec![0; 256];
        pe[..2].copy_from_slice(b"MZ");
        pe[0x3c] = 0x80;
        pe[0x80..0x84].copy_from_slice(b"PE\0\0");
        let known: Vec<(&[u8], &str)> = vec![
            (b"\x7fELF\x02\x01\x01\0", "Executable and Linkable Format"),
            (&pe, "Portable Executable"),
            (b"\xcf\xfa\xed\xfe\x07\0\0\x01", "Mach-O"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"PK\x03\x04\x14\0\0\0", "ZIP"),
            (&tar, "Tape Archive"),
            (b"BZh91AY&SY", "bzip2"),
            (b"\xfd7zXZ\0", "XZ"),
            (b"Rar!\x1a\x07\x01\0", "Roshal Archive"),
            (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
            (b"%PDF-1.7\n", "Portable Document Format"),
            (b"\0asm\x01\0\0\0", "WebAssembly"),
            (b"\x89PNG\r\n\x1a\n", "Portable Network Graphics"),
            (b"SQLite format 3\0", "SQLite 3"),
            (b"\x28\xb5\x2f\xfd", "Zstandard"),
            (b"!<arch>\ndebian-binary", "Debian"),
            (b"#!/bin/sh\necho hi\n", "shell script"),
            (b"#!/usr/bin/env python3\n", "Python script"),
            (b"#!/usr/bin/env -S bash -e\n", "shell script"),
            (b"#!/opt/x\n", "script"),
            (b"import os\nprint(1)\n", "Python script"),
            (b"Write-Host 'hi'\n", "PowerShell script"),
            (b"@ECHO OFF\r\n", "Batch"),
            (b"{\"a\": [1]}", "JSON"),
            (b"<?xml version=\"1.0\"?><a/>", "Extensible Markup Language"),
            (b"<!DOCTYPE html><p>", "HyperText Markup Language"),
            (b"hello {", "text"),
            ("grüße".as_bytes(), "text"),
            (b"", "nothing"),
            (b"\xf0\xff\x00\x01\x02", "unknown binary data"),
        ];
        let wrong: Vec<_> = known
            .iter()
            .filter(|(bytes, want)| !kind(bytes).contains(want))
            .map(|(bytes, want)| (kind(bytes), want))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(known.len() >= 17);
    }

    #[test]
    fn a_text_is_cut_within_a_character_and_stays_one() {
        let long = "é".repeat(LOOKED_AT);
        assert_eq!(kind(long.as_bytes()), "text");
        assert_eq!(kind(format!("a{long}").as_bytes()), "text");
    }
}
