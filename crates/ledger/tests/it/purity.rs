//! Only `storage` does I/O; nothing here reads a clock, draws a random number or starts a thread.

use std::path::Path;

#[test]
fn only_storage_touches_the_world() {
    let mut todo = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut seen = 0;
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
                continue;
            }
            seen += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let storage = path.components().any(|part| part.as_os_str() == "storage");
            let world =
                ["std::fs", "std::net", "std::env", "std::io::", "std::process", ".is_dir()", ".exists()"];
            let always = ["SystemTime", "Instant::", "std::thread", "getrandom", "rand::", "unsafe "];
            let found = world.iter().filter(|_| !storage).chain(&always).find(|word| {
                let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                lines.filter(|line| !line.contains("use std::io::Write;")).any(|line| line.contains(**word))
            });
            let found = found.filter(|word| !(storage && **word == "std::process"));
            assert!(found.is_none(), "{} uses {}", path.display(), found.unwrap_or(&""));
        }
    }
    assert!(seen > 20);
}
