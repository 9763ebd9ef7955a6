//! Flat buffers of checkpoints that name no format: vapo 0.1.0 wrote moments and master weights as they were in memory.
//!
//! Tensors follow each other in the model's order. A matrix `[outputs, inputs]` is stored as `[outputs / 16][inputs][16]`,
//! zero-filled to a multiple of 16 outputs; a vector is filled to a multiple of 16 values. This is that format's own
//! description: it stays as it is wherever weights lie in memory today.

use crate::Model;
use crate::layout::Place;

const GROUP: usize = 16;

/// Splits such a buffer into a model's tensors by name, row-major. None if its length is not that of the model's buffers.
pub fn split_legacy_buffer(model: &Model, flat: &[f32]) -> Option<Vec<(String, Vec<f32>)>> {
    let mut rest = flat;
    let mut tensors = Vec::with_capacity(model.layout.tensors.len());
    for tensor in &model.layout.tensors {
        let shape = tensor.place.shape();
        let stored = match tensor.place {
            // No network of that version had one.
            Place::Stack(_) => return None,
            Place::Matrix(_) => shape[0].next_multiple_of(GROUP) * shape[1],
            Place::Vector(_) | Place::Row(_) => shape.iter().product::<usize>().next_multiple_of(GROUP),
        };
        let (part, after) = rest.split_at_checked(stored)?;
        let values = match tensor.place {
            Place::Matrix(_) => row_major(part, shape[0], shape[1]),
            _ => part[..shape.iter().product()].to_vec(),
        };
        tensors.push((tensor.name.clone(), values));
        rest = after;
    }
    rest.is_empty().then_some(tensors)
}

fn row_major(stored: &[f32], outputs: usize, inputs: usize) -> Vec<f32> {
    let at = |output: usize, input: usize| (output / GROUP * inputs + input) * GROUP + output % GROUP;
    (0..outputs).flat_map(|output| (0..inputs).map(move |input| stored[at(output, input)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_outputs_become_rows() {
        // 17 outputs of 2 inputs: the first group holds outputs 0 to 15 for input 0, then for input 1.
        let stored: Vec<f32> = (0..64).map(|i| i as f32).collect();
        let rows = row_major(&stored, 17, 2);
        assert_eq!(rows[..4], [0.0, 16.0, 1.0, 17.0]);
        assert_eq!(rows[32..], [32.0, 48.0]);
    }
}
