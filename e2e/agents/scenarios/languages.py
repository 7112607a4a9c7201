"""Writing, testing and repairing programs in several languages."""

from .steps import agent, edit, glob, grep, read, say, sh, todo, turn, write

RUST_MAIN = """use std::env;

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    println!("{}", words.join(" "));
}
"""
PY_STORE = """import sqlite3


def connect(path):
    return sqlite3.connect(path)


def add(db, name, price):
    db.execute(f"insert into items values ('{name}', {price})")
    db.commit()


def total(db):
    return db.execute("select sum(price) from items").fetchone()[0]
"""
PY_TEST = """import unittest

import store


class Store(unittest.TestCase):
    def test_a_quote_in_a_name(self):
        db = store.connect(":memory:")
        db.execute("create table items (name text, price integer)")
        store.add(db, "driver's seat", 40)
        self.assertEqual(store.total(db), 40)


if __name__ == "__main__":
    unittest.main()
"""
NODE_SERVER = """const http = require('node:http');

const port = process.env.PORT || 3000;
const server = http.createServer((request, response) => {
  if (request.url === '/health') {
    response.end('ok\\n');
    return;
  }
  response.statusCode = 404;
  response.end();
});
server.listen(port, () => console.log(`listening on ${port}`));
"""
C_SUM = """#include <stdio.h>
#include <stdlib.h>

int sum(const int *values, int count) {
    int total = 0;
    for (int i = 0; i <= count; i++) total += values[i];
    return total;
}

int main(void) {
    int values[] = {1, 2, 3};
    printf("%d\\n", sum(values, 3));
    return sum(values, 3) == 6 ? EXIT_SUCCESS : EXIT_FAILURE;
}
"""
CPP = """#include <iostream>
#include <map>
#include <string>

int main() {
    std::map<std::string, int> seen;
    std::string word;
    while (std::cin >> word) seen[word]++;
    for (const auto &entry : seen) std::cout << entry.first << ' ' << entry.second << '\\n';
}
"""
JAVA = """public class Clock {
    static String format(int minutes) {
        return minutes / 60 + ":" + minutes % 60;
    }

    public static void main(String[] arguments) {
        System.out.println(format(Integer.parseInt(arguments[0])));
    }
}
"""
CARGO = '[package]\nname = "shout"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n'

