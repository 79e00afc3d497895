//! API keys, single values, dictionaries.

use tollgate_store::keys::{self, ApiKey};
use tollgate_store::{StoreError, dictionaries, meta};

use crate::sample::{account, at};

fn key(id: &str, expires: Option<i64>) -> ApiKey {
    ApiKey {
        id: id.to_owned(),
        name: format!("the key \0 {id}"),
        secret_hash: [id.len().try_into().unwrap(); 32],
        scopes: vec!["billing".to_owned(), "check".to_owned()],
        account: Some(account("acme")),
        expires_at: expires.map(at),
        created_at: at(0),
        revoked_at: None,
        last_used_at: None,
    }
}

on_both! {
    keys_live_until_they_expire_or_are_revoked: |db| async {
        let all = [key("a", None), key("b", Some(10)), ApiKey { account: None, scopes: vec![], ..key("c", None) }];
        for one in &all {
            keys::insert(db, one).await.unwrap();
        }
        let twice = keys::insert(db, &all[0]).await.unwrap_err();
        assert!(matches!(twice, StoreError::Conflict { .. }), "{twice}");
        assert_eq!(keys::list(db).await.unwrap(), all);
        let live = async |now| {
            let (live, unreadable) = keys::find_all_live(db, at(now)).await.unwrap();
            assert!(unreadable.is_empty());
            live.into_iter().map(|one| one.id).collect::<Vec<_>>()
        };
        assert_eq!(live(9).await, ["a", "b", "c"]);
        assert_eq!(live(10).await, ["a", "c"], "no longer at the instant it expires");
        assert!(keys::revoke(db, "a", at(20)).await.unwrap());
        assert!(!keys::revoke(db, "a", at(30)).await.unwrap());
        assert!(!keys::revoke(db, "none", at(30)).await.unwrap());
        assert_eq!(live(21).await, ["c"]);
        assert_eq!(keys::list(db).await.unwrap()[0].revoked_at, Some(at(20)));
    }

    a_key_that_cannot_be_read_takes_none_of_the_others_with_it: |db| async {
        for one in ["a", "b"] {
            keys::insert(db, &key(one, None)).await.unwrap();
        }
        db.sql("UPDATE api_keys SET account_id = 'no id' WHERE id = 'a'").await;
        let (live, unreadable) = keys::find_all_live(db, at(0)).await.unwrap();
        assert_eq!(live.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["b"]);
        assert!(matches!(unreadable[..], [StoreError::Corrupt { .. }]), "{unreadable:?}");
    }

    the_newest_use_of_a_key_is_kept: |db| async {
        keys::insert(db, &key("a", None)).await.unwrap();
        keys::insert(db, &key("b", None)).await.unwrap();
        let uses = |all: &[(&str, i64)]| {
            all.iter().map(|(id, seconds)| ((*id).to_owned(), at(*seconds))).collect::<Vec<_>>()
        };
        keys::touch(db, &uses(&[("a", 5), ("a", 9), ("a", 7), ("none", 1)])).await.unwrap();
        keys::touch(db, &uses(&[("a", 6), ("b", 1)])).await.unwrap();
        keys::touch(db, &[]).await.unwrap();
        let used: Vec<_> =
            keys::list(db).await.unwrap().into_iter().map(|one| one.last_used_at).collect();
        assert_eq!(used, [Some(at(9)), Some(at(1))]);
    }

    values_of_the_deployment_are_replaced: |db| async {
        assert_eq!(meta::find(db, "stripe_account").await.unwrap(), None);
        for value in ["acct_1", "odd \0\u{1a}"] {
            meta::save(db, "stripe_account", value).await.unwrap();
            assert_eq!(meta::find(db, "stripe_account").await.unwrap().as_deref(), Some(value));
        }
    }

    a_dictionary_never_changes: |db| async {
        assert!(dictionaries::insert(db, 7, b"one\0\xff").await.unwrap());
        assert!(!dictionaries::insert(db, 7, b"another").await.unwrap());
        assert!(dictionaries::insert(db, 3, &vec![0; 110_000]).await.unwrap());
        assert_eq!(dictionaries::find(db, 7).await.unwrap().as_deref(), Some(&b"one\0\xff"[..]));
        assert_eq!(dictionaries::find(db, 8).await.unwrap(), None);
        assert_eq!(dictionaries::list(db).await.unwrap(), [3, 7]);
    }
}
