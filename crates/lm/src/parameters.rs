//! A network's weights in memory: f32, or bf16 with f32 masters that the optimizer updates.

use crate::WeightDtype;
use crate::layout::{Matrix, Place};
use std::borrow::Cow;
use std::ops::Range;
use vapo_kernels::{Buffer, Device, Panels, Weight, bf16, pack, round_to_bf16, unpack};

/// One flat buffer of weights in the layout that kernels read, and in bf16 perhaps a second, exact one.
#[derive(Clone)]
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

impl Parameters {
    pub(crate) fn zeros(len: usize) -> Parameters {
        Parameters::F32(Buffer::zeros(len))
    }

    /// Zeros for a network that is not trained: no masters.
    pub(crate) fn zeros_for_inference(len: usize, dtype: WeightDtype) -> Parameters {
        match dtype {
            WeightDtype::Float32 => Parameters::zeros(len),
            WeightDtype::Bfloat16 => Parameters::Bf16 { working: Buffer::zeros(len), masters: None },
        }
    }

    pub(crate) fn dtype(&self) -> WeightDtype {
        match self {
            Parameters::F32(_) => WeightDtype::Float32,
            Parameters::Bf16 { .. } => WeightDtype::Bfloat16,
        }
    }

    /// The same weights in another type: the exact ones become (or stay) the masters of a bf16 copy.
    pub(crate) fn with_dtype(self, dtype: WeightDtype) -> Parameters {
        match (self, dtype) {
            (Parameters::F32(exact), WeightDtype::Bfloat16) => {
                let mut working = Buffer::zeros(exact.len());
                round_to_bf16(&Device::new(1), &exact, &mut working);
                Parameters::Bf16 { working, masters: Some(exact) }
            }
            (Parameters::Bf16 { masters: Some(exact), .. }, WeightDtype::Float32) => Parameters::F32(exact),
            (Parameters::Bf16 { working, masters: None }, WeightDtype::Float32) => {
                let mut exact = Buffer::zeros(working.len());
                exact.iter_mut().zip(&*working).for_each(|(to, from)| *to = from.to_f32());
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
        Weight { panels: self.panels(matrix.range()), outputs: matrix.outputs, inputs: matrix.inputs }
    }

    pub(crate) fn panels(&self, range: Range<usize>) -> Panels<'_> {
        match self {
            Parameters::F32(exact) => Panels::F32(&exact[range]),
            Parameters::Bf16 { working, .. } => Panels::Bf16(&working[range]),
        }
    }

    /// A norm's weights or a bias, widened: they are too few to matter to memory or speed.
    pub(crate) fn vector(&self, range: &Range<usize>) -> Cow<'_, [f32]> {
        match self {
            Parameters::F32(exact) => Cow::Borrowed(&exact[range.clone()]),
            Parameters::Bf16 { working, .. } => working[range.clone()].iter().map(|x| x.to_f32()).collect(),
        }
    }

    /// The weights that an optimizer updates.
    ///
    /// # Panics
    /// If this network has no masters.
    pub(crate) fn exact(&self) -> &[f32] {
        match self {
            Parameters::F32(exact) | Parameters::Bf16 { masters: Some(exact), .. } => exact,
            Parameters::Bf16 { masters: None, .. } => panic!("weights for inference have no masters"),
        }
    }

    /// Changes the exact weights; the working copy is then rounded again.
    ///
    /// # Panics
    /// If this network has no masters.
    pub(crate) fn update<R>(&mut self, device: &Device, change: impl FnOnce(&mut [f32]) -> R) -> R {
        match self {
            Parameters::F32(exact) => change(exact),
            Parameters::Bf16 { working, masters: Some(exact) } => {
                let result = change(exact);
                round_to_bf16(device, exact, working);
                result
            }
            Parameters::Bf16 { masters: None, .. } => panic!("weights for inference have no masters"),
        }
    }

    /// Stores a tensor given row-major; without masters, its values are rounded.
    pub(crate) fn write(&mut self, place: &Place, values: &[f32]) {
        let range = place.range();
        match self {
            Parameters::F32(exact) => write_tensor(&mut exact[range], place, values),
            Parameters::Bf16 { working, masters } => {
                let mut flat = Buffer::zeros(range.len());
                write_tensor(&mut flat, place, values);
                round_to_bf16(&Device::new(1), &flat, &mut working[range.clone()]);
                if let Some(exact) = masters {
                    exact[range].copy_from_slice(&flat);
                }
            }
        }
    }

    /// A tensor, row-major: exact where there are masters.
    pub(crate) fn read(&self, place: &Place) -> Vec<f32> {
        let range = place.range();
        match self {
            Parameters::F32(exact) | Parameters::Bf16 { masters: Some(exact), .. } => read_tensor(&exact[range], place),
            Parameters::Bf16 { working, .. } => {
                let flat: Vec<f32> = working[range].iter().map(|x| x.to_f32()).collect();
                read_tensor(&flat, place)
            }
        }
    }
}

/// Converts a tensor to its part of a flat buffer.
fn write_tensor(flat: &mut [f32], place: &Place, values: &[f32]) {
    match place {
        Place::Matrix(m) => pack(values, m.outputs, m.inputs, flat),
        Place::Vector(_) | Place::Row(_) => flat.copy_from_slice(values),
    }
}

/// Converts a part of a flat buffer to its tensor.
pub(crate) fn read_tensor(flat: &[f32], place: &Place) -> Vec<f32> {
    match place {
        Place::Matrix(m) => {
            let mut values = vec![0.0; m.outputs * m.inputs];
            unpack(flat, m.outputs, m.inputs, &mut values);
            values
        }
        Place::Vector(_) | Place::Row(_) => flat.to_vec(),
    }
}