ALL = [
    {
        "name": "rust-flag",
        "agent": "claude-code",
        "project": "shout",
        "files": {"Cargo.toml": CARGO, "src/main.rs": RUST_MAIN, ".gitignore": "/target\n", "README.md": "# shout\n\nSays it again.\n"},
        "turns": [
            turn(
                "Add an --upper flag to the command line, with a test, and commit it.",
                say("I look at the project first.", sh("ls -la && git log --oneline | head"), read("src/main.rs")),
                todo("read the code", "add the flag", "test it", "commit"),
                edit(
                    "src/main.rs",
                    '    println!("{}", words.join(" "));',
                    '    println!("{}", said(&words));',
                ),
                sh(
                    "cat >> src/main.rs <<'END'\n\nfn said(words: &[String]) -> String {\n    let upper = words.iter().any(|word| word == \"--upper\");\n"
                    "    let rest: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != \"--upper\").collect();\n"
                    "    if upper { rest.join(\" \").to_uppercase() } else { rest.join(\" \") }\n}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n"
                    "    fn upper() {\n        let words = [\"--upper\", \"a\", \"b\"].map(String::from);\n        assert_eq!(super::said(&words), \"A B\");\n    }\n}\nEND"
                ),
                sh("cargo test --offline 2>&1 | tail -20"),
                sh("cargo fmt && cargo clippy --offline -- -D warnings 2>&1 | tail -5"),
                sh("cargo run --offline -q -- --upper hello there"),
                sh("git checkout -b upper-flag && git add -A && git commit -qm 'Add --upper' && git push -u origin upper-flag 2>&1"),
            ),
            turn("Mention it in the README too.", read("README.md"), edit("README.md", "Says it again.", "Says it again; with `--upper`, loudly."), sh("git commit -qam 'README: --upper' && git push 2>&1 && git status -sb")),
        ],
    },
    {
        "name": "python-injection-bug",
        "agent": "codex-patch",
        "project": "shop",
        "files": {"store.py": PY_STORE, "test_store.py": PY_TEST},
        "turns": [
            turn(
                "The tests fail since somebody added a test with a quote in the name. Find out why and fix it.",
                sh("python3 -m unittest -v 2>&1 | tail -20"),
                read("store.py"),
                edit(
                    "store.py",
                    "    db.execute(f\"insert into items values ('{name}', {price})\")",
                    '    db.execute("insert into items values (?, ?)", (name, price))',
                ),
                sh("python3 -m unittest 2>&1 | tail -4"),
                sh("git diff --stat && git commit -qam 'Pass values as parameters' && git push origin HEAD 2>&1"),
            )
        ],
    },
    {
        "name": "node-server",
        "agent": "opencode-chat",
        "project": "gateway-api",
        "files": {
            "server.js": NODE_SERVER,
            "package.json": '{\n  "name": "gateway-api",\n  "version": "1.0.0",\n  "scripts": { "start": "node server.js", "test": "node --test" }\n}\n',
        },
        "turns": [
            turn(
                "Start the server and check that /health answers. Then add a /version endpoint that gives the version of package.json, with a test.",
                read("server.js"),
                sh("PORT=3011 node server.js > /tmp/server.log 2>&1 & sleep 1; curl -s http://localhost:3011/health; cat /tmp/server.log; kill %1"),
                edit(
                    "server.js",
                    "  response.statusCode = 404;",
                    "  if (request.url === '/version') {\n    response.end(require('./package.json').version);\n    return;\n  }\n  response.statusCode = 404;",
                ),
                write(
                    "version.test.js",
                    "const test = require('node:test');\nconst assert = require('node:assert');\nconst { spawn } = require('node:child_process');\n\n"
                    "test('version', async () => {\n  const server = spawn('node', ['server.js'], { env: { ...process.env, PORT: '3012' } });\n"
                    "  await new Promise((go) => server.stdout.once('data', go));\n  const reply = await fetch('http://127.0.0.1:3012/version');\n"
                    "  assert.equal(await reply.text(), '1.0.0');\n  server.kill();\n});\n",
                ),
                sh("npm test 2>&1 | tail -15"),
                sh("PORT=3013 npm start & sleep 1; curl -si http://127.0.0.1:3013/version; curl -s -X POST http://127.0.0.1:3013/version -d '{\"a\": 1}'; kill $(lsof -ti :3013)"),
                sh("git add -A && git commit -qm 'Tell the version' && git log --oneline -3"),
            )
        ],
    },
    {
        "name": "npm-dependency",
        "agent": "claude-code",
        "project": "site",
        "files": {"package.json": '{\n  "name": "site",\n  "version": "0.0.1",\n  "private": true\n}\n', "index.js": "console.log('hello');\n", ".gitignore": "node_modules/\n"},
        "turns": [
            turn(
                "Use the nanoid package for ids instead of Math.random, and pin it.",
                grep("Math.random"),
                sh("npm view nanoid version && npm install --save-exact nanoid@5.0.9 2>&1 | tail -3"),
                sh("ls node_modules/nanoid && cat node_modules/nanoid/package.json | head -20"),
                read("index.js"),
                write("index.js", "import { nanoid } from 'nanoid';\n\nconsole.log(nanoid(8).length);\n"),
                sh("npm pkg set type=module && node index.js"),
                sh("rm -rf node_modules && npm ci 2>&1 | tail -2 && node index.js"),
                sh("git add -A && git commit -qm 'Ids by nanoid' && git push 2>&1"),
            )
        ],
    },
    {
        "name": "c-off-by-one",
        "agent": "gemini-cli",
        "project": "sum",
        "files": {"sum.c": C_SUM, "Makefile": "sum: sum.c\n\tcc -g -Wall -o sum sum.c\n\ncheck: sum\n\t./sum\n\nclean:\n\trm -f sum\n"},
        "turns": [
            turn(
                "make check gives a wrong sum sometimes. Please debug it.",
                sh("make check; echo status $?"),
                read("sum.c"),
                sh("cc -g -fsanitize=address -o /tmp/sum-asan sum.c && /tmp/sum-asan 2>&1 | head -12"),
                edit("sum.c", "    for (int i = 0; i <= count; i++) total += values[i];", "    for (int i = 0; i < count; i++) total += values[i];"),
                sh("make clean check && git diff"),
                sh("git commit -qam 'Stop at the last value' && rm -f /tmp/sum-asan"),
            )
        ],
    },
    {
        "name": "cpp-words",
        "agent": "cline",
        "project": "words",
        "files": {"words.cpp": CPP, "Makefile": "words: words.cpp\n\tg++ -std=c++17 -O2 -o words words.cpp\n"},
        "turns": [
            turn(
                "Make words print the most frequent words first, and try it on the licence text of the system.",
                read("words.cpp"),
                sh("make && echo 'a b a c a b' | ./words"),
                edit("words.cpp", "    for (const auto &entry : seen) std::cout << entry.first << ' ' << entry.second << '\\n';", "    std::multimap<int, std::string, std::greater<int>> order;\n    for (const auto &entry : seen) order.emplace(entry.second, entry.first);\n    for (const auto &entry : order) std::cout << entry.second << ' ' << entry.first << '\\n';"),
                sh("make && ./words < /usr/share/common-licenses/BSD | head -5"),
                sh("printf 'words\\n' > .gitignore && git add -A && git commit -qm 'Most frequent first'"),
            )
        ],
    },
    {
        "name": "java-format",
        "agent": "opencode-anthropic",
        "project": "clock",
        "files": {"src/Clock.java": JAVA},
        "turns": [
            turn(
                "Clock prints 1:5 where it should print 01:05. Fix it and show me that it works.",
                glob("*.java"),
                read("src/Clock.java"),
                sh("mkdir -p out && javac -d out src/Clock.java && java -cp out Clock 65"),
                edit("src/Clock.java", '        return minutes / 60 + ":" + minutes % 60;', '        return String.format("%02d:%02d", minutes / 60, minutes % 60);'),
                sh("javac -d out src/Clock.java && java -cp out Clock 65 && java -cp out Clock 1439"),
                sh("echo out/ >> .gitignore && git add . && git commit -qm 'Two digits' && git show --stat HEAD"),
            )
        ],
    },
    {
        "name": "go-handler",
        "agent": "codex-script",
        "project": "hits",
        "files": {"go.mod": "module example.org/hits\n\ngo 1.23\n", "main.go": 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hits") }\n'},
        "stubs": {
            "go": [
                ("test*", "ok  \texample.org/hits\t0.004s"),
                ("get*", "go: downloading github.com/go-chi/chi/v5 v5.2.1\ngo: added github.com/go-chi/chi/v5 v5.2.1"),
                ("vet*", ""),
                ("*", "go version go1.23.4 linux/amd64"),
            ]
        },
        "turns": [
            turn(
                "Turn this into a small HTTP service with chi that counts hits for each path. Tests please.",
                sh("go version && cat go.mod main.go"),
                sh("go get github.com/go-chi/chi/v5@latest"),
                write("counter.go", "package main\n\nimport \"sync\"\n\ntype counter struct {\n\tmu   sync.Mutex\n\tseen map[string]int\n}\n\nfunc (c *counter) hit(path string) int {\n\tc.mu.Lock()\n\tdefer c.mu.Unlock()\n\tc.seen[path]++\n\treturn c.seen[path]\n}\n"),
                write("counter_test.go", "package main\n\nimport \"testing\"\n\nfunc TestHit(t *testing.T) {\n\tc := counter{seen: map[string]int{}}\n\tc.hit(\"/a\")\n\tif c.hit(\"/a\") != 2 {\n\t\tt.Fatal(\"lost one\")\n\t}\n}\n"),
                sh("go vet ./... && go test ./... -race"),
                sh("git add -A && git commit -qm 'Count hits' && git push -u origin HEAD 2>&1 | tail -2"),
            )
        ],
    },
    {
        "name": "monorepo-rename",
        "agent": "claude-code",
        "project": "mono",
        "files": {
            "package.json": '{ "name": "mono", "private": true, "workspaces": ["packages/*"] }\n',
            "packages/core/package.json": '{ "name": "@mono/core", "version": "1.0.0", "main": "index.js" }\n',
            "packages/core/index.js": "exports.colour = () => 'red';\n",
            "packages/web/package.json": '{ "name": "@mono/web", "version": "1.0.0", "dependencies": { "@mono/core": "1.0.0" } }\n',
            "packages/web/index.js": "const { colour } = require('@mono/core');\nconsole.log(colour());\n",
            "packages/cli/index.js": "const { colour } = require('@mono/core');\nprocess.stdout.write(colour());\n",
        },
        "turns": [
            turn(
                "Rename colour to color everywhere in the packages.",
                say("I look for its uses, and have them counted.", grep("colour"), agent("Count the files below packages that say colour.", sh("grep -rl colour packages | wc -l"), read("packages/core/index.js"))),
                sh("grep -rl colour packages | xargs sed -i 's/colour/color/g' && git diff --stat"),
                sh("npm install 2>&1 | tail -2; node packages/web/index.js"),
                sh("find packages -name '*.js' -exec node --check {} \\; && echo all parse"),
                sh("git checkout -q -b color && git commit -qam 'Say color' && git push -q -u origin color && git branch -vv"),
            )
        ],
    },
    {
        "name": "typescript-strict",
        "agent": "opencode-responses",
        "project": "forms",
        "files": {
            "tsconfig.json": '{ "compilerOptions": { "strict": false, "noEmit": true } }\n',
            "src/form.ts": "export function first(values) {\n  return values[0];\n}\n",
            "package.json": '{ "name": "forms", "private": true, "devDependencies": {} }\n',
        },
        "turns": [
            turn(
                "Switch TypeScript to strict and fix what that breaks.",
                glob("*.ts"),
                sh("npm install --save-dev typescript@5.6.3 2>&1 | tail -1 && npx tsc --version"),
                sh("sed -i 's/\"strict\": false/\"strict\": true/' tsconfig.json && npx tsc -p . ; true"),
                edit("src/form.ts", "export function first(values) {", "export function first<T>(values: T[]): T | undefined {"),
                sh("npx tsc -p . && echo clean"),
                sh("echo node_modules > .gitignore && git add -A && git commit -qm 'Strict TypeScript' && git stash list && git log -1 --format=%s"),
            )
        ],
    },
    {
        "name": "notebook",
        "agent": "gemini-cli",
        "project": "analysis",
        "files": {
            "sales.csv": "month,amount\n1,10\n2,30\n3,20\n",
            "sales.ipynb": '{"cells": [{"cell_type": "code", "execution_count": null, "id": "a1", "metadata": {}, "outputs": [], "source": ["print(1)"]}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}\n',
        },
        "turns": [
            turn(
                "Add a cell to the notebook that sums sales.csv, and check the number with a script.",
                read("sales.ipynb"),
                sh("head -3 sales.csv && wc -l sales.csv"),
                write("add_cell.py", "import json\n\nbook = json.load(open('sales.ipynb'))\nbook['cells'].append({'cell_type': 'code', 'execution_count': None, 'id': 'b2', 'metadata': {}, 'outputs': [],\n                      'source': ['import csv\\n', \"print(sum(int(r['amount']) for r in csv.DictReader(open('sales.csv'))))\"]})\njson.dump(book, open('sales.ipynb', 'w'), indent=1)\n"),
                sh("python3 add_cell.py && python3 -c \"import json; print(len(json.load(open('sales.ipynb'))['cells']))\""),
                sh("python3 - <<'END'\nimport csv\nprint(sum(int(r['amount']) for r in csv.DictReader(open('sales.csv'))))\nEND"),
                sh("rm add_cell.py && git add -A && git commit -qm 'Sum the sales'"),
            )
        ],
    },
]
