//! What can be done to the account. Owns: each deed in a form that can be kept and done again. Must
//! not know: who asks for it and over which route.

use serde::{Deserialize, Serialize};
use tollgate_domain::{Catalog, Timestamp};

use super::story::{Story, StoryError};
use crate::demo;
use crate::sandbox::{
    ApiRequest, Card, CheckoutOutcome, DisputeError, DisputeMove, Method, PageError, PageResult,
    Params, PortalAct, Sandbox,
};
use crate::version::ApiVersion;

/// A deed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Deed {
    /// A request of the API that may change something.
    Call(KeptCall),
    /// A story becomes part of the account.
    Tell {
        /// Which one.
        story: Story,
    },
    /// The stories of the demonstration become part of the account.
    Demo,
    /// An event was told a second time under an id of its own.
    Twin {
        /// The first one's id.
        event: String,
    },
    /// The clock was moved.
    Clock,
    /// Somebody acts on the page of a checkout session.
    Checkout {
        /// The session.
        session: String,
        /// What they do.
        outcome: CheckoutWord,
    },
    /// A customer does something in the portal.
    Portal {
        /// The portal session.
        session: String,
        /// What they do.
        act: PortalWord,
    },
    /// The money of a payment that was on its way arrives, or does not.
    Settle {
        /// The session.
        session: String,
        /// Whether it arrives.
        succeeds: bool,
    },
    /// A customer pays with another card from now on.
    Card {
        /// The customer.
        customer: String,
        /// The card's word, such as `declined`.
        card: String,
    },
    /// The bank disputes a charge, or decides about it.
    Dispute {
        /// The charge.
        charge: String,
        /// What the bank does.
        what: DisputeWord,
    },
}

/// What is done on the page of a checkout session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckoutWord {
    /// Pays.
    Pay,
    /// Is declined.
    Fail,
    /// Pays by what takes days.
    Later,
}

/// What a customer does in the portal, as its forms say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortalWord {
    /// `change`, `cancel`, `resume`, `pause`, `card` or `pay`.
    pub(crate) act: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subscription: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) price: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quantity: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) card: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) invoice: Option<String>,
}

impl PortalWord {
    fn meant(&self) -> Result<PortalAct, DeedError> {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let subscription = text(&self.subscription);
        Ok(match self.act.as_str() {
            "change" => PortalAct::ChangePrice {
                subscription,
                price: text(&self.price),
                quantity: self.quantity,
            },
            "cancel" => PortalAct::Cancel { subscription },
            "resume" => PortalAct::Resume { subscription },
            "pause" => PortalAct::Pause { subscription },
            "card" => PortalAct::UseCard(card(&text(&self.card))?),
            "pay" => PortalAct::PayInvoice { invoice: text(&self.invoice) },
            _ => return Err(DeedError::Unreadable),
        })
    }
}

fn card(word: &str) -> Result<Card, DeedError> {
    Card::parse(word).ok_or_else(|| DeedError::Card { word: word.to_owned() })
}

/// What the bank does with a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DisputeWord {
    /// Disputes it.
    Open,
    /// Asks first.
    Inquire,
    /// Decides for us.
    Won,
    /// Decides against us.
    Lost,
}

/// A request as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptCall {
    method: String,
    path: String,
    params: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl KeptCall {
    /// A request, with its parameters as they were written.
    pub(crate) fn of(request: &ApiRequest, params: &str) -> Self {
        Self {
            method: request.method.as_str().to_owned(),
            path: request.path.clone(),
            params: params.to_owned(),
            version: request.version.map(|version| version.as_str().to_owned()),
            key: request.idempotency_key.clone(),
        }
    }

    fn request(&self) -> Option<ApiRequest> {
        let method = match self.method.as_str() {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "DELETE" => Method::Delete,
            _ => return None,
        };
        Some(ApiRequest {
            method,
            path: self.path.clone(),
            params: Params::from_form(&self.params).ok()?,
            version: self.version.as_deref().and_then(|text| ApiVersion::parse(text).ok()),
            idempotency_key: self.key.clone(),
        })
    }
}

