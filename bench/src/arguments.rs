//! The command line.

use std::path::PathBuf;

use crate::peers::PeerKind;

/// What `--help` says.
pub const USAGE: &str = "\
cargo xtask bench model [--quick] [--peers NAME,…] [--only PART,…] [--rounds N] [--seconds S] [--streams N]
                        [--rows LETTER,…] [--connections N,…] [--json FILE] [--markdown FILE] [--doorward FILE] [--environments DIR] [--python FILE]

Measures the model door beside other proxies, in one run, and prints tables.

  --quick              about a minute: the main rows, direct, nginx and Doorward
  --peers NAME,…       of direct, nginx, nginx-64k, doorward, mitmproxy, litellm
                       (default: all but nginx-64k). Peers that are not installed are named and left out
  --only PART,…        of core, first-token, throughput, linear, streams
  --rows LETTER,…      of a (small JSON), b (text and a call), c (2,000 deltas), d (20 MB), p (paced); throughput only
  --connections N,…    how many at once (default 1,16,64); throughput only
  --rounds N           rounds of each throughput cell (default 5)
  --seconds S          how long one lasts (default 1)
  --streams N          slow streams at once (default 9500)
  --json FILE          writes every figure
  --markdown FILE      writes the tables
  --doorward FILE      the binary to measure (default: beside this one)
  --environments DIR   where the Python environments of mitmproxy and litellm are, or will be made
  --python FILE        the interpreter to make them with

cargo xtask bench egress [--rounds N] [--seconds S] [--connections N,…] [--json FILE] [--markdown FILE] [--doorward FILE]

Measures the egress door beside nobody in between and nginx, and each of its stages by itself.

cargo xtask bench detect [--rounds N] [--json FILE] [--markdown FILE]

Measures how fast text is looked through, beside one bare pass over the same literals.

cargo xtask bench policy [--help]

Measures the policy engine beside others.";

/// What is asked for.
#[derive(Debug)]
pub enum Request {
    /// The usage.
    Help,
    /// Be the upstream of a run.
    Upstream,
    /// Measure the model door.
    Model(Box<Options>),
    /// Measure the egress door.
    Egress(Box<Options>),
    /// Measure detection.
    Detect {
        /// How often everything is measured.
        rounds: usize,
        /// Where the figures go.
        json: Option<PathBuf>,
        /// Where the tables go.
        markdown: Option<PathBuf>,
    },
}

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The pure part alone.
    Core,
    /// Time to the first token.
    FirstToken,
    /// Replies a second.
    Throughput,
    /// Growth with the length.
    Linear,
    /// Memory with many streams.
    Streams,
}

impl Part {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Core, "core"),
        (Self::FirstToken, "first-token"),
        (Self::Throughput, "throughput"),
        (Self::Linear, "linear"),
        (Self::Streams, "streams"),
    ];
}

/// How to measure.
#[derive(Debug)]
pub struct Options {
    /// A minute instead of half an hour.
    pub quick: bool,
    /// Whom.
    pub peers: Vec<PeerKind>,
    /// What.
    pub parts: Vec<Part>,
    /// First letters of the throughput rows.
    pub rows: String,
    /// Connections of the throughput rows; empty for the usual ones.
    pub connections: Vec<usize>,
    /// Rounds of each cell.
    pub rounds: usize,
    /// Seconds of each round.
    pub seconds: f64,
    /// Slow streams.
    pub streams: usize,
    /// Where figures go.
    pub json: Option<PathBuf>,
    /// Where tables go.
    pub markdown: Option<PathBuf>,
    /// The binary.
    pub doorward: Option<PathBuf>,
    /// Python environments.
    pub environments: Option<PathBuf>,
    /// The interpreter.
    pub python: Option<PathBuf>,
    /// The arguments as given, for the report.
    pub line: String,
}

