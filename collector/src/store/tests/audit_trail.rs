//! The audit trail in the store.

use super::*;
use crate::model::audit::Verifier;

#[test]
fn entries_follow_each_other_and_stay() {
    let test = TestStore::new();
    for n in 0..5 {
        let head = test.runtime.block_on(test.store.audit(entry(n))).unwrap();
        assert_eq!(head.seq, n + 1);
    }
    let head = test.runtime.block_on(test.store.audit_head()).unwrap();
    let mut verifier = Verifier::new(Some(head.clone()));
    for page in [0, 2, 4] {
        for entry in test.runtime.block_on(test.store.audited_after(page, 2)).unwrap() {
            verifier.next(&entry).unwrap();
        }
    }
    assert_eq!(verifier.finish(), Ok(head));
    let connection = Connection::open(&test.path).unwrap();
    for sql in ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"] {
        let error = connection.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("append-only"), "{error}");
    }
}

#[test]
fn a_closed_month_and_its_entry_are_written_together() {
    let test = TestStore::new();
    let close = |month: &str| test.store.close_month(month.parse().unwrap(), entry(START_MS));
    assert_eq!(test.runtime.block_on(close("2025-10")).unwrap(), Closing::Done);
    assert_eq!(test.runtime.block_on(close("2025-10")).unwrap(), Closing::Already);
    let entries = test.runtime.block_on(test.store.audited_after(0, 10)).unwrap();
    assert_eq!(entries.len(), 1, "what changed nothing leaves no entry");
    assert!(entries[0].after.as_ref().unwrap().get().contains("cost_usd"));
}
