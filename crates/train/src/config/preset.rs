//! Presets: each is the TOML that a user could write himself.

/// A published method as settings.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// What `algorithm.preset` is set to.
    pub name: &'static str,
    /// Its settings, as a config file would give them. All presets set the same keys.
    pub toml: &'static str,
}

/// All presets. Sources and open choices: `docs/vapo.md`.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "vapo",
        toml: r#"
            rollout = { prompts_per_step = 16, group_size = 16 }
            value_pretraining = { steps = 50 }
            [algorithm]
            advantage = "gae"
            lambda_critic = 1.0
            lambda_policy = 0.95
            length_adaptive_alpha = 0.05
            clip_low = 0.2
            clip_high = 0.28
            loss_reduction = "token-mean"
            positive_lm_weight = 0.1
        "#,
    },
    Preset {
        name: "ppo",
        toml: r#"
            rollout = { prompts_per_step = 256, group_size = 1 }
            value_pretraining = { steps = 0 }
            [algorithm]
            advantage = "gae"
            lambda_critic = 0.95
            lambda_policy = 0.95
            length_adaptive_alpha = "off"
            clip_low = 0.2
            clip_high = 0.2
            loss_reduction = "seq-mean-token-mean"
            positive_lm_weight = 0.0
        "#,
    },
    Preset {
        name: "vc-ppo",
        toml: r#"
            rollout = { prompts_per_step = 256, group_size = 1 }
            value_pretraining = { steps = 50 }
            [algorithm]
            advantage = "gae"
            lambda_critic = 1.0
            lambda_policy = 0.95
            length_adaptive_alpha = "off"
            clip_low = 0.2
            clip_high = 0.2
            loss_reduction = "seq-mean-token-mean"
            positive_lm_weight = 0.0
        "#,
    },
    Preset {
        name: "grpo",
        toml: r#"
            rollout = { prompts_per_step = 16, group_size = 16 }
            value_pretraining = { steps = 0 }
            [algorithm]
            advantage = "group"
            lambda_critic = "off"
            lambda_policy = 1.0
            length_adaptive_alpha = "off"
            clip_low = 0.2
            clip_high = 0.2
            loss_reduction = "seq-mean-token-mean"
            positive_lm_weight = 0.0
        "#,
    },
    Preset {
        name: "dapo",
        toml: r#"
            rollout = { prompts_per_step = 16, group_size = 16 }
            value_pretraining = { steps = 0 }
            [algorithm]
            advantage = "group"
            lambda_critic = "off"
            lambda_policy = 1.0
            length_adaptive_alpha = "off"
            clip_low = 0.2
            clip_high = 0.28
            loss_reduction = "token-mean"
            positive_lm_weight = 0.0
        "#,
    },
];

/// The preset of that name.
pub(super) fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}