/// Reads the arguments after the program's name. The error is a sentence for the user.
pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Request, String> {
    let all: Vec<String> = arguments.collect();
    let mut arguments = all.iter();
    let first = arguments.next().map(String::as_str);
    match first {
        Some("model" | "egress") => {}
        Some("upstream") => return Ok(Request::Upstream),
        Some("detect") => return detect(arguments),
        None | Some("help" | "--help" | "-h") => return Ok(Request::Help),
        Some(other) => {
            return Err(format!(
                "unknown benchmark `{other}`; there are `model`, `egress`, `detect` and `policy`"
            ));
        }
    }
    let quick = all.iter().any(|argument| argument == "--quick");
    let peers =
        PeerKind::ALL.into_iter().filter(|kind| *kind != PeerKind::Nginx64k && !(quick && kind.is_python()));
    let mut options = Options {
        quick,
        peers: peers.collect(),
        parts: Part::ALL.map(|(part, _)| part).to_vec(),
        rows: "abcdp".to_owned(),
        connections: Vec::new(),
        rounds: if quick { 2 } else { 5 },
        seconds: if quick { 0.4 } else { 1.0 },
        streams: if quick { 2_000 } else { 9_500 },
        json: None,
        markdown: None,
        doorward: None,
        environments: None,
        python: None,
        line: all.join(" "),
    };
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value after it"));
        match name.as_str() {
            "--quick" => {}
            "--peers" => {
                options.peers = chosen(value()?, PeerKind::ALL.map(|kind| (kind, kind.name())).as_slice())?
            }
            "--only" => options.parts = chosen(value()?, &Part::ALL)?,
            "--rows" => options.rows = rows(value()?)?,
            "--connections" => {
                let each = value()?.split(',').map(|count| positive(name, count));
                options.connections = each.collect::<Result<_, _>>()?;
            }
            "--rounds" => options.rounds = positive(name, value()?)?,
            "--streams" => options.streams = positive(name, value()?)?,
            "--seconds" => {
                let text = value()?;
                let seconds = text.parse().ok().filter(|seconds| (0.05..=600.0).contains(seconds));
                options.seconds =
                    seconds.ok_or_else(|| format!("--seconds takes 0.05 to 600, not `{text}`"))?;
            }
            "--json" => options.json = Some(value()?.into()),
            "--markdown" => options.markdown = Some(value()?.into()),
            "--doorward" => options.doorward = Some(value()?.into()),
            "--environments" => options.environments = Some(value()?.into()),
            "--python" => options.python = Some(value()?.into()),
            "--help" | "-h" => return Ok(Request::Help),
            other => return Err(format!("unknown option `{other}`")),
        }
    }
    let options = Box::new(options);
    Ok(if first == Some("egress") { Request::Egress(options) } else { Request::Model(options) })
}

fn detect<'a>(mut arguments: impl Iterator<Item = &'a String>) -> Result<Request, String> {
    let (mut rounds, mut json, mut markdown) = (5, None, None);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value after it"));
        match name.as_str() {
            "--rounds" => rounds = positive(name, value()?)?,
            "--json" => json = Some(value()?.into()),
            "--markdown" => markdown = Some(value()?.into()),
            "--help" | "-h" => return Ok(Request::Help),
            other => return Err(format!("unknown option `{other}`")),
        }
    }
    Ok(Request::Detect { rounds, json, markdown })
}

fn rows(list: &str) -> Result<String, String> {
    let letters: String = list.split(',').collect();
    match letters.chars().find(|letter| !"abcdp".contains(*letter)) {
        None if !letters.is_empty() => Ok(letters),
        _ => Err(format!("--rows takes some of a, b, c, d, p, not `{list}`")),
    }
}

fn positive(name: &str, text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("{name} takes a number above 0, not `{text}`"))
}

/// The named ones of `all`, in its order.
fn chosen<T: Copy + PartialEq>(list: &str, all: &[(T, &'static str)]) -> Result<Vec<T>, String> {
    for name in list.split(',') {
        if !all.iter().any(|(_, known)| *known == name) {
            let known: Vec<&str> = all.iter().map(|(_, name)| *name).collect();
            return Err(format!("`{name}` is none of {}", known.join(", ")));
        }
    }
    Ok(all
        .iter()
        .filter(|(_, name)| list.split(',').any(|wanted| wanted == *name))
        .map(|(one, _)| *one)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        match parse(line.split_whitespace().map(str::to_owned))? {
            Request::Model(options) => Ok(*options),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn options_are_read() {
        let options = read("model --quick --peers nginx,direct --only streams --streams 10").unwrap();
        assert_eq!(options.peers, [PeerKind::Direct, PeerKind::Nginx]);
        assert_eq!((options.parts.as_slice(), options.streams), (&[Part::Streams][..], 10));
        assert!(!read("model --quick").unwrap().peers.contains(&PeerKind::LiteLlm));
        assert!(read("model").unwrap().peers.contains(&PeerKind::LiteLlm));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("ingress", "unknown benchmark"),
            ("model --peers apache", "none of direct"),
            ("model --rounds 0", "above 0"),
            ("model --seconds", "needs a value"),
            ("model --rows b,x", "some of a"),
            ("model --connections 1,0", "above 0"),
            ("model --fast", "unknown option"),
        ] {
            assert!(read(line).unwrap_err().contains(word), "{line}");
        }
    }
}