/// What came of a deed.
#[derive(Debug)]
pub(crate) enum Done {
    /// The ids of the events that were told.
    Told(Vec<String>),
    /// Where the page of a session leads.
    Page(PageResult),
    /// The id of what was made or changed.
    Object(String),
    /// Nothing to tell.
    Quiet,
}

/// Why a deed was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeedError {
    /// The story cannot be told.
    #[error(transparent)]
    Story(#[from] StoryError),
    /// The page refuses it.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The bank cannot do that.
    #[error(transparent)]
    Dispute(#[from] DisputeError),
    /// No card has this name.
    #[error("no card is called {word:?}; there are {}", known_cards())]
    Card {
        /// The word given.
        word: String,
    },
    /// The request that was kept is none.
    #[error("a request cannot be read")]
    Unreadable,
}

fn known_cards() -> String {
    Card::NAMED.map(|(name, _)| name).join(", ")
}

impl DeedError {
    /// Whether the account may have changed all the same; a declined payment leaves its traces.
    pub(crate) const fn may_leave_traces(&self) -> bool {
        matches!(self, Self::Page(_) | Self::Dispute(_))
    }
}

impl Deed {
    /// Does it, at a time.
    pub(crate) fn perform(
        &self,
        sandbox: &mut Sandbox,
        catalog: &Catalog,
        now: Timestamp,
    ) -> Result<Done, DeedError> {
        match self {
            Self::Call(kept) => {
                let request = kept.request().ok_or(DeedError::Unreadable)?;
                sandbox.call(&request);
                Ok(Done::Quiet)
            }
            Self::Tell { story } => {
                let happenings = story.happenings(catalog, now)?;
                let ids = happenings.iter().map(|one| one.id().to_owned()).collect();
                sandbox.adopt(happenings);
                Ok(Done::Told(ids))
            }
            Self::Demo => {
                let accounts = demo::accounts(catalog, now).map_err(StoryError::from)?;
                let all: Vec<_> = accounts.into_iter().flat_map(|one| one.happenings).collect();
                let ids = all.iter().map(|one| one.id().to_owned()).collect();
                sandbox.adopt(all);
                Ok(Done::Told(ids))
            }
            Self::Twin { event } => {
                let found = sandbox.happenings().iter().find(|one| one.id() == event);
                let twin = found.map(crate::event::Happening::twin);
                sandbox.world.happenings.extend(twin);
                Ok(Done::Quiet)
            }
            Self::Clock => Ok(Done::Quiet),
            Self::Checkout { .. }
            | Self::Portal { .. }
            | Self::Settle { .. }
            | Self::Card { .. }
            | Self::Dispute { .. } => self.perform_by_people(sandbox),
        }
    }

    /// What people do on Stripe's pages and in banks.
    fn perform_by_people(&self, sandbox: &mut Sandbox) -> Result<Done, DeedError> {
        match self {
            Self::Checkout { session, outcome } => {
                let how = match outcome {
                    CheckoutWord::Pay => CheckoutOutcome::Pay,
                    CheckoutWord::Fail => CheckoutOutcome::Fail,
                    CheckoutWord::Later => CheckoutOutcome::PayLater,
                };
                Ok(Done::Page(sandbox.complete_checkout(session, how)?))
            }
            Self::Portal { session, act } => {
                sandbox.portal_act(session, &act.meant()?)?;
                Ok(Done::Quiet)
            }
            Self::Settle { session, succeeds } => {
                sandbox.settle_later(session, *succeeds)?;
                Ok(Done::Quiet)
            }
            Self::Card { customer, card: word } => {
                sandbox.set_card(customer, card(word)?)?;
                Ok(Done::Quiet)
            }
            Self::Dispute { charge, what } => {
                let what = match what {
                    DisputeWord::Open => DisputeMove::Open,
                    DisputeWord::Inquire => DisputeMove::Inquire,
                    DisputeWord::Won => DisputeMove::Won,
                    DisputeWord::Lost => DisputeMove::Lost,
                };
                Ok(Done::Object(sandbox.dispute(charge, what)?))
            }
            Self::Call(_) | Self::Tell { .. } | Self::Demo | Self::Twin { .. } | Self::Clock => {
                Ok(Done::Quiet)
            }
        }
    }
}
