//! Every kernel against a slow twin in f64, on every device, and against itself in other batches.

#![allow(clippy::needless_range_loop)] // twins are written by index, as the definitions are

mod host;

use host::Matrix;
use vapo_kernels::{
    Activation, AdamWStep, Attention, AttentionShape, Buffer, Columns, Device, KvCache, Rotary, RowGradient,
    SampleCache, SamplingParams, Tree, Turn, Write, append, decode_attention, devices, fill, start_sample,
};

/// A size, and a smaller one for Miri, which interprets every instruction.
const fn size(usual: usize, in_miri: usize) -> usize {
    if cfg!(miri) { in_miri } else { usual }
}

/// Values in (-1, 1), the same on every machine.
fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 24) as f32) * 2.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Runs `f` on every device and returns the reference's result; exact devices have its bits, others are close to it.
fn on_all_devices(f: impl Fn(&Device) -> Vec<f32>) -> Vec<f32> {
    let devices = devices();
    let reference = f(&devices[0]);
    for (i, device) in devices.iter().enumerate().skip(1) {
        let result = f(device);
        if device.is_exact() {
            let differing = result.iter().zip(&reference).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
            assert_eq!(differing, 0, "device {i} differs from the reference");
        } else {
            assert_close(&result, &reference.iter().map(|&x| f64::from(x)).collect::<Vec<_>>(), 1e-3);
        }
    }
    reference
}

fn assert_close(got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(g) - w).abs() <= tolerance * (1.0 + w.abs()), "at {i}: got {g}, want {w}");
    }
}

const SHAPES: [(usize, [usize; 2], usize); 5] = [
    (1, [16, 32], size(16, 4)),
    (7, [33, 5], size(20, 5)),
    (size(29, 13), [size(96, 18), size(48, 16)], size(64, 17)),
    (size(64, 8), [7, 1], 3),
    (size(300, 130), [size(40, 3), size(24, 2)], size(50, 2)),
];

#[test]
fn a_matrix_is_read_as_it_was_written() {
    let m = noise(37 * 11, 1);
    let back = on_all_devices(|d| {
        let mut stored = Buffer::zeros(d, d.matrix_len(37, 11));
        vapo_kernels::write_matrix(d, &m, 37, 11, stored.view_mut());
        vapo_kernels::read_matrix(d, stored.view(), 37, 11)
    });
    assert_eq!(m, back);
}

#[test]
fn linear_and_its_gradients() {
    for (rows, outputs, inputs) in SHAPES {
        let width = outputs[0] + outputs[1];
        let x = noise(rows * inputs, 2);
        let w = outputs.map(|o| noise(o * inputs, 3 + o as u64));
        let weights = [0, 1].map(|i| Matrix { values: &w[i], outputs: outputs[i], inputs });
        let all: Vec<&[f32]> = w.iter().flat_map(|w| w.chunks(inputs)).collect();
        let start = noise(rows * width, 9);
        let dy = noise(rows * width, 10);

        let y = on_all_devices(|d| {
            let mut y = start.clone();
            host::linear(d, &x, &weights, false, &mut y, Write::Accumulate);
            y
        });
        let mut want: Vec<f64> = start.iter().map(|&s| f64::from(s)).collect();
        for r in 0..rows {
            for o in 0..width {
                want[r * width + o] +=
                    (0..inputs).map(|i| f64::from(x[r * inputs + i]) * f64::from(all[o][i])).sum::<f64>();
            }
        }
        assert_close(&y, &want, 1e-5);

        // Any row alone has the bits it has in the batch.
        for r in [0, rows / 2, rows - 1] {
            let mut alone = start[r * width..(r + 1) * width].to_vec();
            let row = &x[r * inputs..(r + 1) * inputs];
            host::linear(&Device::cpu(1), row, &weights, false, &mut alone, Write::Accumulate);
            assert_eq!(alone, &y[r * width..(r + 1) * width]);
        }

        let dx = on_all_devices(|d| {
            let mut dx = vec![f32::NAN; rows * inputs];
            host::linear_dx(d, &dy, &weights, false, &mut dx, Write::Replace);
            dx
        });
        let mut want = vec![0.0; rows * inputs];
        for r in 0..rows {
            for i in 0..inputs {
                want[r * inputs + i] = (0..width).map(|o| f64::from(dy[r * width + o]) * f64::from(all[o][i])).sum();
            }
        }
        assert_close(&dx, &want, 1e-5);

        for (which, offset) in [(0, 0), (1, outputs[0])] {
            let before = noise(outputs[which] * inputs, 12);
            let columns = Columns { width, first: offset, len: outputs[which] };
            let dw = on_all_devices(|d| {
                let mut dw = before.clone();
                host::linear_dw(d, &x, &dy, columns, inputs, &mut dw);
                dw
            });
            let mut want = vec![0.0; before.len()];
            for o in 0..outputs[which] {
                for i in 0..inputs {
                    let sum: f64 =
                        (0..rows).map(|r| f64::from(dy[r * width + offset + o]) * f64::from(x[r * inputs + i])).sum();
                    want[o * inputs + i] = f64::from(before[o * inputs + i]) + sum;
                }
            }
            assert_close(&dw, &want, 1e-5);
        }
    }
}

