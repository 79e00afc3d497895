"""The official Python SDK buys, changes and cancels a subscription at the sandbox.

It knows nothing of Tollgate: whatever it is told here, it takes for Stripe. The purchase is completed
on the hosted page, by the form a browser would post. Environment: SANDBOX_URL.
"""

import html.parser
import http.server
import json
import os
import threading
import urllib.error
import urllib.parse
import urllib.request

import stripe

from tally import Tally, until

URL = os.environ["SANDBOX_URL"]
KEY = "sk_test_tollgate0123456789abcdef"
SUCCESS = "http://127.0.0.1:9/success?session={CHECKOUT_SESSION_ID}"

tally = Tally("sandbox-python")
check = tally.check


def client(key=KEY, retries=0):
    return stripe.StripeClient(key, base_addresses={"api": URL}, max_network_retries=retries)


api = client().v1


class Receiver(http.server.ThreadingHTTPServer):
    """Takes deliveries and keeps what was sent, byte for byte."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.letters = []
        self.url = f"http://127.0.0.1:{self.server_port}/hook"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.letters.append((body, self.headers["Stripe-Signature"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass


class Forms(html.parser.HTMLParser):
    """The forms of a page: where each goes to, its hidden fields, and its buttons."""

    def __init__(self, page):
        super().__init__()
        self.forms, self._button = [], None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            self.forms.append({"to": given.get("action"), "fields": {}, "buttons": []})
        elif tag == "input" and self.forms and given.get("name"):
            self.forms[-1]["fields"][given["name"]] = given.get("value", "")
        elif tag == "button" and self.forms:
            self._button = {"name": given.get("name"), "value": given.get("value", ""), "text": ""}
            self.forms[-1]["buttons"].append(self._button)

    def handle_data(self, text):
        if self._button is not None:
            self._button["text"] += text

    def handle_endtag(self, tag):
        if tag == "button":
            self._button = None

    def button(self, words):
        """The form with such a button, and its fields as the button would send them."""
        for form in self.forms:
            for button in form["buttons"]:
                if button["text"].strip().startswith(words):
                    own = {button["name"]: button["value"]} if button["name"] else {}
                    return form["to"], {**form["fields"], **own}
        raise LookupError(f"no button {words!r} among {self.forms}")


class Stay(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like others: where it leads, nobody listens."""

    def redirect_request(self, *_):
        return None


def press(page_url, words):
    """Opens a page, presses a button, and says where that leads."""
    browser = urllib.request.build_opener(Stay)
    with browser.open(page_url, timeout=10) as reply:
        to, fields = Forms(reply.read().decode()).button(words)
    target = urllib.parse.urljoin(page_url, to or page_url)
    try:
        with browser.open(target, urllib.parse.urlencode(fields).encode(), timeout=10) as reply:
            return reply.status, None
    except urllib.error.HTTPError as reply:
        return reply.code, reply.headers.get("Location")


def refusal(call):
    """The class of the SDK's error, and what is in it."""
    try:
        call()
    except stripe.StripeError as error:
        return type(error).__name__, error.http_status, error.code, getattr(error, "param", None)
    return "no error"


def catalogue():
    product = api.products.create({"name": "Fremen access", "metadata": {"of": "tests"}})
    prices = [
        api.prices.create({
            "product": product.id, "currency": "usd", "unit_amount": amount,
            "recurring": {"interval": "month"}, "lookup_key": f"python_{amount}",
        })
        for amount in (1500, 4500)
    ]
    check("a price belongs to its product", {price.product for price in prices}, {product.id})
    found = api.prices.list({"lookup_keys": ["python_4500"]}).data
    check("a lookup key finds its price", [price.id for price in found], [prices[1].id])
    return prices


def customer():
    made = api.customers.create({"email": "stilgar@example.com", "metadata": {"account_id": "tabr"}})
    check("a customer is made in test mode", (made.object, made.livemode), ("customer", False))
    api.customers.update(made.id, {"name": "Stilgar"})
    read = api.customers.retrieve(made.id)
    check("a customer keeps what was changed", (read.name, read.metadata["account_id"]), ("Stilgar", "tabr"))
    listed = api.customers.list({"email": "stilgar@example.com"}).data
    check("a customer is found by e-mail", [one.id for one in listed], [made.id])
    return made


