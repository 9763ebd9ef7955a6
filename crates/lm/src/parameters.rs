//! A network's weights on a device: f32, or bf16 with f32 masters that the optimizer updates.

use crate::WeightDtype;
use crate::layout::{Matrix, Place};
use std::ops::Range;
use vapo_kernels::{
    Buffer, Device, Values, View, ViewMut, Weight, bf16, read_matrix, round_to_bf16, widen, write_matrix,
};

/// One flat buffer of weights in the layout that kernels read, and with bf16 perhaps a second, exact one.
pub(crate) enum Parameters {
    /// What kernels read is what the optimizer updates.
    F32(Buffer),
    /// Kernels read `working`: every value of `masters`, rounded to nearest even.
    Bf16 {
        working: Buffer<bf16>,
        /// None where nothing is trained.
        masters: Option<Buffer>,
    },
}

impl Clone for Parameters {
    fn clone(&self) -> Parameters {
        match self {
            Parameters::F32(exact) => Parameters::F32(exact.clone()),
            Parameters::Bf16 { working, masters } => {
                Parameters::Bf16 { working: working.clone(), masters: masters.clone() }
            }
        }
    }

    /// Copies into the memory that it has.
    fn clone_from(&mut self, from: &Parameters) {
        match (self, from) {
            (Parameters::F32(to), Parameters::F32(from)) => to.clone_from(from),
            (
                Parameters::Bf16 { working: to, masters: Some(to_exact) },
                Parameters::Bf16 { working, masters: Some(exact) },
            ) => {
                to.clone_from(working);
                to_exact.clone_from(exact);
            }
            (to, from) => *to = from.clone(),
        }
    }
}

impl Parameters {
    /// Zeros for a network that is not trained: no masters.
    pub(crate) fn zeros_for_inference(device: &Device, len: usize, dtype: WeightDtype) -> Parameters {
        match dtype {
            WeightDtype::Float32 => Parameters::F32(Buffer::zeros(device, len)),
            WeightDtype::Bfloat16 => Parameters::Bf16 { working: Buffer::zeros(device, len), masters: None },
        }
    }

    pub(crate) fn dtype(&self) -> WeightDtype {
        match self {
            Parameters::F32(_) => WeightDtype::Float32,
            Parameters::Bf16 { .. } => WeightDtype::Bfloat16,
        }
    }

    /// The same weights in another type: the exact ones become (or stay) the masters of a bf16 copy.
    pub(crate) fn with_dtype(self, device: &Device, dtype: WeightDtype) -> Parameters {
        match (self, dtype) {
            (Parameters::F32(exact), WeightDtype::Bfloat16) => {
                let mut working = Buffer::zeros(device, exact.len());
                round_to_bf16(device, exact.view(), working.view_mut());
                Parameters::Bf16 { working, masters: Some(exact) }
            }
            (Parameters::Bf16 { masters: Some(exact), .. }, WeightDtype::Float32) => Parameters::F32(exact),
            (Parameters::Bf16 { working, masters: None }, WeightDtype::Float32) => {
                let mut exact = Buffer::zeros(device, working.len());
                widen(device, working.view(), exact.view_mut());
                Parameters::F32(exact)
            }
            (same, _) => same,
        }
    }

    /// Drops the masters.
    pub(crate) fn without_masters(self) -> Parameters {
        match self {
            Parameters::Bf16 { working, .. } => Parameters::Bf16 { working, masters: None },
            f32 => f32,
        }
    }

    /// A matrix as kernels read it.
    pub(crate) fn matrix(&self, matrix: &Matrix) -> Weight<'_> {
        Weight { values: self.values(matrix.range()), outputs: matrix.outputs, inputs: matrix.inputs }
    }

    /// A tensor's values as kernels read them.
    pub(crate) fn values(&self, range: Range<usize>) -> Values<'_> {
        match self {
            Parameters::F32(exact) => Values::F32(exact.slice(range)),
            Parameters::Bf16 { working, .. } => Values::Bf16(working.slice(range)),
        }
    }

    /// The weights that an optimizer updates.
    ///
    /// # Panics
    /// If this network has no masters.
    pub(crate) fn exact(&self) -> &Buffer {
        match self {
            Parameters::F32(exact) | Parameters::Bf16 { masters: Some(exact), .. } => exact,
            Parameters::Bf16 { masters: None, .. } => panic!("weights for inference have no masters"),
        }
    }

    /// Changes the exact weights; the working copy is then rounded again.
    ///
    /// # Panics
    /// If this network has no masters.
    pub(crate) fn update<R>(&mut self, device: &Device, change: impl FnOnce(&mut Buffer) -> R) -> R {
        match self {
            Parameters::F32(exact) => change(exact),
            Parameters::Bf16 { working, masters: Some(exact) } => {
                let result = change(exact);
                round_to_bf16(device, exact.view(), working.view_mut());
                result
            }
            Parameters::Bf16 { masters: None, .. } => panic!("weights for inference have no masters"),
        }
    }

    /// Stores a tensor given row-major; without masters, its values are rounded.
    pub(crate) fn write(&mut self, device: &Device, place: &Place, values: &[f32]) {
        let range = place.range();
        match self {
            Parameters::F32(exact) => write_tensor(device, exact.slice_mut(range), place, values),
            Parameters::Bf16 { working, masters } => {
                let mut flat = Buffer::zeros(device, range.len());
                write_tensor(device, flat.view_mut(), place, values);
                round_to_bf16(device, flat.view(), working.slice_mut(range.clone()));
                if let Some(exact) = masters {
                    write_tensor(device, exact.slice_mut(range), place, values);
                }
            }
        }
    }

    /// A tensor, row-major: exact where there are masters.
    pub(crate) fn read(&self, device: &Device, place: &Place) -> Vec<f32> {
        let range = place.range();
        match self {
            Parameters::F32(exact) | Parameters::Bf16 { masters: Some(exact), .. } => {
                read_tensor(device, exact.slice(range), place)
            }
            Parameters::Bf16 { working, .. } => {
                let mut flat = Buffer::zeros(device, range.len());
                widen(device, working.slice(range), flat.view_mut());
                read_tensor(device, flat.view(), place)
            }
        }
    }
}

/// Stores a tensor, given row-major, in its part of a flat buffer.
pub(crate) fn write_tensor(device: &Device, mut flat: ViewMut, place: &Place, values: &[f32]) {
    match place {
        Place::Matrix(m) => write_matrix(device, values, m.outputs, m.inputs, flat),
        Place::Stack(parts) => {
            let mut rest = values;
            for m in parts {
                let (own, after) = rest.split_at(m.outputs * m.inputs);
                rest = after;
                let start = m.offset - parts[0].offset;
                write_matrix(device, own, m.outputs, m.inputs, flat.reborrow().slice(start..start + m.len));
            }
        }
        Place::Vector(_) | Place::Row(_) => flat.write(device, values),
    }
}

/// The row-major values of a tensor in its part of a flat buffer.
pub(crate) fn read_tensor(device: &Device, flat: View, place: &Place) -> Vec<f32> {
    match place {
        Place::Matrix(m) => read_matrix(device, flat, m.outputs, m.inputs),
        Place::Stack(parts) => {
            let rows = |m: &Matrix| {
                let start = m.offset - parts[0].offset;
                read_matrix(device, flat.slice(start..start + m.len), m.outputs, m.inputs)
            };
            parts.iter().flat_map(rows).collect()
        }
        Place::Vector(_) | Place::Row(_) => flat.to_vec(device),
    }
}
