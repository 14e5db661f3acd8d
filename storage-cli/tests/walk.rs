//! Which files of a directory are mail, what identifies them, and in which order they come.

#![expect(clippy::unwrap_used, reason = "a test that panics is a test that failed")]

use std::fs;
use std::path::Path;

use storage_cli::mail::walk::Met;
use storage_cli::mail::walk::walk;

/// The identities of the mail found, and how many files were skipped and failed.
fn visit(root: &Path) -> (Vec<String>, usize, usize) {
    let (mut identities, mut skipped, mut failed) = (Vec::new(), 0, 0);
    walk(root, &mut |met| {
        match met {
            Met::Mail(file) => identities.push(String::from_utf8(file.identity).unwrap()),
            Met::Skipped => skipped += 1,
            Met::Failed(..) => failed += 1,
        }
        true
    });
    (identities, skipped, failed)
}

fn tree(files: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"Subject: x\n\n").unwrap();
    }
    root
}

#[test]
fn of_a_tree_the_messages_and_mailboxes_in_order() {
    let root = tree(&["b/2.eml", "b/10.EML", "a.eml", "notes.txt", "b/list.mbox", "b/c/d/e.eml", ".hidden"]);
    let expected = ["a.eml", "b/10.EML", "b/2.eml", "b/c/d/e.eml", "b/list.mbox"].map(str::to_owned);
    assert_eq!(visit(root.path()), (expected.to_vec(), 2, 0));
}

#[test]
fn of_a_maildir_what_was_delivered_without_what_reading_changes() {
    let root = tree(&[
        "cur/1.host:2,S",
        "cur/2.host:2,",
        "new/3.host",
        "tmp/4.host",
        "cur/.hidden",
        "dovecot.index",
    ]);
    assert_eq!(visit(root.path()), (["1.host", "2.host", "3.host"].map(str::to_owned).to_vec(), 3, 0));
    fs::rename(root.path().join("new/3.host"), root.path().join("cur/3.host:2,RS")).unwrap();
    assert_eq!(visit(root.path()).0, ["1.host", "2.host", "3.host"]);
}

#[test]
fn folders_of_a_maildir_are_maildirs() {
    let root = tree(&["cur/1", "new/2", "tmp/3", ".Sent/cur/1", ".Sent/new/5", "extra/6.eml"]);
    let expected = ["1", "2", ".Sent/1", ".Sent/5", "extra/6.eml"].map(str::to_owned);
    assert_eq!(visit(root.path()), (expected.to_vec(), 1, 0));
}

#[test]
fn two_files_of_one_maildir_name_stay_two_messages() {
    let root = tree(&["cur/1", "new/1"]);
    assert_eq!(visit(root.path()).0, ["1", "new/1"]);
}

#[test]
fn a_file_named_directly_is_taken_whatever_its_name() {
    let root = tree(&["notes.txt", "Mail/cur/7:2,S", "Mail/new/8"]);
    assert_eq!(visit(&root.path().join("notes.txt")).0, ["notes.txt"]);
    assert_eq!(visit(&root.path().join("Mail/cur")).0, ["7"]);
    assert_eq!(visit(&root.path().join("nothing")), (Vec::new(), 0, 1));
}

#[test]
fn a_directory_that_is_just_called_new_is_none_of_a_maildir() {
    let root = tree(&["new/1.eml", "new/notes.txt"]);
    assert_eq!(visit(&root.path().join("new")), (vec!["1.eml".to_owned()], 1, 0));
    assert_eq!(visit(root.path()), (vec!["new/1.eml".to_owned()], 1, 0));
}

#[cfg(unix)]
#[test]
fn a_link_to_a_directory_does_not_lead_in_circles() {
    let root = tree(&["a/1.eml"]);
    std::os::unix::fs::symlink(root.path(), root.path().join("a/loop")).unwrap();
    std::os::unix::fs::symlink(root.path().join("a/1.eml"), root.path().join("linked.eml")).unwrap();
    assert_eq!(visit(root.path()), (vec!["a/1.eml".to_owned(), "linked.eml".to_owned()], 1, 0));
}

#[test]
fn a_visitor_may_stop() {
    let root = tree(&["1.eml", "2.eml", "d/3.eml"]);
    let mut seen = 0;
    walk(root.path(), &mut |_| {
        seen += 1;
        seen < 2
    });
    assert_eq!(seen, 2);
}
