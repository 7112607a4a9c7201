//! The alphabets of random cases.

pub const TOOL_PATTERNS: &[&str] =
    &["Bash", "'*'", "'Ba*'", "bash", "'?ash'", "Read", "'mcp__*'", "'**'", "'*s*h'", "STRASSE"];
pub const TOOLS: &[&str] = &["Bash", "bash", "Read", "mcp__a__b", "a/b", "Bas", "straße", ""];
pub const CAPABILITIES: &[&str] =
    &["network:fetch", "read:file", "network:post", "execute:shell", "unknown", "mcp:invoke", "write:file"];
pub const ASSETS: &[&str] = &["external", "internal", "credential", "unknown", "project"];
pub const METHOD_PATTERNS: &[&str] = &["GET", "POST", "DELETE", "HEAD", "OPTIONS", "get-it", "Post-It"];
pub const METHODS: &[&str] = &["GET", "POST", "get", "DELETE", "HEAD", "Get-It", "OPTIONS"];
pub const SOURCES: &[&str] =
    &["model", "user", "web", "unknown", "provider", "mcp", "local_file", "internal"];
pub const WINDOWS: &[&str] = &["09:00-17:00", "22:00-06:00", "01:00-03:00", "00:00-12:00", "02:30-03:00"];
pub const ZONES: &[&str] =
    &["UTC", "Europe/Berlin", "'+05:30'", "'-12:00'", "America/New_York", "Australia/Lord_Howe"];
pub const HOST_PATTERNS: &[&str] = &[
    "a.test",
    "'*.a.test'",
    "10.0.0.1",
    "10.0.0.0/8",
    "A.Test",
    "'[::1]'",
    "'fd00::/8'",
    "ä.test",
    "localhost",
    "'*.test'",
    "'0.0.0.0/0'",
];
pub const SCHEMES: &[&str] = &["https://", "", "http://", "ws://", "HTTPS://"];
pub const URL_HOST_PATTERNS: &[&str] =
    &["a.test", "*", "*.a.test", "10.0.0.1", "A.Test", "[::1]", "{a,b}.test", "ä.test"];
pub const URL_HOSTS: &[&str] = &[
    "a.test",
    "b.a.test",
    "A.test",
    "10.0.0.1",
    "167772161",
    "[::1]",
    "[::ffff:10.0.0.1]",
    "b.test",
    "a.test.",
    "xn--4ca.test",
    "localhost",
    "${HOST}",
    "${X}.a.test",
    "test",
];
pub const PORTS: &[&str] = &["", ":443", ":80", ":8080", ":0443"];
pub const URL_PATH_PATTERNS: &[&str] = &[
    "/**",
    "/",
    "/v1/*",
    "/v1/**",
    "/v1/x",
    "/**/x",
    "/v1/",
    "/v*/x",
    "/{a,v1}/x",
    "/V1/x",
    "/a%62",
    "/*/../x",
];
pub const URL_PATHS: &[&str] = &[
    "/v1/x",
    "",
    "/",
    "/v1",
    "/v1/x/",
    "/V1/x",
    "/v1/../x",
    "/v1/%2e%2e/x",
    "/v1%2fx",
    "//v1//x",
    "/v1/;p=1/x",
    "/v1/x;p=1",
    "/ab",
    "/a%62",
    "/%2561b",
    "/v1/y",
    "/v2/x/x",
    "/a/..//v1/x",
];
pub const QUERY_PATTERNS: &[&str] = &["", "?q=1", "?q=*", "?q=a*&r=2", "?q="];
pub const QUERIES: &[&str] = &[
    "",
    "?q=1",
    "?q=2",
    "?q=1&q=2",
    "?r=2&q=ab",
    "?q",
    "?Q=1",
    "?q=%31",
    "?q=a+b&r=2",
    "?q=1#x",
    "?q=%zz",
    "?%71=1",
];
pub const ODD_URLS: &[&str] = &[
    "https://x@a.test/v1/x",
    "https://a.test\\@b.test/",
    "https://a.test/\u{1}",
    "https://a.test:99999/",
    "https:///v1/x",
    "ftp://a.test/v1/x",
    "https://a.test?q=1",
    "https://a.test#/v1/x",
    "",
    "//a.test/v1/x",
    "https://a.test/%00",
    "https://%61.test/v1/x",
];
pub const PATH_PATTERNS: &[&str] = &[
    "/etc/passwd",
    "/etc/**",
    "'~/.ssh/*'",
    "'**/.env'",
    "/home/dev/x",
    "'~/x'",
    "'/etc/p*d'",
    "'~/**'",
    "'**/*'",
    "'/**'",
    // Of another user whose name begins like ours; a letter that is two when it is small.
    "/home/dev2/**",
    "'/\u{130}/**'",
];
pub const PATHS: &[&str] = &[
    "~2/x",
    "/home/dev2/x",
    "/\u{130}/x",
    "/\u{130}/${X}",
    "/etc/passwd",
    "/etc",
    "~/.ssh/id",
    "/home/dev/.ssh/id",
    "~/x",
    "/home/dev/x",
    "~",
    "/",
    "/Etc/Passwd",
    "/etc/${X}",
    "~/${X}",
    "${X}",
    "/var/.env",
    "src/.env",
    ".env",
    "../.env",
    "x",
    "/home/dev/a/.env",
    "~/.ENV",
];
pub const TARGET_PATTERNS: &[&str] =
    &["terraform", "'terra*'", "'*'", "'?erraform'", "'*/terraform'", "Terraform", "'80*'"];
