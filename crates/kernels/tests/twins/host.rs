//! The kernels over host memory: each wrapper copies its operands to the device and its results back, so that tests
//! know nothing of where values lie. Matrices are row-major.

use vapo_kernels::{self as k, *};

/// A matrix `[outputs, inputs]`, row-major.
pub(crate) struct Matrix<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
}

fn buffer(d: &Device, values: &[f32]) -> Buffer {
    Buffer::from_slice(d, values)
}

fn stored(d: &Device, matrix: &Matrix) -> Buffer {
    let mut stored = Buffer::zeros(d, d.matrix_len(matrix.outputs, matrix.inputs));
    write_matrix(d, matrix.values, matrix.outputs, matrix.inputs, stored.view_mut());
    stored
}

/// Runs `f` on a copy of `values` on the device, and copies the result back.
fn on(d: &Device, values: &mut [f32], f: impl FnOnce(&mut Buffer)) {
    let mut copy = buffer(d, values);
    f(&mut copy);
    copy.read(d, values);
}

fn on_matrix(d: &Device, values: &mut [f32], [outputs, inputs]: [usize; 2], f: impl FnOnce(&mut Buffer)) {
    let mut copy = stored(d, &Matrix { values, outputs, inputs });
    f(&mut copy);
    values.copy_from_slice(&read_matrix(d, copy.view(), outputs, inputs));
}

/// Calls `f` with the matrices as f32 weights, or rounded to bf16.
fn with_weights(d: &Device, matrices: &[Matrix], round: bool, f: impl FnOnce(&[Weight])) {
    let exact: Vec<Buffer> = matrices.iter().map(|m| stored(d, m)).collect();
    let mut rounded: Vec<Buffer<bf16>> = exact.iter().map(|e| Buffer::zeros(d, e.len())).collect();
    exact.iter().zip(&mut rounded).for_each(|(from, to)| k::round_to_bf16(d, from.view(), to.view_mut()));
    let values = |i: usize| if round { Values::Bf16(rounded[i].view()) } else { Values::F32(exact[i].view()) };
    let weights = matrices.iter().enumerate();
    let weights: Vec<Weight> =
        weights.map(|(i, m)| Weight { values: values(i), outputs: m.outputs, inputs: m.inputs }).collect();
    f(&weights);
}

pub(crate) fn round_to_bf16(d: &Device, from: &[f32]) -> Vec<f32> {
    let mut rounded = Buffer::zeros(d, from.len());
    k::round_to_bf16(d, buffer(d, from).view(), rounded.view_mut());
    let mut widened = Buffer::zeros(d, from.len());
    widen(d, rounded.view(), widened.view_mut());
    widened.view().to_vec(d)
}

pub(crate) fn linear(d: &Device, x: &[f32], matrices: &[Matrix], round: bool, y: &mut [f32], write: Write) {
    with_weights(d, matrices, round, |weights| {
        on(d, y, |y| k::linear(d, buffer(d, x).view(), weights, y.view_mut(), write));
    });
}

pub(crate) fn linear_dx(d: &Device, dy: &[f32], matrices: &[Matrix], round: bool, dx: &mut [f32], write: Write) {
    with_weights(d, matrices, round, |weights| {
        on(d, dx, |dx| k::linear_dx(d, buffer(d, dy).view(), weights, dx.view_mut(), write));
    });
}

pub(crate) fn linear_dw(d: &Device, x: &[f32], dy: &[f32], columns: Columns, inputs: usize, dw: &mut [f32]) {
    on_matrix(d, dw, [columns.len, inputs], |dw| {
        k::linear_dw(d, buffer(d, x).view(), buffer(d, dy).view(), columns, dw.view_mut());
    });
}

pub(crate) fn fill_rows(d: &Device, biases: &[&[f32]], y: &mut [f32]) {
    let biases: Vec<Buffer> = biases.iter().map(|bias| buffer(d, bias)).collect();
    let values: Vec<Values> = biases.iter().map(|bias| Values::F32(bias.view())).collect();
    on(d, y, |y| k::fill_rows(d, &values, y.view_mut()));
}