/// A kernel over bf16 weights is the f32 kernel over those weights widened, bit for bit.
#[test]
fn bf16_weights_are_widened_exactly() {
    let device = Device::cpu(1);
    let large = [(16, 96, 64), (23, 48, 7), (64, 7, 3), (300, 160, 50)];
    let shapes = [(1, 16, size(16, 3)), (5, 33, size(20, 5))].into_iter().chain(large.into_iter().take(size(4, 0)));
    for (rows, outputs, inputs) in shapes {
        let exact = noise(outputs * inputs, 1);
        let widened = host::round_to_bf16(&device, &exact);
        assert!(exact.iter().zip(&widened).any(|(a, b)| a != b), "values of few bits test nothing");
        let (x, dy, start) = (noise(rows * inputs, 2), noise(rows * outputs, 3), noise(rows * outputs, 4));
        let tokens: Vec<u32> = (0..rows).map(|r| (r * 5 % outputs) as u32).collect();
        let run = |d: &Device, values: &[f32], round: bool| {
            let matrix = || Matrix { values, outputs, inputs };
            let mut y = start.clone();
            host::linear(d, &x, &[matrix()], round, &mut y, Write::Accumulate);
            let (mut dx, mut embedded) = (vec![f32::NAN; rows * inputs], vec![f32::NAN; rows * inputs]);
            host::linear_dx(d, &dy, &[matrix()], round, &mut dx, Write::Replace);
            host::embed(d, matrix(), round, &tokens, 1.0, &mut embedded);
            [y, dx, embedded].concat()
        };
        let want = on_all_devices(|d| run(d, &widened, false));
        let got = on_all_devices(|d| run(d, &exact, true));
        assert!(want.iter().zip(&got).all(|(a, b)| a.to_bits() == b.to_bits()), "{rows} x {outputs} x {inputs}");
    }
}

#[test]
fn rounding_goes_to_nearest_even() {
    // bf16 keeps 8 bits: neighbors of 1 are 1 + 2^-7 and 1 - 2^-8.
    let step = 0.007_812_5f32;
    let cases = [
        (1.0, 1.0),
        (1.0 + 0.49 * step, 1.0),
        (1.0 + 0.5 * step, 1.0),
        (1.0 + 0.51 * step, 1.0 + step),
        (1.0 + 1.5 * step, 1.0 + 2.0 * step),
        (-1.0 - 2.5 * step, -1.0 - 2.0 * step),
        (-0.0, -0.0),
        // Below the normal numbers, the step is 2^-133.
        (1e-40, f32::from_bits(1 << 16)),
    ];
    let from: Vec<f32> = cases.iter().map(|c| c.0).cycle().take(size(9000, 90)).collect();
    let to = on_all_devices(|d| host::round_to_bf16(d, &from));
    for (to, (_, want)) in to.iter().zip(cases.iter().cycle()) {
        assert_eq!(to.to_bits(), want.to_bits());
    }
}

#[test]
fn bias_rows_and_column_sums() {
    const ROWS: usize = size(300, 130);
    let bias = noise(21, 1);
    let y = on_all_devices(|d| {
        let mut y = vec![0.0; 21 * ROWS];
        host::fill_rows(d, &[&bias[..4], &bias[4..]], &mut y);
        y
    });
    assert!(y.chunks(21).all(|row| row == bias));
    let dy = noise(21 * ROWS, 2);
    let sums = on_all_devices(|d| {
        let mut sums = bias[3..].to_vec();
        host::add_column_sums(d, &dy, Columns { width: 21, first: 3, len: 18 }, &mut sums);
        sums
    });
    let want: Vec<f64> = (3..21)
        .map(|c| f64::from(bias[c]) + dy.iter().skip(c).step_by(21).map(|&x| f64::from(x)).sum::<f64>())
        .collect();
    assert_close(&sums, &want, 1e-5);
}

