//! Suggestions for an unknown key: other frameworks' names for our settings, and the nearest spelling.

use super::{SECTIONS, renamed};

/// The ends of keys in verl, NeMo-RL, TRL, OpenRLHF and others, and their names here.
const FOREIGN: &[(&str, &str)] = &[
    ("actor.optim.lr", "policy_optimizer.learning_rate"),
    ("critic.optim.lr", "critic_optimizer.learning_rate"),
    ("critic.grad_clip", "critic_optimizer.max_grad_norm"),
    ("critic.model.path", "critic.path"),
    ("critic.ppo_epochs", "algorithm.critic_epochs"),
    ("critic.ppo_mini_batch_size", "algorithm.critic_minibatches_per_epoch"),
    ("overlong_buffer.enable", "algorithm.overlong_buffer"),
    ("overlong_buffer.len", "algorithm.overlong_buffer"),
    ("overlong_buffer.penalty_factor", "algorithm.overlong_penalty"),
    ("overlong_buffer_cfg.penalty_factor", "algorithm.overlong_penalty"),
    ("val_kwargs.n", "eval.samples"),
    ("val_kwargs.temperature", "eval.temperature"),
    ("val_kwargs.top_k", "eval.top_k"),
    ("val_kwargs.top_p", "eval.top_p"),
    ("adv_estimator", "algorithm.advantage"),
    ("lam", "algorithm.lambda_policy` and `algorithm.lambda_critic"),
    ("lambd", "algorithm.lambda_policy` and `algorithm.lambda_critic"),
    ("gae_lambda", "algorithm.lambda_policy` and `algorithm.lambda_critic"),
    ("gae_lambda_policy", "algorithm.lambda_policy"),
    ("gae_lambda_value", "algorithm.lambda_critic"),
    ("length_adaptive_gae_alpha", "algorithm.length_adaptive_alpha"),
    ("lambda_policy_alpha", "algorithm.length_adaptive_alpha"),
    ("adaptive_alpha", "algorithm.length_adaptive_alpha"),
    ("clip_ratio", "algorithm.clip_low` and `algorithm.clip_high"),
    ("cliprange", "algorithm.clip_low` and `algorithm.clip_high"),
    ("clip_ratio_low", "algorithm.clip_low"),
    ("clip_ratio_high", "algorithm.clip_high"),
    ("ratio_clip_min", "algorithm.clip_low"),
    ("ratio_clip_max", "algorithm.clip_high"),
    ("epsilon", "algorithm.clip_low"),
    ("epsilon_high", "algorithm.clip_high"),
    ("eps_clip", "algorithm.clip_low"),
    ("eps_clip_low", "algorithm.clip_low"),
    ("eps_clip_high", "algorithm.clip_high"),
    ("eps_clip_higher", "algorithm.clip_high"),
    ("clip_eps_low", "algorithm.clip_low"),
    ("clip_eps_high", "algorithm.clip_high"),
    ("pg_clip_low", "algorithm.clip_low"),
    ("pg_clip_high", "algorithm.clip_high"),
    ("clip_ratio_c", "algorithm.clip_dual"),
    ("ratio_clip_c", "algorithm.clip_dual"),
    ("delta", "algorithm.clip_dual"),
    ("rollout_is_threshold", "algorithm.importance_cap"),
    ("vllm_importance_sampling_correction", "algorithm.importance_cap"),
    ("filter_groups", "algorithm.dynamic_sampling_rounds"),
    ("max_num_gen_batches", "algorithm.dynamic_sampling_rounds"),
    ("mask_truncated_completions", "algorithm.overlong_filtering"),
    ("overlong_buffer_cfg", "algorithm.overlong_buffer"),
    ("use_kl_in_reward", "algorithm.kl_in"),
    ("use_kl_loss", "algorithm.kl_in"),
    ("importance_sampling_level", "algorithm.policy_loss"),
    ("loss_agg_mode", "algorithm.loss_reduction"),
    ("loss_type", "algorithm.loss_reduction"),
    ("positive_example_nll_weight", "algorithm.positive_lm_weight"),
    ("positive_lm_loss_weight", "algorithm.positive_lm_weight"),
    ("entropy_coeff", "algorithm.entropy_weight"),
    ("entropy_coef", "algorithm.entropy_weight"),
    ("kl_loss_coef", "algorithm.kl_weight"),
    ("kl_coef", "algorithm.kl_weight"),
    ("beta", "algorithm.kl_weight"),
    ("kl_loss_type", "algorithm.kl_estimator"),
    ("kl_penalty", "algorithm.kl_estimator"),
    ("whiten_advantages", "algorithm.advantage_normalization"),
    ("norm_adv_by_std_in_grpo", "algorithm.group_std"),
    ("scale_rewards", "algorithm.group_std"),
    ("ppo_mini_batch_size", "algorithm.minibatches_per_epoch"),
    ("num_mini_batches", "algorithm.minibatches_per_epoch"),
    ("num_minibatches", "algorithm.minibatches_per_epoch"),
    ("steps_per_generation", "algorithm.minibatches_per_epoch"),
    ("ppo_epochs", "algorithm.epochs"),
    ("num_ppo_epochs", "algorithm.epochs"),
    ("num_iterations", "algorithm.epochs"),
    ("n", "rollout.group_size"),
    ("num_generations", "rollout.group_size"),
    ("num_generations_per_prompt", "rollout.group_size"),
    ("train_batch_size", "rollout.prompts_per_step"),
    ("num_prompts_per_step", "rollout.prompts_per_step"),
    ("max_response_length", "rollout.max_new_tokens"),
    ("response_length", "rollout.max_new_tokens"),
    ("max_completion_length", "rollout.max_new_tokens"),
    ("max_num_seqs", "rollout.slots"),
    ("stop_token", "rollout.stop_tokens"),
    ("critic_warmup", "value_pretraining.steps"),
    ("value_warmup_steps", "value_pretraining.steps"),
    ("policy_training_start_step", "value_pretraining.steps"),
    ("cliprange_value", "critic.value_clip"),
    ("vf_clip_range", "critic.value_clip"),
    ("value_clip", "critic.value_clip"),
    ("lr", "policy_optimizer.learning_rate` and `critic_optimizer.learning_rate"),
    ("value_learning_rate", "critic_optimizer.learning_rate"),
    ("critic_lr", "critic_optimizer.learning_rate"),
    ("critic_learning_rate", "critic_optimizer.learning_rate"),
    ("actor_learning_rate", "policy_optimizer.learning_rate"),
    ("lr_warmup_steps", "policy_optimizer.warmup_updates"),
    ("min_lr_ratio", "policy_optimizer.min_ratio"),
    ("lr_scheduler_type", "policy_optimizer.schedule"),
    ("betas", "policy_optimizer.beta1` and `policy_optimizer.beta2"),
    ("grad_clip", "policy_optimizer.max_grad_norm"),
    ("total_training_steps", "run.steps"),
    ("max_steps", "run.steps"),
    ("output_dir", "run.dir"),
    ("default_local_dir", "run.dir"),
    ("save_freq", "checkpoint.every"),
    ("save_steps", "checkpoint.every"),
    ("max_actor_ckpt_to_keep", "checkpoint.keep"),
    ("test_freq", "eval.every"),
    ("train_files", "data.train"),
    ("val_files", "data.eval"),
    ("reward_funcs", "reward.verifier"),
    ("reward_weights", "reward.verifier"),
    ("custom_reward_function", "reward.verifier"),
    ("reward_manager", "reward.verifier"),
    ("input_key", "data.prompt_key"),
    ("output_key", "data.answer_key"),
    ("label_key", "data.answer_key"),
    ("max_prompt_length", "data.max_prompt_tokens"),
    ("filter_overlong_prompts", "data.max_prompt_tokens"),
    ("apply_chat_template", "data.chat"),
    ("apply_chat_template_kwargs", "data.chat_template_kwargs"),
    ("model_name_or_path", "model.path"),
];

