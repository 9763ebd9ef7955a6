//! The register tile: the one inner loop behind every matrix product and behind attention.

use crate::cpu::element::Element;
use crate::cpu::lanes::{LANES, Lanes, dispatch};

/// What a tile's sums begin with and what becomes of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Begin at zero, overwrite `c`.
    Zero,
    /// Begin at `c`, overwrite it: one chain of additions over several calls.
    Chain,
    /// Begin at zero, add the finished sums to `c`: block-wise summation, more accurate over long reductions.
    Add,
}

/// The left operand: element `(row, k)` lies at `ptr + row * row_stride + k * k_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Left {
    pub(crate) ptr: *const f32,
    pub(crate) row_stride: usize,
    pub(crate) k_stride: usize,
}

impl Left {
    /// The operand from row `rows` on.
    ///
    /// # Safety
    /// It has at least that many rows.
    #[inline(always)]
    pub(crate) unsafe fn down(self, rows: usize) -> Left {
        // SAFETY: the caller's promise.
        Left { ptr: unsafe { self.ptr.add(rows * self.row_stride) }, ..self }
    }
}

/// Up to four panels of 16 columns: value `(k, lane)` of panel `p` at `ptr + p * panel_stride + k * k_stride + lane`.
#[derive(Clone, Copy)]
pub(crate) struct Right<E = f32> {
    pub(crate) ptr: *const E,
    pub(crate) panel_stride: usize,
    pub(crate) k_stride: usize,
    /// Offset of what will be needed after these panels, a region of the same size; 0 for nothing.
    pub(crate) prefetch: isize,
}

/// What one tile of several, one below the other, asks for while it runs: its share of [`Right::prefetch`], evenly
/// spread, so that memory and arithmetic overlap all the time.
#[derive(Clone, Copy)]
struct Ahead {
    ptr: *const u8,
    /// Bytes per step of k.
    step: usize,
}

impl Ahead {
    #[inline(always)]
    fn share<E: Element>(b: Right<E>, k: usize, tile: usize, tiles: usize) -> Ahead {
        let step = b.k_stride * size_of::<E>() / tiles;
        Ahead { ptr: b.ptr.wrapping_offset(b.prefetch).cast::<u8>().wrapping_add(tile * k * step), step }
    }
}

/// The output: `(row, lane)` of panel `p` at `ptr + p * panel_stride + row * row_stride + lane`.
#[derive(Clone, Copy)]
pub(crate) struct Out {
    pub(crate) ptr: *mut f32,
    pub(crate) panel_stride: usize,
    pub(crate) row_stride: usize,
}

/// `c[r][lane] = start + sum over k of a[r][k] * b[k][lane]`, k ascending, one fused multiply-add each, so that
/// the result of a row does not depend on the rows and columns it is computed with.
///
/// # Safety
/// `a` holds `ROWS x k` values, `b` `PANELS` panels of `k x 16`, `c` `ROWS` rows of `PANELS` x 16, which nothing else touches.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // plain counters unroll into registers
unsafe fn tile<L: Lanes, E: Element, const ROWS: usize, const PANELS: usize>(
    k: usize,
    a: Left,
    b: Right<E>,
    ahead: Ahead,
    c: Out,
    start: Start,
) {
    // SAFETY: all offsets lie within what the caller promises. Steps past the last k are never followed, hence `wrapping_add`.
    unsafe {
        let mut acc = [[L::zero(); PANELS]; ROWS];
        if start == Start::Chain {
            for r in 0..ROWS {
                for p in 0..PANELS {
                    acc[r][p] = L::load(c.ptr.add(p * c.panel_stride + r * c.row_stride));
                }
            }
        }
        // Rows in threes, so that addresses need few registers: base, base + stride, base + 2 * stride.
        let mut bases = [a.ptr; 4];
        for g in 0..ROWS.div_ceil(3) {
            bases[g] = a.ptr.add(3 * g * a.row_stride);
        }
        let mut bp = b.ptr;
        let mut ahead_ptr = ahead.ptr;
        for _ in 0..k {
            let mut bv = [L::zero(); PANELS];
            for p in 0..PANELS {
                bv[p] = E::load::<L>(bp.add(p * b.panel_stride));
                L::prefetch(ahead_ptr.cast::<E>().wrapping_add(p * b.panel_stride));
            }
            for r in 0..ROWS {
                let av = L::splat(*bases[r / 3].add((r % 3) * a.row_stride));
                for p in 0..PANELS {
                    acc[r][p] = av.mul_add(bv[p], acc[r][p]);
                }
            }
            for g in 0..ROWS.div_ceil(3) {
                bases[g] = bases[g].wrapping_add(a.k_stride);
            }
            bp = bp.wrapping_add(b.k_stride);
            ahead_ptr = ahead_ptr.wrapping_add(ahead.step);
        }
        for r in 0..ROWS {
            for p in 0..PANELS {
                let out = c.ptr.add(p * c.panel_stride + r * c.row_stride);
                let sum = if start == Start::Add { acc[r][p].add(L::load(out)) } else { acc[r][p] };
                sum.store(out);
            }
        }
    }
}

