//! The journal and its chain.

use proptest::prelude::*;
use tollgate_domain::change::{Actor, BillingEvent, BillingEventKind, JournalEntry};
use tollgate_domain::ids::EventId;
use tollgate_store::Db;
use tollgate_store::accounts::{self, AccountHead};
use tollgate_store::journal::{self, ChainHash, JournalFilter, JournalRow, Verdict};

use crate::database::write;
use crate::sample::{account, at};

fn entry(number: i64) -> JournalEntry {
    let actor = match number % 3 {
        0 => Actor::Stripe(EventId::parse(&format!("evt_{number}")).unwrap()),
        1 => Actor::Person("ada \u{1a}\0 lovelace".to_owned()),
        _ => Actor::System,
    };
    JournalEntry {
        kind: if number % 2 == 0 { "subscription.updated" } else { "waiver.granted" },
        subject: format!("sub_{number}\0"),
        actor,
        occurred_at: at(number),
        details: vec![("plan", "pro \"x\"\0".to_owned()), ("status", "\u{1a}".to_owned())],
        billing: (number % 2 == 1).then(|| {
            BillingEvent::of_account(BillingEventKind::EntitlementsChanged, String::new())
        }),
    }
}

/// The state that a billing event keeps, opaque to the store.
fn state(entry: &JournalEntry) -> Option<String> {
    entry.billing.as_ref().map(|_| "{\"odd\":\"\0\u{1a}\"}".to_owned())
}

/// Writes entries of an account; returns them in their places.
pub(crate) async fn append(db: &Db, id: &str, numbers: std::ops::Range<i64>) -> Vec<JournalRow> {
    write(db, async |tx| {
        let heads = accounts::lock(tx, &[account(id)]).await?;
        let mut head =
            heads.get(&account(id)).cloned().unwrap_or_else(|| AccountHead::unknown(account(id)));
        let rows: Vec<JournalRow> = numbers
            .clone()
            .map(|number| {
                let entry = entry(number);
                JournalRow::next(&mut head, &entry, state(&entry), at(100 + number / 3))
            })
            .collect();
        journal::append(tx, &rows).await?;
        accounts::save(tx, &[head], at(0)).await?;
        Ok(rows)
    })
    .await
    .unwrap()
}

/// What the check of all journals says of each.
async fn verdicts(db: &Db) -> Vec<(String, Verdict)> {
    let mut all = Vec::new();
    journal::verify_all(db, |account, verdict| all.push((account.to_string(), verdict)))
        .await
        .unwrap();
    all
}

async fn all(db: &Db, filter: &JournalFilter, page: u32) -> Vec<JournalRow> {
    let mut rows = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let (more, next) = journal::list(db, filter, cursor.as_deref(), page).await.unwrap();
        rows.extend(more);
        match next {
            Some(next) => cursor = Some(next),
            None => return rows,
        }
    }
}

