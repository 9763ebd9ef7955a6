//! Pictures of training runs.
//!
//! - [`svg`] draws a [`Panel`] of curves, and tells where its plotting area lies ([`Frame`]), so that a page's script can
//!   place a crosshair and zoom. [`figure`] and [`figure_png`] draw rows of panels.
//! - [`heat_map`], [`calibration`] and [`bars`] draw what a critic thinks of answers.
//!
//! Pictures, but those of pixels, have no background, and tones that can be read on white and on black; colors can be told apart by people who
//! are color-blind. Texts may come from anywhere: they are cut to the space that they have, and characters that XML does
//! not allow or that turn the direction of the text are replaced. Numbers may be anything, too: what is not finite is not
//! drawn. Equal data give equal bytes.
//!
//! This is a separate crate because of `plotters`, which training does not need.

#![forbid(unsafe_code)]

mod axis;
mod bars;
mod calibration;
mod canvas;
mod curve;
mod error;
mod figure;
mod heat;
mod layout;
mod legend;
mod names;
mod palette;
mod panel;
mod plot;
mod raster;
mod text;

pub use axis::Format;
pub use bars::{Bars, bars};
pub use calibration::{CalibrationBin, calibration};
pub use error::{Error, Result};
pub use figure::{Row, figure, figure_png};
pub use heat::{HeatMap, HeatRow, Scale, heat_map};
pub use palette::{COLORS, TEXT, color};
pub use panel::{Frame, Line, Panel};
pub use plot::svg;
