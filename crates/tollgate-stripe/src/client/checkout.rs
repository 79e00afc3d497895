//! Checkout sessions. Owns: what we ask of Stripe's payment page, and reading a session back. Must
//! not know: which plan a price sells, whether a purchase is allowed.

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_domain::Timestamp;
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

/// A session to be made.
#[derive(Debug, Clone)]
pub struct NewSession<'a> {
    /// Whose it is and the row it is made for.
    pub mark: Mark<'a>,
    /// Who pays.
    pub customer: &'a CustomerId,
    /// Stripe's price.
    pub price: &'a str,
    /// How many units.
    pub quantity: u64,
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
            .with("line_items[0][price]", self.price)
            .with("line_items[0][quantity]", self.quantity.to_string())
            .with("success_url", self.success_url)
            .with("cancel_url", self.cancel_url)
            .with("expires_at", self.expires_at.unix_seconds().to_string());
        for prefix in ["metadata", made] {
            form = self.mark.write(form, prefix);
            form = form.with(format!("{prefix}[{KIND}]"), self.kind);
            form = form.with_some(&format!("{prefix}[{PLAN}]"), self.plan);
        }
        match self.mode {
            PaymentMode::Subscription { trial_days } if trial_days > 0 => {
                form.with("subscription_data[trial_period_days]", trial_days.to_string())
            }
            PaymentMode::Subscription { .. } | PaymentMode::Once => form,
        }
    }
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
