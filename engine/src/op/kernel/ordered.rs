//! Voxels as unsigned integers in the same order, which are compared many at a time.

use super::Voxel;

/// What voxels are compared as.
pub trait Key: Copy + Default + Ord + Send + Sync + 'static {
    /// The greatest.
    const MAX: Self;
    /// The bits that differ.
    fn xor(self, other: Self) -> Self;
    /// As an index.
    fn index(self) -> usize;
    /// What has an index, of which the low bits are taken.
    fn at(index: usize) -> Self;
}

macro_rules! keys {
    ($($t:ty),*) => {$(
        impl Key for $t {
            const MAX: Self = <$t>::MAX;
            #[inline(always)]
            fn xor(self, other: Self) -> Self { self ^ other }
            #[inline(always)]
            fn index(self) -> usize { self as usize }
            #[inline(always)]
            fn at(index: usize) -> Self { index as $t }
        }
    )*};
}
keys!(u8, u16, u32, u64);

/// A voxel that has a key.
pub trait Ordered: Voxel {
    /// Its key.
    type Key: Key;
    /// The key: of -0 it is less than of 0, of NaN it is any.
    fn key(self) -> Self::Key;
    /// The value of a key; NaN of the least and of the greatest one, where there is NaN.
    fn of_key(key: Self::Key) -> Self;
    /// The difference; of integers the nearest value that the type has.
    fn less(self, other: Self) -> Self;
}

macro_rules! integers {
    ($($t:ty: $key:ty;)*) => {$(
        impl Ordered for $t {
            type Key = $key;
            #[inline(always)]
            fn key(self) -> $key { (self as $key) ^ (<$t>::MIN as $key) }
            #[inline(always)]
            fn of_key(key: $key) -> Self { (key ^ (<$t>::MIN as $key)) as $t }
            #[inline(always)]
            fn less(self, other: Self) -> Self { self.saturating_sub(other) }
        }
    )*};
}
integers! { u8: u8; u16: u16; u32: u32; u64: u64; i8: u8; i16: u16; i32: u32; i64: u64; }

macro_rules! floats {
    ($($t:ty: $key:ty;)*) => {$(
        impl Ordered for $t {
            type Key = $key;
            #[inline(always)]
            fn key(self) -> $key {
                let (bits, sign) = (self.to_bits(), (-0.0 as $t).to_bits());
                if bits & sign == 0 { bits | sign } else { !bits }
            }
            #[inline(always)]
            fn of_key(key: $key) -> Self {
                let sign = (-0.0 as $t).to_bits();
                <$t>::from_bits(if key & sign == 0 { !key } else { key ^ sign })
            }
            #[inline(always)]
            fn less(self, other: Self) -> Self { self - other }
        }
    )*};
}
floats! { f32: u32; f64: u64; }

impl Ordered for bool {
    type Key = u8;
    #[inline(always)]
    fn key(self) -> u8 {
        u8::from(self)
    }
    #[inline(always)]
    fn of_key(key: u8) -> Self {
        key & 1 == 1
    }
    #[inline(always)]
    fn less(self, other: Self) -> Self {
        self & !other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_order_of_their_values() {
        fn check<T: Ordered>(ascending: &[T]) {
            for pair in ascending.windows(2) {
                assert!(pair[0].key() < pair[1].key(), "{pair:?}");
            }
            for value in ascending {
                assert_eq!(T::of_key(value.key()), *value);
            }
        }
        check(&[false, true]);
        check(&[0u8, 1, 127, 128, 255]);
        check(&[i8::MIN, -1, 0, 1, i8::MAX]);
        check(&[i64::MIN, -1, 0, 1, i64::MAX]);
        check(&[u64::MIN, 1, u64::MAX - 1, u64::MAX]);
        let floats = [f64::NEG_INFINITY, f64::MIN, -1.0, -1e-320, -0.0, 0.0, 1e-320, 1.0];
        check(&floats);
        check(&[f32::NEG_INFINITY, f32::MIN, -1.0, -0.0, 0.0, 1.0, f32::MAX, f32::INFINITY]);
        assert!(f32::of_key(0).is_nan() && f32::of_key(u32::MAX).is_nan());
        assert!(f64::of_key(0).is_nan() && f64::of_key(u64::MAX).is_nan());
        assert_eq!((100i8.less(-100), 3u8.less(5), true.less(true)), (127, 0, false));
    }
}