def purchase(buyer, price):
    session = api.checkout.sessions.create({
        "mode": "subscription",
        "customer": buyer.id,
        "line_items": [{"price": price.id, "quantity": 1}],
        "client_reference_id": "tabr",
        "metadata": {"account_id": "tabr"},
        "subscription_data": {"metadata": {"account_id": "tabr"}},
        "success_url": SUCCESS,
        "cancel_url": "http://127.0.0.1:9/cancel",
    })
    check("a new session is open and unpaid", (session.status, session.payment_status), ("open", "unpaid"))
    check("a session costs what its price says", (session.amount_total, session.currency), (1500, "usd"))
    check("its page is here", session.url.startswith(URL), True)
    check(
        "Pay leads to the success page, with the session's id in it",
        press(session.url, "Pay"),
        (303, SUCCESS.replace("{CHECKOUT_SESSION_ID}", session.id)),
    )
    done = api.checkout.sessions.retrieve(
        session.id, {"expand": ["subscription", "line_items", "subscription.latest_invoice"]}
    )
    check("the session is complete and paid", (done.status, done.payment_status), ("complete", "paid"))
    bought = done.subscription
    check("its subscription is active", (bought.object, bought.status), ("subscription", "active"))
    check("the subscription has the metadata meant for it", bought.metadata["account_id"], "tabr")
    check("the subscription has the price", [item.price.id for item in bought["items"].data], [price.id])
    check("the line items expand", [line.price.id for line in done.line_items.data], [price.id])
    invoice = bought.latest_invoice
    check("its first invoice is paid", (invoice.status, invoice.amount_paid), ("paid", 1500))
    check("an invoice says why it was made", invoice.billing_reason, "subscription_create")
    return bought


def changes(bought, price):
    item = bought["items"].data[0]
    upgraded = api.subscriptions.update(bought.id, {
        "items": [{"id": item.id, "price": price.id}],
        "proration_behavior": "always_invoice",
        "expand": ["latest_invoice"],
    })
    check("an upgrade is in force at once", upgraded["items"].data[0].price.id, price.id)
    check("the item keeps its id", upgraded["items"].data[0].id, item.id)
    invoice = upgraded.latest_invoice
    why = (invoice.billing_reason, invoice.status)
    check("the difference is invoiced and paid", why, ("subscription_update", "paid"))
    # A few seconds of the month are gone, which a rounded share of 30 dollars does not show.
    check("the difference is the difference", invoice.total, 3000)
    check("it has a credit and a charge", sorted(line.amount for line in invoice.lines.data), [-1500, 4500])

    ending = api.subscriptions.update(bought.id, {"cancel_at_period_end": True})
    period_end = ending["items"].data[0].current_period_end
    check("a cancellation waits for the period's end", (ending.status, ending.cancel_at), ("active", period_end))
    kept = api.subscriptions.update(bought.id, {"cancel_at_period_end": False})
    check("and can be taken back", (kept.cancel_at_period_end, kept.cancel_at), (False, None))

    gone = api.subscriptions.cancel(bought.id)
    check("a subscription is cancelled at once", (gone.status, gone.ended_at is not None), ("canceled", True))

    def listed(**how):
        return [one.id for one in api.subscriptions.list({"customer": bought.customer, **how}).data]

    check("lists leave out the cancelled", listed(), [])
    check("but for those who ask", listed(status="all"), [bought.id])
    revive = refusal(lambda: api.subscriptions.update(bought.id, {"items": [{"id": item.id, "quantity": 2}]}))
    check("what has ended cannot be changed", revive[:2], ("InvalidRequestError", 400))
    twice = refusal(lambda: api.subscriptions.cancel(bought.id))
    check("nor ended again", twice[:3], ("InvalidRequestError", 404, "resource_missing"))


def pages():
    """Everything that happened, in pages of three and all at once."""
    paged = list(api.events.list({"limit": 3}).auto_paging_iter())
    whole = list(api.events.list({"limit": 100}).auto_paging_iter())
    check("pages of three add up to the whole", [one.id for one in paged], [one.id for one in whole])
    check("no event comes twice", len({one.id for one in paged}), len(paged))
    check("the newest come first", [one.created for one in paged], sorted((one.created for one in paged), reverse=True))
    kinds = ["customer.subscription.deleted", "checkout.session.completed"]
    found = [event.type for event in api.events.list({"types": kinds, "limit": 1}).auto_paging_iter()]
    check("events are found by type", found, kinds)
    one = api.events.retrieve(paged[0].id)
    check("an event can be read by its id", (one.id, one.type), (paged[0].id, paged[0].type))


