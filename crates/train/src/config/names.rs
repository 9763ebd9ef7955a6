//! Names for an unknown key: other frameworks' names for our settings, and the nearest spelling.

use super::SECTIONS;

/// Last part of a key in verl, NeMo-RL, TRL, OpenRLHF and others, and what it is called here.
const FOREIGN: &[(&str, &str)] = &[
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
    ("ppo_mini_batch_size", "algorithm.updates_per_rollout"),
    ("num_mini_batches", "algorithm.updates_per_rollout"),
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
    ("lr_warmup_steps", "policy_optimizer.warmup_updates"),
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
    ("overlong_buffer", "reward.verifier"),
    ("input_key", "data.prompt_key"),
    ("output_key", "data.answer_key"),
    ("label_key", "data.answer_key"),
    ("max_prompt_length", "data.max_prompt_tokens"),
    ("filter_overlong_prompts", "data.max_prompt_tokens"),
    ("apply_chat_template", "data.chat"),
    ("apply_chat_template_kwargs", "data.chat_template_kwargs"),
    ("model_name_or_path", "model.path"),
];

/// Below this similarity (0 to 1) a name is no suggestion.
const SIMILAR: f64 = 0.7;

/// `, did you mean ...?` for an unknown key, or an empty text.
pub(super) fn hint(key: &str) -> String {
    match suggestion(key) {
        Some(name) => format!(", did you mean `{name}`?"),
        None => String::new(),
    }
}

fn suggestion(key: &str) -> Option<String> {
    let name = key.rsplit('.').next().unwrap_or(key);
    let keys = || SECTIONS.iter().flat_map(|(section, fields)| fields.iter().map(move |field| (*section, field.name)));
    let section = key.split('.').next().unwrap_or_default();
    // A right name in the wrong section, or without one, is the likeliest mistake.
    let same_name: Vec<_> =
        keys().filter(|(_, known)| *known == name).map(|(section, name)| format!("{section}.{name}")).collect();
    if !same_name.is_empty() {
        return Some(same_name.join("` or `"));
    }
    if let Some((_, ours)) = FOREIGN.iter().find(|(foreign, _)| *foreign == name) {
        return Some((*ours).to_string());
    }
    keys()
        .map(|(known_section, known)| {
            let similarity = strsim::normalized_damerau_levenshtein(known, name);
            let same_section = f64::from(u8::from(known_section == section)) * 0.01;
            (similarity + same_section, known_section, known)
        })
        .filter(|(similarity, ..)| *similarity >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, section, name)| format!("{section}.{name}"))
}
