//! Moving values: whole buffers, rows, columns.

use crate::cpu::shared::{Shared, in_ranges};
use crate::cpu::team::Cpu;
use crate::operands::Columns;

/// `to = 0`.
pub(crate) fn zero(cpu: &Cpu, to: &mut [f32]) {
    let len = to.len();
    let to = Shared::new(to);
    // SAFETY: ranges are disjoint.
    in_ranges(cpu, len, len, |range| unsafe { to.part(range) }.fill(0.0));
}

/// `to = from`.
pub(crate) fn copy(cpu: &Cpu, from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    let to = Shared::new(to);
    // SAFETY: ranges are disjoint.
    in_ranges(cpu, from.len(), from.len(), |range| unsafe { to.part(range.clone()) }.copy_from_slice(&from[range]));
}

/// `to += from`.
pub(crate) fn add(cpu: &Cpu, from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    let to = Shared::new(to);
    in_ranges(cpu, from.len(), from.len(), |range| {
        // SAFETY: ranges are disjoint.
        let part = unsafe { to.part(range.clone()) };
        part.iter_mut().zip(&from[range]).for_each(|(to, from)| *to += from);
    });
}

/// Adds a bias to every row of `y` `[m, width]`.
pub(crate) fn add_to_rows(cpu: &Cpu, bias: &[f32], y: &mut [f32]) {
    let (width, work) = (bias.len(), y.len());
    let y = Shared::new(y);
    in_ranges(cpu, work / width, work, |rows| {
        // SAFETY: ranges are disjoint.
        let part = unsafe { y.part(rows.start * width..rows.end * width) };
        for row in part.chunks_exact_mut(width) {
            row.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
        }
    });
}

/// `to[i] = from[rows[i]]`, rows of `width` values.
pub(crate) fn gather_rows(cpu: &Cpu, from: &[f32], rows: &[usize], width: usize, to: &mut [f32]) {
    assert_eq!(to.len(), rows.len() * width);
    let work = to.len();
    let to = Shared::new(to);
    in_ranges(cpu, rows.len(), work, |range| {
        // SAFETY: ranges are disjoint.
        let part = unsafe { to.part(range.start * width..range.end * width) };
        for (to, &row) in part.chunks_exact_mut(width).zip(&rows[range]) {
            to.copy_from_slice(&from[row * width..(row + 1) * width]);
        }
    });
}

/// `to[rows[i]] += from[i]`, in the order of `i`.
pub(crate) fn scatter_add_rows(cpu: &Cpu, from: &[f32], rows: &[usize], width: usize, to: &mut [f32]) {
    assert_eq!(from.len(), rows.len() * width);
    let to = Shared::new(to);
    in_ranges(cpu, width, from.len(), |columns| {
        for (from, &row) in from.chunks_exact(width).zip(rows) {
            let start = row * width;
            // SAFETY: each task owns its columns of every row.
            let to = unsafe { to.part(start + columns.start..start + columns.end) };
            to.iter_mut().zip(&from[columns.clone()]).for_each(|(to, from)| *to += from);
        }
    });
}

/// Copies some columns of every row of `from` to as many columns of the rows of `to`.
pub(crate) fn copy_columns(cpu: &Cpu, from: (&[f32], Columns), to: (&mut [f32], Columns)) {
    let ((source, from), (target, to)) = (from, to);
    let rows = source.len() / from.width;
    assert!(target.len() == rows * to.width && from.len == to.len);
    let target = Shared::new(target);
    in_ranges(cpu, rows, rows * to.len, |range| {
        for row in range {
            let at = row * to.width + to.first;
            // SAFETY: ranges are disjoint.
            let part = unsafe { target.part(at..at + to.len) };
            part.copy_from_slice(&source[row * from.width + from.first..][..from.len]);
        }
    });
}
