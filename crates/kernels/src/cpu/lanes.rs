//! Sixteen f32 lanes, the unit of all arithmetic here, on each instruction set.
//!
//! Every operation is one IEEE operation per lane (a fused multiply-add rounds once everywhere), so a kernel
//! written over [`Lanes`] gives the same bits on every instruction set. What differs is speed and the register
//! tile that a matrix product may hold.

use crate::number::bf16;

/// Lanes of a vector, and columns of a weight panel.
pub(crate) const LANES: usize = 16;

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust arrays; on AArch64 the compiler turns them into NEON, elsewhere this is the reference path.
    Portable,
    /// x86-64 with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// x86-64 with AVX-512F.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// The fastest instruction set of this machine.
    pub fn detect() -> Isa {
        Isa::available().pop().unwrap_or(Isa::Portable)
    }

    /// Every instruction set that this machine can run, slowest first.
    pub fn available() -> Vec<Isa> {
        #[allow(unused_mut)]
        let mut list = vec![Isa::Portable];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            list.push(Isa::Avx2);
            if is_x86_feature_detected!("avx512f") {
                list.push(Isa::Avx512);
            }
        }
        list
    }

    /// A short name for reports.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2+fma",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
        }
    }
}

/// Sixteen f32 values and the operations that kernels need of them.
pub(crate) trait Lanes: Copy {
    /// The instruction set that these lanes need.
    const ISA: Isa;
    /// Rows of the largest register tile of a matrix product.
    const TILE_ROWS: usize;
    /// Panels (of 16 columns) of the largest register tile.
    const TILE_PANELS: usize;

    fn splat(x: f32) -> Self;
    /// # Safety
    /// `p` must be readable for 16 values.
    unsafe fn load(p: *const f32) -> Self;
    /// Loads 16 values and widens them, exactly.
    /// # Safety
    /// `p` must be readable for 16 values.
    unsafe fn load_bf16(p: *const bf16) -> Self;
    /// # Safety
    /// `p` must be writable for 16 values.
    unsafe fn store(self, p: *mut f32);
    fn add(self, o: Self) -> Self;
    fn sub(self, o: Self) -> Self;
    fn mul(self, o: Self) -> Self;
    fn div(self, o: Self) -> Self;
    fn sqrt(self) -> Self;
    /// `self * b + c`, rounded once.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// The larger of each pair; neither operand is NaN.
    fn max(self, o: Self) -> Self;
    /// The smaller of each pair; neither operand is NaN.
    fn min(self, o: Self) -> Self;
    /// `2^n` where each lane's bits hold the integer `n` in their low nine bits (see [`crate::cpu::math::exp`]).
    fn pow2_of_low_bits(self) -> Self;
    /// Transposes 16 x 16 values: `to[j * 16 + i] = from[i * 16 + j]`.
    /// # Safety
    /// `from` must be readable and `to` writable for 256 values.
    unsafe fn transpose(from: *const f32, to: *mut f32);
    /// Asks for the cache line at `p`; any address is allowed.
    fn prefetch<T>(p: *const T);

    #[inline(always)]
    fn zero() -> Self {
        Self::splat(0.0)
    }

