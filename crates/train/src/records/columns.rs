//! The values of a record's columns, and their place in rows: definition and repetition levels.

use std::{collections::HashMap, io::Write, ops::Range, sync::Arc};

use parquet::{
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type},
    errors::{ParquetError, Result},
    file::writer::SerializedRowGroupWriter,
};
use vapo_algo::ClipState;
use vapo_lm::StopReason;

use super::record::StepRecord;
use crate::rollout::GradedRollout;

/// Definition levels of a list: the list itself is null, an element is null, there is an element.
const NO_LIST: i16 = 0;
const NO_ELEMENT: i16 = 2;
const ELEMENT: i16 = 3;

/// The writer of some rows, which takes columns in the order of the schema.
pub(super) struct RowGroup<'a, W: Write> {
    writer: SerializedRowGroupWriter<'a, W>,
    rows: usize,
    /// Where each token stands: 0 for the first of a response, else 1. `[n]`
    repetition: Vec<i16>,
}

impl<'a, W: Write + Send> RowGroup<'a, W> {
    /// Rows with responses of these lengths.
    pub(super) fn new(writer: SerializedRowGroupWriter<'a, W>, lengths: Vec<usize>) -> Self {
        let places = lengths.iter().flat_map(|&length| (0..length).map(|token| i16::from(token > 0)));
        Self { writer, rows: lengths.len(), repetition: places.collect() }
    }

    pub(super) fn close(self) -> Result<()> {
        self.writer.close().map(drop)
    }

    /// A value per row.
    fn required<T: DataType>(&mut self, name: &str, values: impl Iterator<Item = T::T>) -> Result<()> {
        column::<T>(&mut self.writer, name, &values.collect::<Vec<_>>(), (None, None))
    }

    fn optional<T: DataType>(&mut self, name: &str, values: impl Iterator<Item = Option<T::T>>) -> Result<()> {
        let values: Vec<Option<T::T>> = values.collect();
        let definition: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
        let present: Vec<T::T> = values.into_iter().flatten().collect();
        column::<T>(&mut self.writer, name, &present, (Some(&definition), None))
    }

    /// A list per row with an element per token; null if there is no column.
    fn list<T: DataType>(&mut self, name: &str, values: Option<&[T::T]>) -> Result<()> {
        match values {
            Some(values) => self.elements::<T>(name, values, &vec![ELEMENT; values.len()]),
            None => {
                let no_list = vec![NO_LIST; self.rows];
                column::<T>(&mut self.writer, name, &[], (Some(&no_list), Some(&vec![0; self.rows])))
            }
        }
    }

    /// The same, with elements that may be null.
    fn sparse_list(&mut self, name: &str, values: impl Iterator<Item = Option<f32>>) -> Result<()> {
        let values: Vec<Option<f32>> = values.collect();
        let definition: Vec<i16> =
            values.iter().map(|value| if value.is_some() { ELEMENT } else { NO_ELEMENT }).collect();
        let present: Vec<f32> = values.into_iter().flatten().collect();
        self.elements::<FloatType>(name, &present, &definition)
    }

    /// Elements with the definition level of each token.
    fn elements<T: DataType>(&mut self, name: &str, values: &[T::T], definition: &[i16]) -> Result<()> {
        column::<T>(&mut self.writer, name, values, (Some(definition), Some(&self.repetition)))
    }

    /// A map per row; null if it is empty.
    fn map<'r>(&mut self, name: &str, rows: impl Iterator<Item = &'r [(Arc<str>, Option<f32>)]>) -> Result<()> {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let (mut of_keys, mut of_values, mut repetition) = (Vec::new(), Vec::new(), Vec::new());
        for entries in rows {
            if entries.is_empty() {
                of_keys.push(0);
                of_values.push(0);
                repetition.push(0);
            }
            for (number, (key, value)) in entries.iter().enumerate() {
                keys.push(text(key));
                values.extend(*value);
                of_keys.push(2);
                of_values.push(if value.is_some() { 3 } else { 2 });
                repetition.push(i16::from(number > 0));
            }
        }
        column::<ByteArrayType>(&mut self.writer, name, &keys, (Some(&of_keys), Some(&repetition)))?;
        column::<FloatType>(&mut self.writer, name, &values, (Some(&of_values), Some(&repetition)))
    }
}