pub(crate) fn add_column_sums(d: &Device, y: &[f32], columns: Columns, sums: &mut [f32]) {
    on(d, sums, |sums| k::add_column_sums(d, buffer(d, y).view(), columns, sums.view_mut()));
}

pub(crate) fn gather_rows(d: &Device, from: &[f32], rows: &[usize], width: usize, to: &mut [f32]) {
    on(d, to, |to| k::gather_rows(d, buffer(d, from).view(), rows, width, to.view_mut()));
}

pub(crate) fn scatter_add_rows(d: &Device, from: &[f32], rows: &[usize], width: usize, to: &mut [f32]) {
    on(d, to, |to| k::scatter_add_rows(d, buffer(d, from).view(), rows, width, to.view_mut()));
}

pub(crate) fn copy_columns(d: &Device, from: (&[f32], Columns), to: (&mut [f32], Columns)) {
    on(d, to.0, |target| k::copy_columns(d, (buffer(d, from.0).view(), from.1), (target.view_mut(), to.1)));
}

pub(crate) fn copy(d: &Device, from: &[f32], to: &mut [f32]) {
    on(d, to, |to| k::copy(d, buffer(d, from).view(), to.view_mut()));
}

pub(crate) fn zero(d: &Device, to: &mut [f32]) {
    on(d, to, |to| k::zero(d, to.view_mut()));
}

pub(crate) fn add(d: &Device, from: &[f32], to: &mut [f32]) {
    on(d, to, |to| k::add(d, buffer(d, from).view(), to.view_mut()));
}

pub(crate) fn add_to_rows(d: &Device, bias: &[f32], y: &mut [f32]) {
    on(d, y, |y| k::add_to_rows(d, Values::F32(buffer(d, bias).view()), y.view_mut()));
}

pub(crate) fn rms_norm(d: &Device, x: &[f32], weight: &[f32], (offset, eps): (f32, f32), y: &mut [f32]) {
    let weight = buffer(d, weight);
    let norm = Norm { weight: Values::F32(weight.view()), offset, eps };
    on(d, y, |y| k::rms_norm(d, buffer(d, x).view(), norm, y.view_mut()));
}

pub(crate) fn rms_norm_backward(
    d: &Device,
    (x, weight, dy): (&[f32], &[f32], &[f32]),
    (offset, eps): (f32, f32),
    dx: &mut [f32],
    dweight: &mut [f32],
) {
    let [x, weight, dy] = [x, weight, dy].map(|values| buffer(d, values));
    let norm = Norm { weight: Values::F32(weight.view()), offset, eps };
    on(d, dx, |dx| {
        on(d, dweight, |dweight| {
            k::rms_norm_backward(d, x.view(), norm, dy.view(), dx.view_mut(), dweight.view_mut());
        });
    });
}

pub(crate) fn gated(d: &Device, activation: Activation, gate_up: &[f32], width: usize, y: &mut [f32]) {
    on(d, y, |y| k::gated(d, activation, buffer(d, gate_up).view(), width, y.view_mut()));
}

pub(crate) fn gated_backward(d: &Device, activation: Activation, gate_up: &mut [f32], width: usize, dy: &mut [f32]) {
    on(d, gate_up, |gate_up| {
        on(d, dy, |dy| k::gated_backward(d, activation, gate_up.view_mut(), width, dy.view_mut()))
    });
}

/// Rotates the first `heads` heads of a row.
pub(crate) fn rotate(d: &Device, rotary: &Rotary, positions: &[u32], x: &mut [f32], heads: usize, turn: Turn) {
    on(d, x, |x| k::rotate(d, rotary, positions, x.view_mut(), heads, turn));
}