    #[inline(always)]
    fn to_array(self) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        // SAFETY: `out` holds 16 values.
        unsafe { self.store(out.as_mut_ptr()) };
        out
    }

    #[inline(always)]
    fn from_array(a: &[f32; LANES]) -> Self {
        // SAFETY: `a` holds 16 values.
        unsafe { Self::load(a.as_ptr()) }
    }

    /// Loads the first values of `s` (at most 16); the rest are `fill`.
    #[inline(always)]
    fn load_part(s: &[f32], fill: f32) -> Self {
        if s.len() >= LANES {
            // SAFETY: just checked.
            return unsafe { Self::load(s.as_ptr()) };
        }
        let mut a = [fill; LANES];
        a[..s.len()].copy_from_slice(s);
        Self::from_array(&a)
    }

    /// Stores the first `s.len()` lanes (at most 16).
    #[inline(always)]
    fn store_part(self, s: &mut [f32]) {
        if s.len() >= LANES {
            // SAFETY: just checked.
            return unsafe { self.store(s.as_mut_ptr()) };
        }
        let a = self.to_array();
        let n = s.len();
        s.copy_from_slice(&a[..n]);
    }

    /// Sum of the lanes in the one fixed order: halves, quarters, eighths.
    #[inline(always)]
    fn sum(self) -> f32 {
        let mut a = self.to_array();
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                a[i] += a[i + half];
            }
            half /= 2;
        }
        a[0]
    }

    #[inline(always)]
    fn max_lane(self) -> f32 {
        self.to_array().into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}

/// The portable twin: what the other instruction sets are compared with.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Portable([f32; LANES]);

macro_rules! lanewise {
    ($f:expr, $a:expr $(, $b:expr)*) => {{
        let mut out = [0.0f32; LANES];
        for i in 0..LANES {
            out[i] = $f($a.0[i] $(, $b.0[i])*);
        }
        Portable(out)
    }};
}

