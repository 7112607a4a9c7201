//! Names that are other names' names, and a machine that has search domains: what the system's resolver does with what it is asked, done
//! here, so that it needs no network and no rights. `e2e/test_names.py` asks the system's own.

use super::*;
use crate::upstream::lookup::through;

/// A resolver, with the search domain of the machine it is on, and what it has asked name servers for.
#[derive(Debug, Default)]
struct Resolver {
    asked: Mutex<Vec<String>>,
}

/// What a name server has of a name.
enum Has {
    Address(&'static str),
    Alias(&'static str),
}

/// The longest chain that is followed.
const LONGEST: usize = 8;

impl Resolver {
    /// As `getaddrinfo`: a name with a dot at its end is whole, of all others the search domain is tried as well.
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        if let Some(whole) = name.strip_suffix('.') {
            return self.ask(whole);
        }
        self.ask(name).or_else(|_| self.ask(&format!("{name}.corp.test")))
    }

    fn ask(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut name = name.to_owned();
        for _ in 0..LONGEST {
            let of_name = zone(&name);
            if of_name.is_empty() {
                break;
            }
            let addresses: Vec<IpAddr> = of_name
                .iter()
                .filter_map(|has| match has {
                    Has::Address(ip) => Some(ip.parse().unwrap()),
                    Has::Alias(_) => None,
                })
                .collect();
            match of_name.first() {
                Some(Has::Alias(other)) => name = (*other).to_owned(),
                _ => return Ok(addresses),
            }
        }
        Err(io::Error::other("Name or service not known"))
    }
}

fn zone(name: &str) -> Vec<Has> {
    use Has::{Address, Alias};
    match name {
        "up.example" => vec![Address("127.0.0.1")],
        "chain-up.example" => vec![Alias("one.example")],
        "one.example" => vec![Alias("up.example")],
        "chain.example" => vec![Alias("two.example")],
        "two.example" => vec![Alias("inside.example")],
        "inside.example" => vec![Address("10.0.0.1")],
        "chain-mixed.example" => vec![Alias("mixed.example")],
        "mixed.example" => vec![Address("93.184.215.14"), Address("10.0.0.1")],
        "chain-cloud.example" => vec![Alias("cloud.example")],
        "cloud.example" => vec![Address("169.254.169.254")],
        "circle.example" => vec![Alias("round.example")],
        "round.example" => vec![Alias("circle.example")],
        // What a search domain would lead to: somebody is there for every name.
        name if name.ends_with(".corp.test") => vec![Address("127.0.0.1")],
        _ => Vec::new(),
    }
}

impl Lookup for Resolver {
    fn lookup<'a>(&'a self, name: &'a str) -> Answer<'a> {
        Box::pin(async move { through(name, |_| Vec::new(), |name| self.resolve(name)) })
    }
}

#[tokio::test]
async fn where_a_chain_of_names_ends_is_what_counts() {
    let (at, came) = server("127.0.0.1:0").await;
    let resolver = Arc::new(Resolver::default());
    let reacher = Reacher::new(Arc::clone(&resolver) as Arc<dyn Lookup>, &[]).unwrap();
    let url = |name: &str| format!("http://{name}:{}/", at.port());
    // Where a rule allows the place by its name, its chain may end inside.
    assert_eq!(get(&reacher, &url("chain-up.example"), true).await.unwrap(), 204);
    for (name, reach) in [
        ("chain-up.example", Reach::Loopback),
        ("chain.example", Reach::Private),
        ("chain-mixed.example", Reach::Private),
        ("chain-cloud.example", Reach::Metadata),
    ] {
        let refused = get(&reacher, &url(name), false).await;
        assert!(
            matches!(&refused, Err(Unreached::Forbidden(found)) if *found == reach),
            "{name}: {refused:?}"
        );
    }
    // What a cloud tells a machine of its credentials never is, whatever is allowed.
    let refused = get(&reacher, &url("chain-cloud.example"), true).await;
    assert!(matches!(refused, Err(Unreached::Forbidden(Reach::Metadata))), "{refused:?}");
    let nowhere = get(&reacher, &url("circle.example"), true).await;
    assert!(matches!(nowhere, Err(Unreached::NoName(_))), "{nowhere:?}");
    assert_eq!(came.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn no_search_domain_is_put_behind_a_name() {
    let (at, came) = server("127.0.0.1:0").await;
    let resolver = Arc::new(Resolver::default());
    let reacher = Reacher::new(Arc::clone(&resolver) as Arc<dyn Lookup>, &[]).unwrap();
    for name in ["nowhere.example", "up.example.org", "a.b", "circle.example"] {
        let nowhere = get(&reacher, &format!("http://{name}:{}/", at.port()), true).await;
        assert!(matches!(nowhere, Err(Unreached::NoName(_))), "{name}: {nowhere:?}");
    }
    let asked = resolver.asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        ["nowhere.example", "up.example.org", "a.b", "circle.example"],
        "each once, and no other"
    );
    assert_eq!(came.load(Ordering::Relaxed), 0);
    // So it would be without the dot: the resolver here does what the system's does.
    assert!(resolver.resolve("nowhere.example").is_ok());
}
