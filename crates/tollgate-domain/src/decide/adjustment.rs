//! Refunds and disputes. Owns: what their events do. Must not know: what the payment bought; that
//! follows from the facts together.

use super::milestones::{Touched, charge_of};
use super::{Draft, Primary, yes_no};
use crate::change::Change;
use crate::observation::SeenAdjustment;
use crate::payment::{Adjustment, AdjustmentKind};

pub(super) fn decide<'a>(draft: &mut Draft<'a>, seen: &'a SeenAdjustment) -> Primary {
    let known = draft.facts.adjustments.get(&seen.id);
    let shown = Adjustment::seen(seen, &draft.observation.event, draft.observation.at);
    let after = match known {
        Some(known) => known.merged(&shown),
        None => shown,
    };
    if known.is_none() {
        draft.link(seen.id.as_str());
    }
    let charge = seen.charge.as_ref().filter(|charge| charge.as_str() != seen.id.as_str());
    for object in [seen.payment_intent.as_ref(), charge].into_iter().flatten() {
        draft.link(object.as_str());
    }
    draft.meet_customer();
    draft.touched.push(match seen.kind {
        AdjustmentKind::Dispute => Touched::Dispute(&seen.id),
        AdjustmentKind::Refund | AdjustmentKind::ChargeRefunds => {
            Touched::Refunds(charge_of(&after))
        }
    });
    draft.touched.extend(after.payment_intent.clone().map(Touched::Payment));
    let details = vec![
        ("amount", format!("{} {}", seen.amount.amount_minor, seen.amount.currency.as_str())),
        ("applied", yes_no(after.event == draft.observation.event)),
        ("kind", seen.kind.as_str().to_owned()),
        ("status", seen.status.to_string()),
    ];
    if known != Some(&after) {
        draft.change(Change::SaveAdjustment(after));
    }
    Primary { subject: seen.id.to_string(), details }
}