impl Lanes for Portable {
    const ISA: Isa = Isa::Portable;
    const TILE_ROWS: usize = 6;
    const TILE_PANELS: usize = 1;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Portable([x; LANES])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Portable(unsafe { p.cast::<[f32; LANES]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const bf16) -> Self {
        // SAFETY: the caller's promise; a bf16 is its 16 bits.
        Portable(unsafe { p.cast::<[u16; LANES]>().read_unaligned() }.map(|x| f32::from_bits(u32::from(x) << 16)))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[f32; LANES]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        lanewise!(|a: f32, b: f32| a + b, self, o)
    }
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        lanewise!(|a: f32, b: f32| a - b, self, o)
    }
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        lanewise!(|a: f32, b: f32| a * b, self, o)
    }
    #[inline(always)]
    fn div(self, o: Self) -> Self {
        lanewise!(|a: f32, b: f32| a / b, self, o)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        lanewise!(|a: f32| a.sqrt(), self)
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        lanewise!(|a: f32, b: f32, c: f32| a.mul_add(b, c), self, b, c)
    }
    #[inline(always)]
    fn max(self, o: Self) -> Self {
        lanewise!(|a: f32, b: f32| if a > b { a } else { b }, self, o)
    }
    #[inline(always)]
    fn min(self, o: Self) -> Self {
        lanewise!(|a: f32, b: f32| if a < b { a } else { b }, self, o)
    }
    #[inline(always)]
    fn pow2_of_low_bits(self) -> Self {
        lanewise!(|a: f32| f32::from_bits((a.to_bits() << 23).wrapping_add(0x3f80_0000)), self)
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, to: *mut f32) {
        for i in 0..LANES {
            for j in 0..LANES {
                // SAFETY: both indexes are below 256, and the caller promises that many values.
                unsafe { *to.add(j * LANES + i) = *from.add(i * LANES + j) }
            }
        }
    }
    #[inline(always)]
    fn prefetch<T>(_: *const T) {}
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use super::{Isa, LANES, Lanes, bf16};
    use core::arch::x86_64::*;

    /// Two 256-bit halves. Only made where AVX2 and FMA were detected.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256, __m256);

    /// One 512-bit register. Only made where AVX-512F was detected.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512);

    macro_rules! both {
        ($op:ident, $a:expr $(, $b:expr)*) => {
            // SAFETY: values of this type exist only where the instruction set was detected.
            unsafe { Avx2($op($a.0 $(, $b.0)*), $op($a.1 $(, $b.1)*)) }
        };
    }
    macro_rules! one {
        ($op:ident, $a:expr $(, $b:expr)*) => {
            // SAFETY: values of this type exist only where the instruction set was detected.
            unsafe { Avx512($op($a.0 $(, $b.0)*)) }
        };
    }

    impl Lanes for Avx2 {
        const ISA: Isa = Isa::Avx2;
        const TILE_ROWS: usize = 6;
        const TILE_PANELS: usize = 1;

        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY: called only where the instruction set was detected (see `dispatch`).
            unsafe {
                let v = _mm256_set1_ps(x);
                Avx2(v, v)
            }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            // SAFETY: the instruction set was detected (see `dispatch`), and the caller promises 16 values.
            unsafe { Avx2(_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(LANES / 2))) }
        }
        #[inline(always)]
        unsafe fn load_bf16(p: *const bf16) -> Self {
            // SAFETY: the instruction set was detected (see `dispatch`), and the caller promises 16 values.
            unsafe {
                let low = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
                let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.add(LANES / 2).cast()));
                let (low, high) = (_mm256_slli_epi32::<16>(low), _mm256_slli_epi32::<16>(high));
                Avx2(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high))
            }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            // SAFETY: `self` exists only where the instruction set was detected, and the caller promises room for 16 values.
            unsafe {
                _mm256_storeu_ps(p, self.0);
                _mm256_storeu_ps(p.add(LANES / 2), self.1);
            }
        }
        #[inline(always)]
        fn add(self, o: Self) -> Self {
            both!(_mm256_add_ps, self, o)
        }
        #[inline(always)]
        fn sub(self, o: Self) -> Self {
            both!(_mm256_sub_ps, self, o)
        }
        #[inline(always)]
        fn mul(self, o: Self) -> Self {
            both!(_mm256_mul_ps, self, o)
        }
        #[inline(always)]
        fn div(self, o: Self) -> Self {
            both!(_mm256_div_ps, self, o)
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            both!(_mm256_sqrt_ps, self)
        }
        #[inline(always)]
        fn mul_add(self, b: Self, c: Self) -> Self {
            both!(_mm256_fmadd_ps, self, b, c)
        }
        #[inline(always)]
        fn max(self, o: Self) -> Self {
            both!(_mm256_max_ps, self, o)
        }
        #[inline(always)]
        fn min(self, o: Self) -> Self {
            both!(_mm256_min_ps, self, o)
        }
        #[inline(always)]
        fn pow2_of_low_bits(self) -> Self {
            // SAFETY: `self` exists only where the instruction set was detected.
            unsafe {
                let one = _mm256_set1_epi32(0x3f80_0000);
                let low = _mm256_slli_epi32::<23>(_mm256_castps_si256(self.0));
                let high = _mm256_slli_epi32::<23>(_mm256_castps_si256(self.1));
                Avx2(_mm256_castsi256_ps(_mm256_add_epi32(low, one)), _mm256_castsi256_ps(_mm256_add_epi32(high, one)))
            }
        }
        #[inline(always)]
        unsafe fn transpose(from: *const f32, to: *mut f32) {
            const HALF: usize = LANES / 2;
            // SAFETY: the instruction set was detected (see `dispatch`), and the caller promises 16 x 16 values on both sides.
            unsafe {
                for (row, column) in [(0, 0), (0, HALF), (HALF, 0), (HALF, HALF)] {
                    let mut v = [_mm256_setzero_ps(); HALF];
                    for (i, v) in v.iter_mut().enumerate() {
                        *v = _mm256_loadu_ps(from.add((row + i) * LANES + column));
                    }
                    // Pairs, then fours, then eights of rows are interleaved.
                    let mut w = v;
                    for i in 0..4 {
                        w[2 * i] = _mm256_unpacklo_ps(v[2 * i], v[2 * i + 1]);
                        w[2 * i + 1] = _mm256_unpackhi_ps(v[2 * i], v[2 * i + 1]);
                    }
                    for i in [0, 4] {
                        v[i] = _mm256_shuffle_ps::<0x44>(w[i], w[i + 2]);
                        v[i + 1] = _mm256_shuffle_ps::<0xee>(w[i], w[i + 2]);
                        v[i + 2] = _mm256_shuffle_ps::<0x44>(w[i + 1], w[i + 3]);
                        v[i + 3] = _mm256_shuffle_ps::<0xee>(w[i + 1], w[i + 3]);
                    }
                    for i in 0..4 {
                        let low = _mm256_permute2f128_ps::<0x20>(v[i], v[i + 4]);
                        let high = _mm256_permute2f128_ps::<0x31>(v[i], v[i + 4]);
                        _mm256_storeu_ps(to.add((column + i) * LANES + row), low);
                        _mm256_storeu_ps(to.add((column + i + 4) * LANES + row), high);
                    }
                }
            }
        }
        #[inline(always)]
        fn prefetch<T>(p: *const T) {
            // SAFETY: a prefetch is a hint, valid for any address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
        }
    }

    impl Lanes for Avx512 {
        const ISA: Isa = Isa::Avx512;
        const TILE_ROWS: usize = 12;
        const TILE_PANELS: usize = 2;

        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY: called only where the instruction set was detected (see `dispatch`).
            unsafe { Avx512(_mm512_set1_ps(x)) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            // SAFETY: the instruction set was detected (see `dispatch`), and the caller promises 16 values.
            unsafe { Avx512(_mm512_loadu_ps(p)) }
        }
        #[inline(always)]
        unsafe fn load_bf16(p: *const bf16) -> Self {
            // SAFETY: the instruction set was detected (see `dispatch`), and the caller promises 16 values.
            unsafe {
                let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
                Avx512(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits)))
            }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            // SAFETY: `self` exists only where the instruction set was detected, and the caller promises room for 16 values.
            unsafe { _mm512_storeu_ps(p, self.0) }
        }
        #[inline(always)]
        fn add(self, o: Self) -> Self {
            one!(_mm512_add_ps, self, o)
        }
        #[inline(always)]
        fn sub(self, o: Self) -> Self {
            one!(_mm512_sub_ps, self, o)
        }
        #[inline(always)]
        fn mul(self, o: Self) -> Self {
            one!(_mm512_mul_ps, self, o)
        }
        #[inline(always)]
        fn div(self, o: Self) -> Self {
            one!(_mm512_div_ps, self, o)
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            one!(_mm512_sqrt_ps, self)
        }
        #[inline(always)]
        fn mul_add(self, b: Self, c: Self) -> Self {
            one!(_mm512_fmadd_ps, self, b, c)
        }
        #[inline(always)]
        fn max(self, o: Self) -> Self {
            one!(_mm512_max_ps, self, o)
        }
        #[inline(always)]
        fn min(self, o: Self) -> Self {
            one!(_mm512_min_ps, self, o)
        }
        #[inline(always)]
        fn pow2_of_low_bits(self) -> Self {
            // SAFETY: `self` exists only where the instruction set was detected.
            unsafe {
                let one = _mm512_set1_epi32(0x3f80_0000);
                let bits = _mm512_slli_epi32::<23>(_mm512_castps_si512(self.0));
                Avx512(_mm512_castsi512_ps(_mm512_add_epi32(bits, one)))
            }
        }
        #[inline(always)]
        unsafe fn transpose(from: *const f32, to: *mut f32) {
            // SAFETY: the instruction set was detected (see `dispatch`), and the caller promises 16 x 16 values on both sides.
            unsafe {
                let mut v = [_mm512_setzero_ps(); LANES];
                for (i, v) in v.iter_mut().enumerate() {
                    *v = _mm512_loadu_ps(from.add(i * LANES));
                }
                // Within each quarter of 4 lanes: 4 x 4 blocks.
                let mut w = v;
                for i in 0..8 {
                    w[2 * i] = _mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]);
                    w[2 * i + 1] = _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]);
                }
                for i in [0, 4, 8, 12] {
                    v[i] = _mm512_shuffle_ps::<0x44>(w[i], w[i + 2]);
                    v[i + 1] = _mm512_shuffle_ps::<0xee>(w[i], w[i + 2]);
                    v[i + 2] = _mm512_shuffle_ps::<0x44>(w[i + 1], w[i + 3]);
                    v[i + 3] = _mm512_shuffle_ps::<0xee>(w[i + 1], w[i + 3]);
                }
                // Then the quarters: v[4 q + c] holds rows 4 q .. 4 q + 3 of columns c, c + 4, c + 8, c + 12.
                for c in 0..4 {
                    let low01 = _mm512_shuffle_f32x4::<0x44>(v[c], v[c + 4]);
                    let high01 = _mm512_shuffle_f32x4::<0xee>(v[c], v[c + 4]);
                    let low23 = _mm512_shuffle_f32x4::<0x44>(v[c + 8], v[c + 12]);
                    let high23 = _mm512_shuffle_f32x4::<0xee>(v[c + 8], v[c + 12]);
                    _mm512_storeu_ps(to.add(c * LANES), _mm512_shuffle_f32x4::<0x88>(low01, low23));
                    _mm512_storeu_ps(to.add((c + 4) * LANES), _mm512_shuffle_f32x4::<0xdd>(low01, low23));
                    _mm512_storeu_ps(to.add((c + 8) * LANES), _mm512_shuffle_f32x4::<0x88>(high01, high23));
                    _mm512_storeu_ps(to.add((c + 12) * LANES), _mm512_shuffle_f32x4::<0xdd>(high01, high23));
                }
            }
        }
        #[inline(always)]
        fn prefetch<T>(p: *const T) {
            // SAFETY: a prefetch is a hint, valid for any address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
        }
    }
}

