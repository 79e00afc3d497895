//! Changes of a subscription. Owns: when one takes effect. Must not know: how it is made.

use crate::catalog::Interval;
use crate::money::Money;

/// When a change is wished to take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimingWish {
    /// By the rule.
    Auto,
    /// Now, whatever it costs or gives back.
    Immediate,
    /// When the present period ends.
    PeriodEnd,
}

crate::names!(TimingWish {
    Auto => "auto",
    Immediate => "immediate",
    PeriodEnd => "period_end",
});

impl TimingWish {
    /// Back from [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == text)
    }
}

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeTiming {
    /// Now, with the difference billed now.
    Immediate,
    /// When the present period ends.
    PeriodEnd,
}

crate::names!(ChangeTiming {
    Immediate => "immediate",
    PeriodEnd => "period_end",
});

/// What is paid per period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Of one unit.
    pub unit: Money,
    /// How many.
    pub quantity: u64,
    /// How often.
    pub interval: Interval,
}

impl Charge {
    /// All units together.
    fn total_minor(self) -> i128 {
        i128::from(self.unit.amount_minor).saturating_mul(i128::from(self.quantity))
    }
}

impl ChangeTiming {
    /// The rule: at once when the total rises on the same interval, for then more is given and
    /// more is paid; else at the period end, for what has been paid is had to its end. A present
    /// charge that cannot be told (`None`: tiered or custom prices) does not rise.
    pub fn of(wish: TimingWish, present: Option<Charge>, wanted: Charge) -> Self {
        match wish {
            TimingWish::Immediate => Self::Immediate,
            TimingWish::PeriodEnd => Self::PeriodEnd,
            TimingWish::Auto => match present {
                Some(present)
                    if present.interval == wanted.interval
                        && present.unit.currency == wanted.unit.currency
                        && wanted.total_minor() > present.total_minor() =>
                {
                    Self::Immediate
                }
                Some(_) | None => Self::PeriodEnd,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    fn charge(amount_minor: i64, quantity: u64, interval: Interval) -> Charge {
        let currency = Currency::parse("usd").unwrap();
        Charge { unit: Money { amount_minor, currency }, quantity, interval }
    }

    #[test]
    fn a_rise_on_the_same_interval_takes_effect_at_once() {
        use ChangeTiming::{Immediate, PeriodEnd};
        use Interval::{Month, Year};
        for (present, wanted, timing) in [
            (charge(1500, 1, Month), charge(3500, 1, Month), Immediate),
            (charge(3500, 1, Month), charge(1500, 1, Month), PeriodEnd),
            (charge(1500, 1, Month), charge(1500, 1, Month), PeriodEnd),
            (charge(1500, 3, Month), charge(1500, 4, Month), Immediate),
            (charge(1500, 3, Month), charge(3500, 1, Month), PeriodEnd),
            (charge(1500, 1, Month), charge(35_000, 1, Year), PeriodEnd),
            (charge(i64::MAX, u64::MAX, Month), charge(1, 1, Month), PeriodEnd),
        ] {
            assert_eq!(ChangeTiming::of(TimingWish::Auto, Some(present), wanted), timing);
        }
        let wanted = charge(1, 1, Month);
        assert_eq!(ChangeTiming::of(TimingWish::Auto, None, wanted), PeriodEnd);
        let eur = Money { currency: Currency::parse("eur").unwrap(), ..wanted.unit };
        let other = Charge { unit: eur, ..wanted };
        assert_eq!(ChangeTiming::of(TimingWish::Auto, Some(other), charge(9, 1, Month)), PeriodEnd);
    }

    #[test]
    fn a_wish_wins_over_the_rule() {
        let (low, high) = (charge(1, 1, Interval::Month), charge(2, 1, Interval::Month));
        assert_eq!(
            ChangeTiming::of(TimingWish::Immediate, Some(high), low),
            ChangeTiming::Immediate
        );
        assert_eq!(
            ChangeTiming::of(TimingWish::PeriodEnd, Some(low), high),
            ChangeTiming::PeriodEnd
        );
        for wish in [TimingWish::Auto, TimingWish::Immediate, TimingWish::PeriodEnd] {
            assert_eq!(TimingWish::parse(wish.as_str()), Some(wish));
        }
    }
}
