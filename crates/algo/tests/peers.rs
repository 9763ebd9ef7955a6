//! Advantages, losses and gradients compared with verl's and TRL's own functions on the same arrays, as computed in f64 by
//! `tools/fixtures/losses.py`. Where a definition differs, the test says how and compares what agrees.

use serde_json::Value;
use vapo_algo::*;

struct Fixture(Value);

impl Fixture {
    fn load() -> Fixture {
        Fixture(serde_json::from_str(include_str!("fixtures/losses.json")).unwrap())
    }

    fn lengths(&self) -> Vec<usize> {
        floats(&self.0["lengths"]).into_iter().map(|length| length as usize).collect()
    }

    fn column(&self, name: &str) -> Vec<f32> {
        floats(&self.0["columns"][name])
    }

    /// GRPO's advantages, the same for all tokens of a response.
    fn per_response(&self) -> Vec<f32> {
        floats(&self.0["advantages"]["grpo"]["advantages"])
    }

    /// verl divides by the padded width, TRL by `max_completion_length`.
    fn reduction(&self, name: &str) -> Reduction {
        match name {
            "seq-mean-token-sum-norm" => {
                Reduction::SequenceMeanTokenSumNorm { budget: self.0["width"].as_u64().unwrap() as usize }
            }
            name => name.parse().unwrap(),
        }
    }

    fn weights(&self, reduction: Reduction) -> Vec<f32> {
        let lengths = self.lengths();
        reduction.token_weights(&lengths, &vec![true; lengths.len()])
    }

    fn cases(&self, name: &str) -> Vec<Value> {
        self.0[name].as_array().unwrap().clone()
    }

    /// Values of `of(rewards)` for each group, repeated over the tokens of its responses.
    fn spread(&self, of: fn(&[f32]) -> Vec<f32>) -> Vec<f32> {
        let (rewards, size) = (floats(&self.0["rewards"]), self.0["group_size"].as_u64().unwrap() as usize);
        let advantages: Vec<f32> = rewards.chunks(size).flat_map(of).collect();
        let tokens = advantages.iter().zip(self.lengths());
        tokens.flat_map(|(&advantage, length)| std::iter::repeat_n(advantage, length)).collect()
    }
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn number(case: &Value, key: &str) -> f64 {
    case[key].as_f64().unwrap_or_else(|| panic!("no number `{key}` in {case}"))
}

fn assert_all_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (t, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 2e-6 * b.abs().max(1.0), "{what}, token {t}: found {a}, expected {b}");
    }
}

fn assert_loss(found: (f64, &[f32]), case: &Value) {
    let (loss, expected) = (found.0, number(case, "loss"));
    assert!((loss - expected).abs() < 2e-6, "loss {loss}, expected {expected}: {case}");
    assert_all_close(found.1, &floats(&case["gradient"]), &format!("gradient of {case}"));
}

fn range(low: f64, high: f64) -> RatioRange {
    RatioRange { low, high }
}

/// verl whitens every GAE advantage, after computing the returns.
#[test]
fn gae_is_verls() {
    let fixture = Fixture::load();
    let (lengths, values, rewards) = (fixture.lengths(), fixture.column("values"), floats(&fixture.0["rewards"]));
    for name in ["gae", "gae_monte_carlo", "gae_discounted"] {
        let case = &fixture.0["advantages"][name];
        let (gamma, lambda) = (number(case, "gamma"), number(case, "lam"));
        let (mut advantages, mut returns, mut start) = (Vec::new(), Vec::new(), 0);
        for (&length, &reward) in lengths.iter().zip(&rewards) {
            let values = &values[start..start + length];
            advantages.extend(gae(Reward::Terminal(reward), values, gamma, lambda));
            returns.extend(value_targets(Reward::Terminal(reward), values, gamma, lambda));
            start += length;
        }
        assert_all_close(&returns, &floats(&case["returns"]), name);
        Normalization::Whiten.apply(&mut advantages, &lengths, &vec![true; lengths.len()]);
        assert_all_close(&advantages, &floats(&case["whitened"]), name);
    }
}

