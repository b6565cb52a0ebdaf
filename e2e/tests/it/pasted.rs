//! The commands that `buzonera local` shows work as pasted.

use e2e::terminal;

use crate::support::{PASSWORD, TestSite};

#[tokio::test]
async fn the_screens_commands_work_as_pasted() {
    let site = TestSite::empty().await.unwrap();
    let screen = site.log_tail();
    let (_, shown) = screen.split_once("Try it").expect("the screen invites");
    let commands: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .collect();
    assert_eq!(commands.len(), 4, "{screen}");
    let mut last = String::new();
    for command in commands {
        // Two answers for `account add`, one for curl's password.
        let seen = terminal::run(site.folder(), command, &[PASSWORD, PASSWORD]).unwrap();
        assert_eq!(seen.code, Some(0), "{command}\n{}", seen.screen);
        last = seen.screen;
    }
    assert!(last.contains("The first letter."), "{last}");
}
