//! `doorward init`.

use crate::support::{User, lines, nobody};

#[test]
fn it_writes_private_commented_files_and_leaves_them_the_second_time() {
    let user = User::new();
    let said = user.ok(&["init"]);
    for name in ["doorward.yaml", "policy.yaml"] {
        let file = user.home().join(name);
        assert!(std::fs::read_to_string(&file).unwrap().contains("\n# "), "{name} explains nothing");
        assert!(said.contains(name));
        #[cfg(unix)]
        assert_eq!(crate::support::mode(&file), 0o600, "{name}");
    }
    #[cfg(unix)]
    assert_eq!(crate::support::mode(&user.home()), 0o700);
    let own = "version: 1\n# mine\n";
    std::fs::write(user.home().join("doorward.yaml"), own).unwrap();
    let again = lines(&user.ok(&["init", "--json"]));
    let written: Vec<bool> =
        again[0]["files"].as_array().unwrap().iter().map(|file| file["written"].as_bool().unwrap()).collect();
    assert_eq!(written, [false, false]);
    assert_eq!(std::fs::read_to_string(user.home().join("doorward.yaml")).unwrap(), own);
}

#[test]
fn run_accepts_what_it_wrote() {
    let user = User::new();
    user.ok(&["init"]);
    let daemon = user.start(nobody(), &[]);
    assert_eq!(daemon.text("mode"), "block");
}

#[cfg(unix)]
#[test]
fn it_warns_of_files_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let user = User::new();
    user.ok(&["init"]);
    let token = user.home().join("operator.token");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let done = user.run(&["init"]);
    assert_eq!(done.code, 0);
    assert!(done.stderr.contains("operator.token") && done.stderr.contains("chmod 600"), "{done:?}");
    assert_eq!(crate::support::mode(&token), 0o644, "it may be meant");
}

#[test]
fn doorward_home_moves_everything() {
    let user = User::new();
    let elsewhere = user.dir.join("elsewhere");
    let mut command = user.command(&["init"]);
    command.env("DOORWARD_HOME", &elsewhere);
    assert_eq!(crate::support::done(command).code, 0);
    assert!(elsewhere.join("policy.yaml").exists() && !user.home().exists());
}
