//! The webhook endpoint. Owns: finding ours among others, making one, and saving its secret before
//! anything relies on it. Must not know: Stripe's fields.
//!
//! The secret is told once, when the endpoint is made. So it is saved first, and then noted at
//! Stripe, as a print that does not tell it. An endpoint of ours without a print is one whose secret
//! may not have been saved: asking for the same endpoint again gets its secret back for a day, and
//! another endpoint after that, for which the lost one is switched off.
//!
//! Ours sends events in one form: when another form is asked for, an endpoint of that form is made
//! and the one before switched off.

use anyhow::Context as _;
use tollgate_stripe::StripeClient;
use tollgate_stripe::shop::{
    Endpoint, EndpointWish, Payload, create_endpoint, disable_endpoint, list_endpoints,
    note_secret, secret_print, update_endpoint,
};

use super::private::DotEnv;
use super::{Became, Report};
use crate::config::WebhookSecret;

const SECRETS: &str = "STRIPE_WEBHOOK_SECRET";
const PART: &str = "webhook";

/// What the endpoint is to be.
pub(super) struct EndpointSetup<'s> {
    pub(super) client: &'s StripeClient,
    pub(super) nonce: &'s str,
    /// The whole address, path included.
    pub(super) url: &'s str,
    pub(super) catalog: &'s str,
    /// The form of the events; `None`: as it is, snapshots where there is none yet.
    pub(super) payload: Option<Payload>,
    /// Make a new one where the secret of the one that is there is lost.
    pub(super) replace: bool,
    /// Secrets that are configured.
    pub(super) secrets: &'s [WebhookSecret],
}

