//! Settings that have no effect under others: a value given for one of them is reported, or refused if it contradicts the
//! setting that is used instead.

use super::{AdvantageKind, ChatUse, Config, OptimizerConfig, PretrainingRule, ScheduleKind};

/// Settings without effect under a condition.
struct Rule {
    keys: &'static [&'static str],
    /// Whether they have no effect.
    holds: fn(&Config) -> bool,
    /// The reason, for the message.
    why: &'static str,
    /// Whether a value for them contradicts the setting that is used instead.
    is_contradiction: bool,
}

const fn idle(keys: &'static [&'static str], holds: fn(&Config) -> bool, why: &'static str) -> Rule {
    Rule { keys, holds, why, is_contradiction: false }
}

const fn contradiction(keys: &'static [&'static str], holds: fn(&Config) -> bool, why: &'static str) -> Rule {
    Rule { keys, holds, why, is_contradiction: true }
}

const RULES: &[Rule] = &[
    contradiction(
        &["algorithm.lambda_policy"],
        |config| config.has_critic() && config.algorithm.length_adaptive_alpha.is_some(),
        "lambda depends on the length of each answer unless algorithm.length_adaptive_alpha is \"off\"",
    ),
    idle(
        &["checkpoint.keep_best", "checkpoint.keep_every"],
        |config| config.checkpoint.keep.is_none(),
        "checkpoint.keep is \"all\"",
    ),
    idle(&["records.groups", "records.keep"], |config| config.records.every.is_none(), "records.every is \"off\""),
    contradiction(&["data.task"], |config| config.data.train.is_some(), "problems come from data.train"),
    idle(
        &[
            "algorithm.lambda_critic",
            "algorithm.lambda_policy",
            "algorithm.length_adaptive_alpha",
            "algorithm.critic_epochs",
            "algorithm.critic_minibatches_per_epoch",
            "critic.path",
            "critic.start",
            "critic.head_std",
            "critic.bound",
            "critic.value_clip",
            "critic_optimizer.learning_rate",
            "critic_optimizer.warmup_updates",
            "critic_optimizer.schedule",
            "critic_optimizer.min_ratio",
            "critic_optimizer.beta1",
            "critic_optimizer.beta2",
            "critic_optimizer.eps",
            "critic_optimizer.weight_decay",
            "critic_optimizer.max_grad_norm",
            "value_pretraining.rule",
            "value_pretraining.window",
            "value_pretraining.min_progress",
            "value_pretraining.prompts_per_step",
            "value_pretraining.group_size",
            "value_pretraining.save_critic",
        ],
        |config| !config.has_critic(),
        "only algorithm.advantage \"gae\" has a critic",
    ),
    idle(
        &["critic.start", "critic.head_std"],
        |config| config.has_critic() && config.critic.path.is_some(),
        "the critic in critic.path already has a head",
    ),
    idle(
        &[
            "value_pretraining.rule",
            "value_pretraining.window",
            "value_pretraining.min_progress",
            "value_pretraining.prompts_per_step",
            "value_pretraining.group_size",
            "value_pretraining.save_critic",
        ],
        |config| config.has_critic() && config.value_pretraining.steps == 0,
        "value_pretraining.steps is 0",
    ),
    idle(
        &["value_pretraining.window", "value_pretraining.min_progress"],
        |config| {
            let pretraining = &config.value_pretraining;
            config.has_critic() && pretraining.steps > 0 && pretraining.rule != PretrainingRule::Plateau
        },
        "value_pretraining.rule is not \"plateau\"",
    ),
    idle(
        &["algorithm.gamma"],
        |config| matches!(config.algorithm.advantage, AdvantageKind::Group | AdvantageKind::LeaveOneOut),
        "with this algorithm.advantage all tokens of an answer share its reward",
    ),
    idle(
        &["algorithm.group_std"],
        |config| config.algorithm.advantage != AdvantageKind::Group,
        "it only applies to algorithm.advantage \"group\"",
    ),
    idle(
        &["algorithm.importance_cap"],
        |config| {
            let rollout = &config.rollout;
            rollout.top_k.is_none() && rollout.top_p == 1.0 && rollout.min_p == 0.0
        },
        "without rollout.top_k, top_p or min_p, responses are sampled from the trained distribution and every weight is 1",
    ),
    idle(&["algorithm.kl_in", "algorithm.kl_estimator"], |config| !config.has_reference(), "algorithm.kl_weight is 0"),
    idle(
        &["algorithm.overlong_penalty"],
        |config| config.algorithm.overlong_buffer.is_none(),
        "algorithm.overlong_buffer is \"off\"",
    ),
    idle(
        &["policy_optimizer.min_ratio"],
        |config| stays_constant(&config.policy_optimizer),
        "policy_optimizer.schedule is \"constant\"",
    ),
    idle(
        &["critic_optimizer.min_ratio"],
        |config| config.has_critic() && stays_constant(&config.critic_optimizer),
        "critic_optimizer.schedule is \"constant\"",
    ),
    idle(
        &["eval.top_k", "eval.top_p", "eval.min_p"],
        |config| config.eval.temperature == 0.0,
        "eval.temperature 0 takes the most likely token",
    ),
    idle(
        &["data.chain_operations"],
        |config| !is_built_in(config, "chain"),
        "it only applies to the built-in task \"chain\"",
    ),
    idle(
        &["data.recall_functions"],
        |config| !is_built_in(config, "recall"),
        "it only applies to the built-in task \"recall\"",
    ),
    idle(&["data.walk_moves"], |config| !is_built_in(config, "walk"), "it only applies to the built-in task \"walk\""),
    idle(
        &[
            "data.limit",
            "data.prompt_key",
            "data.answer_key",
            "data.max_prompt_tokens",
            "data.prompt_template",
            "reward.verifier",
            "reward.max_failed_share",
        ],
        |config| config.data.train.is_none() && config.data.eval.is_none(),
        "built-in tasks have their own problems, prompts and grading (data.train and data.eval are \"off\")",
    ),
    idle(
        &["data.chat_template_kwargs", "data.chat_date"],
        |config| config.data.chat == ChatUse::Never,
        "data.chat is \"never\"",
    ),
];

