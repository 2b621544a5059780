//! Values as unsigned integers of the same order.

use crate::cast::Number;

/// A type whose values are ordered as keys are.
pub(super) trait Key: Number {
    /// Bits of a key.
    const KEY_BITS: u32;
    /// The key of a value. All NaNs have one, the greatest, and both zeros have one.
    fn key(self) -> u64;
    /// The value of a key.
    fn of_key(key: u64) -> Self;
}

macro_rules! integers {
    ($($t:ty as $unsigned:ty),*) => {$(
        impl Key for $t {
            const KEY_BITS: u32 = <$t>::BITS;
            fn key(self) -> u64 {
                // The lowest value of a signed type becomes 0.
                u64::from(self as $unsigned ^ <$t>::MIN as $unsigned)
            }
            fn of_key(key: u64) -> Self {
                (key as $unsigned ^ <$t>::MIN as $unsigned) as $t
            }
        }
    )*};
}
integers!(
    u8 as u8, u16 as u16, u32 as u32, u64 as u64, i8 as u8, i16 as u16, i32 as u32, i64 as u64
);

macro_rules! floats {
    ($($t:ty as $bits:ty),*) => {$(
        impl Key for $t {
            const KEY_BITS: u32 = <$bits>::BITS;
            fn key(self) -> u64 {
                if self.is_nan() {
                    return u64::from(<$bits>::MAX);
                }
                // Adding zero makes both zeros the positive one. Negative values are the greater the
                // smaller their bits, all others come behind them.
                let bits = (self + 0.0).to_bits();
                let sign = 1 << (Self::KEY_BITS - 1);
                u64::from(if bits & sign == 0 { bits | sign } else { !bits })
            }
            fn of_key(key: u64) -> Self {
                let key = key as $bits;
                let sign = 1 << (Self::KEY_BITS - 1);
                if key == <$bits>::MAX {
                    return <$t>::NAN;
                }
                <$t>::from_bits(if key & sign == 0 { !key } else { key ^ sign })
            }
        }
    )*};
}
floats!(f32 as u32, f64 as u64);

impl Key for bool {
    const KEY_BITS: u32 = 8;
    fn key(self) -> u64 {
        u64::from(self)
    }
    fn of_key(key: u64) -> Self {
        key != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_of_the_extremes_come_back() {
        assert_eq!([i8::MIN.key(), (-1i8).key(), 0i8.key(), i8::MAX.key()], [0, 127, 128, 255]);
        assert_eq!(i64::of_key(i64::MIN.key()), i64::MIN);
        assert_eq!((-0.0f32).key(), 0.0f32.key());
        assert_eq!((-f64::NAN).key(), u64::MAX);
        assert!(f32::of_key(f32::NAN.key()).is_nan());
        assert!(f32::INFINITY.key() < f32::NAN.key());
        assert_eq!(f64::of_key(f64::NEG_INFINITY.key()), f64::NEG_INFINITY);
    }

    proptest! {
        #[test]
        fn keys_are_ordered_as_values_are(
            a in any::<f32>(), b in any::<f32>(), c in any::<i16>(), d in any::<i16>(),
        ) {
            prop_assert_eq!(a.partial_cmp(&b), Some(a.key().cmp(&b.key())));
            prop_assert_eq!(c.cmp(&d), c.key().cmp(&d.key()));
            prop_assert_eq!(f32::of_key(a.key()), a);
            prop_assert_eq!(i16::of_key(c.key()), c);
        }
    }
}
