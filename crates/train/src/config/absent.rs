//! Settings of verl, TRL, OpenRLHF, slime and others that have no counterpart here, and why.

/// Why a setting has no counterpart.
struct Absent {
    /// Parts of dotted keys, separated by spaces; with `*` at the end, their beginnings. With a dot, the ends of keys.
    parts: &'static str,
    /// The rest of a sentence that begins with the key.
    why: &'static str,
}

/// Why a key has no counterpart here, if that is known.
pub(super) fn why(key: &str) -> Option<&'static str> {
    let is_part = |known: &str| match known.strip_suffix('*') {
        Some(beginning) => key.split('.').any(|part| part.starts_with(beginning)),
        None if known.contains('.') => ends_with(key, known),
        None => key.split('.').any(|part| part == known),
    };
    ABSENT.iter().find(|absent| absent.parts.split(' ').any(is_part)).map(|absent| absent.why)
}

/// Whether a key is a name, or ends with it after a dot.
pub(super) fn ends_with(key: &str, name: &str) -> bool {
    key.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

const ABSENT: &[Absent] = &[
    Absent {
        parts: "lora lora_* use_peft peft_config target_modules exclude_modules layered_summon",
        why: "all weights are trained, there are no adapters (LoRA)",
    },
    Absent {
        parts: "nnodes num_nodes actor_num_nodes n_gpus_per_node num_gpus_per_node actor_num_gpus_per_node \
                rollout_num_gpus* colocate* enable_resource_pool hybrid_engine tensor_model_parallel_size \
                tensor_parallel_size pipeline_model_parallel_size data_parallel_size expert_parallel_size \
                ulysses_sequence_parallel_size ring_attn_* context_parallel_size strategy fsdp* megatron* \
                custom_megatron* zero_stage zpg overlap_comm local_rank ray_kwargs \
                ray_wait_register_center_timeout transfer_queue balance_* train_backend allgather_cp \
                use_distributed_post http_proxy train_env_vars device cluster use_universal_ckpt use_legacy_worker_impl \
                num_workers release_train rollout_data_transport use_ms use_stateless_adam deepspeed",
        why: "a launcher such as mpirun sets the number of ranks, and each of them has the whole models (docs/cluster.md)",
    },
    Absent {
        parts: "gradient_checkpointing* enable_gradient_checkpointing enable_activation_offload offload* param_offload \
                optimizer_offload adam_offload use_remove_padding use_dynamic_bsz dynamic_batch_enable \
                use_dynamic_batch_size packing_samples use_liger* use_fused_kernels fused_kernel_options \
                use_torch_compile deepcompile tiled_mlp entropy_from_logits_with_chunking entropy_checkpointing \
                sum_pi_squared_checkpointing calculate_sum_pi_squared calculate_entropy use_prefix_grouper log_prob_* \
                log_probs_* forward_micro_batch_size* forward_max_token_len_per_gpu attn_implementation \
                experts_implementation grad_accum_dtype load_in_4bit use_shm recompute_loss_function pad_to_multiple_of \
                data_pad_size_multiplier disable_dropout cast_lm_head_to_fp32 qwen_gdn_backend optimizer_impl \
                ds3_gather_for_generation keep_old_actor",
        why: "the engine needs no such switch: it computes no padding, holds no logits of whole sequences and uses the log-probs \
              that were recorded while sampling",
    },
    Absent {
        parts: "vllm vllm_mode vllm_model_impl vllm_enable_sleep* vllm_structured_outputs_regex vllm_server_* \
                vllm_group_port vllm_gpu_memory_utilization vllm_tensor_parallel_size vllm_num_engines vllm_sync_backend \
                vllm_importance_sampling_clip_min use_vllm sglang* trtllm engine_kwargs gpu_memory_utilization \
                enforce_eager cudagraph_capture_sizes free_cache_engine max_num_batched_tokens enable_chunked_prefill \
                enable_prefix_caching load_format scheduling_policy logprobs_mode disable_log_stats checkpoint_engine \
                calculate_log_probs multi_stage_wake_up num_engines sync_backend sync_with_ray enable_sleep* \
                update_weight* check_weight_update_equal custom_update_weight_post_write_path skip_tokenizer_init \
                rollout_external_engine_addrs use_fault_tolerance rollout_health_check_* use_transformers_* \
                transformers_continuous_batching_config cache_implementation quantization* use_rollout_logprobs \
                use_rollout_entropy get_mismatch_metrics enable_rollout_routing_replay use_routing_replay \
                use_rollout_routing_replay router_aux_loss_coef aux_loss_coef full_determinism* rollout_correction \
                router_replay rollout.name rollout.mode tis_clip_low custom_tis_function_path limit_images \
                rollout_skip_special_tokens",
        why: "one engine samples and trains, in the same bits, so there is none to configure or to correct for",
    },
    Absent {
        parts: "async_enable async_queue_size partial_rollout* mask_offpolicy_in_partial_rollout \
                over_sampling_batch_size over_sample_rate off_policy_mask_threshold update_weights_interval \
                min_batch_collection_ratio launch_reward_fn_async fetch_trajectory_retry_times",
        why: "each step trains on answers of the current policy",
    },
    Absent {
        parts: "multi_turn agent agent_func_path tool_config_path tool_key eval_tool_key tools* \
                max_tool_calling_iterations log_multi_turn loss_mask_type rollout_task_type rollout_buffer_url",
        why: "a response is a single turn without tools",
    },
    Absent {
        parts: "image_* video_key max_images_per_prompt freeze_vision_tower freeze_visual_encoder multimodal_keys \
                return_multi_modal_inputs log_multimodal",
        why: "models read and write text only",
    },
    Absent {
        parts: "reward_model reward_pretrain value_head_prefix rm_micro_batch_size",
        why: "there are no reward models: `reward.verifier` grades responses, and its kind `http` can ask a server",
    },
    Absent {
        parts: "vf_coef value_loss_coef value_loss_fn",
        why: "policy and critic have optimizers of their own, so the scale of the value loss changes nothing: see \
              `critic_optimizer.learning_rate`",
    },
    Absent {
        parts: "normalize_reward normalize_enable whiten_rewards clip_range reward_clip_range \
                disable_rewards_normalization normalize_rewards multi_objective_aggregation",
        why: "rewards are what the verifier and `algorithm.reward_right` and `reward_wrong` say; advantages can be normalized \
              (`algorithm.advantage_normalization`)",
    },
    Absent {
        parts: "reward_key eval_reward_key group_rm custom_reward_post_process_path reward_fn_key metadata_key",
        why: "a verifier gets every column of a row, and its `sources` choose rows by their column data_source",
    },
    Absent {
        parts: "trust_remote_code external_lib custom_cls custom_generate_function_path custom_model_provider_path \
                custom_loss_function_path custom_advantage_function_path custom_pg_loss_reducer_function_path \
                custom_rollout_log_function_path custom_eval_rollout_log_function_path \
                custom_convert_samples_to_train_data_path custom_async_server override_config override_optimizer_config \
                hf_config_path model_init_kwargs data_source_path buffer_filter_path datagen sampler use_hf \
                rollout_function_path eval_function_path rollout_sample_hook_path rollout_sample_filter_path \
                rollout_all_samples_process_path rollout_data_postprocess_path model_name module_path",
        why: "no code of a model, a data set or a user is loaded, except by a verifier",
    },
    Absent {
        parts: "tokenizer* custom_chat_template input_tokenizer disable_fast_tokenizer chat_template_path return_raw_* \
                return_full_prompt is_chat",
        why: "the tokenizer and the chat template are those of the model's directory",
    },
    Absent {
        parts: "shuffle* rollout_shuffle validation_shuffle data_loader_seed disable_rollout_global_dataset",
        why: "prompts and minibatches are always shuffled, by `run.seed`",
    },
    Absent {
        parts: "dataloader_num_workers filter_overlong_prompts_workers prompt_split remove_unused_columns",
        why: "data files are read as a whole when a run begins",
    },
    Absent {
        parts: "eval_input_key eval_label_key eval_config",
        why: "training and held-out problems have the same settings, in [data]",
    },
    Absent {
        parts: "do_sample ignore_eos repetition_penalty eval_min_new_tokens generation_kwargs num_repeat_rollouts",
        why: "responses are sampled by `temperature`, `top_k`, `top_p` and `min_p` until an end token; temperature 0 is greedy",
    },
    Absent {
        parts: "resume_* load load_enable load_checkpoint start_rollout_id del_local_ckpt_after_load max_mem \
                max_ckpt_mem esi_redundant_time",
        why: "`vapo resume RUN` continues a run from its newest checkpoint",
    },
    Absent {
        parts: "val_only val_before_train val_at_start skip_eval_before_train eval_on_start",
        why: "a policy is always evaluated before and after training, and `vapo eval` only evaluates",
    },
    Absent {
        parts: "save_contents load_contents save_hf* save_value_network disable_ds default_hdfs_dir \
                reset_optimizer_states",
        why: "a checkpoint holds policy and critic as Hugging Face directories, and all that a resumed run needs",
    },
    Absent {
        parts: "kl_ctrl horizon target target_kl kl_target kl_horizon use_bias_correction_kl use_unbiased_kl",
        why: "the weight of the divergence is constant (`algorithm.kl_weight`)",
    },
    Absent {
        parts: "ref ref_load ref_ckpt_step ref_update_interval sync_ref_model ref_model_* reference_model",
        why: "the reference policy is the one that the run starts from",
    },
    Absent {
        parts: "optimizer num_cycles train_iters optim_type",
        why: "the optimizer is AdamW, with the learning rates of `[policy_optimizer]` and `[critic_optimizer]`",
    },
    Absent {
        parts: "enable_ema ema_beta only_train_params_name_list freeze_params_name_list enable_mtp_training mtp",
        why: "every weight of policy and critic is trained and saved as it is",
    },
    Absent {
        parts: "tau_pos tau_neg sapo_* vespo_* clip_cov_* kl_cov_ratio ppo_kl_coef use_pf_ppo pf_ppo \
                top_entropy_quantile use_adaptive_entropy entropy_coef_* entropy_target use_opsm opsm_delta use_opd \
                opd_* disable_compute_advantages_and_returns off_policy_sequence_mask_delta",
        why: "the methods are those of `algorithm.preset` and the other settings of [algorithm]",
    },
    Absent {
        parts: "wandb* use_wandb disable_wandb_random_suffix mlflow* tb_* logging_steps log_passrate log_reward_category \
                log_correct_samples log_unique_prompts log_completions_hub_repo push_to_hub hub_* use_swanlab swanlab* \
                num_sample_generations",
        why: "each step is logged, in the run's directory only: metrics.jsonl, TensorBoard files and records",
    },
    Absent {
        parts: "profiler* global_profiler profile_* memory_* npu_profile prometheus trace timeline_json_file debug_* \
                load_debug_* load_forge_* save_debug_train_data skip_rollout skip_dump_dir ci_*",
        why: "`timing_s/..` in metrics.jsonl and `vapo bench` say where time goes, and there is no other profiler",
    },
];
