//! Presets: each is TOML that a user could also write.

/// A published method as settings.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// The value of `algorithm.preset`.
    pub name: &'static str,
    /// The method in a few words, with its source.
    pub about: &'static str,
    /// What it sets in addition to [`COMMON`], as a config file would.
    pub toml: &'static str,
}

/// The settings that every preset applies first: plain PPO in every setting that is part of a method
/// ([`Mark::Method`](super::Mark::Method)), so that no setting of one method survives the choice of another.
pub const COMMON: &str = r#"
    rollout = { prompts_per_step = 256, group_size = 1 }
    value_pretraining = { steps = 0 }
    critic = { start = "zero", head_std = 0.0, bound = "none", value_clip = "off" }
    policy_optimizer = { beta1 = 0.9, beta2 = 0.999, weight_decay = 0.0 }
    critic_optimizer = { beta1 = 0.9, beta2 = 0.999, weight_decay = 0.0 }
    [algorithm]
    advantage = "gae"
    gamma = 1.0
    lambda_critic = 0.95
    lambda_policy = 0.95
    length_adaptive_alpha = "off"
    group_std = true
    advantage_normalization = "none"
    policy_loss = "clip"
    clip_low = 0.2
    clip_high = 0.2
    clip_dual = "off"
    importance_cap = "off"
    loss_reduction = "seq-mean-token-mean"
    positive_lm_weight = 0.0
    entropy_weight = 0.0
    kl_weight = 0.0
    kl_in = "loss"
    kl_estimator = "k3"
    epochs = 1
    critic_epochs = "policy"
    critic_minibatches_per_epoch = "policy"
    dynamic_sampling_rounds = "off"
    overlong_filtering = false
    overlong_buffer = "off"
    overlong_penalty = 0.5
"#;

