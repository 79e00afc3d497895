//! Test payment methods. Owns: every card and account number the sandbox takes, under all of
//! Stripe's names for it, and what comes of charging it. Must not know: customers and payments.

/// A payment that is refused, and how the bank says so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decline {
    /// Such as `card_declined`.
    pub(crate) code: &'static str,
    /// The bank's reason, with `card_declined`.
    pub(crate) decline_code: Option<&'static str>,
    pub(crate) message: &'static str,
}

impl Decline {
    /// The reason as a charge's outcome has it.
    pub(crate) fn reason(&self) -> &'static str {
        self.decline_code.unwrap_or(self.code)
    }
}

const fn declined(decline_code: &'static str, message: &'static str) -> Decline {
    Decline { code: "card_declined", decline_code: Some(decline_code), message }
}

const fn fault(code: &'static str, message: &'static str) -> Decline {
    Decline { code, decline_code: None, message }
}

static GENERIC: Decline = declined("generic_decline", "Your card was declined.");
/// The usual reason.
pub(crate) static INSUFFICIENT_FUNDS: Decline =
    declined("insufficient_funds", "Your card has insufficient funds.");
static LOST: Decline = declined("lost_card", "Your card was declined.");
static STOLEN: Decline = declined("stolen_card", "Your card was declined.");
static FRAUDULENT: Decline = declined("fraudulent", "Your card was declined.");
static EXPIRED: Decline = fault("expired_card", "Your card has expired.");
static WRONG_CVC: Decline = fault("incorrect_cvc", "Your card's security code is incorrect.");
static PROCESSING: Decline = fault(
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
);
/// What is said when the cardholder would have to confirm and is not there.
pub(crate) static AUTHENTICATION: Decline = Decline {
    code: "authentication_required",
    decline_code: Some("authentication_required"),
    message: "Your card was declined. This transaction requires authentication.",
};
/// What becomes of a direct debit that the bank sends back.
pub(crate) static DEBIT_RETURNED: Decline = fault(
    "payment_intent_payment_attempt_failed",
    "The payment could not be completed: the bank returned the debit.",
);

/// What comes of charging a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// Money moves.
    Pays,
    /// It is refused when it is charged.
    Declines(&'static Decline),
    /// It is refused already when it is attached to a customer.
    DeclinesAtOnce(&'static Decline),
    /// The cardholder has to confirm.
    Asks,
    /// Money moves, and is claimed back with this reason; an inquiry comes before a dispute.
    Disputes {
        /// Such as `fraudulent`.
        reason: &'static str,
        /// Whether the bank only asks.
        inquiry: bool,
    },
    /// Money moves, and cannot be given back.
    RefundFails,
    /// Money moves, and takes its time when given back.
    RefundPends,
    /// It is known only after so many seconds whether money moves.
    Settles {
        /// How long it takes, in seconds.
        after_s: i64,
        /// Whether it moves.
        succeeds: bool,
    },
    /// It is known only when somebody says so whether money moves.
    SettlesWhenTold,
}

/// One test payment method.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TestMethod {
    /// Without `pm_card_` or `tok_`.
    pub(crate) names: &'static [&'static str],
    /// The card's number, or the IBAN.
    pub(crate) number: &'static str,
    /// `card` or `sepa_debit`.
    pub(crate) kind: &'static str,
    pub(crate) brand: &'static str,
    pub(crate) funding: &'static str,
    pub(crate) country: &'static str,
    pub(crate) behavior: Behavior,
}

impl TestMethod {
    /// Tells cards with one number from those with another.
    pub(crate) fn fingerprint(&self) -> String {
        if self.number == VISA.number {
            return "T0llGateSandb0x1".to_owned();
        }
        crate::id::Ids::new("fingerprint").make("", 16, self.number)
    }

    /// The last four digits.
    pub(crate) fn last4(&self) -> &'static str {
        self.number.get(self.number.len().saturating_sub(4)..).unwrap_or(self.number)
    }
}

const fn visa(
    names: &'static [&'static str],
    number: &'static str,
    behavior: Behavior,
) -> TestMethod {
    card("visa", names, number, behavior)
}

const fn card(
    brand: &'static str,
    names: &'static [&'static str],
    number: &'static str,
    behavior: Behavior,
) -> TestMethod {
    TestMethod { names, number, kind: "card", brand, funding: "credit", country: "US", behavior }
}

const fn iban(number: &'static str, after_s: i64, succeeds: bool) -> TestMethod {
    TestMethod {
        names: &[],
        number,
        kind: "sepa_debit",
        brand: "",
        funding: "",
        country: "AT",
        behavior: Behavior::Settles { after_s, succeeds },
    }
}

use Behavior::{Asks, Declines, DeclinesAtOnce, Disputes, Pays, RefundFails, RefundPends};

/// A card that works.
pub(crate) static VISA: TestMethod = visa(&["visa", "us"], "4242424242424242", Pays);

/// A card that cannot even be kept.
pub(crate) static REFUSED: TestMethod = visa(
    &["chargeDeclined", "visa_chargeDeclined"],
    "4000000000000002",
    Behavior::DeclinesAtOnce(&GENERIC),
);