on_both! {
    entries_are_listed_after_a_number: |db| async {
        let rows = append(db, "acme", 0..5).await;
        assert_eq!(journal::after(db, &account("acme"), 0, 100).await.unwrap(), rows);
        assert_eq!(journal::after(db, &account("acme"), 2, 2).await.unwrap(), rows[2..4]);
        assert!(journal::after(db, &account("other"), 0, 9).await.unwrap().is_empty());
        let twice = write(db, async |tx| journal::append(tx, &rows[..1]).await).await.unwrap_err();
        assert!(matches!(twice, tollgate_store::StoreError::Conflict { .. }), "{twice}");
    }

    entries_come_back_newest_first_on_every_page: |db| async {
        let mut acme = append(db, "acme", 0..10).await;
        acme.extend(append(db, "acme", 10..14).await);
        let other = append(db, "other", 0..9).await;
        let mut expected: Vec<JournalRow> = acme.iter().chain(&other).cloned().collect();
        expected.sort_by_key(|row| std::cmp::Reverse((row.recorded_at, row.account.clone(), row.sequence)));
        assert_eq!(all(db, &JournalFilter::default(), 4).await, expected);
        acme.reverse();
        let of_acme = JournalFilter { account: Some(account("acme")), ..JournalFilter::default() };
        assert_eq!(all(db, &of_acme, 5).await, acme);
        for account in [None, Some(account("acme"))] {
            let filter = JournalFilter {
                account: account.clone(),
                kind: Some("subscription.updated".to_owned()),
                actor: Some("stripe".to_owned()),
                subject: None,
                since: Some(at(101)),
                until: Some(at(104)),
            };
            let wanted = |row: &&JournalRow| {
                row.kind == "subscription.updated" && matches!(row.actor, Actor::Stripe(_))
                    && row.recorded_at >= at(101) && row.recorded_at < at(104)
                    && account.as_ref().is_none_or(|account| &row.account == account)
            };
            let wanted: Vec<JournalRow> = expected.iter().filter(wanted).cloned().collect();
            assert!(!wanted.is_empty());
            assert_eq!(all(db, &filter, 2).await, wanted);
        }
        let subject = JournalFilter { subject: Some("sub_3\0".to_owned()), ..JournalFilter::default() };
        assert_eq!(all(db, &subject, 9).await.len(), 2);
    }

    an_untouched_chain_is_whole: |db| async {
        assert_eq!(journal::verify(db, &account("nobody")).await.unwrap(), Verdict::Whole(0));
        append(db, "acme", 0..1_200).await;
        append(db, "acme", 0..5).await;
        assert_eq!(journal::verify(db, &account("acme")).await.unwrap(), Verdict::Whole(1_205));
    }

    all_chains_are_checked_in_one_go: |db| async {
        let mut expected = Vec::new();
        for number in 0..1_203_i64 {
            let id = format!("many_{number:04}");
            append(db, &id, 0..2 + number % 3).await;
            expected.push((id, Verdict::Whole(2 + u64::try_from(number % 3).unwrap())));
        }
        append(db, "zz_long", 0..1_500).await;
        expected.push(("zz_long".to_owned(), Verdict::Whole(1_500)));
        assert_eq!(verdicts(db).await, expected);

        let broken = |sequence, reason| Verdict::Broken { sequence, reason };
        for (sql, of, verdict) in [
            (
                "UPDATE journal_entries SET subject = 'x' WHERE account_id = 'many_0001' AND sequence = 2",
                "many_0001",
                broken(2, "the entry or the one before it was altered"),
            ),
            (
                "DELETE FROM journal_entries WHERE account_id = 'many_0499' AND sequence = 1",
                "many_0499",
                broken(1, "the entry is missing"),
            ),
            (
                "DELETE FROM journal_entries WHERE account_id = 'many_0500'",
                "many_0500",
                broken(1, "the newest entries are missing"),
            ),
            (
                "DELETE FROM journal_entries WHERE account_id = 'zz_long' AND sequence = 1500",
                "zz_long",
                broken(1_500, "the newest entries are missing"),
            ),
        ] {
            db.sql(sql).await;
            expected.iter_mut().find(|(id, _)| id == of).unwrap().1 = verdict;
        }
        assert_eq!(verdicts(db).await, expected);
        db.sql("DELETE FROM accounts WHERE account_id = 'zz_long'").await;
        let orphaned = broken(1, "the entries are of an account that is not there");
        expected.last_mut().unwrap().1 = orphaned;
        assert_eq!(verdicts(db).await, expected);
    }

    every_alteration_is_found: |db| async {
        let alterations = [
            "UPDATE journal_entries SET details = '{}' WHERE sequence = 4",
            "UPDATE journal_entries SET kind = 'nothing' WHERE sequence = 4",
            "UPDATE journal_entries SET subject = '' WHERE sequence = 4",
            "UPDATE journal_entries SET actor = 'system', event_id = NULL WHERE sequence = 4",
            "UPDATE journal_entries SET event_id = 'evt_x' WHERE sequence = 4",
            "UPDATE journal_entries SET occurred_at = occurred_at + 1 WHERE sequence = 4",
            "UPDATE journal_entries SET recorded_at = recorded_at - 1 WHERE sequence = 4",
            "UPDATE journal_entries SET actor = 'nobody' WHERE sequence = 4",
            "UPDATE journal_entries SET revision = revision + 1 WHERE sequence = 4",
            "UPDATE journal_entries SET billing = 'nothing' WHERE sequence = 4",
            "UPDATE journal_entries SET state = '{}' WHERE sequence = 4",
            "UPDATE journal_entries SET billing = NULL, state = NULL WHERE sequence = 4",
            "DELETE FROM journal_entries WHERE sequence = 4",
            "UPDATE journal_entries SET sequence = 99 WHERE sequence = 4",
        ];
        for (number, alteration) in alterations.into_iter().enumerate() {
            let id = format!("acme-{number}");
            append(db, &id, 0..9).await;
            db.sql(&format!("{alteration} AND account_id = '{id}'")).await;
            let verdict = journal::verify(db, &account(&id)).await.unwrap();
            assert!(matches!(verdict, Verdict::Broken { sequence: 4, .. }), "{alteration}: {verdict:?}");
        }
        append(db, "cut", 0..9).await;
        db.sql("DELETE FROM journal_entries WHERE sequence > 7 AND account_id = 'cut'").await;
        let cut = journal::verify(db, &account("cut")).await.unwrap();
        assert!(matches!(cut, Verdict::Broken { sequence: 8, .. }), "{cut:?}");
    }
}

fn row(subject: &str, details: &[(String, String)]) -> JournalRow {
    let details = details.iter();
    JournalRow {
        account: account("acme"),
        sequence: 1,
        kind: "kind".into(),
        subject: subject.to_owned(),
        actor: Actor::System,
        occurred_at: at(0),
        recorded_at: at(0),
        revision: 0,
        details: details.map(|(name, value)| (name.clone().into(), value.clone())).collect(),
        billing: None,
        hash: ChainHash::START,
    }
}

proptest! {
    /// Texts cannot be moved from one field to the next without changing the hash.
    #[test]
    fn no_two_rows_have_the_same_hash(
        a in ("[ab]{0,3}", proptest::collection::vec(("[ab]{0,2}", "[ab]{0,2}"), 0..3)),
        b in ("[ab]{0,3}", proptest::collection::vec(("[ab]{0,2}", "[ab]{0,2}"), 0..3)),
    ) {
        let hash = |one: &(String, Vec<(String, String)>)| {
            journal::chain(ChainHash::START, &row(&one.0, &one.1))
        };
        prop_assert_eq!(a == b, hash(&a) == hash(&b));
        let later = journal::chain(hash(&a), &row(&a.0, &a.1));
        prop_assert_ne!(later, hash(&a));
    }
}
