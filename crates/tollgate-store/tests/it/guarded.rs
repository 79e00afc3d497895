//! Batches without locks: they are written as a whole, or not at all where something was not as it was
//! read.

use tollgate_domain::Link;
use tollgate_domain::change::{Actor, Change, JournalEntry};
use tollgate_domain::ids::AccountId;
use tollgate_store::accounts::{self, AccountHead};
use tollgate_store::guarded::{self, Done, Guarded, HeadChange};
use tollgate_store::inbox::{self, EventKey, EventStatus};
use tollgate_store::journal::{self, ChainHash, JournalRow, Verdict};
use tollgate_store::{Db, StoreError, links};

use crate::database::{Case, write};
use crate::sample::{self, account, at, event, key};

/// One event of an account that brings a link, a fact and a journal entry.
struct Batch {
    read: Option<AccountHead>,
    after: AccountHead,
    event: String,
    link: Link,
    changed_link: Option<Link>,
    changes: Vec<Change>,
    journal: Vec<JournalRow>,
    again: Vec<EventKey>,
}

impl Batch {
    /// Decided by this head; `None`: by the account not being there.
    fn of(id: &AccountId, read: Option<AccountHead>, event: &str) -> Self {
        let mut after = read.clone().unwrap_or_else(|| AccountHead::unknown(id.clone()));
        after.revision += 1;
        let entry = JournalEntry {
            kind: "invoice.paid",
            subject: "in_1".to_owned(),
            actor: Actor::System,
            occurred_at: at(0),
            details: Vec::new(),
            billing: None,
        };
        let journal = vec![JournalRow::next(&mut after, &entry, None, at(0))];
        Self {
            read,
            after,
            event: event.to_owned(),
            link: sample::link(&format!("in_{event}"), id.as_str()),
            changed_link: None,
            changes: vec![sample::paid(&format!("pi_{event}"))],
            journal,
            again: Vec::new(),
        }
    }

    async fn commit(&self, db: &Db) -> Result<Done, StoreError> {
        let new = event(&self.event, EventStatus::Processed);
        let id = &self.after.account;
        let head = self
            .read
            .as_ref()
            .map(|read| HeadChange { read: read.clone(), after: self.after.clone() });
        let begins = self.read.is_none().then(|| self.after.clone());
        guarded::commit(
            db,
            Guarded {
                instance: "here",
                now: at(1),
                heads: head.into_iter().collect(),
                new_heads: begins.into_iter().collect(),
                links: vec![&self.link],
                changed_links: self.changed_link.iter().collect(),
                changes: vec![(id, &self.changes)],
                journal: &self.journal,
                events: vec![&new],
                duplicates: &self.again,
                doubts: &[],
                changed: &[(id.clone(), self.after.revision)],
            },
        )
        .await
    }
}

const COMMITTED: Done = Done::Committed;

async fn head(db: &Db, id: &AccountId) -> Option<AccountHead> {
    accounts::find_head(db, id).await.unwrap()
}

/// Everything a batch writes, counted.
async fn rows(db: &Case) -> [i64; 6] {
    let mut counts = [0; 6];
    let tables =
        ["accounts", "stripe_links", "facts", "journal_entries", "webhook_events", "change_feed"];
    for (count, table) in counts.iter_mut().zip(tables) {
        *count = db.number(&format!("SELECT COUNT(*) FROM {table}")).await;
    }
    counts
}

