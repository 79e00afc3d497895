//! Objects by id. Owns: the newest state of every object, the order in which objects were made,
//! and undoing what a refused request began. Must not know: what changes an object.

use std::collections::BTreeMap;

use super::Object;

/// An object that can be fetched by its id.
pub(crate) trait Stored: Sized + 'static {
    /// What it is called in messages: `customer`, as in "No such customer".
    const NOUN: &'static str;
    /// Where objects of its kind are kept.
    const KIND: Kind;

    /// Its id.
    fn id(&self) -> &str;
    /// The object, if it is of this kind.
    fn of(object: &Object) -> Option<&Self>;
    /// The object among the others.
    fn into_object(self) -> Object;
}

/// One line for each kind of object that can be fetched: variant of [`Object`], its type, its noun.
macro_rules! stored {
    ($($kind:ident($type:ty, $noun:literal);)+) => {
        /// The kinds of objects that can be fetched.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Kind { $($kind),+ }

        /// Every kind.
        const KINDS: &[Kind] = &[$(Kind::$kind),+];

        $(impl Stored for $type {
            const NOUN: &'static str = $noun;
            const KIND: Kind = Kind::$kind;

            fn id(&self) -> &str {
                &self.id
            }

            fn of(object: &Object) -> Option<&Self> {
                if let Object::$kind(this) = object { Some(this) } else { None }
            }

            fn into_object(self) -> Object {
                Object::$kind(self)
            }
        })+

        impl Object {
            /// Where the object is kept and under which id; `None` for what cannot be fetched.
            pub(crate) fn place(&self) -> Option<(Kind, &str)> {
                match self {
                    $(Self::$kind(this) => Some((Kind::$kind, &this.id)),)+
                    Self::Plan(_) | Self::EntitlementSummary(_) => None,
                }
            }

            /// When it was made, in Unix seconds.
            fn made(&self) -> i64 {
                match self {
                    $(Self::$kind(this) => this.created,)+
                    Self::Plan(_) | Self::EntitlementSummary(_) => 0,
                }
            }
        }
    };
}

stored! {
    Customer(super::customer::Customer, "customer");
    Subscription(super::subscription::Subscription, "subscription");
    Session(super::session::Session, "checkout.session");
    Invoice(super::invoice::Invoice, "invoice");
    InvoicePayment(super::invoice::InvoicePayment, "invoice_payment");
    PaymentIntent(super::payment_intent::PaymentIntent, "payment_intent");
    PaymentMethod(super::payment_method::PaymentMethod, "payment_method");
    Charge(super::charge::Charge, "charge");
    Refund(super::adjustment::Refund, "refund");
    Dispute(super::adjustment::Dispute, "dispute");
    BalanceTransaction(
        super::balance_transaction::BalanceTransaction,
        "customer_balance_transaction"
    );
    Product(super::price::Product, "product");
    Price(super::price::Price, "price");
    Feature(super::entitlement::Feature, "feature");
    ProductFeature(super::entitlement::ProductFeature, "product_feature");
    SetupIntent(super::setup_intent::SetupIntent, "setupintent");
    InvoiceItem(super::invoice_item::InvoiceItem, "invoiceitem");
    Schedule(super::schedule::Schedule, "subscription_schedule");
    TestClock(super::test_clock::TestClock, "test_clock");
    PortalConfiguration(super::portal::Configuration, "configuration");
    PortalSession(super::portal::PortalSession, "billing_portal_session");
}

/// An object and its place in the order of making.
#[derive(Debug, Clone)]
struct Row {
    object: Object,
    sequence: u64,
}

/// What was at a place before; `None` where there was nothing.
type Before = ((Kind, String), Option<Row>);

/// The newest state of all objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Objects {
    rows: BTreeMap<(Kind, String), Row>,
    next_sequence: u64,
    /// What was there before, since [`Objects::begin`]; the oldest first.
    undo: Option<Vec<Before>>,
}