#[test]
fn critic_free_advantages_are_verls() {
    let fixture = Fixture::load();
    let of = |name: &str| floats(&fixture.0["advantages"][name]["advantages"]);
    assert_all_close(&fixture.spread(group_standardized), &of("grpo"), "GRPO");
    assert_all_close(&fixture.spread(group_centered), &of("dr_grpo"), "Dr. GRPO");
    assert_all_close(&fixture.spread(leave_one_out), &of("rloo"), "RLOO");

    let (lengths, included) = (fixture.lengths(), vec![true; fixture.lengths().len()]);
    let mut centered = fixture.spread(group_centered);
    Normalization::Whiten.apply(&mut centered, &lengths, &included);
    assert_all_close(&centered, &of("reinforce_baseline"), "REINFORCE++ with baseline");

    let (logp, reference) = (fixture.column("old_logp"), fixture.column("ref_logp"));
    let (mut penalized, mut advantages, mut start) = (Vec::new(), Vec::new(), 0);
    for (&length, &reward) in lengths.iter().zip(&floats(&fixture.0["rewards"])) {
        let tokens = start..start + length;
        let rewards =
            kl_penalized_rewards(reward, &logp[tokens.clone()], &reference[tokens.clone()], 0.1, KlEstimator::K1);
        advantages.extend(gae(Reward::PerToken(&rewards), &vec![0.0; length], 1.0, 1.0));
        penalized.extend(rewards);
        start = tokens.end;
    }
    assert_all_close(&penalized, &floats(&fixture.0["advantages"]["penalized_rewards"]), "KL in the reward");
    Normalization::Whiten.apply(&mut advantages, &lengths, &included);
    assert_all_close(&advantages, &of("reinforce"), "REINFORCE++");
}

/// verl always has a dual clip; 1e9 means none.
#[test]
fn policy_losses_are_verls() {
    let fixture = Fixture::load();
    let (logp, old_logp, lengths) = (fixture.column("logp"), fixture.column("old_logp"), fixture.lengths());
    for case in fixture.cases("verl") {
        let (name, mode) = (case["name"].as_str().unwrap(), case["mode"].as_str().unwrap());
        let range = range(number(&case, "low"), number(&case, "high"));
        let dual = Some(number(&case, "dual"));
        let one_each = name == "gspo" || dual == Some(1e9);
        let advantages = if one_each { fixture.per_response() } else { fixture.column("token_advantages") };
        let weights = fixture.weights(fixture.reduction(mode));
        let batch = PolicyBatch { old_logp: &old_logp, advantages: &advantages, weights: &weights };
        let found = match name {
            "vanilla" => clipped_policy_loss(&logp, batch, Clip::Ratio(range), dual),
            "gspo" => gspo_loss(&logp, batch, &lengths, range),
            "cispo" => cispo_loss(&logp, batch, range),
            // verl weights log-probs by the ratio where the probability moved little enough; the loss here is the clipped
            // surrogate. The gradients are the same.
            "dppo_tv" => {
                let found = clipped_policy_loss(&logp, batch, Clip::ProbabilityShift(range.high), None);
                assert_all_close(&found.dlogp, &floats(&case["gradient"]), "gradient of dppo_tv");
                continue;
            }
            name => panic!("no loss `{name}`"),
        };
        assert_loss((found.loss, &found.dlogp), &case);
        assert_stats(name, &found.stats, &case["metrics"]);
    }
}