on_both! {
    a_batch_is_written_as_a_whole: |db| async {
        let id = account("acme");
        crate::inbox::insert(db, &[event("evt_known", EventStatus::Processed)]).await;
        assert_eq!(Batch::of(&id, None, "evt_1").commit(db).await.unwrap(), COMMITTED);
        let first = head(db, &id).await.unwrap();
        let mut second = Batch::of(&id, Some(first), "evt_2");
        second.again = vec![key("evt_known"), key("evt_known"), key("evt_1")];
        second.changed_link =
            Some(Link { gone_at: Some(at(3)), ..sample::link("in_evt_1", "acme") });
        assert_eq!(second.commit(db).await.unwrap(), COMMITTED);
        assert_eq!(head(db, &id).await, Some(AccountHead { known: true, ..second.after.clone() }));
        assert_eq!(rows(db).await, [1, 2, 2, 2, 3, 2]);
        assert_eq!(journal::verify(db, &id).await.unwrap(), Verdict::Whole(2));
        let counted = "SELECT duplicates FROM webhook_events WHERE event_id = 'evt_known'";
        assert_eq!(db.number(counted).await, 2);
        let gone = "SELECT gone_at FROM stripe_links WHERE object_id = 'in_evt_1'";
        assert_eq!(db.number(gone).await, at(3).millis());
    }

    known_events_are_all_counted_or_none: |db| async {
        crate::inbox::insert(db, &[event("evt_known", EventStatus::Processed)]).await;
        let counted = "SELECT duplicates FROM webhook_events WHERE event_id = 'evt_known'";
        let with_lost = [key("evt_known"), key("evt_lost")];
        assert!(!inbox::count_duplicates_now(db, &with_lost).await.unwrap());
        assert_eq!(db.number(counted).await, 0);
        assert!(inbox::count_duplicates_now(db, &[key("evt_known"), key("evt_known")]).await.unwrap());
        assert_eq!(db.number(counted).await, 2);
    }

    nothing_is_written_where_something_is_not_as_it_was_read: |db| async {
        let id = account("acme");
        Batch::of(&id, None, "evt_1").commit(db).await.unwrap();
        let now = head(db, &id).await.unwrap();
        let fresh = |event: &str| Batch::of(&id, Some(now.clone()), event);
        let mut linked = fresh("evt_2");
        linked.link = sample::link("in_evt_1", "acme");
        let mut lost = fresh("evt_2");
        lost.again = vec![key("evt_1"), key("evt_of_another_history")];
        let mut unlinked = fresh("evt_2");
        unlinked.changed_link = Some(sample::link("in_evt_of_another_history", "acme"));
        let of_old = |old: AccountHead| Batch::of(&id, Some(old), "evt_2");
        let before = rows(db).await;
        for (why, batch) in [
            ("another revision", of_old(AccountHead { revision: 0, ..now.clone() })),
            ("another number", of_old(AccountHead { sequence: 0, ..now.clone() })),
            ("another hash", of_old(AccountHead { journal_hash: ChainHash([7; 32]), ..now.clone() })),
            ("another instant", of_old(AccountHead { due_at: Some(at(9)), ..now.clone() })),
            ("an event that was done is not there", lost),
            ("the account is there", Batch::of(&id, None, "evt_2")),
            ("no such account", Batch::of(&account("none"), Some(sample::head("none")), "evt_2")),
            ("the event is known", fresh("evt_1")),
            ("the object is linked", linked),
            ("the object is not linked", unlinked),
        ] {
            assert_eq!(batch.commit(db).await.unwrap(), Done::Overtaken, "{why}");
            assert_eq!(rows(db).await, before, "{why}");
            assert_eq!(head(db, &id).await.as_ref(), Some(&now), "{why}");
        }
        assert_eq!(fresh("evt_2").commit(db).await.unwrap(), COMMITTED);
    }

    what_waits_for_a_new_link_is_woken: |db| async {
        let id = account("acme");
        let waits = [(key("evt_0"), vec![sample::object("in_evt_1")])];
        write(db, async |tx| inbox::set_waits(tx, &waits).await).await.unwrap();
        let batch = Batch::of(&id, None, "evt_1");
        assert_eq!(batch.commit(db).await.unwrap(), COMMITTED);
        let linked = [sample::object("in_evt_1"), sample::object("in_evt_2")];
        assert_eq!(inbox::wake_linked(db, &linked).await.unwrap(), 1);
        assert_eq!(db.number("SELECT COUNT(*) FROM event_wakes").await, 1);
    }

    several_writers_of_one_account_each_take_effect_once: |db| async {
        let id = account("acme");
        Batch::of(&id, None, "evt_first").commit(db).await.unwrap();
        let others = [db.reopen().await, db.reopen().await, db.reopen().await];
        let work = others.iter().enumerate().map(|(place, db)| {
            let id = id.clone();
            async move {
                for number in 0..20 {
                    let event = format!("evt_{place}_{number}");
                    loop {
                        let read = head(db, &id).await;
                        if Batch::of(&id, read, &event).commit(db).await.unwrap() == COMMITTED {
                            break;
                        }
                    }
                }
            }
        });
        futures_util::future::join_all(work).await;
        assert_eq!(journal::verify(db, &id).await.unwrap(), Verdict::Whole(61));
        assert_eq!(rows(db).await, [1, 61, 61, 61, 61, 61]);
        for other in others {
            other.close().await;
        }
    }

    links_come_with_the_heads_of_their_accounts: |db| async {
        let (id, other) = (account("acme"), account("other"));
        for (id, event) in [(&id, "evt_1"), (&other, "evt_2")] {
            Batch::of(id, None, event).commit(db).await.unwrap();
        }
        let asked = ["in_evt_1", "in_evt_2", "in_evt_3"].map(sample::object);
        let (found, heads) = links::find_with_heads(db, &asked).await.unwrap();
        assert_eq!(found, links::find_now(db, &asked).await.unwrap());
        assert_eq!(found.len(), 2);
        for id in [id, other] {
            assert_eq!(heads.get(&id), head(db, &id).await.as_ref());
            assert_eq!(accounts::heads(db, std::slice::from_ref(&id)).await.unwrap().get(&id), heads.get(&id));
        }
    }
}