def idempotency():
    key = {"idempotency_key": "python-once"}
    first = api.customers.create({"name": "Chani"}, key)
    again = api.customers.create({"name": "Chani"}, key)
    check("the same key gives the same customer", again.id, first.id)
    check("and says so", again.last_response.headers.get("Idempotent-Replayed"), "true")
    check("the first answer does not", first.last_response.headers.get("Idempotent-Replayed"), None)
    other = refusal(lambda: api.customers.create({"name": "Jessica"}, key))
    check("the same key for something else is refused", other[:2], ("IdempotencyError", 400))


def refusals(buyer):
    missing = refusal(lambda: api.customers.retrieve("cus_nobody"))
    check("an unknown id", missing, ("InvalidRequestError", 404, "resource_missing", "id"))
    lacking = refusal(lambda: api.prices.create({"currency": "usd", "unit_amount": 100}))
    check("a parameter that is missing", lacking[:3], ("InvalidRequestError", 400, "parameter_missing"))
    unknown = refusal(lambda: api.customers.create({"colour": "sand"}))
    check("a parameter nobody knows", unknown, ("InvalidRequestError", 400, "parameter_unknown", "colour"))
    stranger = refusal(lambda: client("rk_nonsense").v1.customers.list())
    check("a key nobody knows", stranger[:2], ("AuthenticationError", 401))
    declined = refusal(lambda: api.payment_intents.create({
        "amount": 500, "currency": "usd", "confirm": True, "customer": buyer.id,
        "payment_method": "pm_card_chargeDeclined", "return_url": "http://127.0.0.1:9/",
    }))
    check("a card that is declined", declined[:3], ("CardError", 402, "card_declined"))


def trouble():
    """What goes wrong on the way, as scripted, and what the SDK makes of it."""
    def script(**rule):
        body = json.dumps({"path": "/v1/customers", "method": "POST", "times": 1, **rule}).encode()
        head = {"Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(f"{URL}/_sandbox/faults", body, head), timeout=10).close()

    script(fault={"kind": "status", "status": 429})
    limited = refusal(lambda: api.customers.create({"name": "too fast"}))
    check("too many requests", limited[:2], ("RateLimitError", 429))
    for name, fault in [
        ("an answer that was lost", {"kind": "cut", "accepted": True}),
        ("an error after the effect", {"kind": "status", "status": 500, "accepted": True}),
        ("a connection cut before it", {"kind": "cut"}),
    ]:
        script(fault=fault)
        made = client(retries=2).v1.customers.create({"email": "once@example.com", "name": name})
        same = api.customers.list({"email": "once@example.com"}).auto_paging_iter()
        found = [one.id for one in same if one.name == name]
        check(f"{name}: the SDK asks again, and it is done once", found, [made.id])
    with urllib.request.urlopen(f"{URL}/_sandbox/faults", timeout=10) as left:
        check("all that was scripted has happened", json.load(left), {"faults": []})


def deliveries(receiver, endpoint, since):
    """All that happened since the endpoint was made has come, signed with its secret."""
    expected = {event.id for event in api.events.list({"ending_before": since, "limit": 3}).auto_paging_iter()}

    def arrived():
        seen = {stripe.Webhook.construct_event(body, header, endpoint.secret).id for body, header in receiver.letters}
        return seen if expected <= seen else None

    check("every event was delivered and verifies", until("all deliveries", arrived), expected)
    body, header = receiver.letters[0]
    try:
        stripe.Webhook.construct_event(body, header, "whsec_someone_else")
        refused = False
    except stripe.SignatureVerificationError:
        refused = True
    check("and with no other secret", refused, True)
    read = api.webhook_endpoints.retrieve(endpoint.id)
    check("the secret is told once", (read.status, getattr(read, "secret", None)), ("enabled", None))
    check("an endpoint can be removed", api.webhook_endpoints.delete(endpoint.id).deleted, True)


def story():
    receiver = Receiver()
    api.customers.create({"name": "before everything"})
    since = api.events.list({"limit": 1}).data[0].id
    endpoint = api.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    check("an endpoint has a secret", endpoint.secret.startswith("whsec_"), True)
    buyer = customer()
    small, large = catalogue()
    bought = purchase(buyer, small)
    changes(bought, large)
    pages()
    tally.part(idempotency)
    tally.part(refusals, buyer)
    tally.part(trouble)
    deliveries(receiver, endpoint, since)


tally.part(story)
tally.finish()
