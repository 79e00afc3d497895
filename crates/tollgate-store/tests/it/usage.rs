//! Usage counters.

use tollgate_domain::ids::FeatureKey;
use tollgate_store::{Db, usage};

use crate::sample::{account, at};

fn feature(key: &str) -> FeatureKey {
    FeatureKey::parse(key).unwrap()
}

on_both! {
    a_counter_never_passes_its_limit: |db| async {
        let acme = account("acme");
        let consume = async |quantity, limit| {
            usage::consume(db, &acme, &feature("analyses"), at(0), (quantity, limit)).await.unwrap()
        };
        assert_eq!(consume(6, Some(5)).await, None, "also the first time");
        assert_eq!(consume(3, Some(5)).await, Some(3));
        assert_eq!(consume(3, Some(5)).await, None);
        assert_eq!(consume(2, Some(5)).await, Some(5));
        assert_eq!(consume(0, Some(5)).await, Some(5));
        assert_eq!(consume(1, Some(4)).await, None, "a smaller plan keeps the count");
        assert_eq!(consume(10, None).await, Some(15));
        assert_eq!(consume(u64::MAX, None).await, None, "nothing overflows");
        assert_eq!(usage::find(db, &acme, &feature("analyses"), at(0)).await.unwrap(), 15);
        assert_eq!(usage::find(db, &acme, &feature("analyses"), at(1)).await.unwrap(), 0);
        usage::consume(db, &acme, &feature("exports"), at(50), (1, None)).await.unwrap();
        let all = usage::list(db, &acme, at(0)).await.unwrap();
        let all: Vec<_> =
            all.iter().map(|one| (one.feature.as_str(), one.period_start, one.quantity)).collect();
        assert_eq!(all, [("analyses", at(0), 15), ("exports", at(50), 1)]);
        assert_eq!(usage::list(db, &acme, at(1)).await.unwrap().len(), 1);
        let beta = account("beta");
        usage::consume(db, &beta, &feature("exports"), at(60), (2, None)).await.unwrap();
        let both = [beta.clone(), account("none"), acme.clone()];
        let many = usage::list_many(db, &both, at(50)).await.unwrap();
        assert_eq!(many.keys().collect::<Vec<_>>(), [&acme, &beta]);
        assert_eq!(many[&acme], usage::list(db, &acme, at(50)).await.unwrap());
        assert_eq!(many[&beta][0].quantity, 2);
        assert!(usage::list_many(db, &[], at(0)).await.unwrap().is_empty());
    }

    callers_at_once_do_not_pass_it_either: |db| async {
        let calls: Vec<_> = (0..40).map(|_| {
            let db = Db::clone(db);
            tokio::spawn(async move {
                usage::consume(&db, &account("acme"), &feature("analyses"), at(0), (1, Some(25)))
                    .await
                    .unwrap()
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