impl Objects {
    /// Keeps an object's newest state. What has no id is not kept.
    pub(crate) fn put(&mut self, object: Object) {
        let Some((kind, id)) = object.place() else { return };
        let key = (kind, id.to_owned());
        let sequence = self.rows.get(&key).map_or(self.next_sequence, |row| row.sequence);
        self.next_sequence = self.next_sequence.max(sequence.saturating_add(1));
        let before = self.rows.insert(key.clone(), Row { object, sequence });
        if let Some(undo) = &mut self.undo {
            undo.push((key, before));
        }
    }

    /// Forgets an object.
    pub(crate) fn remove<T: Stored>(&mut self, id: &str) {
        let key = (T::KIND, id.to_owned());
        if let Some(before) = self.rows.remove(&key)
            && let Some(undo) = &mut self.undo
        {
            undo.push((key, Some(before)));
        }
    }

    /// An object by its id.
    pub(crate) fn get<T: Stored>(&self, id: &str) -> Option<&T> {
        self.rows.get(&(T::KIND, id.to_owned())).and_then(|row| T::of(&row.object))
    }

    /// An object of any kind by its id.
    pub(crate) fn any(&self, id: &str) -> Option<&Object> {
        let find = |kind: &Kind| self.rows.get(&(*kind, id.to_owned()));
        KINDS.iter().find_map(find).map(|row| &row.object)
    }

    /// All objects of a kind, newest first: by their time, then by the order of making.
    pub(crate) fn newest_first<T: Stored>(&self) -> Vec<&T> {
        let mut rows: Vec<&Row> = self.of_kind(T::KIND).collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.object.made(), row.sequence)));
        rows.into_iter().filter_map(|row| T::of(&row.object)).collect()
    }

    /// All objects of a kind, in the order of their ids.
    pub(crate) fn all<T: Stored>(&self) -> impl Iterator<Item = &T> {
        self.of_kind(T::KIND).filter_map(|row| T::of(&row.object))
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Row> {
        let rows = self.rows.range((kind, String::new())..);
        rows.take_while(move |((found, _), _)| *found == kind).map(|(_, row)| row)
    }

    /// What follows can be undone.
    pub(crate) fn begin(&mut self) {
        self.undo = Some(Vec::new());
    }

    /// What happened since [`Objects::begin`] stays.
    pub(crate) fn commit(&mut self) {
        self.undo = None;
    }

    /// What happened since [`Objects::begin`] did not happen.
    pub(crate) fn roll_back(&mut self) {
        for (key, before) in self.undo.take().into_iter().flatten().rev() {
            match before {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::price::Product;
    use super::*;

    fn product(id: &str, created: i64, name: &str) -> Product {
        Product::named(id.to_owned(), name.to_owned(), created)
    }

    fn names(objects: &Objects) -> Vec<&str> {
        objects.newest_first::<Product>().iter().map(|product| product.name.as_str()).collect()
    }

    #[test]
    fn the_newest_state_wins_and_lists_begin_with_what_was_made_last() {
        let mut objects = Objects::default();
        for (id, created, name) in [("b", 5, "1"), ("a", 5, "2"), ("c", 3, "3"), ("b", 5, "4")] {
            objects.put(product(id, created, name).into_object());
        }
        assert_eq!(names(&objects), ["2", "4", "3"]);
        assert_eq!(objects.get::<Product>("b").unwrap().name, "4");
        assert_eq!(objects.any("c").unwrap().place(), Some((Kind::Product, "c")));
        assert!(objects.get::<super::super::price::Price>("b").is_none());
    }

    #[test]
    fn what_is_rolled_back_did_not_happen() {
        let mut objects = Objects::default();
        objects.put(product("a", 1, "kept").into_object());
        objects.begin();
        objects.put(product("a", 1, "changed").into_object());
        objects.put(product("a", 1, "changed again").into_object());
        objects.put(product("b", 1, "made").into_object());
        objects.remove::<Product>("a");
        objects.roll_back();
        assert_eq!(names(&objects), ["kept"]);
        objects.begin();
        objects.remove::<Product>("a");
        objects.commit();
        objects.roll_back();
        assert_eq!(names(&objects), Vec::<&str>::new());
    }
}