/// An account that is debited when somebody says so; it has no name that a request could use.
pub(crate) static SLOW_DEBIT: TestMethod =
    TestMethod { behavior: Behavior::SettlesWhenTold, ..iban("AT611904300234573299", 0, true) };

/// All others.
static OTHERS: [TestMethod; 30] = [
    visa(&["visa_debit"], "4000056655665556", Pays),
    card("mastercard", &["mastercard"], "5555555555554444", Pays),
    card("mastercard", &["mastercard_debit"], "5200828282828210", Pays),
    card("amex", &["amex"], "378282246310005", Pays),
    card("discover", &["discover"], "6011111111111117", Pays),
    visa(&["de"], "4000002760000016", Pays),
    visa(&["gb"], "4000008260000000", Pays),
    visa(
        &["chargeDeclinedInsufficientFunds", "visa_chargeDeclinedInsufficientFunds"],
        "4000000000009995",
        DeclinesAtOnce(&INSUFFICIENT_FUNDS),
    ),
    visa(
        &["visa_chargeDeclinedLostCard", "chargeDeclinedLostCard"],
        "4000000000009987",
        DeclinesAtOnce(&LOST),
    ),
    visa(
        &["visa_chargeDeclinedStolenCard", "chargeDeclinedStolenCard"],
        "4000000000009979",
        DeclinesAtOnce(&STOLEN),
    ),
    visa(&["chargeDeclinedFraudulent"], "4100000000000019", DeclinesAtOnce(&FRAUDULENT)),
    visa(&["chargeDeclinedExpiredCard"], "4000000000000069", DeclinesAtOnce(&EXPIRED)),
    visa(&["chargeDeclinedIncorrectCvc"], "4000000000000127", DeclinesAtOnce(&WRONG_CVC)),
    visa(&["chargeDeclinedProcessingError"], "4000000000000119", DeclinesAtOnce(&PROCESSING)),
    visa(&["chargeCustomerFail"], "4000000000000341", Declines(&GENERIC)),
    visa(&["authenticationRequired"], "4000002500003155", Asks),
    visa(&["threeDSecure2Required", "threeDSecureRequired"], "4000000000003220", Asks),
    visa(&["createDispute"], "4000000000000259", Disputes { reason: "fraudulent", inquiry: false }),
    visa(
        &["createDisputeProductNotReceived"],
        "4000000000002685",
        Disputes { reason: "product_not_received", inquiry: false },
    ),
    visa(
        &["createDisputeInquiry"],
        "4000000000001976",
        Disputes { reason: "fraudulent", inquiry: true },
    ),
    visa(&["refundFail"], "4000000000005126", RefundFails),
    visa(&["pendingRefund"], "4000000000007726", RefundPends),
    visa(&["bypassPending"], "4000000000000077", Pays),
    iban("AT611904300234573201", 3, true),
    iban("AT321904300235473204", 180, true),
    iban("AT861904300235473202", 3, false),
    iban("AT051904300235473205", 180, false),
    iban("DE89370400440532013000", 3, true),
    iban("DE62370400440532013001", 3, false),
    iban("IT60X0542811101000000123456", 3, false),
];

/// All test methods.
fn all() -> impl Iterator<Item = &'static TestMethod> {
    [&VISA, &REFUSED].into_iter().chain(&OTHERS)
}

/// The method of a name such as `pm_card_visa` or `tok_visa`.
pub(crate) fn by_name(name: &str) -> Option<&'static TestMethod> {
    let name = name.strip_prefix("pm_card_").or_else(|| name.strip_prefix("tok_"))?;
    all().find(|method| method.names.contains(&name))
}

/// The method of a card number or an IBAN, written with or without spaces.
pub(crate) fn by_number(number: &str) -> Option<&'static TestMethod> {
    let plain: String = number.chars().filter(char::is_ascii_alphanumeric).collect();
    all().find(|method| method.number == plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_there_once_and_card_numbers_are_valid() {
        let mut seen = std::collections::BTreeSet::new();
        for method in all() {
            assert!(seen.insert(method.number), "{}", method.number);
            assert!(method.names.iter().all(|name| seen.insert(name)), "{:?}", method.names);
            if method.kind == "card" {
                let sum: u32 = method
                    .number
                    .bytes()
                    .rev()
                    .enumerate()
                    .map(|(place, digit)| {
                        let digit = u32::from(digit - b'0') << (place % 2);
                        digit / 10 + digit % 10
                    })
                    .sum();
                assert_eq!(sum % 10, 0, "{}", method.number);
            }
        }
    }

    #[test]
    fn methods_are_found_by_every_name() {
        assert_eq!(by_name("pm_card_visa"), Some(&VISA));
        assert_eq!(by_name("tok_visa"), Some(&VISA));
        assert_eq!(by_number("4242 4242 4242 4242"), Some(&VISA));
        assert_eq!(by_number("AT61 1904 3002 3457 3201").unwrap().last4(), "3201");
        assert_eq!(by_name("visa"), None);
        assert_eq!(by_number("4111111111111111"), None);
    }
}