/// All presets. For the choices made in each, see `docs/methods.md`.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "vapo",
        about: "VAPO with its seven parts, arXiv 2504.05118",
        toml: r#"
            rollout = { prompts_per_step = 16, group_size = 16 }
            value_pretraining = { steps = 50 }
            [algorithm]
            lambda_critic = 1.0
            length_adaptive_alpha = 0.05
            clip_high = 0.28
            loss_reduction = "token-mean"
            positive_lm_weight = 0.1
        "#,
    },
    Preset {
        name: "vapo+",
        about: "VAPO for short answers, with little value pretraining and many prompts per step: docs/reproduction.md",
        toml: r#"
            rollout = { prompts_per_step = 512, group_size = 1 }
            value_pretraining = { steps = 5 }
            critic = { bound = "sigmoid", start = "mean-return" }
            [algorithm]
            lambda_critic = 1.0
            length_adaptive_alpha = 1.5
            clip_high = 0.28
            loss_reduction = "token-mean"
            positive_lm_weight = 0.1
            advantage_normalization = "std"
        "#,
    },
    Preset { name: "ppo", about: "PPO as compared in VAPO's paper, arXiv 1707.06347", toml: "" },
    Preset {
        name: "vc-ppo",
        about: "PPO with value pretraining and decoupled GAE, arXiv 2503.01491",
        toml: r#"
            value_pretraining = { steps = 50 }
            [algorithm]
            lambda_critic = 1.0
        "#,
    },
    Preset {
        name: "orz",
        about: "Open-Reasoner-Zero's PPO: lambda and gamma 1, 12 critic updates, arXiv 2503.24290",
        toml: r#"
            rollout = { prompts_per_step = 16, group_size = 16 }
            critic = { value_clip = 0.2 }
            policy_optimizer = { beta2 = 0.95 }
            critic_optimizer = { beta2 = 0.95 }
            [algorithm]
            lambda_critic = 1.0
            lambda_policy = 1.0
            advantage_normalization = "whiten"
            loss_reduction = "token-mean"
            minibatches_per_epoch = 1
            critic_minibatches_per_epoch = 12
        "#,
    },
    Preset {
        name: "bpco",
        about: "BPCO: bounded values, Monte-Carlo target, clipped probability shift, arXiv 2608.23566",
        toml: r#"
            value_pretraining = { steps = 15 }
            critic = { bound = "atan" }
            [algorithm]
            lambda_critic = 1.0
            length_adaptive_alpha = 0.4
            policy_loss = "probability-shift"
            loss_reduction = "seq-mean-token-sum"
        "#,
    },
    Preset {
        name: "sao",
        about: "SAO's critic settings and direct importance weight, arXiv 2607.07508",
        toml: r#"
            value_pretraining = { steps = 10 }
            [algorithm]
            lambda_critic = 1.0
            length_adaptive_alpha = 1.5
            policy_loss = "dis"
            clip_low = 0.3
            clip_high = 5.0
            loss_reduction = "token-mean"
            critic_epochs = 2
        "#,
    },
    Preset {
        name: "grpo",
        about: "GRPO as in DeepSeek-R1-Zero, arXiv 2501.12948",
        toml: r#"
            rollout = { prompts_per_step = 16, group_size = 16 }
            [algorithm]
            advantage = "group"
            kl_weight = 0.001
        "#,
    },
    Preset {
        name: "dapo",
        about: "DAPO with its five parts, arXiv 2503.14476",
        toml: r#"
            rollout = { prompts_per_step = 16, group_size = 16 }
            policy_optimizer = { weight_decay = 0.1 }
            [algorithm]
            advantage = "group"
            clip_high = 0.28
            clip_dual = 10.0
            loss_reduction = "token-mean"
            dynamic_sampling_rounds = 10
            overlong_filtering = true
            overlong_buffer = 0.2
        "#,
    },
    Preset {
        name: "dr-grpo",
        about: "GRPO without division by length and standard deviation, arXiv 2503.20783",
        toml: r#"
            rollout = { prompts_per_step = 32, group_size = 8 }
            [algorithm]
            advantage = "group"
            group_std = false
            loss_reduction = "seq-mean-token-sum-norm:256"
        "#,
    },
    Preset {
        name: "rloo",
        about: "REINFORCE with the mean of the other responses as baseline, arXiv 2402.14740",
        toml: r#"
            rollout = { prompts_per_step = 64, group_size = 4 }
            [algorithm]
            advantage = "leave-one-out"
            clip_low = "off"
            clip_high = "off"
            loss_reduction = "seq-mean-token-sum"
            kl_weight = 0.03
            kl_in = "reward"
            kl_estimator = "k1"
        "#,
    },
    Preset {
        name: "reinforce++",
        about: "REINFORCE++: PPO's clip, no critic, advantages whitened over the batch, arXiv 2501.03262",
        toml: r#"
            [algorithm]
            advantage = "return"
            advantage_normalization = "whiten"
            loss_reduction = "token-mean"
            kl_weight = 0.001
            kl_in = "reward"
            kl_estimator = "k1"
        "#,
    },
    Preset {
        name: "reinforce++-baseline",
        about: "REINFORCE++ with the group's mean as baseline, arXiv 2501.03262",
        toml: r#"
            rollout = { prompts_per_step = 16, group_size = 16 }
            [algorithm]
            advantage = "group"
            group_std = false
            advantage_normalization = "whiten"
            loss_reduction = "token-mean"
            kl_weight = 0.001
            kl_estimator = "k2"
        "#,
    },
    Preset {
        name: "gspo",
        about: "GSPO: one ratio per response, arXiv 2507.18071",
        toml: r#"
            rollout = { prompts_per_step = 16, group_size = 16 }
            [algorithm]
            advantage = "group"
            policy_loss = "gspo"
            clip_low = 3e-4
            clip_high = 4e-4
            minibatches_per_epoch = 4
        "#,
    },
    Preset {
        name: "cispo",
        about: "CISPO: the bounded ratio weights log-probs and stops no gradient, arXiv 2506.13585",
        toml: r#"
            rollout = { prompts_per_step = 16, group_size = 16 }
            [algorithm]
            advantage = "group"
            policy_loss = "cispo"
            clip_low = "off"
            clip_high = 4.0
            loss_reduction = "token-mean"
        "#,
    },
];

/// The preset with this name.
pub(super) fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}
