use std::path::PathBuf;

use super::{Learnt, Machine};

/// A machine with these files (below its home, or below `/` if they begin so) and variables.
fn machine(name: &str, files: &[(&str, &str)], variables: &[(&str, &str)]) -> (Machine, PathBuf) {
    let folder = std::env::temp_dir().join(format!("doorward-registries-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let home = folder.join("home/user");
    std::fs::create_dir_all(&home).unwrap();
    for (file, text) in files {
        let path = match file.strip_prefix('/') {
            Some(below) => folder.join(below),
            None => home.join(file),
        };
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    (Machine { home: Some(home), root: folder.clone(), variables }, folder)
}

fn learn(name: &str, files: &[(&str, &str)], variables: &[(&str, &str)]) -> Learnt {
    let (machine, folder) = machine(name, files, variables);
    let learnt = machine.learn();
    std::fs::remove_dir_all(folder).unwrap();
    learnt
}

fn hosts(learnt: &Learnt) -> Vec<String> {
    let mut hosts: Vec<String> = learnt
        .registries
        .iter()
        .map(|registry| format!("{}:{}", registry.host, registry.port.map_or(0, |port| port)))
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

#[test]
fn every_client_is_asked_in_its_own_format() {
    for (name, file, text, expected) in [
        (
            "npm",
            ".npmrc",
            "; mine\nregistry = https://npm.corp.test/\n@team:registry=https://team.corp.test:8443/x/\n//auth.corp.test/npm/:_authToken=npm_SECRET\nfund=false\nproxy=http://proxy.corp.test:3128/\n",
            "auth.corp.test:443 npm.corp.test:443 team.corp.test:8443",
        ),
        (
            "yarn1",
            ".yarnrc",
            "# c\nregistry \"https://y1.corp.test\"\n\"@s:registry\" \"https://y2.corp.test\"\nlastUpdateCheck 1\n",
            "y1.corp.test:443 y2.corp.test:443",
        ),
        (
            "yarn",
            ".yarnrc.yml",
            "npmRegistryServer: \"https://y3.corp.test\"\nnpmScopes:\n  team:\n    npmRegistryServer: https://y4.corp.test\nhttpProxy: http://proxy.corp.test\n",
            "y3.corp.test:443 y4.corp.test:443",
        ),
        ("pnpm", ".config/pnpm/rc", "registry=https://pn.corp.test/\n", "pn.corp.test:443"),
        (
            "bun",
            ".bunfig.toml",
            "[install]\nregistry = { url = \"https://b1.corp.test\", token = \"$T\" }\n[install.scopes]\nteam = \"https://b2.corp.test\"\n",
            "b1.corp.test:443 b2.corp.test:443",
        ),
        (
            "pip",
            ".config/pip/pip.conf",
            "[global]\nindex-url = https://user:p%40ss@pip.corp.test/simple\nextra-index-url =\n    https://p2.corp.test/simple\n    https://p3.corp.test:8443/simple\nproxy = http://proxy.corp.test:3128\n",
            "p2.corp.test:443 p3.corp.test:8443 pip.corp.test:443",
        ),
        ("pip-system", "/etc/pip.conf", "[global]\nindex-url=http://10.0.0.5:3141/root\n", "10.0.0.5:3141"),
        (
            "pypirc",
            ".pypirc",
            "[distutils]\nindex-servers = corp\n[corp]\nrepository: https://up.corp.test/legacy/\nusername: me\npassword: SECRET\n",
            "up.corp.test:443",
        ),
        (
            "uv",
            ".config/uv/uv.toml",
            "index-url = \"https://u1.corp.test/simple\"\nextra-index-url = [\n  \"https://u2.corp.test/simple\",\n  \"https://u3.corp.test\",\n]\n[[index]]\nname = \"corp\"\nurl = \"https://u4.corp.test/simple\"\n[pip]\nindex-url = \"https://u5.corp.test\"\n",
            "u1.corp.test:443 u2.corp.test:443 u3.corp.test:443 u4.corp.test:443 u5.corp.test:443",
        ),
        (
            "poetry",
            ".config/pypoetry/config.toml",
            "[repositories.corp]\nurl = \"https://po.corp.test\"\n",
            "po.corp.test:443",
        ),
        (
            "cargo",
            ".cargo/config.toml",
            "[registries.corp]\nindex = \"sparse+https://c1.corp.test/index/\"\ntoken = \"SECRET\"\n[registries]\nmore = { index = \"sparse+https://c2.corp.test/\" }\n[source.mirror]\nregistry = \"sparse+https://c3.corp.test/\"\n[source.crates-io]\nreplace-with = \"mirror\"\n[http]\nproxy = \"http://proxy.corp.test\"\n[build]\nrustflags = [\"-C\", \"x\"]\n",
            "c1.corp.test:443 c2.corp.test:443 c3.corp.test:443",
        ),
        (
            "go",
            ".config/go/env",
            "GOPROXY=https://g1.corp.test,https://g2.corp.test|direct\nGOSUMDB=off\n",
            "g1.corp.test:443 g2.corp.test:443",
        ),
        (
            "maven",
            ".m2/settings.xml",
            "<settings><!-- <url>https://no.corp.test</url> --><servers><server><password>SECRET</password></server></servers><mirrors><mirror><id>a</id><url>https://m1.corp.test/maven</url></mirror></mirrors><profiles><profile><repositories><repository><url>\n https://m2.corp.test/r\n</url></repository></repositories></profile></profiles><proxies><proxy><host>proxy.corp.test</host></proxy></proxies></settings>",
            "m1.corp.test:443 m2.corp.test:443",
        ),
        (
            "gem",
            ".gemrc",
            "---\n:backtrace: false\n:sources:\n- https://gem.corp.test/\n- https://g3.corp.test/\n:update_sources: true\nhttp_proxy: http://proxy.corp.test\n",
            "g3.corp.test:443 gem.corp.test:443",
        ),
        (
            "bundler",
            ".bundle/config",
            "---\nBUNDLE_MIRROR__HTTPS://GEMS__TEST/: \"https://bm.corp.test/\"\nBUNDLE_GEMS__CORP__TEST: \"user:SECRET\"\n",
            "bm.corp.test:443",
        ),
        (
            "composer",
            ".config/composer/config.json",
            "{\"repositories\":[{\"type\":\"composer\",\"url\":\"https://co1.corp.test\"}],\"config\":{\"x\":1}}",
            "co1.corp.test:443",
        ),
        (
            "composer2",
            ".composer/config.json",
            "{\"repositories\":{\"a\":{\"type\":\"composer\",\"url\":\"https://co2.corp.test\"},\"packagist\":false}}",
            "co2.corp.test:443",
        ),
        (
            "nuget",
            ".nuget/NuGet/NuGet.Config",
            "<configuration><packageSources><add key=\"a\" value=\"https://n1.corp.test/v3/index.json\" /></packageSources><config><add key=\"http_proxy\" value=\"http://proxy.corp.test\" /></config></configuration>",
            "n1.corp.test:443",
        ),
        (
            "conda",
            ".condarc",
            "channels:\n  - https://cc.corp.test/main\n  - defaults\nchannel_alias: https://ca.corp.test\nproxy_servers:\n  http: http://proxy.corp.test\n",
            "ca.corp.test:443 cc.corp.test:443",
        ),
    ] {
        let learnt = learn(name, &[(file, text)], &[]);
        assert_eq!(hosts(&learnt).join(" "), expected, "{name}: {:?}", learnt.registries);
        assert_eq!(learnt.notes, Vec::<String>::new(), "{name}");
        assert!(!format!("{learnt:?}").contains("SECRET"), "{name}");
    }
}

#[test]
fn variables_and_the_files_they_name_are_read_and_relative_ones_are_not() {
    let (machine, folder) = machine(
        "variables",
        &[
            ("/opt/cargo/config.toml", "[registries.a]\nindex = \"https://v1.corp.test\"\n"),
            ("/opt/npmrc", "registry=https://v2.corp.test\n"),
        ],
        &[],
    );
    let cargo = folder.join("opt/cargo").display().to_string();
    let npm = folder.join("opt/npmrc").display().to_string();
    let variables = [
        ("CARGO_HOME", cargo.as_str()),
        ("NPM_CONFIG_USERCONFIG", &npm),
        ("PIP_CONFIG_FILE", "pip.conf"),
        ("UV_INDEX", "corp=https://v3.corp.test/simple other=https://v4.corp.test"),
        ("CARGO_REGISTRIES_CORP_INDEX", "sparse+https://v5.corp.test/"),
        ("GOPROXY", "https://user:SECRET@v6.corp.test,direct"),
        ("HTTPS_PROXY", "http://proxy.corp.test"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let learnt = Machine { variables, ..machine }.learn();
    std::fs::remove_dir_all(folder).unwrap();
    let expected = (1..=6).map(|n| format!("v{n}.corp.test:443")).collect::<Vec<_>>();
    assert_eq!(hosts(&learnt), expected);
    assert!(!format!("{learnt:?}").contains("SECRET"));
}

#[test]
fn broken_files_are_notes_that_quote_nothing() {
    let long = "x".repeat((1 << 20) + 1);
    let learnt = learn(
        "broken",
        &[
            (".npmrc", "registry=https://${SECRET_HOST}/x\n=\n\u{0}\n[[[\nregistry\n"),
            (".composer/config.json", "{\"repositories\": [SECRET"),
            (".gemrc", &long),
            (".cargo/config.toml/x", "a folder where a file should be"),
            (".m2/settings.xml", "<settings><url>https://m.corp.test"),
        ],
        &[],
    );
    assert_eq!(hosts(&learnt), ["m.corp.test:443"]);
    let notes = learnt.notes.join("\n");
    for wanted in [
        "~/.npmrc: a URL whose host",
        "config.json: not understood",
        ".gemrc: cannot be read: longer",
        ".cargo/config.toml: cannot be read: not a regular",
    ] {
        assert!(notes.contains(wanted), "{wanted} in {notes}");
    }
    assert!(!notes.contains("SECRET"), "{notes}");
}

#[test]
fn bytes_that_are_no_text_are_a_note() {
    let (machine, folder) = machine("bytes", &[], &[]);
    std::fs::write(machine.home.as_ref().unwrap().join(".npmrc"), b"registry=\xff\xfe").unwrap();
    let learnt = machine.learn();
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(learnt.notes, ["npm, ~/.npmrc: cannot be read: not UTF-8"]);
}
