//! How weights lie in memory: a matrix `[outputs, inputs]` in panels `[outputs / 16][inputs][16]`, the form that the
//! register tile reads, zero-filled to whole panels.
//!
//! Parameters, gradients and optimizer moments all have this form, so there is no second copy of the weights and
//! nothing to repack after an update; only reading and writing files converts.

use crate::cpu::lanes::LANES;

/// Number of values that a `[outputs, inputs]` matrix takes in panels.
pub(crate) fn panels_len(outputs: usize, inputs: usize) -> usize {
    outputs.div_ceil(LANES) * LANES * inputs
}

/// Number of values that a vector takes, so that the next tensor starts on a cache line.
pub(crate) fn vector_len(len: usize) -> usize {
    len.next_multiple_of(LANES)
}

/// Offset of element `(output, input)` in panels.
pub(crate) fn panel_index(output: usize, input: usize, inputs: usize) -> usize {
    (output / LANES * inputs + input) * LANES + output % LANES
}

/// Converts a row-major `[outputs, inputs]` matrix to panels.
pub(crate) fn pack(matrix: &[f32], outputs: usize, inputs: usize, panels: &mut [f32]) {
    assert_eq!(matrix.len(), outputs * inputs);
    assert_eq!(panels.len(), panels_len(outputs, inputs));
    panels.fill(0.0);
    for (output, row) in matrix.chunks_exact(inputs.max(1)).enumerate() {
        for (input, &x) in row.iter().enumerate() {
            panels[panel_index(output, input, inputs)] = x;
        }
    }
}

/// Converts panels back to a row-major `[outputs, inputs]` matrix.
pub(crate) fn unpack(panels: &[f32], outputs: usize, inputs: usize, matrix: &mut [f32]) {
    assert_eq!(matrix.len(), outputs * inputs);
    assert_eq!(panels.len(), panels_len(outputs, inputs));
    for (output, row) in matrix.chunks_exact_mut(inputs.max(1)).enumerate() {
        for (input, x) in row.iter_mut().enumerate() {
            *x = panels[panel_index(output, input, inputs)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_lies_where_the_index_says() {
        let matrix: Vec<f32> = (0..37 * 11).map(|i| i as f32).collect();
        let mut panels = vec![f32::NAN; panels_len(37, 11)];
        pack(&matrix, 37, 11, &mut panels);
        assert_eq!(panels[panel_index(20, 4, 11)], matrix[20 * 11 + 4]);
        assert_eq!(panels[panel_index(47, 10, 11)], 0.0, "fill beyond the last output");
        let mut back = vec![f32::NAN; matrix.len()];
        unpack(&panels, 37, 11, &mut back);
        assert_eq!(matrix, back);
    }
}
