//! Limits of a policy over a restart of the real binary, killed and not.

use crate::support::{User, upstream_calling};

fn user(limit: &str) -> User {
    let user = User::new();
    std::fs::create_dir_all(user.home()).unwrap();
    let policy = format!("default: allow\nrules:\n  - {{ name: rate, limit: {limit} }}\n");
    std::fs::write(user.home().join("policy.yaml"), policy).unwrap();
    user
}

#[test]
fn a_killed_doorward_forgets_no_use() {
    let upstream = upstream_calling(&[]);
    for limit in ["{ calls_per_day: 2, per: agent }", "{ calls_per_day: 2, per: endpoint }"] {
        for pause in [0, 3, 50] {
            let user = user(limit);
            for expected in [200, 200, 403] {
                let daemon = user.start(upstream, &[]);
                assert_eq!(daemon.ask().status, expected, "{limit} {pause}");
                std::thread::sleep(std::time::Duration::from_millis(pause));
                // SIGKILL.
                drop(daemon);
            }
        }
    }
}

#[test]
fn nor_does_one_that_ends_in_order() {
    let upstream = upstream_calling(&[]);
    // One token in, one out.
    for limit in ["{ calls_per_day: 2 }", "{ tokens_per_day: 4 }"] {
        let user = user(limit);
        for expected in [200, 200, 403] {
            let daemon = user.start(upstream, &[]);
            assert_eq!(daemon.ask().status, expected, "{limit}");
            std::thread::sleep(std::time::Duration::from_millis(100));
            assert_eq!(daemon.interrupt(), 0);
        }
    }
}