/// Writes the next column, which is that of this name.
fn column<T: DataType>(
    rows: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    name: &str,
    values: &[T::T],
    (definition, repetition): (Option<&[i16]>, Option<&[i16]>),
) -> Result<()> {
    let next = rows.next_column()?;
    let mut column = next.ok_or_else(|| ParquetError::General(format!("there is no column {name}")))?;
    let writer = column.typed::<T>();
    let path = writer.get_descriptor().path().string();
    debug_assert!(path == name || path.starts_with(&format!("{name}.")), "{path} where {name} was expected");
    writer.write_batch(values, definition, repetition)?;
    column.close()
}

/// Writes some responses of a step.
pub(super) fn write_rows<W: Write + Send>(
    record: &StepRecord<'_>,
    responses: Range<usize>,
    rows: &mut RowGroup<'_, W>,
) -> Result<()> {
    write_texts(record, responses.clone(), rows)?;
    write_numbers(record, responses.clone(), rows)?;
    write_tokens(record, responses, rows)
}

/// What was asked, answered and decided.
fn write_texts<W: Write + Send>(
    record: &StepRecord<'_>,
    responses: Range<usize>,
    rows: &mut RowGroup<'_, W>,
) -> Result<()> {
    let graded = &record.batch.responses()[responses];
    let of =
        |text_of: for<'r> fn(&'r GradedRollout<'_>) -> &'r str| graded.iter().map(move |graded| text(text_of(graded)));
    let step = i64::try_from(record.step).unwrap_or(i64::MAX);
    rows.required::<Int64Type>("step", graded.iter().map(|_| step))?;
    rows.required::<Int64Type>("prompt_id", graded.iter().map(|graded| graded.rollout.prompt.key as i64))?;
    rows.required::<Int64Type>("problem", graded.iter().map(|graded| graded.rollout.prompt.problem.index as i64))?;
    rows.required::<ByteArrayType>("data_source", of(|graded| &graded.rollout.prompt.problem.data_source))?;
    let mut known: HashMap<u64, ByteArray> = HashMap::new();
    let prompts = graded.iter().map(|graded| {
        let prompt = graded.rollout.prompt;
        known.entry(prompt.key).or_insert_with(|| text(&record.tokenizer.decode_all(&prompt.tokens))).clone()
    });
    rows.required::<ByteArrayType>("prompt", prompts)?;
    rows.required::<ByteArrayType>("response", of(|graded| &graded.rollout.text))?;
    rows.required::<ByteArrayType>("answer", of(|graded| &graded.rollout.prompt.problem.answer))?;
    let extracted = graded.iter().map(|graded| graded.grade.answer.as_deref().map(text));
    rows.optional::<ByteArrayType>("extracted_answer", extracted)?;
    rows.required::<ByteArrayType>("verdict", of(|graded| graded.grade.verdict.name()))?;
    rows.optional::<ByteArrayType>("reason", graded.iter().map(|graded| graded.grade.remark.as_deref().map(text)))
}

