//! Replies to events. Owns: what each verdict is answered, and the one line the log has of each
//! event. Must not know: transactions.

use std::collections::HashMap;

use tollgate_domain::ids::AccountId;
use tollgate_store::accounts::AccountHead;
use tollgate_store::inbox::EventStatus;

use super::delivery::{Delivery, Reply, ReplyStatus};
use super::read::ignored;
use super::work::Verdict;

/// The reply to each event of a batch. `outcomes` are where the written ones stand and their attempts.
pub(super) fn replies(
    verdicts: &[Verdict],
    heads: &HashMap<AccountId, AccountHead>,
    outcomes: &[Option<(EventStatus, u32)>],
) -> Vec<Reply> {
    let mut replies: Vec<Reply> = Vec::with_capacity(verdicts.len());
    for (verdict, outcome) in verdicts.iter().zip(outcomes) {
        let mut made = match verdict {
            Verdict::Decided(account, _) => Reply {
                account: Some(account.clone()),
                revision: heads.get(account).map(|head| head.revision),
                ..reply(ReplyStatus::Processed, "its effects are committed")
            },
            Verdict::Duplicate => duplicate(),
            // The second of two in one batch stands as the first does, unless that one is done.
            Verdict::Repeats(first) => match replies.get(*first) {
                Some(first) if first.status != ReplyStatus::Processed => first.clone(),
                _ => duplicate(),
            },
            Verdict::Ignored(reason) => reply(ReplyStatus::Ignored, reason),
            Verdict::Foreign(_) => reply(
                ReplyStatus::Ignored,
                "foreign: it names no account and sells nothing of the catalog",
            ),
            Verdict::Waiting(_) if matches!(outcome, Some((EventStatus::Ignored, _))) => {
                reply(ReplyStatus::Ignored, ignored::OWNER_UNKNOWN_EXPIRED)
            }
            Verdict::Waiting(waiting) if waiting.invalid_claim.is_some() => {
                reply(ReplyStatus::Waiting, "claim_invalid: what it names cannot be an account id")
            }
            Verdict::Waiting(_) => {
                reply(ReplyStatus::Waiting, "stored until an account is linked to its objects")
            }
            Verdict::Read(end) => Reply {
                account: end.account.clone(),
                ..reply(ReplyStatus::Processed, "its object was read")
            },
            Verdict::Unread => reply(ReplyStatus::Waiting, "stored until its object is read"),
            Verdict::Dead(why) => reply(ReplyStatus::Failed, why),
            Verdict::Failed(why) => reply(ReplyStatus::Failed, why),
        };
        if let Some((status, attempts)) = outcome {
            made.attempts = *attempts;
            made.dead = *status == EventStatus::Dead;
        }
        replies.push(made);
    }
    replies
}

/// The reply to an event that is done.
pub(super) fn duplicate() -> Reply {
    reply(ReplyStatus::Duplicate, "it was processed before")
}

fn reply(status: ReplyStatus, message: &str) -> Reply {
    Reply {
        status,
        message: message.to_owned(),
        account: None,
        revision: None,
        attempts: 0,
        dead: false,
    }
}

/// One line for each event, whatever came of it.
pub(super) fn log(delivery: &Delivery, reply: &Reply) {
    let ms = u64::try_from(delivery.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let id = delivery.key.event.as_str();
    let (event_type, status) = (delivery.event_type.as_str(), reply.status.as_str());
    let account = reply.account.as_ref().map(AccountId::as_str);
    let (revision, attempts) = (reply.revision, reply.attempts);
    match reply.status {
        ReplyStatus::Failed => {
            let status = if reply.dead { "dead" } else { status };
            let reason = reply.message.as_str();
            tracing::error!(
                event.id = id,
                event.type = event_type,
                account,
                status,
                attempts,
                ms,
                reason,
                "event failed"
            );
        }
        ReplyStatus::Duplicate => tracing::info!(
            event.id = id,
            event.type = event_type,
            account,
            status,
            ms,
            "skipped replay"
        ),
        ReplyStatus::Processed | ReplyStatus::Ignored | ReplyStatus::Waiting => {
            if reply.dead {
                tracing::error!(event.id = id, event.type = event_type, attempts, ms, "event dead");
                return;
            }
            tracing::info!(
                event.id = id,
                event.type = event_type,
                account,
                status,
                revision,
                attempts,
                ms,
                reason = (reply.status != ReplyStatus::Processed).then_some(&*reply.message),
                "event"
            );
        }
    }
}
