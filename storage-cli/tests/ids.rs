//! The ids of imported messages are stored for ever: the rule that makes them is pinned here. The expected texts were
//! computed by another program from the rule's description.

use storage_cli::mail::ids::caller_id;

#[test]
fn ids_never_change() {
    assert_eq!(caller_id("inbox", b"cur/1234.M1P2.host", 0), "WxhyWU3lSWT6wyBc7QxoNw");
    assert_eq!(caller_id("/srv/mail/list.mbox", b"list.mbox", 41), "4VwWgrksv2UknUNAWNa95g");
    assert_eq!(caller_id("", b"", 0), "UXQkKfGnJP1UI1jinL9hYg");
}