/// Defines `fn name(isa, args..)`, which runs `body::<L>(args..)` compiled for that instruction set (and for each weight
/// format, where the function is generic over it). Lane operations
/// inside closures that are not inlined would lose that (and be slow), so bodies use plain loops around them.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$e:ident: $bound:path>)? ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:path) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name$(<$e: $bound>)?(isa: $crate::cpu::lanes::Isa, $($arg: $ty),*) $(-> $ret)? {
            use $crate::cpu::lanes::*;
            use $body as body;
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2$(<$e: $bound>)?($($arg: $ty),*) $(-> $ret)? {
                body::<x86::Avx2 $(, $e)?>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            fn avx512$(<$e: $bound>)?($($arg: $ty),*) $(-> $ret)? {
                body::<x86::Avx512 $(, $e)?>($($arg),*)
            }
            match isa {
                Isa::Portable => body::<Portable $(, $e)?>($($arg),*),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `Cpu::new` takes only an instruction set that was detected.
                Isa::Avx2 => unsafe { avx2$(::<$e>)?($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                Isa::Avx512 => unsafe { avx512$(::<$e>)?($($arg),*) },
            }
        }
    };
}
pub(crate) use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    fn transposed<L: Lanes>() -> Vec<f32> {
        let from: Vec<f32> = (0..256).map(|i| i as f32).collect();
        let mut to = vec![0.0; 256];
        // SAFETY: both hold 256 values.
        unsafe { L::transpose(from.as_ptr(), to.as_mut_ptr()) }
        to
    }

    #[test]
    fn transposing() {
        let want: Vec<f32> = (0..256).map(|i| (i % 16 * 16 + i / 16) as f32).collect();
        assert_eq!(transposed::<Portable>(), want);
        #[cfg(target_arch = "x86_64")]
        for isa in Isa::available() {
            match isa {
                Isa::Portable => {}
                Isa::Avx2 => assert_eq!(transposed::<x86::Avx2>(), want),
                Isa::Avx512 => assert_eq!(transposed::<x86::Avx512>(), want),
            }
        }
    }
}
