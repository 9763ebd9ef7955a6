//! The protocol buffers of event files, as far as they are used here: TensorBoard's `event.proto`, `summary.proto` and
//! `tensor.proto`.

use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::{histogram::Histogram, tags};
use crate::metrics::Row;

/// The format of the files, in the first event of each.
const FILE_VERSION: &str = "brain.Event:2";
/// `SessionLog.START`: readers drop what they have read of this step and later ones.
const START: i32 = 1;
/// `DT_STRING`.
const STRING: i32 = 7;

/// One event: the file's format, the start of a session, or values of a step.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    /// The step that it belongs to.
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// The format, in the first event of a file.
    #[prost(string, optional, tag = "3")]
    pub file_version: Option<String>,
    /// Values of the step.
    #[prost(message, optional, tag = "5")]
    pub summary: Option<Summary>,
    /// A session that has begun.
    #[prost(message, optional, tag = "7")]
    pub session_log: Option<SessionLog>,
}

/// Values of a step.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Value>,
}

/// A scalar, a histogram or a text.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    /// Its name.
    #[prost(string, tag = "1")]
    pub tag: String,
    /// The scalar.
    #[prost(float, optional, tag = "2")]
    pub simple_value: Option<f32>,
    /// The histogram.
    #[prost(message, optional, tag = "5")]
    pub histo: Option<Histogram>,
    /// The text.
    #[prost(message, optional, tag = "8")]
    pub tensor: Option<Tensor>,
    /// How a tensor is shown.
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<Metadata>,
}

/// A string. (The type has many other fields, for other tensors.)
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    /// The type of its elements.
    #[prost(int32, tag = "1")]
    pub dtype: i32,
    /// Its strings.
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub string_val: Vec<Vec<u8>>,
}

/// How a tensor is shown.
#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    /// What shows it.
    #[prost(message, optional, tag = "1")]
    pub plugin_data: Option<Plugin>,
}

/// A part of TensorBoard that shows values of one kind.
#[derive(Clone, PartialEq, Message)]
pub struct Plugin {
    /// Its name.
    #[prost(string, tag = "1")]
    pub plugin_name: String,
}

/// Something that happened to a session.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SessionLog {
    /// What happened.
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// What the values of an event belong to, in the order in which they are written: a step has at most one event of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The step's rollouts: histograms, and one of them as text.
    Rollouts,
    /// The evaluation after it: texts.
    Evaluation,
    /// Its row: scalars.
    Row,
}

impl Part {
    /// What it is, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rollouts => "rollouts",
            Self::Evaluation => "evaluation",
            Self::Row => "row",
        }
    }
}

impl Event {
    /// The format, which begins a file.
    pub(super) fn version() -> Self {
        Self { file_version: Some(FILE_VERSION.into()), ..Self::now(0) }
    }

    /// The start of a session that writes `step` next.
    pub(super) fn start(step: u64) -> Self {
        Self { session_log: Some(SessionLog { status: START }), ..Self::now(step) }
    }

    /// Values of a step.
    pub(super) fn of(step: u64, value: Vec<Value>) -> Self {
        Self { summary: Some(Summary { value }), ..Self::now(step) }
    }

    fn now(step: u64) -> Self {
        let wall_time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        Self { wall_time, step: step.cast_signed(), ..Self::default() }
    }

    /// Whether it begins a file as it should.
    pub(super) fn is_version(&self) -> bool {
        self.file_version.as_deref() == Some(FILE_VERSION)
    }

    /// What its values belong to; `None` if it has none.
    pub fn part(&self) -> Option<Part> {
        let first = self.summary.as_ref()?.value.first()?;
        Some(match first.tag.as_str() {
            _ if first.simple_value.is_some() => Part::Row,
            tags::HELD_OUT_RIGHT | tags::HELD_OUT_WRONG => Part::Evaluation,
            _ => Part::Rollouts,
        })
    }
}

impl Value {
    /// The numbers of a row; its entries that are `null` are left out.
    pub(super) fn scalars(row: &Row) -> Vec<Self> {
        let numbers = row.entries().filter_map(|(key, value)| Some((key, value.as_f64()?)));
        numbers
            .map(|(key, number)| Self { tag: key.into(), simple_value: Some(number as f32), ..Self::default() })
            .collect()
    }

    pub(super) fn histogram(tag: &str, histogram: Histogram) -> Self {
        Self { tag: tag.into(), histo: Some(histogram), ..Self::default() }
    }

    /// A text, which is shown as Markdown.
    pub(super) fn text(tag: &str, markdown: String) -> Self {
        let plugin = Plugin { plugin_name: "text".into() };
        Self {
            tag: tag.into(),
            tensor: Some(Tensor { dtype: STRING, string_val: vec![markdown.into_bytes()] }),
            metadata: Some(Metadata { plugin_data: Some(plugin) }),
            ..Self::default()
        }
    }
}
