//! The digest of the state.

use tollgate_domain::change::Change;
use tollgate_domain::ids::AccountId;
use tollgate_store::accounts::{self, AccountHead};
use tollgate_store::{Db, digest, facts};

use crate::database::write;
use crate::sample::{self, Source, account, at, head};

async fn save(db: &Db, id: &AccountId, changes: &[Change], head: AccountHead, now: i64) {
    write(db, async |tx| {
        accounts::save(tx, std::slice::from_ref(&head), at(now)).await?;
        facts::save(tx, &[(id, changes)]).await
    })
    .await
    .unwrap();
}

async fn fill(db: &Db, order: impl Iterator<Item = usize>, now: i64) {
    let mut source = Source::new();
    let all: Vec<(AccountId, Vec<Change>)> = (0..120)
        .map(|number| (account(&format!("acct-{number:03}")), source.draw(&sample::changes())))
        .collect();
    for number in order {
        let (id, changes) = &all[number];
        save(db, id, changes, head(id.as_str()), now).await;
    }
}

on_both! {
    the_digest_is_of_the_facts_and_not_of_their_way: |db| async {
        let empty = digest::state(db).await.unwrap();
        assert_eq!(empty.len(), 64);
        fill(db, 0..120, 0).await;
        let first = digest::state(db).await.unwrap();
        assert_ne!(first, empty);
        // Again, backwards and later: nothing is different but revisions, times of writing and what
        // was told of.
        fill(db, (0..120).rev(), 500).await;
        let acme = account("acct-000");
        let raised = AccountHead { revision: 77, sequence: 5, ..head("acct-000") };
        let changes = Source::new().draw(&sample::changes());
        let told: Vec<Change> = changes.into_iter().map(sample::told).collect();
        save(db, &acme, &told, raised, 900).await;
        assert_eq!(digest::state(db).await.unwrap(), first);
    }

    every_kind_of_fact_is_in_the_digest: |db| async {
        let mut source = Source::new();
        let id = account("acme");
        let mut changes: Vec<Change> = Vec::new();
        while changes.len() < 120 {
            changes.extend(source.draw(&sample::changes()).into_iter()
                .filter(|change| !matches!(change, Change::CreateAccount)));
        }
        let mut before = digest::state(db).await.unwrap();
        save(db, &id, &[], head("acme"), 0).await;
        let mut kinds = std::collections::BTreeSet::new();
        for change in changes {
            let kind = match &change {
                Change::SaveOperatorFact(fact) => format!("{:?}", fact.effect),
                other => format!("{other:?}"),
            };
            let kind = kind.split(['(', ' ']).next().unwrap().to_owned();
            save(db, &id, std::slice::from_ref(&change), head("acme"), 0).await;
            let after = digest::state(db).await.unwrap();
            assert_ne!(before, after, "{change:?}");
            kinds.insert(kind);
            before = after;
        }
        assert_eq!(kinds.len(), 12, "{kinds:?}");
    }

    lookup_keys_are_not: |db| async {
        let id = account("acme");
        let mut state = Source::new().draw(&proptest::strategy::Strategy::prop_filter(
            sample::state(), "with items", |state| !state.items.is_empty(),
        ));
        let sub = tollgate_domain::ids::SubscriptionId::parse("sub_1").unwrap();
        let mut digests = std::collections::BTreeSet::new();
        for lookup_key in [None, Some("premium"), Some("pro")] {
            state.items[0].lookup_key = lookup_key.map(Into::into);
            let subscription = tollgate_domain::subscription::Subscription::first_seen(
                sub.clone(), None, None, state.clone(),
            );
            save(db, &id, &[Change::SaveSubscription(subscription)], head("acme"), 0).await;
            digests.insert(digest::state(db).await.unwrap());
        }
        assert_eq!(digests.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_have_the_same_digest() {
    crate::database::on_postgres(async |postgres: &crate::database::Case| {
        crate::database::on_sqlite(async |sqlite: &crate::database::Case| {
            fill(postgres, 0..120, 0).await;
            fill(sqlite, 0..120, 0).await;
            assert_eq!(
                digest::state(postgres).await.unwrap(),
                digest::state(sqlite).await.unwrap()
            );
        })
        .await;
    })
    .await;
}
