//! Checkout sessions. Owns: what we ask of Stripe's payment page, and reading a session back. Must
//! not know: which plan a price sells, whether a purchase is allowed.

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_domain::Timestamp;
use tollgate_domain::catalog::{CheckoutTerms, Locale};
use tollgate_domain::ids::{AccountId, CustomerId, SessionId};

use crate::client::StripeClient;
use crate::client::error::StripeError;
use crate::client::exchange::Fetched;
use crate::client::metadata::{ACCOUNT, KIND, Mark, Marked, PLAN, ROW};
use crate::client::request::{ApiPath, Form, Operation};
use crate::client::secret::{IdempotencyKey, KeyMode};

const CREATE: Operation = Operation::post("checkout.sessions.create");
const RETRIEVE: Operation = Operation::get("checkout.sessions.retrieve");
const LIST: Operation = Operation::get("checkout.sessions.list");
const EXPIRE: Operation = Operation::post("checkout.sessions.expire");
const PATH: &str = "/v1/checkout/sessions";

/// How a purchase is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentMode {
    /// Again and again; with days of trial, 0 for none.
    Subscription {
        /// Days before the first payment.
        trial_days: u32,
    },
    /// Once.
    Once,
}

/// One thing that is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLine<'a> {
    /// Stripe's price.
    pub price: &'a str,
    /// How many units.
    pub quantity: u64,
    /// The least and the most units customers can change it to on the page; `None`: they cannot.
    pub adjustable: Option<(u64, u64)>,
}

/// Most units a customer can choose on the page, Stripe's own limit.
pub const ADJUSTABLE_MAX: u64 = 999_999;

/// A session to be made.
#[derive(Debug, Clone)]
pub struct NewSession<'a> {
    /// Whose it is and the row it is made for.
    pub mark: Mark<'a>,
    /// Who pays.
    pub customer: &'a CustomerId,
    /// What is bought: the plan first.
    pub lines: Vec<NewLine<'a>>,
    /// What the page asks for and offers.
    pub terms: &'a CheckoutTerms,
    /// How it is paid.
    pub mode: PaymentMode,
    /// What is sold, in the words of our metadata: `subscription`, `grant`, `badge_purchase`, …
    pub kind: &'a str,
    /// The plan meant; the price decides.
    pub plan: Option<&'a str>,
    /// Where to go after paying.
    pub success_url: &'a str,
    /// Where to go instead.
    pub cancel_url: &'a str,
    /// Until when it can be paid.
    pub expires_at: Timestamp,
}

impl NewSession<'_> {
    /// The parameters. Metadata is written twice, for a session's is not copied to what it makes.
    pub fn form(&self) -> Form {
        let (mode, made) = match self.mode {
            PaymentMode::Subscription { .. } => ("subscription", "subscription_data[metadata]"),
            PaymentMode::Once => ("payment", "payment_intent_data[metadata]"),
        };
        let mut form = Form::new()
            .with("mode", mode)
            .with("customer", self.customer.as_str())
            .with("client_reference_id", self.mark.account.as_str())
            .with("success_url", self.success_url)
            .with("cancel_url", self.cancel_url)
            .with("expires_at", self.expires_at.unix_seconds().to_string());
        for prefix in ["metadata", made] {
            form = self.mark.write(form, prefix);
            form = form.with(format!("{prefix}[{KIND}]"), self.kind);
            form = form.with_some(&format!("{prefix}[{PLAN}]"), self.plan);
        }
        let form = with_terms(with_lines(form, &self.lines), self.terms);
        match self.mode {
            PaymentMode::Subscription { trial_days } if trial_days > 0 => {
                form.with("subscription_data[trial_period_days]", trial_days.to_string())
            }
            PaymentMode::Subscription { .. } | PaymentMode::Once => form,
        }
    }
}

fn with_lines(mut form: Form, lines: &[NewLine<'_>]) -> Form {
    for (place, line) in lines.iter().enumerate() {
        let name = format!("line_items[{place}]");
        form = form
            .with(format!("{name}[price]"), line.price)
            .with(format!("{name}[quantity]"), line.quantity.to_string());
        if let Some((least, most)) = line.adjustable {
            let name = format!("{name}[adjustable_quantity]");
            form = form
                .with(format!("{name}[enabled]"), "true")
                .with(format!("{name}[minimum]"), least.to_string())
                .with(format!("{name}[maximum]"), most.min(ADJUSTABLE_MAX).to_string());
        }
    }
    form
}

/// What is not asked for is not said, so that a session of a shop that wants nothing of it is made
/// as ever. A customer that exists keeps what is entered only where Stripe is told so: taxes go by
/// the address, and tax ids by the name.
fn with_terms(mut form: Form, terms: &CheckoutTerms) -> Form {
    let flags = [
        (terms.promotion_codes, "allow_promotion_codes", "true"),
        (terms.automatic_tax, "automatic_tax[enabled]", "true"),
        (terms.automatic_tax, "customer_update[address]", "auto"),
        (terms.tax_ids, "tax_id_collection[enabled]", "true"),
        (terms.tax_ids, "customer_update[name]", "auto"),
        (terms.billing_address, "billing_address_collection", "required"),
        (terms.terms_of_service, "consent_collection[terms_of_service]", "required"),
        (terms.promotions, "consent_collection[promotions]", "auto"),
    ];
    for (on, name, value) in flags {
        form = form.with_some(name, on.then_some(value));
    }
    form.with_some("locale", terms.locale.as_ref().map(Locale::as_str))
}

/// How a session stands at Stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// It can be paid.
    Open,
    /// It was completed; the money may still be on its way.
    Complete,
    /// It ran out.
    Expired,
}