/// verl's GSPO reports the divergence per token, ours per response; its CISPO counts the lower bound too.
fn assert_stats(name: &str, stats: &PolicyStats, metrics: &Value) {
    let close = |found: Option<f64>, key: &str| {
        let expected = number(metrics, key);
        assert!((found.unwrap() - expected).abs() < 1e-6, "{name} {key}: found {found:?}, expected {expected}");
    };
    let clipped = stats.clip_low_frac().unwrap() + stats.clip_high_frac().unwrap();
    close(Some(clipped), "actor/pg_clipfrac");
    close(stats.clip_dual_frac(), "actor/pg_clipfrac_lower");
    if name != "gspo" {
        close(stats.approx_kl(), "actor/ppo_kl");
    }
}

/// Importance weights for samples from another policy multiply token losses, so they multiply weights.
#[test]
fn weights_of_samples_from_elsewhere_act_as_verls() {
    let fixture = Fixture::load();
    let (logp, old_logp, advantages) =
        (fixture.column("logp"), fixture.column("old_logp"), fixture.column("token_advantages"));
    let reduced = fixture.weights(Reduction::TokenMean);
    let weights: Vec<f32> = reduced.iter().zip(fixture.column("sampler_weights")).map(|(a, b)| a * b).collect();
    let batch = PolicyBatch { old_logp: &old_logp, advantages: &advantages, weights: &weights };
    let found = clipped_policy_loss(&logp, batch, Clip::Ratio(range(0.2, 0.28)), Some(3.0));
    assert_loss((found.loss, &found.dlogp), &fixture.0["verl_weighted"]);
}

/// TRL's CISPO bounds the weight at `epsilon_high` itself, not at 1 + `epsilon_high`, and only from above.
#[test]
fn policy_losses_are_trls() {
    let fixture = Fixture::load();
    let (logp, old_logp, reference) = (fixture.column("logp"), fixture.column("old_logp"), fixture.column("ref_logp"));
    let (lengths, advantages) = (fixture.lengths(), fixture.per_response());
    for case in fixture.cases("trl") {
        let (loss_type, low, high) = (case["loss_type"].as_str().unwrap(), number(&case, "low"), number(&case, "high"));
        let reduction = match loss_type {
            "grpo" => Reduction::SequenceMeanTokenMean,
            "dr_grpo" => Reduction::SequenceMeanTokenSumNorm { budget: 10 },
            _ => Reduction::TokenMean,
        };
        let weights = fixture.weights(reduction);
        let batch = PolicyBatch { old_logp: &old_logp, advantages: &advantages, weights: &weights };
        let mut found = match (loss_type, case["level"].as_str().unwrap()) {
            ("cispo", _) => cispo_loss(&logp, batch, range(f64::INFINITY, high - 1.0)),
            (_, "sequence") => gspo_loss(&logp, batch, &lengths, range(low, high)),
            _ => clipped_policy_loss(&logp, batch, Clip::Ratio(range(low, high)), None),
        };
        found.add(number(&case, "beta"), &kl_loss(&logp, &reference, &weights, KlEstimator::K3));
        assert_loss((found.loss, &found.dlogp), &case);
    }
}

/// verl limits k3 to 10; no token here reaches that.
#[test]
fn divergences_and_the_value_loss_are_verls() {
    let fixture = Fixture::load();
    let (logp, reference) = (fixture.column("logp"), fixture.column("ref_logp"));
    for name in ["k1", "k2", "k3"] {
        let estimator: KlEstimator = name.parse().unwrap();
        let tokens = logp.iter().zip(&reference);
        let found: Vec<f32> = tokens.map(|(&logp, &reference)| estimator.value(logp, reference) as f32).collect();
        assert_all_close(&found, &floats(&fixture.0["kl"][name]), name);
    }
    let (new, old) = (fixture.column("new_values"), fixture.column("values"));
    let targets = floats(&fixture.0["advantages"]["gae"]["returns"]);
    let weights = fixture.weights(Reduction::TokenMean);
    for case in fixture.cases("value") {
        let batch = ValueBatch { targets: &targets, old_values: &old, weights: &weights };
        let found = value_loss(&new, batch, Some(number(&case, "clip")));
        assert_loss((found.loss, &found.dvalue), &case);
    }
}
