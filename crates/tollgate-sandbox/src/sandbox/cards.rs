//! The cards people use on Stripe's pages. Owns: which test card stands for which intent of the
//! person, and changing a customer's card. Must not know: pages.

use super::Sandbox;
use super::pages::PageError;
use crate::object::customer::Customer;
use crate::object::subscription::Subscription;
use crate::object::test_method::{self, TestMethod, VISA};

/// A card, by what comes of charging it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Card {
    /// It pays.
    #[default]
    Good,
    /// It can be kept, and is declined whenever it is charged.
    Declined,
    /// The cardholder has to confirm each payment, so that renewals fail.
    AsksToConfirm,
    /// It pays, and the cardholder disputes each payment.
    Disputed,
}

impl Card {
    /// All cards with the words that name them.
    pub const NAMED: [(&'static str, Self); 4] = [
        ("good", Self::Good),
        ("declined", Self::Declined),
        ("asks-to-confirm", Self::AsksToConfirm),
        ("disputed", Self::Disputed),
    ];

    /// The card a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|(name, _)| *name == word).map(|(_, card)| card)
    }

    /// The test card.
    pub(super) fn test(self) -> &'static TestMethod {
        let name = match self {
            Self::Good => "pm_card_visa",
            Self::Declined => "pm_card_chargeCustomerFail",
            Self::AsksToConfirm => "pm_card_authenticationRequired",
            Self::Disputed => "pm_card_createDispute",
        };
        test_method::by_name(name).unwrap_or(&VISA)
    }
}

/// Whether a subscription will be charged again.
fn lives(subscription: &Subscription) -> bool {
    !matches!(subscription.status, "canceled" | "incomplete_expired")
}

impl Sandbox {
    /// A customer pays with another card from now on: it is attached, and is the default of the
    /// customer and of all subscriptions.
    pub fn set_card(&mut self, customer: &str, card: Card) -> Result<(), PageError> {
        let known = self.world.objects.get::<Customer>(customer).filter(|known| !known.deleted);
        let mut known = known.cloned().ok_or_else(|| PageError::unknown(customer))?;
        self.world.by_request();
        let mut method = self.new_method(card.test());
        self.attach_method(&mut method, customer)?;
        let id = method.id;
        self.world.change_customer(&mut known, |known| known.payment_method = Some(id.clone()));
        let of = |one: &&Subscription| one.customer == customer && lives(one);
        let found: Vec<Subscription> =
            self.world.objects.all::<Subscription>().filter(of).cloned().collect();
        for mut subscription in found {
            self.world.update(&mut subscription, |one| one.payment_method = Some(id.clone()));
        }
        Ok(())
    }
}
