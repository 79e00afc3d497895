//! Refunds and disputes. Owns: what their events do. Must not know: what the payment bought; that
//! follows from the facts together.

use super::{Draft, Primary, milestones::Touched, yes_no};
use crate::change::Change;
use crate::note;
use crate::observation::SeenAdjustment;
use crate::payment::{Adjustment, AdjustmentKind};

pub(super) fn decide<'a>(draft: &mut Draft<'a>, seen: &'a SeenAdjustment) -> Primary {
    let known = draft.facts.adjustments.get(&seen.id);
    let shown = Adjustment::seen(seen, &draft.observation.event, draft.observation.at);
    let after = match known {
        Some(known) => known.merged(&shown),
        None => shown,
    };
    draft.meet_customer();
    take_notes(draft, seen);
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
    Primary::new(&seen.id, details)
}

/// What this one observation proves of its charge, so that refunds are told of by number without
/// looking at all of them. A refund without a charge stands for itself.
fn take_notes<'a>(draft: &mut Draft<'a>, seen: &'a SeenAdjustment) {
    let refund = &seen.id;
    match seen.kind {
        AdjustmentKind::Dispute => draft.touched.push(Touched::Dispute(refund)),
        AdjustmentKind::Refund => {
            let charge = seen.charge.as_ref().map_or(refund.as_str(), |charge| charge.as_str());
            if &*seen.status == "succeeded" {
                draft.note(note::refunded(&charge, refund));
            }
            draft.touched.push(Touched::Refunds(charge));
        }
        AdjustmentKind::ChargeRefunds => {
            if seen.amount.amount_minor > 0 {
                draft.note(note::charge_refunded(refund));
            }
            draft.touched.push(Touched::Refunds(refund.as_str()));
        }
    }
}
