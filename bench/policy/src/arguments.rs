//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};

const HELP: &str = "\
cargo xtask bench policy [--rules N,…] [--engines NAME,…] [--millis N] [--json FILE] [--environments DIR]

Times one decision by policies of growing size, beside other engines on equivalent policies, and prints a table.

  --rules N,…          how many rules (default 1,10,200,1000,10000)
  --engines NAME,…     of doorward, cedar, regorus, checkrd (default: all; checkrd needs Python 3.10 or newer)
  --millis N           for each cell, at least 20 samples (default 300)
  --json FILE          writes every figure
  --environments DIR   where checkrd's Python environment is, or will be made";

pub struct Arguments {
    pub sizes: Vec<usize>,
    pub engines: Vec<String>,
    pub budget: Duration,
    pub json: Option<PathBuf>,
    pub environments: PathBuf,
}

impl Arguments {
    /// Reads them; `None` if only help was wanted.
    pub fn read(mut words: impl Iterator<Item = String>) -> anyhow::Result<Option<Self>> {
        let mut arguments = Self {
            sizes: super::SIZES.to_vec(),
            engines: ["doorward", "cedar", "regorus", "checkrd"].map(str::to_owned).to_vec(),
            budget: Duration::from_millis(300),
            json: None,
            environments: super::environments(),
        };
        while let Some(word) = words.next() {
            if matches!(word.as_str(), "--help" | "-h") {
                println!("{HELP}");
                return Ok(None);
            }
            let value = words.next().with_context(|| format!("`{word}` needs a value; see --help"))?;
            match word.as_str() {
                "--rules" => {
                    let sizes: Result<Vec<usize>, _> = value.split(',').map(str::parse).collect();
                    arguments.sizes = sizes.context("--rules takes numbers")?;
                }
                "--engines" => arguments.engines = value.split(',').map(str::to_owned).collect(),
                "--millis" => {
                    arguments.budget =
                        Duration::from_millis(value.parse().context("--millis takes a number")?)
                }
                "--json" => arguments.json = Some(value.into()),
                "--environments" => arguments.environments = value.into(),
                _ => bail!("`{word}` is not known; see --help"),
            }
        }
        if let Some(unknown) = arguments
            .engines
            .iter()
            .find(|name| !matches!(name.as_str(), "doorward" | "cedar" | "regorus" | "checkrd"))
        {
            bail!("no engine is called `{unknown}`; see --help");
        }
        if arguments.sizes.contains(&0) {
            bail!("a policy has at least one rule here");
        }
        Ok(Some(arguments))
    }
}