pub(crate) fn embed(d: &Device, table: Matrix, round: bool, tokens: &[u32], scale: f32, x: &mut [f32]) {
    with_weights(d, &[table], round, |table| on(d, x, |x| k::embed(d, table[0].values, tokens, scale, x.view_mut())));
}

pub(crate) fn embed_backward(
    d: &Device,
    tokens: &[u32],
    dx: &[f32],
    scale: f32,
    shape: [usize; 2],
    dtable: &mut [f32],
) {
    on_matrix(d, dtable, shape, |dtable| k::embed_backward(d, tokens, buffer(d, dx).view(), scale, dtable.view_mut()));
}

pub(crate) fn attention(d: &Device, layer: Attention, qkv: &[f32], trees: &[Tree], out: &mut [f32]) {
    on(d, out, |out| k::attention(d, layer, buffer(d, qkv).view(), trees, out.view_mut()));
}

pub(crate) fn attention_backward(
    d: &Device,
    layer: Attention,
    trees: &[Tree],
    (qkv, out, dout): (&[f32], &[f32], &[f32]),
    dqkv: &mut [f32],
) {
    let [qkv, out, dout] = [qkv, out, dout].map(|values| buffer(d, values));
    on(d, dqkv, |dqkv| {
        k::attention_backward(d, layer, qkv.view(), trees, out.view(), dout.view(), dqkv.view_mut());
    });
}

pub(crate) fn score_rows(d: &Device, logits: &[f32], temperature: f32, targets: &[u32]) -> Vec<RowScore> {
    let mut scores = vec![RowScore::default(); targets.len()];
    k::score_rows(d, buffer(d, logits).view(), temperature, targets, &mut scores);
    scores
}

pub(crate) fn logit_gradients(
    d: &Device,
    logits: &mut [f32],
    temperature: f32,
    scores: &[RowScore],
    rows: &[RowGradient],
) {
    on(d, logits, |logits| k::logit_gradients(d, logits.view_mut(), temperature, scores, rows));
}

pub(crate) fn scalar_head(d: &Device, x: &[f32], weight: &[f32], bias: f32, values: &mut [f32]) {
    let [weight, bias] = [weight, &[bias]].map(|values| buffer(d, values));
    k::scalar_head(d, buffer(d, x).view(), Values::F32(weight.view()), Values::F32(bias.view()), values);
}

/// Returns the gradients by the input, the weight and the bias; the last two begin at 1 and 2.
pub(crate) fn scalar_head_backward(d: &Device, x: &[f32], weight: &[f32], dvalues: &[f32]) -> [Vec<f32>; 3] {
    let [mut dx, mut dw, mut db] = [vec![0.0; x.len()], vec![1.0; weight.len()], vec![2.0]].map(|v| buffer(d, &v));
    let weight = buffer(d, weight);
    let weight = Values::F32(weight.view());
    let x = buffer(d, x);
    k::scalar_head_backward(d, x.view(), weight, dvalues, dx.view_mut(), dw.view_mut(), db.view_mut());
    [dx, dw, db].map(|gradient| gradient.view().to_vec(d))
}

pub(crate) fn sample_rows(d: &Device, logits: &[f32], params: &SamplingParams, keys: &[[u64; 4]]) -> Vec<Drawn> {
    let mut drawn = vec![Drawn::default(); keys.len()];
    k::sample_rows(d, buffer(d, logits).view(), params, keys, &mut drawn);
    drawn
}

pub(crate) fn adamw(d: &Device, step: &AdamWStep, values: [&[f32]; 4]) -> [Vec<f32>; 4] {
    let [mut p, mut g, mut m, mut v] = values.map(|values| buffer(d, values));
    k::adamw(d, step, p.view_mut(), g.view_mut(), m.view_mut(), v.view_mut());
    [p, g, m, v].map(|values| values.view().to_vec(d))
}

pub(crate) fn block_squares(d: &Device, x: &[f32]) -> Vec<f64> {
    k::block_squares(d, buffer(d, x).view())
}
