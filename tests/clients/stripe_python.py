"""The official Python SDK signs; a running Tollgate answers.

Environment: TOLLGATE_URL, TOLLGATE_KEY (scope `check`), STRIPE_WEBHOOK_SECRET (comma-separated, two of
them), RUN_ID (makes event ids unique). The price `price_tollgate_premium` must mean the plan `premium`.
"""

import hashlib
import hmac
import json
import os
import time
import urllib.error
import urllib.request

import stripe

from tally import Tally

URL = os.environ["TOLLGATE_URL"]
KEY = os.environ["TOLLGATE_KEY"]
SECRET, OLD_SECRET = os.environ["STRIPE_WEBHOOK_SECRET"].split(",")
RUN = os.environ["RUN_ID"]
MONTH_S = 30 * 86400

tally = Tally("python")
check = tally.check


def send(path, body, headers):
    """The status and the JSON of a POST."""
    request = urllib.request.Request(
        URL + path, data=body, headers={"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.loads(refusal.read() or b"{}")


def deliver(payload, header):
    headers = {} if header is None else {"Stripe-Signature": header}
    return send("/api/v1/billing/webhook", payload.encode(), headers)


def sign(payload, secret=SECRET, timestamp=None):
    return stripe.WebhookSignature.generate_signature_header(payload, secret, timestamp)


def mac(signed, secret=SECRET):
    """A signature over any text, for the headers that the SDK would never make."""
    return hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()


def event(name, kind, obj):
    return {
        "id": f"evt_tollgate_{RUN}_{name}",
        "object": "event",
        "api_version": "2025-03-31.basil",
        "created": int(time.time()),
        "data": {"object": obj},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def customer(name, /, **fields):
    obj = {"id": f"cus_tollgate_{RUN}_{name}", "object": "customer", "livemode": False}
    obj |= {"metadata": {"account_id": f"{RUN}_{name}"}, "created": int(time.time()), **fields}
    return event(name, "customer.created", obj)


def subscription(name, status):
    now = int(time.time())
    item = {
        "id": f"si_tollgate_{RUN}_{name}",
        "object": "subscription_item",
        "current_period_start": now,
        "current_period_end": now + MONTH_S,
        "price": {"id": "price_tollgate_premium", "object": "price", "currency": "usd",
                  "recurring": {"interval": "month", "interval_count": 1}, "unit_amount": 3500},
        "quantity": 1,
    }
    obj = {
        "id": f"sub_tollgate_{RUN}_{name}",
        "object": "subscription",
        "customer": f"cus_tollgate_{RUN}_{name}",
        "status": status,
        "items": {"object": "list", "data": [item], "has_more": False},
        "metadata": {"account_id": f"{RUN}_{name}"},
        "created": now,
        "start_date": now,
        "cancel_at_period_end": False,
        "currency": "usd",
        "livemode": False,
    }
    return event(name, "customer.subscription.created", obj)


def outcome(reply):
    status, body = reply
    return status, body.get("status")


def signed_events():
    body = json.dumps(customer("first"))
    check("an event signed by the SDK is processed", outcome(deliver(body, sign(body))), (200, "processed"))
    check("the same event again is a duplicate", outcome(deliver(body, sign(body))), (200, "duplicate"))
    old = json.dumps(customer("rotated"))
    check("a second secret counts while rotating", outcome(deliver(old, sign(old, OLD_SECRET))), (200, "processed"))
    pretty = json.dumps(customer("pretty", name="Café × 12"), indent=2, ensure_ascii=False)
    check("indented bytes in UTF-8 are taken as they are", outcome(deliver(pretty, sign(pretty))), (200, "processed"))
    other = json.dumps(event("other", "payment_method.attached", {"id": "pm_tollgate", "object": "payment_method"}))
    check("a type nobody handles is ignored", outcome(deliver(other, sign(other))), (200, "ignored"))
    check("a body changed after signing is refused", deliver(body + " ", sign(body))[0], 400)
    check("a foreign secret is refused", deliver(body, sign(body, "whsec_someone_else"))[0], 400)


def entitlements():
    question = json.dumps({"accountId": f"{RUN}_buyer", "feature": "nine_tier_system"}).encode()

    def ask():
        status, reply = send("/api/v1/feature-check", question, {"Authorization": f"Bearer {KEY}"})
        return status, reply.get("canAccess"), reply.get("tier")

    body = json.dumps(subscription("buyer", "active"))
    check("before the subscription the feature is closed", ask(), (200, False, "starter"))
    check("the subscription is processed", outcome(deliver(body, sign(body))), (200, "processed"))
    check("after it the plan of its price is open", ask(), (200, True, "premium"))


def odd_headers():
    """Every odd header, with a body of its own, so that no case is saved by being a duplicate."""
    now = int(time.time())
    right, upper, wrong = "{mac}", "{MAC}", "0" * 64
    cases = [
        ("v1 before t", f"v1={right},t={now}", 200),
        ("two v1, the first one wrong", f"t={now},v1={wrong},v1={right}", 200),
        ("a decoy v0 beside v1", f"t={now},v0={wrong},v1={right}", 200),
        ("an unknown scheme beside v1", f"t={now},v1={right},v9=abc", 200),
        ("a last pair without a value", f"t={now},v1={right},v2", 200),
        ("leading zeros in t", f"t=00{now},v1={right}", 200),
        ("upper-case hexadecimal", f"t={now},v1={upper}", 200),
        ("290 s old", f"t={now - 290},v1={right}", 200),
        ("290 s ahead", f"t={now + 290},v1={right}", 200),
        ("a space after the comma", f"t={now}, v1={right}", 400),
        ("two t, the first one right", f"t={now},v1={right},t=1", 400),
        ("a signed t", f"t=+{now},v1={right}", 400),
        ("a negative t", f"t=-1,v1={right}", 400),
        ("a t that overflows", f"t={'9' * 30},v1={right}", 400),
        ("no t", f"v1={right}", 400),
        ("no v1", f"t={now}", 400),
        ("only v0", f"t={now},v0={right}", 400),
        ("a short v1", f"t={now},v1={right}", 400),
        ("v1 that is not hexadecimal", f"t={now},v1={'z' * 64}", 400),
        ("310 s old", f"t={now - 310},v1={right}", 400),
        ("310 s ahead", f"t={now + 320},v1={right}", 400),
        ("an empty header", "", 400),
    ]
    for index, (name, header, expected) in enumerate(cases):
        body = json.dumps(customer(f"odd{index}"))
        signed = header.split("t=")[1].split(",")[0] if "t=" in header else str(now)
        signature = mac(f"{signed.lstrip('0')}.{body}")
        header = header.replace(right, signature).replace(upper, signature.upper())
        if name == "a short v1":
            header = header[:-2]
        check(f"header: {name}", deliver(body, header)[0], expected)
    body = json.dumps(customer("bare"))
    check("header: none at all", deliver(body, None)[0], 400)


signed_events()
entitlements()
odd_headers()
tally.finish()