pub const TARGETS: &[&str] =
    &["terraform", "/usr/bin/terraform", "C:\\bin\\terraform", "Terraform", "ls", "8080", ""];
pub const HEADER_OPERATORS: &[&str] = &[
    "",
    ", exact: one",
    ", present: true",
    ", present: false",
    ", prefix: o",
    ", suffix: ne",
    ", contains: n",
    ", regex: '^o'",
    ", in: [one, two]",
    ", prefix: o, suffix: e",
];
pub const TYPES: &[&str] = &[
    "application/json",
    "APPLICATION/JSON; charset=UTF-8",
    "text/plain",
    "application/vnd.a+json",
    "application/json; charset=latin1",
    "application/json;",
    "image/png",
    "application/json; a=\"b;c\"",
    "application/json; a=1; a=1",
    "application/json ;a=1",
    "multipart/form-data; boundary=b",
];
pub const JSON_PATHS: &[&str] = &[
    "$.a",
    "a",
    "$.a.b",
    "$.a[0]",
    "a.0",
    "$.l[*]",
    "$..a",
    "$.a[*].b",
    "$['a']",
    "$.A",
    "$.l[-1]",
    "$.l[0:2]",
    "$.l[::-1]",
    "$.l[?@.b > 1]",
    "$.l[?@ == 1]",
    "$[?@.b == 'x']",
    "$.l[?@.b]",
    "$.l[?!@.b]",
    "$.l[?@.b && @.b != 'x']",
    "$.l[?length(@.b) == 1]",
    "$.l[?count(@.*) >= 1]",
    "$.l[?match(@.b, 'x.*')]",
    "$.l[?search(@, 'x')]",
    "$.l[?value(@.b) == 1]",
    "$..*",
    "$.*",
    "$",
    "$.a-b",
    "a-b",
    "$['a[b]']",
    "a.b",
    "$.l[0].b",
    "l.0.b",
    "$['a','l']",
    "$.l[?@.b == null]",
    "$.l[?@.b <= 'x' || @ == true]",
    "$..[0]",
    "$.l[?@ != $.a]",
];
pub const OPERATORS: &[&str] = &[
    "exact: 1",
    "max: 1",
    "min: 1",
    "exact: x",
    "exact: '1'",
    "exact: true",
    "exact: null",
    "exact: ''",
    "in: [1, x]",
    "in: [[1, x], 2]",
    "exact: [1, x]",
    "exact: {b: 1}",
    "prefix: x",
    "suffix: x",
    "contains: '1'",
    "regex: '^[x1]'",
    "present: true",
    "present: false",
    "max: 0.5",
    "min: -1e2",
    "prefix: t",
    "exact: false",
    "in: [yes, '0']",
];
pub const JSON_BODIES: &[&str] = &[
    "{\"a\": 1}",
    "{\"a\": \"x\"}",
    "{\"a\": {\"b\": 1}}",
    "{\"l\": [1, \"x\", {\"b\": 1}]}",
    "{\"a\": [1, \"x\"]}",
    "{\"a\": null}",
    "{\"a\": true, \"l\": [{\"b\": \"x\"}, {\"B\": 2}, {\"b\": null}]}",
    "{\"A\": 1}",
    "{\"a\": 2, \"A\": 1}",
    "{\"a\": \"1\"}",
    "{\"a\": \"01\"}",
    "{\"a\": \"\u{661}\"}",
    "{\"a\": \"\"}",
    "{\"a\": 1.0, \"l\": [[1], [[\"x\"]]]}",
    "{\"a\": 1e400, \"l\": []}",
    "{\"a\": \"\\ud800\"}",
    "{\"a\": [{\"b\": 1}, {\"b\": \"x\"}]}",
    "{\"a\": false, \"l\": [false, null, 0]}",
    "{\"a-b\": 1, \"a\": {\"0\": 1, \"B\": \"x\"}}",
    "{\"a\": 0}",
    "{\"a\": \"yes\"}",
    "{\"a\": \"-Infinity\"}",
    "{\"a\": 1234567890123456}",
    "{}",
    "[]",
    "{\"a\": 1, \"a\": 2}",
    "nonsense",
    "",
    "{\"l\": {\"b\": 1, \"c\": \"xx\"}}",
    "1",
    "{\"a\": -0}",
    "{\"l\": [\"x\\r\", {\"b\": \"x\\n\"}, {\"b\": \"xy\"}]}",
    "{\"a\": {\"a\": {\"a\": 1}}}",
];
pub const FORMS: &[&str] = &[
    "a=1",
    "a=x",
    "a[b]=1",
    "a[]=1&a[]=x",
    "l[0][b]=1&l[1][b]=x",
    "l[][b]=1&l[][b]=x",
    "a=1&a=2",
    "A=1",
    "a.b=1",
    "a_b=1",
    "a-b=1",
    "a=",
    "a",
    "a=01",
    "a=true",
    "a=%31",
    "a=+1",
    "a=%zz",
    "a;b=1",
    "{\"a\": 1}",
    "a=1&a[b]=1",
    "l[]=1&l[]=x&a[0]=1",
    "a[b][b]=1",
    "a[b=1",
    "[a]=1",
    "&&a=1&",
    "_charset_=x",
    "+a=1",
    "l=1",
    "l=x&a[B]=1",
    "a=1%00",
];
pub const SEGMENTS: &[&str] = &[
    ".a",
    ".b",
    ".l",
    ".A",
    "[0]",
    "[-1]",
    "[*]",
    ".*",
    "..a",
    "..[0]",
    "..*",
    "['a','b']",
    "[0,'a']",
    "[0:1]",
    "[::2]",
    "[1::-1]",
    "[?@.a]",
    "[?@.b == 1]",
    "[?@ == 'x']",
    "[?@ < 1]",
    "[?@.a != $.a]",
    "[?@.a >= @.b]",
    "[?length(@) > 1]",
    "[?count(@.*) == 2]",
    "[?match(@.a, '[x1]')]",
    "[?!(@.a == 1) && @.b]",
    "[?value(@.a) == null]",
    "[?@.l[?@ == 1]]",
];
pub const JSON_KEYS: &[&str] = &["a", "b", "l", "A", "B", "0", "\u{212a}", "a-b", ""];
pub const JSON_SCALARS: &[&str] = &[
    "1",
    "\"x\"",
    "\"1\"",
    "true",
    "null",
    "0",
    "1.0",
    "\"\"",
    "2",
    "-1",
    "\"01\"",
    "10e-1",
    "\"X\"",
    "false",
    "\"true\"",
    "\"xx\"",
    "-0",
    "\" 1\"",
    "\"\\udc00\"",
    "1e999999999999999999999",
    "\"\u{ff11}\"",
    "\"t\"",
];
pub const FIELD_NAMES: &[&str] = &[
    "a", "b", "l", "a[b]", "a[]", "l[0]", "A", "a.b", "a_b", "a[b][b]", "l[][b]", "a[", "[a]", "a[]b",
    "a[0]", "l[1]", "a%5Bb%5D", "", "a[A]",
];
pub const FIELD_VALUES: &[&str] = &["1", "x", "", "01", "true", "1.0", "%31", "a+b", "2", "X", "null", "-0"];
pub const PART_HEADS: &[&str] = &[
    "Content-Disposition: form-data; name=\"NAME\"",
    "content-disposition: form-data; name=NAME",
    "Content-Disposition: form-data; name=\"NAME\"; filename=\"x\"",
    "Content-Disposition: form-data; name=\"NAME\"\r\nContent-Type: text/plain",
    "Content-Disposition: form-data; name=\"NAME\"\r\nContent-Type: application/json",
    "Content-Disposition: form-data; name=\"NAME\"\r\nContent-Transfer-Encoding: base64",
    "Content-Disposition: form-data; name=\"NAME\"\r\nContent-Transfer-Encoding: 8bit",
    "Content-Disposition: attachment; name=\"NAME\"",
    "Content-Disposition: form-data",
    "X: y",
    "Content-Disposition: form-data; name=\"NAME\"\r\nContent-Disposition: form-data; name=\"b\"",
    "Content-Disposition: form-data; name=\"NAME\"\r\n folded",
    "Content-Disposition: form-data; name*=utf-8''a; name=\"NAME\"",
    "Content-Disposition: form-data; name=\"%22NAME\"",
];