fn norm64(x: &[f64], w: &[f64], eps: f64) -> Vec<f64> {
    let rms = (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64 + eps).sqrt();
    x.iter().zip(w).map(|(x, w)| x / rms * w).collect()
}

#[test]
fn rms_norm_and_its_gradients() {
    for (width, offset) in [(8, 0.0), (20, 1.0), (64, 0.0)] {
        let rows = size(270, 4);
        let (x, w, dy) = (noise(rows * width, 1), noise(width, 2), noise(rows * width, 3));
        let y = on_all_devices(|d| {
            let mut y = vec![0.0; x.len()];
            host::rms_norm(d, &x, &w, (offset, 1e-5), &mut y);
            y
        });
        let f64s = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let (x64, w64, dy64) =
            (f64s(&x), f64s(&w).iter().map(|w| f64::from(offset) + w).collect::<Vec<f64>>(), f64s(&dy));
        let want: Vec<f64> = x64.chunks(width).flat_map(|r| norm64(r, &w64, 1e-5)).collect();
        assert_close(&y, &want, 1e-5);

        let both = on_all_devices(|d| {
            let (mut dx, mut dw) = (vec![0.5; x.len()], vec![0.25; width]);
            host::rms_norm_backward(d, (&x, &w, &dy), (offset, 1e-5), &mut dx, &mut dw);
            dx.extend(dw);
            dx
        });
        let loss = |x: &[f64], w: &[f64]| -> f64 {
            x.chunks(width)
                .zip(dy64.chunks(width))
                .map(|(r, d)| norm64(r, w, 1e-5).iter().zip(d).map(|(y, d)| y * d).sum::<f64>())
                .sum()
        };
        let h = 1e-5;
        for i in [0, 3, width * rows - 1] {
            let mut x2 = x64.clone();
            x2[i] += h;
            let up = loss(&x2, &w64);
            x2[i] -= 2.0 * h;
            let want = (up - loss(&x2, &w64)) / (2.0 * h) + 0.5;
            assert!((f64::from(both[i]) - want).abs() < 1e-4, "dx[{i}]: {} {want}", both[i]);
        }
        for i in [0, width - 1] {
            let mut w2 = w64.clone();
            w2[i] += h;
            let up = loss(&x64, &w2);
            w2[i] -= 2.0 * h;
            let want = (up - loss(&x64, &w2)) / (2.0 * h) + 0.25;
            assert!((f64::from(both[x.len() + i]) - want).abs() < 1e-3, "dw[{i}]");
        }
    }
}