/// A session, as far as we act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Stripe's id.
    pub id: SessionId,
    /// How it stands.
    pub state: SessionState,
    /// Stripe's word for the payment: `paid`, `unpaid`, `no_payment_required`.
    pub payment_status: String,
    /// Stripe's page; `None` once it is over.
    pub url: Option<String>,
    /// From when on it cannot be paid.
    pub expires_at: Timestamp,
    /// Whose it says it is.
    pub account: Option<AccountId>,
    /// Our row it says it was made for.
    pub row: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    id: String,
    status: Option<String>,
    payment_status: Option<String>,
    url: Option<String>,
    expires_at: Option<i64>,
    #[serde(default)]
    metadata: Option<std::collections::BTreeMap<String, String>>,
    client_reference_id: Option<String>,
}

impl Session {
    fn read(fetched: &Fetched) -> Result<Self, StripeError> {
        let garbled = || StripeError::Garbled {
            what: "the checkout session has no usable id, status or expiry",
            request_id: fetched.request_id.clone(),
        };
        let body: Body = fetched.json()?;
        let metadata = body.metadata.unwrap_or_default();
        let account = metadata.get(ACCOUNT).cloned().or(body.client_reference_id);
        Ok(Self {
            id: SessionId::parse(&body.id).map_err(|_| garbled())?,
            state: match body.status.as_deref() {
                Some("open") => SessionState::Open,
                Some("complete") => SessionState::Complete,
                Some("expired") => SessionState::Expired,
                _ => return Err(garbled()),
            },
            payment_status: body.payment_status.unwrap_or_default(),
            url: body.url,
            expires_at: body.expires_at.map(Timestamp::from_unix_seconds).ok_or_else(garbled)?,
            account: account.and_then(|account| AccountId::parse(&account).ok()),
            row: metadata.get(ROW).cloned(),
        })
    }
}

/// The mode a session's id tells (`cs_live_…`, `cs_test_…`), where it does.
pub fn session_mode(id: &SessionId) -> Option<KeyMode> {
    let text = id.as_str();
    if text.starts_with("cs_live_") {
        Some(KeyMode::Live)
    } else if text.starts_with("cs_test_") {
        Some(KeyMode::Test)
    } else {
        None
    }
}

/// An object inside of a fetched one, where it was expanded.
pub fn expanded<'f>(fetched: &'f Fetched, field: &str) -> Option<&'f RawValue> {
    let fields: std::collections::HashMap<&str, &RawValue> =
        serde_json::from_slice(&fetched.body).ok()?;
    fields.get(field).copied().filter(|value| value.get().starts_with('{'))
}

impl StripeClient {
    /// Makes a session from [`NewSession::form`].
    pub async fn create_session(
        &self,
        form: &Form,
        key: &IdempotencyKey,
    ) -> Result<Session, StripeError> {
        Session::read(&self.call(CREATE, &ApiPath::new(PATH), form, Some(key)).await?)
    }

    /// Reads a session, with its subscription and its lines.
    pub async fn session(&self, id: &SessionId) -> Result<(Session, Fetched), StripeError> {
        let form = Form::new().expand("subscription").expand("line_items");
        let fetched = self.call(RETRIEVE, &ApiPath::new(PATH).id(id.as_str()), &form, None).await?;
        Ok((Session::read(&fetched)?, fetched))
    }

    /// The session made for a row of ours, among the customer's newest hundred.
    pub async fn find_session_for(
        &self,
        row: &str,
        customer: &str,
    ) -> Result<Option<SessionId>, StripeError> {
        let filter = Form::new().with("customer", customer);
        let (items, _) = self.list(LIST, &ApiPath::new(PATH), &filter, 100).await?;
        let all = items.iter().filter_map(|item| serde_json::from_str(item.get()).ok());
        let found = all.into_iter().find(|marked: &Marked| marked.is_for(row));
        Ok(found.and_then(|found| SessionId::parse(&found.id).ok()))
    }

    /// Ends an open session. Refused by Stripe when it is not open any more.
    pub async fn expire_session(
        &self,
        id: &SessionId,
        key: &IdempotencyKey,
    ) -> Result<Session, StripeError> {
        let path = ApiPath::new(PATH).id(id.as_str()).then("/expire");
        Session::read(&self.call(EXPIRE, &path, &Form::new(), Some(key)).await?)
    }
}
