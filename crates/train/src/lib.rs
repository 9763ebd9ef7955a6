//! vapo-train