fn stays_constant(optimizer: &OptimizerConfig) -> bool {
    optimizer.schedule == ScheduleKind::Constant
}

fn is_built_in(config: &Config, task: &str) -> bool {
    config.data.train.is_none() && config.data.task == task
}

/// Settings without effect.
pub(super) struct Unused {
    /// Values without effect, a line for each reason.
    pub(super) idle: Vec<String>,
    /// Values that contradict others, a line for each reason.
    pub(super) contradictions: Vec<String>,
}

impl Unused {
    /// Checks the settings of `config` that are `given` and differ from those of `usual`, the preset over the defaults.
    pub(super) fn of(config: &Config, usual: &Config, given: impl Fn(&str) -> bool) -> Self {
        let pairs = config.entries().into_iter().zip(usual.entries());
        let differing: Vec<_> = pairs.filter(|(own, usual)| own != usual).map(|(own, _)| own).collect();
        let mut unused = Self { idle: Vec::new(), contradictions: Vec::new() };
        for rule in RULES.iter().filter(|rule| (rule.holds)(config)) {
            let given = differing.iter().filter(|(key, _)| rule.keys.contains(&key.as_str()) && given(key));
            let values: Vec<String> = given.map(|(key, value)| format!("{key} = {value}")).collect();
            if values.is_empty() {
                continue;
            }
            let verb = if values.len() == 1 { "has" } else { "have" };
            let message = format!("{} {verb} no effect: {}", values.join(", "), rule.why);
            let list = if rule.is_contradiction { &mut unused.contradictions } else { &mut unused.idle };
            list.push(message);
        }
        unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Resolved, SECTIONS, Settings};