#[test]
fn gated_layers_and_their_gradients() {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    check_gated(Activation::Silu, |g| g * sigmoid(g));
    let inner = |x: f64| (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
    check_gated(Activation::GeluTanh, |g| 0.5 * g * (1.0 + inner(g).tanh()));
}

fn check_gated(activation: Activation, of_gate: impl Fn(f64) -> f64) {
    let (rows, width) = (size(9, 2), 20);
    let (gu, dy) = (noise(rows * 2 * width, 1).iter().map(|x| 6.0 * x).collect::<Vec<f32>>(), noise(rows * width, 2));
    let f = |g: f64, u: f64| of_gate(g) * u;
    let at = |r: usize, c: usize| (f64::from(gu[r * 2 * width + c]), f64::from(gu[r * 2 * width + width + c]));
    let y = on_all_devices(|d| {
        let mut y = vec![0.0; rows * width];
        host::gated(d, activation, &gu, width, &mut y);
        y
    });
    let want: Vec<f64> = (0..rows * width).map(|i| at(i / width, i % width)).map(|(g, u)| f(g, u)).collect();
    assert_close(&y, &want, 1e-6);
    let both = on_all_devices(|d| {
        let (mut gu, mut dy) = (gu.clone(), dy.clone());
        host::gated_backward(d, activation, &mut gu, width, &mut dy);
        gu.extend(dy);
        gu
    });
    assert_eq!(&both[2 * rows * width..], &y[..], "the output comes back");
    let h = 1e-6;
    for i in 0..rows * width {
        let (r, c) = (i / width, i % width);
        let (g, u) = at(r, c);
        let d = f64::from(dy[i]);
        let want = [(f(g + h, u) - f(g - h, u)) / (2.0 * h) * d, f(g, 1.0) * d];
        let got = [both[r * 2 * width + c], both[r * 2 * width + width + c]];
        assert_close(&got, &want, 1e-5);
    }
}

#[test]
fn rotation_keeps_lengths_and_turns_back() {
    let frequencies = [1.0, 0.5, 0.01];
    let (rows, heads, width) = (5, 2, 2 * 6 + 4);
    let x = noise(rows * width, 1);
    let positions = [0, 1, 7, 39, 2];
    let turned = on_all_devices(|d| {
        let mut x = x.clone();
        host::rotate(d, &Rotary::new(d, 6, &frequencies, 1.0, 40), &positions, &mut x, heads, Turn::Forward);
        x
    });
    let (c, s) = ((7.0f64 * 0.5).cos(), (7.0f64 * 0.5).sin());
    let (a, b) = (f64::from(x[2 * width + 6 + 1]), f64::from(x[2 * width + 6 + 4]));
    assert_close(&[turned[2 * width + 7], turned[2 * width + 10]], &[a * c - b * s, b * c + a * s], 1e-6);
    assert_eq!(turned[12..16], x[12..16], "the rest of the row stays");
    let mut back = turned;
    let d = Device::cpu(1);
    host::rotate(&d, &Rotary::new(&d, 6, &frequencies, 1.0, 40), &positions, &mut back, heads, Turn::Back);
    assert_close(&back, &x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>(), 1e-6);
}

#[test]
fn a_part_of_each_head_is_rotated_and_stretched() {
    let (heads, size) = (2, 6);
    let x = noise(heads * size, 1);
    let turned = on_all_devices(|d| {
        let mut x = x.clone();
        host::rotate(d, &Rotary::new(d, size, &[0.5, 0.25], 1.5, 8), &[3], &mut x, heads, Turn::Forward);
        x
    });
    for head in 0..heads {
        let at = |i: usize| f64::from(x[head * size + i]);
        let turn = |i: usize, angle: f64| {
            let (a, b, c, s) = (at(i), at(i + 2), 1.5 * angle.cos(), 1.5 * angle.sin());
            [a * c - b * s, b * c + a * s]
        };
        let ([a0, b0], [a1, b1]) = (turn(0, 1.5), turn(1, 0.75));
        assert_close(&turned[head * size..(head + 1) * size], &[a0, a1, b0, b1, at(4), at(5)], 1e-6);
    }
}

#[test]
fn sums_of_buffers_and_biases() {
    let (a, b) = (noise(40, 1), noise(40, 2));
    let sums = on_all_devices(|d| {
        let mut y = a.clone();
        host::add(d, &b, &mut y);
        host::add_to_rows(d, &b[..8], &mut y);
        y
    });
    for (i, sum) in sums.iter().enumerate() {
        assert_eq!(*sum, a[i] + b[i] + b[i % 8]);
    }
}

#[test]
fn embedding_and_its_gradient() {
    let (vocab, width) = (19, 10);
    let table = noise(vocab * width, 1);
    let tokens = [3, 18, 3, 0];
    let x = on_all_devices(|d| {
        let mut x = vec![0.0; 40];
        let table = Matrix { values: &table, outputs: vocab, inputs: width };
        host::embed(d, table, false, &tokens, 3.0, &mut x);
        x
    });
    assert_eq!(x[10..20], table[180..190].iter().map(|x| 3.0 * x).collect::<Vec<_>>());
    let rows = on_all_devices(|d| {
        let mut g = vec![0.0; table.len()];
        host::embed_backward(d, &tokens, &x, 0.5, [vocab, width], &mut g);
        g
    });
    assert_eq!(rows[30..40], table[30..40].iter().map(|x| 2.0 * (3.0 * x * 0.5)).collect::<Vec<_>>());
    assert_eq!(rows[40..180], [0.0; 140]);
}

/// Attention by definition, in f64.
fn naive_attention(layer: Attention, qkv: &[f64], offsets: &[usize]) -> Vec<f64> {
    let shape = layer.shape;
    let (w, d) = (shape.width(), shape.head_size);
    let mut out = Vec::new();
    for s in offsets.windows(2) {
        for t in s[0]..s[1] {
            for h in 0..shape.heads {
                let kv = h / (shape.heads / shape.kv_heads);
                let at = |row: usize, column: usize, i: usize| qkv[row * w + column * d + i];
                let first = layer.window.map_or(s[0], |window| s[0].max((t + 1).saturating_sub(window)));
                let scores: Vec<f64> = (first..=t)
                    .map(|j| (0..d).map(|i| at(t, h, i) * at(j, shape.heads + kv, i)).sum::<f64>())
                    .map(|product| product * f64::from(layer.scale))
                    .map(f64::exp)
                    .collect();
                let total: f64 = scores.iter().sum();
                for i in 0..d {
                    out.push(
                        scores
                            .iter()
                            .zip(first..)
                            .map(|(p, j)| p / total * at(j, shape.heads + shape.kv_heads + kv, i))
                            .sum(),
                    );
                }
            }
        }
    }
    out
}

/// Shapes with and without windows, shorter and longer than a block of 16 keys.
fn attentions() -> Vec<Attention> {
    let shape = |heads, kv_heads, head_size| AttentionShape { heads, kv_heads, head_size };
    let windowed = |shape: AttentionShape, scale, window| Attention { scale, window: Some(window), ..shape.full() };
    let all = vec![
        windowed(shape(3, 1, 6), 0.3, 7),
        shape(3, 1, 6).full(),
        shape(4, 2, 16).full(),
        shape(2, 2, 32).full(),
        windowed(shape(4, 2, 16), 0.25, 16),
        windowed(shape(2, 1, 8), 0.4, 21),
        windowed(shape(2, 1, 8), 0.4, 1),
    ];
    // Miri has time for the first two.
    all.into_iter().take(size(7, 2)).collect()
}

/// Sequences of these lengths, none sharing a prefix.
fn alone(offsets: &[usize]) -> Vec<Tree> {
    offsets.windows(2).map(|w| Tree { first_row: w[0], prefix: w[1] - w[0], branches: vec![] }).collect()
}

#[test]
fn attention_and_its_gradient() {
    let offsets = [0, 1, size(18, 2), size(55, 18)];
    for layer in attentions() {
        let shape = layer.shape;
        let qkv: Vec<f32> = noise(offsets[3] * shape.width(), 4).iter().map(|x| 2.0 * x).collect();
        let dout = noise(offsets[3] * shape.heads * shape.head_size, 5);
        let f64s: Vec<f64> = qkv.iter().map(|&x| f64::from(x)).collect();
        let out: Vec<f32> = on_all_devices(|d| {
            let mut out = vec![0.0; dout.len()];
            host::attention(d, layer, &qkv, &alone(&offsets), &mut out);
            out
        });
        assert_close(&out, &naive_attention(layer, &f64s, &offsets), 1e-5);
        let grad = on_all_devices(|d| {
            let mut g = vec![f32::NAN; qkv.len()];
            host::attention_backward(d, layer, &alone(&offsets), (&qkv, &out, &dout), &mut g);
            g
        });
        let loss = |x: &[f64]| {
            naive_attention(layer, x, &offsets).iter().zip(&dout).map(|(o, &d)| o * f64::from(d)).sum::<f64>()
        };
        for i in (0..qkv.len()).step_by(size(37, 199)) {
            let mut x = f64s.clone();
            x[i] += 1e-5;
            let up = loss(&x);
            x[i] -= 2e-5;
            let want = (up - loss(&x)) / 2e-5;
            assert!((f64::from(grad[i]) - want).abs() < 2e-4, "{layer:?} at {i}: {} {want}", grad[i]);
        }
    }
}

/// Sequences that share a prefix: the same bits as when each is computed whole, and gradients that add up.
#[test]
fn shared_prefixes() {
    for layer in attentions() {
        let shape = layer.shape;
        let (w, heads) = (shape.width(), shape.heads * shape.head_size);
        let (prefix, branches) = (size(21, 17), vec![size(5, 2), 1, size(40, 1), size(16, 1)]);
        let rows = 3 + prefix + branches.iter().sum::<usize>();
        let qkv = noise(rows * w, 4);
        let dout = noise(rows * heads, 5);
        let trees = [
            Tree { first_row: 0, prefix: 3, branches: vec![] },
            Tree { first_row: 3, prefix, branches: branches.clone() },
        ];
        let out = on_all_devices(|d| {
            let mut out = vec![0.0; rows * heads];
            host::attention(d, layer, &qkv, &trees, &mut out);
            out
        });
        let grad = on_all_devices(|d| {
            let mut g = vec![f32::NAN; qkv.len()];
            host::attention_backward(d, layer, &trees, (&qkv, &out, &dout), &mut g);
            g
        });
        let device = Device::cpu(1);
        let mut prefix_grad = vec![0.0f64; prefix * w];
        let mut start = 3 + prefix;
        for (b, length) in branches.into_iter().enumerate() {
            let whole = |x: &[f32], width: usize| {
                [&x[3 * width..(3 + prefix) * width], &x[start * width..(start + length) * width]].concat()
            };
            let tokens = prefix + length;
            let (qkv, mut dout) = (whole(&qkv, w), whole(&dout, heads));
            let mut alone_out = vec![0.0; tokens * heads];
            host::attention(&device, layer, &qkv, &alone(&[0, tokens]), &mut alone_out);
            assert_eq!(alone_out, whole(&out, heads), "{layer:?} branch {b}");
            if b > 0 {
                dout[..prefix * heads].fill(0.0); // the prefix's own rows count once
            }
            let mut g = vec![0.0; tokens * w];
            host::attention_backward(&device, layer, &alone(&[0, tokens]), (&qkv, &alone_out, &dout), &mut g);
            prefix_grad.iter_mut().zip(&g).for_each(|(sum, g)| *sum += f64::from(*g));
            let own: Vec<f64> = g[prefix * w..].iter().map(|&g| f64::from(g)).collect();
            assert_close(&grad[start * w..(start + length) * w], &own, 1e-5);
            start += length;
        }
        assert_close(&grad[3 * w..(3 + prefix) * w], &prefix_grad, 1e-5);
    }
}

/// On each device: tokens decoded one by one have the bits that the device gives them in a packed pass.
#[test]
fn decoding_has_the_bits_of_the_packed_pass() {
    for device in devices() {
        for layer in attentions() {
            for prompt_tokens in [1, 15, 16, 37].into_iter().skip(size(0, 2)).take(size(4, 1)) {
                assert_decodes_as_packed(&device, layer, prompt_tokens);
            }
        }
    }
}

fn assert_decodes_as_packed(device: &Device, layer: Attention, prompt_tokens: usize) {
    let shape = layer.shape;
    let (w, heads, new) = (shape.width(), shape.query_width(), size(20, 2));
    let tokens = prompt_tokens + new;
    // Three samples share the prompt; a fourth has another one.
    let mut sequences: Vec<Vec<f32>> = (0..4).map(|s| noise(tokens * w, 20 + s)).collect();
    for s in 1..3 {
        let prompt = sequences[0][..prompt_tokens * w].to_vec();
        sequences[s][..prompt_tokens * w].copy_from_slice(&prompt);
    }
    let prompt_of = |s: usize| {
        let mut caches = [KvCache::new(device, shape, 2, prompt_tokens)];
        let rows = Buffer::from_slice(device, &sequences[s][..prompt_tokens * w]);
        fill(device, 1, rows.view(), &[0, prompt_tokens], &mut caches);
        let [cache] = caches;
        std::sync::Arc::new(cache)
    };
    let prompts = [prompt_of(0), prompt_of(3)];
    let own = || KvCache::new(device, shape, 2, SampleCache::own_tokens(new));
    let start = |prompt: usize| start_sample(device, prompts[prompt].clone(), prompt_tokens, own());
    let mut samples: Vec<SampleCache> = [0, 0, 0, 1].into_iter().map(start).collect();
    let whole = |sequence: &Vec<f32>| {
        let mut out = vec![0.0; tokens * heads];
        host::attention(device, layer, sequence, &alone(&[0, tokens]), &mut out);
        out
    };
    let packed: Vec<Vec<f32>> = sequences.iter().map(whole).collect();
    for t in prompt_tokens..tokens {
        let rows: Vec<f32> = sequences.iter().flat_map(|s| s[t * w..(t + 1) * w].to_vec()).collect();
        let rows = Buffer::from_slice(device, &rows);
        append(device, 1, rows.view(), &mut samples);
        let mut out = Buffer::zeros(device, 4 * heads);
        decode_attention(device, layer, 1, rows.view(), &samples, out.view_mut());
        for (s, out) in out.view().to_vec(device).chunks(heads).enumerate() {
            let want = &packed[s][t * heads..(t + 1) * heads];
            assert_eq!(out, want, "{layer:?} prompt {prompt_tokens} token {t} sample {s}");
        }
        samples.iter_mut().for_each(SampleCache::advance);
    }
}

#[test]
fn log_probabilities_entropy_and_their_gradient() {
    for (vocab, temperature) in [(5, 1.0), (50, 0.7), (64, 1.3)] {
        let rows = size(6, 2);
        let logits: Vec<f32> = noise(rows * vocab, 8).iter().map(|x| 4.0 * x).collect();
        let targets: Vec<u32> = (0..rows).map(|r| (r * 7 % vocab) as u32).collect();
        let (dlogp, dentropy) = (noise(rows, 1), noise(rows, 2));
        let by_definition = |z: &[f64], target: usize| {
            let e: Vec<f64> = z.iter().map(|z| (z / f64::from(temperature)).exp()).collect();
            let total: f64 = e.iter().sum();
            ((e[target] / total).ln(), -e.iter().map(|e| e / total * (e / total).ln()).sum::<f64>())
        };
        let scores = host::score_rows(&Device::cpu(1), &logits, temperature, &targets);
        on_all_devices(|d| {
            let scores = host::score_rows(d, &logits, temperature, &targets);
            scores.iter().flat_map(|s| [s.logp, s.log_sum, s.entropy]).collect()
        });
        let gradient = on_all_devices(|d| {
            let mut g = logits.clone();
            let rows: Vec<RowGradient> =
                (0..rows).map(|r| RowGradient { target: targets[r], dlogp: dlogp[r], dentropy: dentropy[r] }).collect();
            host::logit_gradients(d, &mut g, temperature, &scores, &rows);
            g
        });
        for r in 0..rows {
            let z: Vec<f64> = logits[r * vocab..(r + 1) * vocab].iter().map(|&z| f64::from(z)).collect();
            let target = targets[r] as usize;
            let (logp, entropy) = by_definition(&z, target);
            assert!((f64::from(scores[r].logp) - logp).abs() < 1e-5);
            assert!((f64::from(scores[r].entropy) - entropy).abs() < 1e-5);
            for v in 0..vocab {
                let loss = |z: &[f64]| {
                    let (l, e) = by_definition(z, target);
                    f64::from(dlogp[r]) * l + f64::from(dentropy[r]) * e
                };
                let mut z2 = z.clone();
                z2[v] += 1e-5;
                let up = loss(&z2);
                z2[v] -= 2e-5;
                let want = (up - loss(&z2)) / 2e-5;
                assert!((f64::from(gradient[r * vocab + v]) - want).abs() < 1e-5, "row {r} token {v}");
            }
        }
    }
}

#[test]
fn scalar_head_and_its_gradient() {
    let (x, w, dv) = (noise(30 * 20, 1), noise(20, 2), noise(30, 3));
    let v = on_all_devices(|d| {
        let mut v = vec![0.0; 30];
        host::scalar_head(d, &x, &w, 0.5, &mut v);
        v
    });
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    assert_close(&v, &x.chunks(20).map(|x| dot(x, &w) + 0.5).collect::<Vec<_>>(), 1e-6);
    let gradients = on_all_devices(|d| host::scalar_head_backward(d, &x, &w, &dv).concat());
    let (dx, rest) = gradients.split_at(x.len());
    let (dw, db) = rest.split_at(20);
    assert_eq!(dx[25], dv[1] * w[5]);
    let column: Vec<f32> = x.iter().skip(4).step_by(20).copied().collect();
    assert_close(
        &[dw[4], db[0]],
        &[1.0 + dot(&column, &dv), 2.0 + dv.iter().map(|&d| f64::from(d)).sum::<f64>()],
        1e-6,
    );
}

#[test]
fn adamw_and_norm_by_definition() {
    let n = size(5000, 50);
    let step = AdamWStep {
        learning_rate: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.01,
        correction1: 0.19,
        correction2: 0.02,
        gradient_scale: 0.5,
    };
    let (p, g, m) = (noise(n, 1), noise(n, 2), noise(n, 3));
    let v: Vec<f32> = noise(n, 4).iter().map(|x| x.abs()).collect();
    let all = on_all_devices(|d| {
        let [p, g, m, v] = host::adamw(d, &step, [&p, &g, &m, &v]);
        assert!(g.iter().all(|&g| g == 0.0));
        [p, m, v].concat()
    });
    let x = |s: &[f32], i: usize| f64::from(s[i]);
    for i in 0..n {
        let grad = 0.5 * x(&g, i);
        let (m, v) = (0.9 * x(&m, i) + 0.1 * grad, 0.99 * x(&v, i) + 0.01 * grad * grad);
        let p = x(&p, i) * (1.0 - 0.001) - 0.1 * (m / 0.19) / ((v / 0.02).sqrt() + 1e-8);
        assert_close(&[all[i], all[n + i], all[2 * n + i]], &[p, m, v], 1e-5);
    }
    let blocks = host::block_squares(&Device::cpu(1), &g);
    let norm = blocks.iter().sum::<f64>();
    assert!((norm - g.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>()).abs() < 1e-9);
    assert!(devices().iter().filter(|d| d.is_exact()).all(|d| host::block_squares(d, &g) == blocks));
}

#[test]
fn rows_and_columns_are_moved() {
    const FROM: usize = size(300, 30);
    let (width, rows) = (20, [3, 0, 3, FROM - 1]);
    let from = noise(FROM * width, 1);
    let gathered = on_all_devices(|d| {
        let mut to = vec![f32::NAN; rows.len() * width];
        host::gather_rows(d, &from, &rows, width, &mut to);
        to
    });
    let want: Vec<f32> = rows.iter().flat_map(|&r| from[r * width..(r + 1) * width].to_vec()).collect();
    assert_eq!(gathered, want);

    let added = on_all_devices(|d| {
        let mut to = from.clone();
        host::scatter_add_rows(d, &gathered, &rows, width, &mut to);
        to
    });
    let mut want = from.clone();
    for (i, &r) in rows.iter().enumerate() {
        (0..width).for_each(|c| want[r * width + c] += gathered[i * width + c]);
    }
    assert_eq!(added, want);

    let (source, target) = (Columns { width, first: 4, len: 3 }, Columns { width: 5, first: 1, len: 3 });
    let copied = on_all_devices(|d| {
        let mut to = vec![7.0; FROM * 5];
        host::copy_columns(d, (&from, source), (&mut to, target));
        to
    });
    for (row, to) in copied.chunks(5).enumerate() {
        assert_eq!(to[1..4], from[row * width + 4..row * width + 7]);
        assert_eq!([to[0], to[4]], [7.0, 7.0]);
    }

    let both = on_all_devices(|d| {
        let (mut copied, mut zeroed) = (vec![f32::NAN; from.len()], from.clone());
        host::copy(d, &from, &mut copied);
        host::zero(d, &mut zeroed);
        [copied, zeroed].concat()
    });
    assert_eq!(both[..from.len()], from);
    assert!(both[from.len()..].iter().all(|x| x.to_bits() == 0));
}

/// Rows of a batch are drawn with their own keys, as each would be alone.
#[test]
fn sampling_rows() {
    let (rows, vocab) = (size(40, 4), 33);
    let logits: Vec<f32> = noise(rows * vocab, 3).iter().map(|x| 3.0 * x).collect();
    let keys: Vec<[u64; 4]> = (0..rows as u64).map(|r| [5, r, 1, r * r]).collect();
    let params = [
        SamplingParams::default(),
        SamplingParams { temperature: 0.0, ..SamplingParams::default() },
        SamplingParams { temperature: 0.7, top_p: 0.8, num_tokens: Some(30), ..SamplingParams::default() },
    ];
    for params in params {
        let drawn = on_all_devices(|d| {
            let drawn = host::sample_rows(d, &logits, &params, &keys);
            drawn.iter().flat_map(|x| [x.token as f32, x.logp, x.sampler_logp]).collect()
        });
        for (row, drawn) in drawn.chunks(3).enumerate() {
            let own = &logits[row * vocab..(row + 1) * vocab];
            let alone = host::sample_rows(&Device::cpu(1), own, &params, &keys[row..row + 1])[0];
            assert_eq!(drawn, [alone.token as f32, alone.logp, alone.sampler_logp]);
            let temperature = if params.temperature == 0.0 { 1.0 } else { params.temperature };
            assert_eq!(host::score_rows(&Device::cpu(1), own, temperature, &[alone.token])[0].logp, alone.logp);
        }
    }
}