/// What is known of places in all cases.
pub const LISTS: &str = r#"
destinations:
- id: drop
  class: blocked
  severity: {fetch: 30, post: 60, carry: 70}
  places: [b.test, a.test/v1/x]
  reason: r
  advice: a
  attack: [T1567]
  examples: [{command: a}]
  near_misses: [{command: a}]
- id: hook
  class: blocked
  severity: {post: 45}
  places: ["*.a.test", "a.test/v*/y"]
  reason: r
  advice: a
  attack: [T1567]
  examples: [{command: a}]
  near_misses: [{command: a}]
- id: read
  class: allowed
  covers: fetch
  places: [a.test]
  reason: r
  examples: [{command: a}]
  near_misses: [{command: a}]
- id: taken
  class: allowed
  covers: [post]
  places: [a.test/v1, test]
  reason: r
  examples: [{command: a}]
  near_misses: [{command: a}]
"#;
/// Registries that are learnt beside them; of `a.test` the lists speak already.
pub const REGISTRIES: &[(&str, Option<u16>)] =
    &[("10.0.0.1", Some(443)), ("xn--4ca.test", Some(8080)), ("::1", None), ("a.test", None)];
pub const CLASSES: &[&str] = &["unknown", "blocked", "allowed", "registry", "internal"];
pub const PLACES: &[&str] = &[
    "a.test",
    "'*.a.test'",
    "b.test",
    "10.0.0.0/8",
    "'a.test/v1/**'",
    "'https://a.test/v1/*'",
    "'{a,b}.test/v1/x'",
    "'[::1]'",
    "localhost",
    "'*.test/V1/x'",
    "'a.test:8080/**'",
    "'a.test/**?q=1'",
];
pub const NAMED: &[&str] = &["package registry", "code forge", "git remote origin"];