    /// Settings that every run uses. A new setting must be added here or to [`RULES`].
    const ALWAYS_READ: &[&str] = &[
        "run.dir",
        "run.seed",
        "run.steps",
        "run.threads",
        "run.micro_batch_tokens",
        "run.gradient_shards",
        "distributed.transport",
        "distributed.timeout_secs",
        "run.check_logps",
        "run.stop_timeout_secs",
        "run.nonfinite_gradient",
        "model.path",
        "model.dtype",
        "model.max_positions",
        "data.train",
        "data.eval",
        "data.chat",
        "data.system_prompt",
        "rollout.prompts_per_step",
        "rollout.group_size",
        "rollout.max_new_tokens",
        "rollout.temperature",
        "rollout.top_k",
        "rollout.top_p",
        "rollout.min_p",
        "rollout.stop_tokens",
        "rollout.stop_strings",
        "rollout.slots",
        "algorithm.preset",
        "algorithm.advantage",
        "algorithm.advantage_normalization",
        "algorithm.policy_loss",
        "algorithm.clip_low",
        "algorithm.clip_high",
        "algorithm.clip_dual",
        "algorithm.loss_reduction",
        "algorithm.positive_lm_weight",
        "algorithm.entropy_weight",
        "algorithm.kl_weight",
        "algorithm.epochs",
        "algorithm.minibatches_per_epoch",
        "algorithm.dynamic_sampling_rounds",
        "algorithm.overlong_filtering",
        "algorithm.overlong_buffer",
        "algorithm.reward_right",
        "algorithm.reward_wrong",
        "value_pretraining.steps",
        "policy_optimizer.learning_rate",
        "policy_optimizer.warmup_updates",
        "policy_optimizer.schedule",
        "policy_optimizer.beta1",
        "policy_optimizer.beta2",
        "policy_optimizer.eps",
        "policy_optimizer.weight_decay",
        "policy_optimizer.max_grad_norm",
        "eval.every",
        "eval.keep",
        "eval.split",
        "eval.problems",
        "eval.samples",
        "eval.temperature",
        "eval.max_new_tokens",
        "checkpoint.every",
        "checkpoint.every_minutes",
        "checkpoint.keep",
        "checkpoint.background",
        "checkpoint.dtype",
        "records.every",
        "tensorboard.enabled",
    ];

    #[test]
    fn every_setting_is_always_read_or_has_a_rule() {
        let keys = SECTIONS
            .iter()
            .flat_map(|(section, fields)| fields.iter().map(move |field| format!("{section}.{}", field.name)));
        let keys: Vec<String> = keys.collect();
        let ruled = |key: &str| RULES.iter().any(|rule| rule.keys.contains(&key));
        for key in &keys {
            assert!(ruled(key) != ALWAYS_READ.contains(&key.as_str()), "{key}: in one of the two lists");
        }
        let listed = RULES.iter().flat_map(|rule| rule.keys).chain(ALWAYS_READ);
        listed.for_each(|key| assert!(keys.iter().any(|known| known == key), "there is no setting {key}"));
    }

