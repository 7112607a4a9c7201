use super::*;
use crate::action::Target;

fn cell(capability: Capability, asset: AssetClass, source: Source) -> Cell {
    Matrix::shipped().at(capability, asset, Because::of(source))
}

#[test]
fn the_table_is_whole_and_its_page_is_up_to_date() {
    Matrix::read(TABLE).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/matrix.md");
    if std::env::var_os("DOORWARD_WRITE").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert!(written == page(), "spec/matrix.md is not what the table says; DOORWARD_WRITE=1 writes it");
}

#[test]
fn what_is_wrong_with_a_table_is_said() {
    let rest = "* | * | * | allow | allow |\n";
    assert!(Matrix::read(rest).is_ok());
    for (line, why) in [
        ("read:file | project | model | allow | allow", "six columns"),
        ("read | project | model | allow | allow |", "`read` is no word"),
        ("read:file | projects | model | allow | allow |", "`projects`"),
        ("read:file | project | user | allow | allow |", "`user`"),
        ("read:file |  | model | allow | allow |", "empty"),
        ("read:file | project | model | pass | allow |", "no verdict"),
        ("read:file | project | model | redact | allow |", "no verdict"),
        ("read:file | project | model | allow | allow | all", "no grant"),
    ] {
        let told = Matrix::read(&format!("# c\n{line}\n{rest}")).unwrap_err();
        assert!(told.contains(why) && told.contains("line 2"), "{line}: {told}");
    }
    assert!(Matrix::read("read:file | * | * | allow | allow |\n").unwrap_err().contains("filled"));
    assert!(Matrix::read(&format!("{rest}{rest}")).unwrap_err().contains("line 2"));
}

#[test]
fn strict_is_never_weaker_and_a_stranger_is_never_trusted_more() {
    for capability in Capability::ALL {
        for asset in AssetClass::ALL {
            let of = |because| Matrix::shipped().at(capability, asset, because);
            for because in Because::ALL {
                let cell = of(because);
                assert!(cell.strict >= cell.balanced, "{capability:?} {asset:?} {because:?}");
            }
            let (person, model, stranger) = (of(Because::Person), of(Because::Model), of(Because::Stranger));
            for (less, more) in [(&person, &model), (&model, &stranger)] {
                let noted =
                    |verdict: Verdict| if verdict == Verdict::Audit { Verdict::Allow } else { verdict };
                assert!(
                    noted(less.strict) <= noted(more.strict),
                    "{capability:?} {asset:?} {less:?} {more:?}"
                );
                assert!(noted(less.balanced) <= noted(more.balanced), "{capability:?} {asset:?}");
            }
        }
    }
}

/// `balanced` interrupts nothing that is merely unknown or sensitive: only what strangers put in reaches what no task needs.
#[test]
fn balanced_stops_strangers_at_what_opens_other_doors_and_nothing_else() {
    for capability in Capability::ALL {
        for asset in AssetClass::ALL {
            for because in Because::ALL {
                let cell = Matrix::shipped().at(capability, asset, because);
                let stops = cell.balanced > Verdict::Audit;
                assert!(!stops || because == Because::Stranger, "{capability:?} {asset:?} {because:?}");
                assert_ne!(cell.balanced, Verdict::Ask);
            }
        }
    }
    let block = |capability, asset, source| {
        assert_eq!(cell(capability, asset, source).balanced, Verdict::Block, "{capability:?} {asset:?}");
    };
    block(Capability::ReadFile, AssetClass::Credential, Source::Web);
    block(Capability::NetworkFetch, AssetClass::CloudMetadata, Source::Mcp);
    block(Capability::SecretAccess, AssetClass::Unknown, Source::LocalFile);
}

#[test]
fn a_grant_lifts_its_cells_and_no_others() {
    let mut terms = crate::session::Terms::default();
    let none = terms.at(0).grants;
    let read_env = cell(Capability::ReadFile, AssetClass::ProjectSecret, Source::Model);
    let read_key = cell(Capability::ReadFile, AssetClass::Credential, Source::Model);
    let by_page = cell(Capability::ReadFile, AssetClass::Credential, Source::Web);
    assert_eq!(read_env.verdict(Profile::Strict, none), Verdict::Ask);
    for grant in Grant::ALL {
        terms.grant(crate::session::Granted { grant, until: Some(10), by: "x".into() });
    }
    assert_eq!(read_env.verdict(Profile::Strict, terms.at(9).grants), Verdict::Allow);
    assert_eq!(read_env.verdict(Profile::Strict, terms.at(10).grants), Verdict::Ask, "it has ended");
    assert_eq!(read_key.verdict(Profile::Strict, terms.at(9).grants), Verdict::Ask);
    assert_eq!(by_page.verdict(Profile::Balanced, terms.at(9).grants), Verdict::Block);
    let effect = Effect {
        capability: Capability::NetworkPost,
        target: Target::Host("example.com".into()),
        asset: AssetClass::External,
        from: Vec::new(),
        by: "curl".into(),
    };
    let post = Matrix::shipped().cell(&effect, Because::Model);
    assert_eq!((post.strict, post.grant), (Verdict::Ask, Some(Grant::OutboundNetwork)));
}