/// Below this similarity (0 to 1), a name is not suggested.
const SIMILAR: f64 = 0.7;

/// `, did you mean ...?` for an unknown key, or an empty text.
pub(super) fn hint(key: &str) -> String {
    match suggestion(key) {
        Some(name) => format!(", did you mean `{name}`?"),
        None => String::new(),
    }
}

fn suggestion(key: &str) -> Option<String> {
    // verl nests settings that are one number here: `filter_groups.enable`.
    let parents = std::iter::successors(key.rsplit_once('.').map(|(parent, _)| parent), |key| {
        key.rsplit_once('.').map(|(parent, _)| parent)
    });
    known_elsewhere(key)
        .or_else(|| parents.filter(|key| !is_section(key)).find_map(known_elsewhere))
        .or_else(|| similar(key))
}

fn is_section(key: &str) -> bool {
    SECTIONS.iter().any(|(section, _)| *section == key)
}

fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    SECTIONS.iter().flat_map(|(section, fields)| fields.iter().map(move |field| (*section, field.name)))
}

/// Names of other frameworks and of earlier versions.
fn foreign() -> impl Iterator<Item = (&'static str, &'static str)> {
    FOREIGN.iter().chain(renamed::KEYS).copied()
}

/// The name here of a key that is correct in another framework or in another section.
fn known_elsewhere(key: &str) -> Option<String> {
    let ends_with = |name: &str| key == name || key.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    let translated = |nested: bool| foreign().find(|(name, _)| name.contains('.') == nested && ends_with(name));
    if let Some((_, ours)) = translated(true) {
        return Some(ours.to_owned());
    }
    let name = last_part(key);
    let same: Vec<_> =
        keys().filter(|(_, own)| *own == name).map(|(section, own)| format!("{section}.{own}")).collect();
    if !same.is_empty() {
        return Some(same.join("` or `"));
    }
    translated(false).map(|(_, ours)| ours.to_owned())
}

/// The nearest spelling among our names and those of other frameworks. A tie goes to the one in the same section.
fn similar(key: &str) -> Option<String> {
    let (name, section) = (last_part(key), key.split('.').next().unwrap_or_default());
    let nearness = |known: &str| strsim::normalized_damerau_levenshtein(last_part(known), name);
    let own = keys().map(|(known_section, known)| {
        let same_section = f64::from(u8::from(known_section == section)) * 0.01;
        (nearness(known) + same_section, format!("{known_section}.{known}"))
    });
    let others = foreign().map(|(known, ours)| (nearness(known), ours.to_owned()));
    let near = own.chain(others).filter(|(similarity, _)| *similarity >= SIMILAR);
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

fn last_part(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_foreign_name_leads_to_settings_that_exist() {
        for (name, ours) in foreign() {
            assert_eq!(suggestion(&format!("elsewhere.{name}")).as_deref(), Some(ours), "{name}");
            for key in ours.split("` and `") {
                assert!(keys().any(|(section, own)| format!("{section}.{own}") == key), "there is no setting {key}");
            }
        }
    }
}