/// [`tile`] for a number of rows known at run time (at most `L::TILE_ROWS`).
///
/// # Safety
/// As for [`tile`], with `rows` for `ROWS`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn tile_of<L: Lanes, E: Element, const PANELS: usize>(
    rows: usize,
    k: usize,
    a: Left,
    b: Right<E>,
    ahead: Ahead,
    c: Out,
    start: Start,
) {
    macro_rules! arms {
        ($($n:literal)*) => {
            match rows {
                // SAFETY: the caller's promise: `$n` is `rows`.
                $($n if $n * PANELS <= L::TILE_ROWS * L::TILE_PANELS => unsafe { tile::<L, E, $n, PANELS>(k, a, b, ahead, c, start) },)*
                _ => unreachable!("a tile of {rows} rows"),
            }
        };
    }
    arms!(1 2 3 4 5 6 7 8 9 10 11 12)
}

/// `rows x columns` of output, `columns` counted from the first panel of `b`, for any number of both.
///
/// # Safety
/// `a` holds `rows x k`, `b` whole panels (16 lanes each) for all columns, `c` exactly `rows x columns`.
#[inline(always)]
pub(crate) unsafe fn product<L: Lanes, E: Element>(
    rows: usize,
    columns: usize,
    k: usize,
    a: Left,
    b: Right<E>,
    c: Out,
    start: Start,
) {
    product_on(L::ISA, rows, columns, k, a, b, c, start);
}

// One compiled copy per instruction set and weight format serves every caller: it holds all the tiles.
dispatch! { fn product_on<E: Element>(rows: usize, columns: usize, k: usize, a: Left, b: Right<E>, c: Out, start: Start) = crate::cpu::tile::product_body }

#[inline(always)]
fn product_body<L: Lanes, E: Element>(
    rows: usize,
    columns: usize,
    k: usize,
    a: Left,
    b: Right<E>,
    c: Out,
    start: Start,
) {
    // SAFETY: the contract of `product`, its only caller.
    unsafe {
        let tiles = rows.div_ceil(L::TILE_ROWS).max(1);
        let tile_rows = rows.div_ceil(tiles); // even heights: 64 rows as 6 tiles of 11 and less, not 5 of 12 and one of 4
        // Few rows leave registers for more panels.
        let most = L::TILE_ROWS * L::TILE_PANELS / tile_rows.max(1);
        let mut column = 0;
        while column < columns {
            let panel = column / LANES;
            let left = columns - column;
            let panels = match most.min(left / LANES) {
                0 | 1 => 1,
                2 | 3 => 2,
                _ => 4,
            };
            let b_here = Right { ptr: b.ptr.add(panel * b.panel_stride), ..b };
            let c_here = Out { ptr: c.ptr.add(panel * c.panel_stride), ..c };
            let mut row = 0;
            while row < rows {
                let height = tile_rows.min(rows - row);
                let a_here = a.down(row);
                let ahead = Ahead::share(b_here, k, row / tile_rows, tiles);
                let c_tile = Out { ptr: c_here.ptr.add(row * c.row_stride), ..c };
                match panels {
                    4 => tile_of::<L, E, 4>(height, k, a_here, b_here, ahead, c_tile, start),
                    2 => tile_of::<L, E, 2>(height, k, a_here, b_here, ahead, c_tile, start),
                    _ if left >= LANES => tile_of::<L, E, 1>(height, k, a_here, b_here, ahead, c_tile, start),
                    _ => narrow::<L, E>(height, left, k, a_here, b_here, ahead, c_tile, start),
                }
                row += height;
            }
            column += panels * LANES;
        }
    }
}

/// A tile whose panel has fewer than 16 valid columns: computed aside, the valid part copied.
///
/// # Safety
/// As for [`tile_of`] with one panel, but rows of `c` need to hold only `columns` values.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn narrow<L: Lanes, E: Element>(
    rows: usize,
    columns: usize,
    k: usize,
    a: Left,
    b: Right<E>,
    ahead: Ahead,
    c: Out,
    start: Start,
) {
    // SAFETY: the caller's promise, and `aside` holds 12 rows, the most of any tile.
    unsafe {
        let mut aside = [[0.0f32; LANES]; 12];
        for (r, row) in aside.iter_mut().enumerate().take(rows) {
            std::ptr::copy_nonoverlapping(c.ptr.add(r * c.row_stride), row.as_mut_ptr(), columns);
        }
        let out = Out { ptr: aside.as_mut_ptr().cast(), panel_stride: 0, row_stride: LANES };
        tile_of::<L, E, 1>(rows, k, a, b, ahead, out, start);
        for (r, row) in aside.iter().enumerate().take(rows) {
            std::ptr::copy_nonoverlapping(row.as_ptr(), c.ptr.add(r * c.row_stride), columns);
        }
    }
}