    /// Settings under which each of [`RULES`] applies, in order, and the messages.
    const CASES: &[(&[&str], &str)] = &[
        (
            &["algorithm.lambda_policy=0.9"],
            "algorithm.lambda_policy = 0.9 has no effect: lambda depends on the length of each answer unless algorithm.length_adaptive_alpha is \"off\"",
        ),
        (
            &["checkpoint.keep=all", "checkpoint.keep_every=5"],
            "checkpoint.keep_every = 5 has no effect: checkpoint.keep is \"all\"",
        ),
        (&["records.every=off", "records.keep=5"], "records.keep = 5 has no effect: records.every is \"off\""),
        (
            &["data.train=a", "data.eval=b", "data.task=walk"],
            "data.task = \"walk\" has no effect: problems come from data.train",
        ),
        (
            &["algorithm.preset=grpo", "critic.bound=atan", "critic_optimizer.learning_rate=1e-3"],
            "critic.bound = \"atan\", critic_optimizer.learning_rate = 0.001 have no effect: only algorithm.advantage \"gae\" has a critic",
        ),
        (
            &["critic.path=c", "critic.start=mean-return"],
            "critic.start = \"mean-return\" has no effect: the critic in critic.path already has a head",
        ),
        (
            &["algorithm.preset=ppo", "value_pretraining.group_size=2"],
            "value_pretraining.group_size = 2 has no effect: value_pretraining.steps is 0",
        ),
        (
            &["value_pretraining.window=3"],
            "value_pretraining.window = 3 has no effect: value_pretraining.rule is not \"plateau\"",
        ),
        (
            &["algorithm.preset=rloo", "algorithm.gamma=0.9"],
            "algorithm.gamma = 0.9 has no effect: with this algorithm.advantage all tokens of an answer share its reward",
        ),
        (
            &["algorithm.group_std=false"],
            "algorithm.group_std = false has no effect: it only applies to algorithm.advantage \"group\"",
        ),
        (
            &["algorithm.importance_cap=2"],
            "algorithm.importance_cap = 2.0 has no effect: without rollout.top_k, top_p or min_p, responses are sampled from the trained distribution and every weight is 1",
        ),
        (&["algorithm.kl_estimator=k2"], "algorithm.kl_estimator = \"k2\" has no effect: algorithm.kl_weight is 0"),
        (
            &["algorithm.overlong_penalty=1"],
            "algorithm.overlong_penalty = 1.0 has no effect: algorithm.overlong_buffer is \"off\"",
        ),
        (
            &["policy_optimizer.min_ratio=0.1"],
            "policy_optimizer.min_ratio = 0.1 has no effect: policy_optimizer.schedule is \"constant\"",
        ),
        (
            &["critic_optimizer.min_ratio=0.1"],
            "critic_optimizer.min_ratio = 0.1 has no effect: critic_optimizer.schedule is \"constant\"",
        ),
        (
            &["eval.temperature=0", "eval.top_p=0.7"],
            "eval.top_p = 0.7 has no effect: eval.temperature 0 takes the most likely token",
        ),
        (
            &["data.task=recall", "data.chain_operations=[2, 3]"],
            "data.chain_operations = [2, 3] has no effect: it only applies to the built-in task \"chain\"",
        ),
        (
            &["data.recall_functions=[2, 3]"],
            "data.recall_functions = [2, 3] has no effect: it only applies to the built-in task \"recall\"",
        ),
        (&["data.walk_moves=8"], "data.walk_moves = 8 has no effect: it only applies to the built-in task \"walk\""),
        (
            &["reward.verifier=exact"],
            "reward.verifier = \"exact\" has no effect: built-in tasks have their own problems, prompts and grading (data.train and data.eval are \"off\")",
        ),
        (
            &["data.chat=never", "data.chat_date=2031-12-30"],
            "data.chat_date = \"2031-12-30\" has no effect: data.chat is \"never\"",
        ),
    ];

    fn resolve(overrides: &[&str]) -> Result<Resolved, String> {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        Resolved::layered(&[Settings::from_overrides(&overrides).unwrap()]).map_err(|error| error.to_string())
    }

    #[test]
    fn every_rule_is_reported_or_refused_with_its_reason() {
        assert_eq!(CASES.len(), RULES.len());
        for ((overrides, message), rule) in CASES.iter().zip(RULES) {
            assert!(message.ends_with(rule.why), "{message}");
            match resolve(overrides) {
                Ok(resolved) => {
                    assert!(!rule.is_contradiction, "{message}");
                    assert_eq!(resolved.unused, [*message]);
                }
                Err(refused) => {
                    assert!(rule.is_contradiction, "{refused}");
                    assert_eq!(refused, *message);
                }
            }
        }
    }

    #[test]
    fn what_has_an_effect_or_the_usual_value_is_not_reported() {
        let quiet: [&[&str]; 6] = [
            &["algorithm.length_adaptive_alpha=off", "algorithm.lambda_policy=0.9"],
            &["algorithm.lambda_policy=0.95"],
            &["algorithm.preset=orz", "algorithm.length_adaptive_alpha=0.3", "algorithm.lambda_policy=1"],
            &["algorithm.preset=grpo", "critic.bound=none", "value_pretraining.steps=0"],
            &["algorithm.importance_cap=2", "rollout.top_p=0.9"],
            &["policy_optimizer.min_ratio=0.1", "policy_optimizer.schedule=cosine"],
        ];
        for overrides in quiet {
            assert_eq!(resolve(overrides).unwrap().unused, [""; 0], "{overrides:?}");
        }
    }
}
