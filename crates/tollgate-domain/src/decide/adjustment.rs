//! Refunds and disputes. Owns: what their events do. Must not know: what the payment bought; that
//! follows from the facts together.

use super::{Draft, Primary, session, yes_no};
use crate::change::Change;
use crate::news::News;
use crate::observation::SeenAdjustment;
use crate::payment::{Adjustment, AdjustmentKind};
use crate::sale;

pub(super) fn decide<'a>(draft: &mut Draft<'a>, seen: &'a SeenAdjustment) -> Primary {
    let known = draft.facts.adjustments.get(&seen.id);
    let shown = Adjustment::seen(seen, &draft.observation.event, draft.observation.at);
    let mut after = match known {
        Some(known) => known.merged(&shown),
        None => shown,
    };
    draft.meet_customer();
    tell(draft, &mut after);
    undo(draft, &after);
    let details = vec![
        ("amount", format!("{} {}", seen.amount.amount_minor, seen.amount.currency.as_str())),
        ("applied", yes_no(after.event == draft.observation.event)),
        ("kind", seen.kind.as_str().to_owned()),
        ("status", seen.status.to_string()),
    ];
    if known != Some(&after) {
        draft.change(Change::SaveAdjustment(after));
    }
    Primary::new(&seen.id, details)
}

/// Tells of a dispute, and of a refund that took effect. Stripe tells of a refund by itself and in
/// the total of its charge, older versions in the total alone: of the first one and the total only
/// one is told of. A refund without a charge stands for itself.
fn tell(draft: &mut Draft<'_>, after: &mut Adjustment) {
    let (news, reached) = match after.kind {
        AdjustmentKind::Dispute => (News::Disputed, true),
        AdjustmentKind::Refund => (News::Refunded, after.effective_at.is_some()),
        AdjustmentKind::ChargeRefunds => (News::Refunded, after.amount.amount_minor > 0),
    };
    if !reached {
        return;
    }
    let charge = after.charge.as_ref().filter(|_| after.kind != AdjustmentKind::Dispute);
    let told = |kind| {
        let mut same = draft.facts.adjustments.values().filter(|one| one.kind == kind);
        same.any(|one| one.charge.as_ref() == charge && one.told.contains(&news))
    };
    let twin = charge.is_some()
        && match after.kind {
            AdjustmentKind::Dispute => false,
            AdjustmentKind::Refund => {
                told(AdjustmentKind::ChargeRefunds) && !told(AdjustmentKind::Refund)
            }
            AdjustmentKind::ChargeRefunds => told(AdjustmentKind::Refund),
        };
    if twin {
        after.told.insert(news);
    } else {
        let id = charge.map_or(after.id.as_str(), |charge| charge.as_str());
        draft.tell(&mut after.told, news, &id, None, None);
    }
}

/// Tells what the purchases have come to that were paid by what it takes back.
fn undo(draft: &mut Draft<'_>, after: &Adjustment) {
    let facts = draft.facts;
    for known in facts.purchases.values().filter(|one| sale::concerns(after, one)) {
        let others = facts.adjustments.values().filter(|one| one.id != after.id);
        let mut purchase = known.clone();
        session::tell(draft, &mut purchase, others.chain([after]));
        if purchase != *known {
            draft.change(Change::SavePurchase(purchase));
        }
    }
}
