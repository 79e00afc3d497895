//! Usage counters.

use std::collections::BTreeSet;

use tollgate_domain::Timestamp;
use tollgate_domain::entitlement::{Counter, MeterSpan};
use tollgate_domain::ids::{AccountId, FeatureKey};
use tollgate_store::{Db, usage};

use crate::sample::{account, at};

pub(crate) fn feature(key: &str) -> FeatureKey {
    FeatureKey::parse(key).unwrap()
}

fn span(start: Timestamp) -> MeterSpan {
    MeterSpan { start, end: start.plus_days(30), reach: start.plus_days(-30), is_billed: true }
}

/// Counts units if the total stays within a limit, as one transaction; the total, if they were.
pub(crate) async fn count(
    db: &Db,
    (account, feature): (&AccountId, &FeatureKey),
    start: Timestamp,
    (quantity, limit): (u64, u64),
) -> Option<u64> {
    db.write(|mut tx| async move {
        usage::lock(&mut tx, &BTreeSet::from([(account, feature)])).await?;
        let counters = usage::find_in(&mut tx, account, feature, start).await?;
        let used: u64 = counters.iter().map(|one| one.quantity).sum();
        if used + quantity > limit {
            return Ok((tx, None));
        }
        usage::add(&mut tx, (account, feature), span(start), quantity, start).await?;
        Ok((tx, Some(used + quantity)))
    })
    .await
    .unwrap()
}

on_both! {
    counters_add_up_by_account_feature_and_period: |db| async {
        let (acme, beta) = (account("acme"), account("beta"));
        let (analyses, exports) = (feature("analyses"), feature("exports"));
        let count = async |account: &AccountId, feature: &FeatureKey, start, quantity| {
            count(db, (account, feature), at(start), (quantity, 15)).await
        };
        assert_eq!(count(&acme, &analyses, 0, 16).await, None);
        assert_eq!(count(&acme, &analyses, 0, 3).await, Some(3));
        assert_eq!(count(&acme, &analyses, 0, 0).await, Some(3));
        assert_eq!(count(&acme, &analyses, 0, 12).await, Some(15));
        let counter = Counter {
            period_start: at(0), period_end: span(at(0)).end, quantity: 15, last_used_at: at(0),
        };
        assert_eq!(usage::find(db, &acme, &analyses, at(0)).await.unwrap(), [counter]);
        assert_eq!(usage::find(db, &acme, &analyses, at(1)).await.unwrap(), []);
        count(&acme, &exports, 50, 1).await;
        let all = usage::list(db, &acme, at(0)).await.unwrap();
        let all: Vec<_> =
            all.iter().map(|one| (one.feature.as_str(), one.period_start, one.quantity)).collect();
        assert_eq!(all, [("analyses", at(0), 15), ("exports", at(50), 1)]);
        assert_eq!(usage::list(db, &acme, at(1)).await.unwrap().len(), 1);
        count(&beta, &exports, 60, 2).await;
        let both = [beta.clone(), account("none"), acme.clone()];
        let many = usage::list_many(db, &both, at(50)).await.unwrap();
        assert_eq!(many.keys().collect::<Vec<_>>(), [&acme, &beta]);
        assert_eq!(many[&acme], usage::list(db, &acme, at(50)).await.unwrap());
        assert_eq!(many[&beta][0].quantity, 2);
        assert!(usage::list_many(db, &[], at(0)).await.unwrap().is_empty());
    }

    callers_at_once_see_each_others_counts: |db| async {
        let calls: Vec<_> = (0..40).map(|_| {
            let db = Db::clone(db);
            tokio::spawn(async move {
                let names = (&account("acme"), &feature("analyses"));
                count(&db, names, at(0), (1, 25)).await
            })
        }).collect();
        let mut totals = Vec::new();
        for call in calls {
            totals.extend(call.await.unwrap());
        }
        totals.sort_unstable();
        assert_eq!(totals, (1..=25).collect::<Vec<u64>>());
    }
}