impl EndpointSetup<'_> {
    pub(super) async fn run(&self, env: &mut DotEnv, report: &mut Report) -> anyhow::Result<()> {
        let all =
            list_endpoints(self.client).await.context("the webhook endpoints cannot be read")?;
        let here: Vec<Endpoint> = all.into_iter().filter(|one| one.url == self.url).collect();
        let (ours, theirs): (Vec<&Endpoint>, Vec<&Endpoint>) =
            here.iter().partition(|one| one.catalog.is_some());
        let saved = |one: &&&Endpoint| self.is_saved(one) && one.has_our_version();
        let enabled = || ours.iter().filter(saved).find(|one| one.enabled);
        let payload = self.payload.or_else(|| enabled().map(|one| one.payload));
        let payload = payload.unwrap_or(Payload::Snapshot);
        if let Some(right) = ours.iter().filter(saved).find(|one| one.payload == payload) {
            self.keep(right, report).await?;
            return self.switch_off(&ours, &right.id, report).await;
        }
        let theirs = || theirs.iter().filter(|one| one.enabled);
        let fits = |one: &&&Endpoint| self.payload.is_none_or(|payload| one.payload == payload);
        if let Some(one) = theirs().find(fits) {
            self.adopt(one, report);
            return Ok(());
        }
        let elsewhere =
            |one: &&&Endpoint| one.enabled && one.secret_print.is_some() && !self.is_saved(one);
        let lost = ours.iter().filter(elsewhere).find(|one| one.payload == payload);
        if let (Some(lost), false) = (lost, self.replace) {
            let what = format!(
                "{} is there and its secret is not here: copy {SECRETS} from where it was set up, or \
                 run it again with --replace-endpoint",
                lost.id
            );
            report.add(PART, Became::Blocked, what);
            return Ok(());
        }
        self.make(payload, &ours, env, report).await
    }

    fn is_saved(&self, endpoint: &Endpoint) -> bool {
        let print = endpoint.secret_print.as_deref();
        let known = |one: &WebhookSecret| {
            Some(secret_print(one.secret.expose())) == print.map(str::to_owned)
        };
        self.secrets.iter().any(known)
    }

    /// Ours, with its secret here: only what it sends may have to be changed.
    async fn keep(&self, endpoint: &Endpoint, report: &mut Report) -> anyhow::Result<()> {
        if endpoint.enabled && endpoint.has_our_events() {
            let form = endpoint.payload.as_str();
            let what = format!("{} sends {form} events to {}", endpoint.id, self.url);
            report.add(PART, Became::Found, what);
            return Ok(());
        }
        update_endpoint(self.client, endpoint, self.nonce)
            .await
            .context("the webhook endpoint cannot be changed")?;
        let what = format!("{} sends exactly what has effects to {}", endpoint.id, self.url);
        report.add(PART, Became::Changed, what);
        Ok(())
    }

    /// Somebody else's: used as it is, when its secret is here.
    fn adopt(&self, endpoint: &Endpoint, report: &mut Report) {
        if self.secrets.is_empty() {
            let what = format!(
                "{} was made by somebody else and sends to {}: put its secret (Stripe's dashboard, \
                 Webhooks) into {SECRETS}",
                endpoint.id, self.url
            );
            report.add(PART, Became::Blocked, what);
            return;
        }
        let missing: Vec<String> = match endpoint.payload {
            Payload::Snapshot => tollgate_stripe::EVENT_TYPES.map(str::to_owned).to_vec(),
            Payload::Thin => tollgate_stripe::thin::thin_event_types(),
        }
        .into_iter()
        .filter(|name| !endpoint.events.contains("*") && !endpoint.events.contains(name))
        .collect();
        let what = format!("{} of somebody else is used as it is", endpoint.id);
        if missing.is_empty() {
            report.add(PART, Became::Found, what);
        } else {
            let what = format!("{what}; it does not send {}", missing.join(", "));
            report.add(PART, Became::Blocked, what);
        }
    }

    async fn make(
        &self,
        payload: Payload,
        ours: &[&Endpoint],
        env: &mut DotEnv,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let generation = ours.iter().filter(|one| one.secret_print.is_some()).count();
        let wish = EndpointWish { payload, url: self.url, catalog: self.catalog, generation };
        let made = create_endpoint(self.client, wish)
            .await
            .context("the webhook endpoint cannot be made")?;
        let (id, secret) = (&made.endpoint.id, &made.secret);
        // Before everything else, and next to the secrets that are there: events of an endpoint
        // that is being replaced are still under way.
        let known = env.get(SECRETS).unwrap_or_default().to_owned();
        let known = known.split(',').map(str::trim).filter(|one| !one.is_empty());
        let mut secrets = vec![secret.expose()];
        secrets.extend(known.filter(|one| *one != secret.expose()));
        env.set(SECRETS, &secrets.join(","));
        env.save()?;
        note_secret(self.client, &made.endpoint, secret, self.nonce)
            .await
            .context("it cannot be noted at Stripe that the secret was saved")?;
        let form = payload.as_str();
        let what = format!("{id} sends what has effects as {form} events to {}", self.url);
        report.add(PART, Became::Made, what);
        report.add(".env", Became::Changed, format!("{SECRETS} saved"));
        if env.is_shadowed(SECRETS) {
            let what = format!(
                "the environment sets {SECRETS}, so the line in .env is not read: take it out there"
            );
            report.add(".env", Became::Blocked, what);
        }
        if !(made.endpoint.enabled && made.endpoint.has_our_events()) {
            update_endpoint(self.client, &made.endpoint, self.nonce)
                .await
                .context("the webhook endpoint cannot be changed")?;
        }
        self.switch_off(ours, id, report).await
    }

    /// Ours, for the same address, and not the one that counts: their events would come twice.
    async fn switch_off(
        &self,
        ours: &[&Endpoint],
        except: &str,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        for old in ours.iter().filter(|one| one.enabled && one.id != except) {
            disable_endpoint(self.client, old, self.nonce)
                .await
                .context("an endpoint that was replaced cannot be switched off")?;
            let what = format!("{} was replaced and is switched off", old.id);
            report.add(PART, Became::Changed, what);
        }
        Ok(())
    }
}