/// Scores, lengths and settings of each response.
fn write_numbers<W: Write + Send>(
    record: &StepRecord<'_>,
    responses: Range<usize>,
    rows: &mut RowGroup<'_, W>,
) -> Result<()> {
    let graded = &record.batch.responses()[responses.clone()];
    rows.optional::<FloatType>("score", graded.iter().map(|graded| graded.grade.verdict.score()))?;
    rows.map("scores", graded.iter().map(|graded| graded.grade.scores.as_slice()))?;
    rows.required::<FloatType>("reward", record.batch.rewards()[responses.clone()].iter().copied())?;
    let stops = graded.iter().map(|graded| text(stop_reason(graded.rollout.completion.stop)));
    rows.required::<ByteArrayType>("stop_reason", stops)?;
    rows.required::<Int32Type>("prompt_tokens", graded.iter().map(|graded| graded.rollout.prompt.tokens.len() as i32))?;
    let lengths = record.lengths(responses.clone());
    rows.required::<Int32Type>("response_tokens", lengths.into_iter().map(|length| length as i32))?;
    let lambdas = record.credit.values.as_ref().map(|values| &values.policy_lambdas);
    let lambdas = responses.clone().map(|response| lambdas.map(|lambdas| lambdas[response]));
    rows.optional::<DoubleType>("lambda", lambdas)?;
    let first_wrong = record.first_wrong[responses].iter().map(|token| token.map(|token| token as i32));
    rows.optional::<Int32Type>("first_wrong_token", first_wrong)?;
    rows.required::<Int64Type>("policy_version", graded.iter().map(|_| record.policy_version as i64))
}

/// What happened to each token.
fn write_tokens<W: Write + Send>(
    record: &StepRecord<'_>,
    responses: Range<usize>,
    rows: &mut RowGroup<'_, W>,
) -> Result<()> {
    let batch = record.batch;
    let graded = &batch.responses()[responses.clone()];
    let first = batch.tokens_of(responses.start).start;
    let tokens = first..first + rows.repetition.len();
    let ids: Vec<u32> = graded.iter().flat_map(|graded| graded.rollout.completion.tokens.iter().copied()).collect();
    rows.list::<Int32Type>("token_id", Some(&ids.iter().map(|&id| id as i32).collect::<Vec<_>>()))?;
    let mut known: HashMap<u32, ByteArray> = HashMap::new();
    let token_text = |id: u32| known.entry(id).or_insert_with(|| text(&record.tokenizer.token_text(id))).clone();
    rows.list::<ByteArrayType>("token", Some(&ids.into_iter().map(token_text).collect::<Vec<_>>()))?;

    let values = record.credit.values.as_ref();
    let credited: [(&str, Option<&[f32]>); 5] = [
        ("logprob", Some(batch.old_logp())),
        ("sampler_logprob", Some(batch.sampler_logp())),
        ("value", values.map(|values| values.old_values.as_slice())),
        ("advantage", Some(&record.credit.advantages)),
        ("return", values.map(|values| values.returns.as_slice())),
    ];
    for (name, column) in credited {
        rows.list::<FloatType>(name, column.map(|column| &column[tokens.clone()]))?;
    }
    let Some(trace) = record.trace else {
        rows.list::<FloatType>("entropy", None)?;
        rows.list::<FloatType>("ratio", None)?;
        return rows.list::<ByteArrayType>("clip", None);
    };
    rows.list::<FloatType>("entropy", Some(&trace.entropy[tokens.clone()]))?;
    let clips = &trace.clip[tokens.clone()];
    let ratios = trace.ratio[tokens].iter().zip(clips);
    rows.sparse_list("ratio", ratios.map(|(&ratio, &clip)| (clip != ClipState::Unused).then_some(ratio)))?;
    let names = [ClipState::Unused, ClipState::Unclipped, ClipState::Low, ClipState::High, ClipState::Dual]
        .map(|state| (state, text(clip_name(state))));
    let name_of = |clip: &ClipState| names.iter().find(|(state, _)| state == clip).map(|(_, name)| name.clone());
    rows.list::<ByteArrayType>("clip", Some(&clips.iter().filter_map(name_of).collect::<Vec<_>>()))
}

fn text(text: &str) -> ByteArray {
    ByteArray::from(text)
}

fn stop_reason(stop: StopReason) -> &'static str {
    match stop {
        StopReason::StopToken => "stop_token",
        StopReason::StopString => "stop_string",
        StopReason::Length => "length",
    }
}

fn clip_name(clip: ClipState) -> &'static str {
    match clip {
        ClipState::Unused => "unused",
        ClipState::Unclipped => "none",
        ClipState::Low => "low",
        ClipState::High => "high",
        ClipState::Dual => "dual",
    }
}
