//! The configuration as users meet it: presets, overrides, messages, the printed form.

use std::path::{Path, PathBuf};

use vapo_tasks::{PythonFunction, Verifier};
use vapo_train::config::{
    AdvantageKind, COMMON, Config, DataFiles, Mark, PRESETS, Resolved, SECTIONS, Settings, is_marked,
};

fn resolve(text: &str, overrides: &[&str]) -> Result<Resolved, String> {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    let layers = || {
        Resolved::layered(&[Settings::from_toml(text, Path::new("my.toml"))?, Settings::from_overrides(&overrides)?])
    };
    layers().map_err(|error| error.to_string())
}

fn parse(text: &str, overrides: &[&str]) -> Result<Config, String> {
    resolve(text, overrides).map(|resolved| resolved.config)
}

fn error(text: &str, overrides: &[&str]) -> String {
    parse(text, overrides).unwrap_err()
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let table = toml::Table::try_from(Config::default()).unwrap();
    let written: Vec<String> = table
        .iter()
        .flat_map(|(section, keys)| keys.as_table().unwrap().keys().map(move |key| format!("{section}.{key}")))
        .collect();
    let mut documented: Vec<String> = SECTIONS
        .iter()
        .flat_map(|(section, fields)| fields.iter().map(move |field| format!("{section}.{}", field.name)))
        .collect();
    let sorted = |mut keys: Vec<String>| {
        keys.sort();
        keys
    };
    assert_eq!(sorted(written), sorted(documented.clone()));
    documented.dedup();
    assert_eq!(documented.len(), 121, "a new setting is a visible decision: {documented:#?}");
}

#[test]
fn the_printed_config_reads_as_the_same_config() {
    for preset in PRESETS {
        let name = format!("algorithm.preset={}", preset.name);
        let overrides = [name.as_str(), "rollout.stop_strings=[\"\\n\"]", "critic.bound=atan", "run.dir=a b"];
        let config = parse("", &overrides).unwrap();
        assert_eq!(config.algorithm.preset, preset.name);
        assert_eq!(parse(&config.to_commented_toml(), &[]).unwrap(), config);
    }
    let text = Config::default().to_commented_toml();
    assert!(
        text.contains(
            "# Responses per prompt (group sampling; in the paper, 512 prompts x 16 responses).\ngroup_size = 16\n"
        ),
        "{text}"
    );
    assert!(text.contains("clip_dual = \"off\"\n"), "{text}");
}

#[test]
fn the_vapo_preset_has_the_papers_seven_parts_and_ppo_none_of_them() {
    let vapo = parse("algorithm.preset = 'vapo'", &[]).unwrap();
    let ppo = parse("algorithm.preset = 'ppo'", &[]).unwrap();
    let seven = |config: &Config| {
        let algorithm = &config.algorithm;
        [
            config.value_pretraining.steps > 0,
            algorithm.lambda_critic != Some(algorithm.lambda_policy),
            algorithm.length_adaptive_alpha.is_some(),
            algorithm.clip_high > algorithm.clip_low,
            algorithm.loss_reduction == vapo_algo::Reduction::TokenMean,
            algorithm.positive_lm_weight > 0.0,
            config.rollout.group_size > 1,
        ]
    };
    assert_eq!(seven(&vapo), [true; 7]);
    assert_eq!(seven(&ppo), [false; 7]);
    assert_eq!(vapo, Config::default(), "the defaults are the preset `vapo`");
    let algorithm = &vapo.algorithm;
    assert_eq!((algorithm.clip_low, algorithm.clip_high), (Some(0.2), Some(0.28)));
    assert_eq!((algorithm.length_adaptive_alpha, algorithm.lambda_critic), (Some(0.05), Some(1.0)));
    assert_eq!((algorithm.positive_lm_weight, algorithm.gamma), (0.1, 1.0));
    assert_eq!(vapo.policy_optimizer.learning_rate, 1e-6);
    assert_eq!(vapo.critic_optimizer.learning_rate, 2e-6);
}

#[test]
fn the_setting_preset_explains_itself_by_the_list_of_presets() {
    let (_, fields) = SECTIONS.iter().find(|(section, _)| *section == "algorithm").unwrap();
    let doc = fields.iter().find(|field| field.name == "preset").unwrap().doc.concat();
    let named: Vec<&str> = doc.split('"').skip(1).step_by(2).collect();
    assert_eq!(named, PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>());
}

/// `section.key` of every setting in a preset's text.
fn keys(text: &str) -> Vec<String> {
    let table: toml::Table = text.parse().unwrap();
    let sections = table.iter().map(|(section, keys)| (section, keys.as_table().unwrap()));
    sections.flat_map(|(section, keys)| keys.keys().map(move |key| format!("{section}.{key}"))).collect()
}

/// A file that names one preset and a command line that names another give the second alone.
#[test]
fn presets_do_not_stack() {
    for first in PRESETS {
        for second in PRESETS {
            let file = format!("algorithm.preset = '{}'", first.name);
            let both = parse(&file, &[&format!("algorithm.preset={}", second.name)]).unwrap();
            assert_eq!(both, parse(&format!("algorithm.preset = '{}'", second.name), &[]).unwrap());
        }
    }
}

/// Dotted keys of the settings that are part of a method.
fn method_keys() -> Vec<String> {
    let config = Config::default();
    config.entries().into_iter().map(|(key, _)| key).filter(|key| is_marked(key, Mark::Method)).collect()
}

/// `key = value` lines of the settings that are part of a method.
fn method_of(config: &Config) -> String {
    let entries = config.entries().into_iter().filter(|(key, _)| is_marked(key, Mark::Method));
    entries.map(|(key, value)| format!("{key} = {value}\n")).collect()
}

/// What is part of a method is set by every preset, so that nothing of one method leaks into another.
#[test]
fn every_preset_sets_everything_that_is_part_of_a_method() {
    let mut common = keys(COMMON);
    common.sort();
    let mut method = method_keys();
    method.sort();
    assert_eq!(common, method);
    for preset in PRESETS {
        // How often a rollout is split goes with its size, as learning rates do; two methods are defined by it.
        let is_other = |key: &String| !method.contains(key) && key != "algorithm.minibatches_per_epoch";
        assert_eq!(keys(preset.toml).into_iter().find(is_other), None, "{}", preset.name);
        assert!(!preset.about.is_empty());
    }
}

/// A file with everything of one method, and a preset on the command line: nothing of the first is left.
#[test]
fn a_preset_on_the_command_line_replaces_the_method_of_the_file() {
    for first in PRESETS {
        let file = method_of(&parse(&format!("algorithm.preset = '{}'", first.name), &[]).unwrap());
        for second in PRESETS {
            let scratch = parse(&format!("algorithm.preset = '{}'", second.name), &[]).unwrap();
            let choice = format!("algorithm.preset={}", second.name);
            assert_eq!(parse(&file, &[&choice]).unwrap(), scratch, "{} after {}", second.name, first.name);
        }
    }
}

/// The same from values that no preset has.
#[test]
fn no_setting_of_a_method_survives_a_preset_above_it() {
    let file = r#"
        rollout = { prompts_per_step = 30, group_size = 3, temperature = 0.9 }
        value_pretraining.steps = 7
        critic = { start = "mean-return", head_std = 0.1, bound = "sigmoid", value_clip = 0.7 }
        policy_optimizer = { beta1 = 0.8, beta2 = 0.97, weight_decay = 0.3, learning_rate = 1e-4 }
        critic_optimizer = { beta1 = 0.8, beta2 = 0.97, weight_decay = 0.3 }
        [algorithm]
        advantage = "leave-one-out"
        gamma = 0.9
        lambda_critic = 0.3
        lambda_policy = 0.3
        length_adaptive_alpha = 3.0
        group_std = false
        advantage_normalization = "std"
        policy_loss = "dis"
        clip_low = 0.7
        clip_high = 0.7
        clip_dual = 7.0
        importance_cap = 7.0
        loss_reduction = "seq-mean-token-sum-norm:7"
        positive_lm_weight = 0.7
        entropy_weight = 0.7
        kl_weight = 0.7
        kl_in = "reward"
        kl_estimator = "k2"
        epochs = 7
        critic_epochs = 7
        critic_minibatches_per_epoch = 7
        dynamic_sampling_rounds = 7
        overlong_filtering = true
        overlong_buffer = 0.7
        overlong_penalty = 0.7
        reward_wrong = -1.0
    "#;
    let mut written = keys(file);
    written.retain(|key| is_marked(key, Mark::Method));
    assert_eq!(written.len(), method_keys().len(), "this file has a value for every setting of a method");
    for preset in PRESETS {
        let resolved = resolve(file, &[&format!("algorithm.preset={}", preset.name)]).unwrap();
        let scratch = parse("", &[&format!("algorithm.preset={}", preset.name)]).unwrap();
        assert_eq!(method_of(&resolved.config), method_of(&scratch), "{}", preset.name);
        // The rest stays, and what is lost is said.
        let config = &resolved.config;
        let kept = (config.rollout.temperature, config.algorithm.reward_wrong, config.policy_optimizer.learning_rate);
        assert_eq!(kept, (0.9, -1.0, 1e-4));
        let [warning] = &resolved.warnings[..] else { panic!("{:?}", resolved.warnings) };
        assert!(
            warning.starts_with(&format!("--set: preset `{}` replaces rollout.prompts_per_step = 30, ", preset.name))
        );
        assert!(warning.contains("algorithm.gamma = 0.9") && !warning.contains("temperature"), "{warning}");
    }
}

#[test]
fn a_preset_on_the_command_line_replaces_the_method_of_the_built_in_run() {
    let overrides = ["algorithm.preset=dr-grpo".to_owned()];
    let resolved = Resolved::load(None, &overrides).unwrap();
    assert_eq!(method_of(&resolved.config), method_of(&parse("", &["algorithm.preset=dr-grpo"]).unwrap()));
    assert_eq!(
        resolved.config.policy_optimizer.learning_rate,
        Config::load(None, &[]).unwrap().policy_optimizer.learning_rate
    );
    assert_eq!((resolved.warnings, resolved.unused), (vec![], vec![]), "nobody chose what the built-in run has");
}

#[test]
fn what_is_given_beside_or_above_a_preset_wins_and_is_not_reported() {
    let file = "algorithm = { preset = 'vapo', gamma = 0.5, clip_high = 0.3 }";
    let above = resolve(file, &["algorithm.preset=grpo", "algorithm.clip_high=0.4", "critic.bound=none"]).unwrap();
    assert_eq!((above.config.algorithm.gamma, above.config.algorithm.clip_high), (1.0, Some(0.4)));
    assert_eq!(
        above.warnings,
        ["--set: preset `grpo` replaces algorithm.gamma = 0.5; to keep a setting, repeat it with the preset"]
    );
    let same = resolve(file, &["algorithm.preset=grpo", "algorithm.clip_high=0.4", "algorithm.gamma=1"]).unwrap();
    assert_eq!(same.warnings, [""; 0]);
    assert_eq!(resolve(file, &[]).unwrap().warnings, [""; 0]);
}

/// A file of an earlier version.
const FORMER: &str = "[algorithm]\npreset = 'ppo'\nupdates_per_rollout = 4\ncritic_minibatches = 8\ncritic_updates_per_policy_update = 3\nepochs = 2\n";

#[test]
fn former_keys_are_understood_and_the_present_ones_named() {
    let former = resolve(FORMER, &[]).unwrap();
    let now = "algorithm = { preset = 'ppo', minibatches_per_epoch = 4, critic_minibatches_per_epoch = 8, critic_epochs = 6, epochs = 2 }";
    let now = resolve(now, &[]).unwrap();
    assert_eq!(former.config, now.config);
    assert_eq!(now.warnings, [""; 0]);
    let mut warnings = former.warnings.clone();
    warnings.sort();
    assert_eq!(
        warnings,
        [
            "my.toml:3: `algorithm.updates_per_rollout = 4` is now written `algorithm.minibatches_per_epoch = 4`",
            "my.toml:4: `algorithm.critic_minibatches = 8` is now written `algorithm.critic_minibatches_per_epoch = 8`",
            "my.toml:5: `algorithm.critic_updates_per_policy_update = 3` is now written `algorithm.critic_epochs = 3` \
             times algorithm.epochs: it counts all passes of the critic over a rollout",
        ]
    );
    for former in ["updates_per_rollout", "critic_minibatches = ", "critic_updates_per_policy_update"] {
        assert!(!now.config.to_commented_toml().contains(former));
    }

    let former = ["algorithm.critic_minibatches=off", "algorithm.critic_updates_per_policy_update=1"];
    let former = resolve("", &former).unwrap();
    assert_eq!(former.config, Config::default());
    assert_eq!(
        former.warnings,
        [
            "--set: `algorithm.critic_minibatches = \"off\"` is now written `algorithm.critic_minibatches_per_epoch = \"policy\"`",
            "--set: `algorithm.critic_updates_per_policy_update = 1` is now written `algorithm.critic_epochs = \"policy\"`",
        ]
    );
}

/// The former key followed `epochs`, wherever that was set; a present key above it replaces it.
#[test]
fn former_keys_keep_their_meaning_across_layers() {
    let passes = |overrides: &[&str]| parse(FORMER, overrides).unwrap().critic_epochs();
    assert_eq!(passes(&["algorithm.epochs=5"]), 15);
    assert_eq!(passes(&["algorithm.critic_epochs=5"]), 5);
    assert_eq!(passes(&["algorithm.critic_epochs=policy"]), 2);
    assert_eq!(passes(&["algorithm.preset=sao"]), 2, "a preset replaces it");
}

#[test]
fn off_has_one_spelling_in_each_setting() {
    let former = "eval.every = 0\ncheckpoint = { every = 0, keep = 0 }\n";
    let former = resolve(former, &[]).unwrap();
    assert_eq!(
        former.config,
        parse("eval.every = 'off'\ncheckpoint = { every = 'off', keep = 'all' }\n", &[]).unwrap()
    );
    let mut warnings = former.warnings.clone();
    warnings.sort();
    assert_eq!(
        warnings,
        [
            "my.toml:1: `eval.every = 0` is now written `eval.every = \"off\"`",
            "my.toml:2: `checkpoint.every = 0` is now written `checkpoint.every = \"off\"`",
            "my.toml:2: `checkpoint.keep = 0` is now written `checkpoint.keep = \"all\"`",
        ]
    );
    for key in ["rollout.top_k", "eval.top_k"] {
        assert_eq!(error("", &[&format!("{key}=0")]), format!("{key} (0) must be at least 1, or \"off\""));
    }
    for key in [
        "algorithm.length_adaptive_alpha",
        "algorithm.importance_cap",
        "critic.value_clip",
        "policy_optimizer.max_grad_norm",
        "critic_optimizer.max_grad_norm",
    ] {
        assert_eq!(error("", &[&format!("{key}=0")]), format!("{key} (0) must be greater than 0, or \"off\""));
    }
    for key in ["algorithm.kl_weight", "algorithm.positive_lm_weight", "policy_optimizer.weight_decay", "eval.min_p"] {
        assert_eq!(
            error("", &[&format!("{key}=off")]),
            format!("--set: {key}: expected a number, found \"off\"; 0 switches it off")
        );
    }
}

#[test]
fn a_former_key_beside_the_present_one_is_refused() {
    assert_eq!(
        error("[algorithm]\nminibatches_per_epoch = 4\nupdates_per_rollout = 4\n", &[]),
        "my.toml:3: `algorithm.updates_per_rollout` is the former name of `algorithm.minibatches_per_epoch`, which is also given; expected only one of them"
    );
    assert_eq!(
        error("", &["algorithm.critic_updates_per_policy_update=2", "algorithm.critic_epochs=2"]),
        "--set: `algorithm.critic_updates_per_policy_update` is the former name of `algorithm.critic_epochs`, which is also given; expected only one of them"
    );
}

#[test]
fn presets_have_the_published_settings() {
    let of = |name: &str| parse(&format!("algorithm.preset = '{name}'"), &[]).unwrap().algorithm;
    let (dapo, sao, gspo, plus) = (of("dapo"), of("sao"), of("gspo"), of("vapo+"));
    assert_eq!((plus.length_adaptive_alpha, plus.dynamic_sampling_rounds), (Some(1.5), None));
    assert_eq!((plus.lambda_critic, plus.clip_high, plus.positive_lm_weight), (Some(1.0), Some(0.28), 0.1));
    let plus = parse("algorithm.preset = 'vapo+'", &[]).unwrap();
    assert_eq!((plus.rollout.prompts_per_step, plus.rollout.group_size), (512, 1));
    assert_eq!((plus.value_pretraining.steps, plus.value_pretraining.prompts_per_step), (5, 256));
    assert_eq!(
        (dapo.dynamic_sampling_rounds, dapo.overlong_filtering, dapo.overlong_buffer),
        (Some(10), true, Some(0.2))
    );
    assert_eq!((dapo.clip_low, dapo.clip_high, dapo.kl_weight), (Some(0.2), Some(0.28), 0.0));
    assert_eq!((dapo.clip_dual, dapo.overlong_penalty), (Some(10.0), 0.5));
    let whole = |name: &str| parse(&format!("algorithm.preset = '{name}'"), &[]).unwrap();
    assert_eq!((whole("dapo").policy_optimizer.weight_decay, whole("vapo").policy_optimizer.weight_decay), (0.1, 0.0));
    let orz = whole("orz");
    assert_eq!((orz.critic.value_clip, orz.algorithm.loss_reduction), (Some(0.2), vapo_algo::Reduction::TokenMean));
    for optimizer in [&orz.policy_optimizer, &orz.critic_optimizer] {
        assert_eq!((optimizer.beta1, optimizer.beta2, optimizer.weight_decay), (0.9, 0.95, 0.0));
    }
    assert_eq!((sao.length_adaptive_alpha, sao.critic_epochs), (Some(1.5), Some(2)));
    assert_eq!((sao.clip_low, sao.clip_high), (Some(0.3), Some(5.0)));
    assert_eq!((gspo.clip_low, gspo.clip_high, gspo.minibatches_per_epoch), (Some(3e-4), Some(4e-4), 4));
    assert_eq!((of("bpco").length_adaptive_alpha, of("bpco").lambda_critic), (Some(0.4), Some(1.0)));
    assert_eq!(
        (of("orz").lambda_policy, of("orz").lambda_critic, of("orz").critic_minibatches_per_epoch),
        (1.0, Some(1.0), Some(12))
    );
    assert_eq!((of("rloo").clip_low, of("rloo").clip_high, of("rloo").kl_weight), (None, None, 0.03));
    assert!(!of("dr-grpo").group_std && !of("reinforce++-baseline").group_std && of("grpo").group_std);
}

#[test]
fn keys_override_the_preset_and_the_command_line_overrides_the_file() {
    let file = "[algorithm]\nlength_adaptive_alpha = 0.3\npreset = \"vapo\"\ngamma = 1\n";
    assert_eq!(parse(file, &[]).unwrap().algorithm.length_adaptive_alpha, Some(0.3));
    let grpo = parse(file, &["algorithm.preset=grpo", "rollout.group_size=8"]).unwrap();
    assert_eq!(grpo.algorithm.advantage, AdvantageKind::Group);
    assert_eq!(grpo.algorithm.length_adaptive_alpha, None);
    assert_eq!(grpo.rollout.group_size, 8);
    let off = parse(file, &["algorithm.length_adaptive_alpha=off", "run.dir=runs/x"]).unwrap();
    assert_eq!(off.algorithm.length_adaptive_alpha, None);
    assert_eq!(off.run.dir.as_deref(), Some(Path::new("runs/x")));
}

#[test]
fn unknown_keys_are_answered_with_the_nearest_name() {
    assert_eq!(
        error("[rollout]\n\ngroup_sise = 4\n", &[]),
        "my.toml:3: unknown key `rollout.group_sise`, did you mean `rollout.group_size`?"
    );
    assert_eq!(
        error("group_size = 4", &[]),
        "my.toml:1: unknown key `group_size`, did you mean `rollout.group_size` or `value_pretraining.group_size`?"
    );
    assert_eq!(error("", &["zebra.crossing=1"]), "--set: unknown key `zebra.crossing`");
}

#[test]
fn names_of_other_frameworks_are_translated() {
    let meant = |key: &str| {
        let message = error("", &[&format!("{key}=1")]);
        message.split("did you mean ").nth(1).unwrap_or(&message).to_string()
    };
    assert_eq!(meant("algorithm.lam"), "`algorithm.lambda_policy` and `algorithm.lambda_critic`?");
    assert_eq!(meant("actor_rollout_ref.actor.clip_ratio_low"), "`algorithm.clip_low`?");
    assert_eq!(meant("length_adaptive_alpha"), "`algorithm.length_adaptive_alpha`?");
    assert_eq!(meant("num_generations"), "`rollout.group_size`?");
    assert_eq!(meant("actor_rollout_ref.rollout.n"), "`rollout.group_size`?");
    assert_eq!(meant("trainer.critic_warmup"), "`value_pretraining.steps`?");
    assert_eq!(meant("positive_example_nll_weight"), "`algorithm.positive_lm_weight`?");
    assert_eq!(meant("gae_lambda_value"), "`algorithm.lambda_critic`?");
    // verl's sections, and settings that it nests.
    assert_eq!(meant("actor_rollout_ref.actor.optim.lr"), "`policy_optimizer.learning_rate`?");
    assert_eq!(meant("critic.optim.lr"), "`critic_optimizer.learning_rate`?");
    assert_eq!(meant("actor_rollout_ref.actor.ppo_epochs"), "`algorithm.epochs`?");
    assert_eq!(meant("critic.ppo_epochs"), "`algorithm.critic_epochs`?");
    assert_eq!(meant("reward_model.overlong_buffer.enable"), "`algorithm.overlong_buffer`?");
    assert_eq!(meant("reward_model.overlong_buffer.len"), "`algorithm.overlong_buffer`?");
    assert_eq!(meant("reward_model.overlong_buffer.penalty_factor"), "`algorithm.overlong_penalty`?");
    assert_eq!(meant("reward.reward_kwargs.overlong_buffer_cfg.len"), "`algorithm.overlong_buffer`?");
    assert_eq!(meant("algorithm.filter_groups.enable"), "`algorithm.dynamic_sampling_rounds`?");
    assert_eq!(meant("actor_rollout_ref.rollout.val_kwargs.n"), "`eval.samples`?");
    assert_eq!(meant("val_kwargs.n"), "`eval.samples`?");
    assert_eq!(meant("--n-samples-per-prompt"), "`rollout.group_size`?");
    assert_eq!(
        meant("trainer.nnodes"),
        "--set: unknown key `trainer.nnodes`: a launcher such as mpirun sets the number of ranks, and each of them has the whole models (docs/cluster.md)"
    );
    // Near misses of other frameworks' names and of former ones.
    assert_eq!(meant("algorithm.clip_rtio"), "`algorithm.clip_low` and `algorithm.clip_high`?");
    assert_eq!(meant("updates_per_rollout"), "`algorithm.minibatches_per_epoch`?");
    assert_eq!(meant("algorithm.update_per_rollout"), "`algorithm.minibatches_per_epoch`?");
}

#[test]
fn values_of_the_wrong_kind_name_the_key_and_the_place() {
    assert_eq!(
        error("[rollout]\ngroup_size = \"many\"\n", &[]),
        "my.toml:2: rollout.group_size: expected a whole number from 0, found \"many\""
    );
    assert_eq!(
        error("", &["algorithm.loss_reduction=mean"]),
        "--set: algorithm.loss_reduction: unknown reduction `mean`, expected token-mean, seq-mean-token-mean, \
         seq-mean-token-sum or seq-mean-token-sum-norm:BUDGET (BUDGET in tokens)"
    );
    assert_eq!(
        error("", &["algorithm.advantage=gea"]),
        "--set: algorithm.advantage: expected one of \"gae\", \"group\", \"leave-one-out\", \"return\", found \"gea\""
    );
    assert_eq!(
        error("", &["algorithm.clip_dual=on"]),
        "--set: algorithm.clip_dual: expected a number or \"off\", found \"on\""
    );
    assert_eq!(
        error("algorithm.preset = 'pppo'", &[]),
        "my.toml:1: algorithm.preset (\"pppo\") must be one of vapo, vapo+, ppo, vc-ppo, orz, bpco, sao, grpo, dapo, \
         dr-grpo, rloo, reinforce++, reinforce++-baseline, gspo, cispo"
    );
    assert_eq!(error("", &["run.seed"]), "--set: expected key=value, found `run.seed`");
    assert!(error("[run]\nseed = = 1", &[]).starts_with("my.toml:2: "));
}

#[test]
fn ranges_and_relations_name_the_fields_and_the_values() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["algorithm.preset=grpo", "rollout.group_size=1", "algorithm.minibatches_per_epoch=1"],
            "rollout.group_size (1) must be at least 2 when algorithm.advantage is `group`",
        ),
        (
            &["algorithm.advantage=group"],
            "value_pretraining.steps (50) must be 0 when algorithm.advantage is `group`, which has no critic",
        ),
        (&["algorithm.lambda_policy=1.5"], "algorithm.lambda_policy (1.5) must be between 0 and 1"),
        (&["rollout.top_p=0"], "rollout.top_p (0) must be greater than 0 and at most 1"),
        (&["rollout.temperature=0"], "rollout.temperature (0) must be greater than 0"),
        (&["rollout.max_new_tokens=0"], "rollout.max_new_tokens (0) must be at least 1"),
        (&["algorithm.reward_right=inf"], "algorithm.reward_right (inf) must be between -1000000 and 1000000"),
        (&["run.steps=9000000000000000000"], "run.steps (9000000000000000000) must be at most 1000000000"),
        (&["algorithm.reward_wrong=1"], "algorithm.reward_right (1) must be greater than algorithm.reward_wrong (1)"),
        (
            &["rollout.group_size=1", "algorithm.minibatches_per_epoch=1", "algorithm.dynamic_sampling_rounds=10"],
            "rollout.group_size (1) must be at least 2 when algorithm.dynamic_sampling_rounds (10) is set, which compares the answers of a group",
        ),
        (
            &["algorithm.policy_loss=probability-shift"],
            "algorithm.clip_low (0.2) and algorithm.clip_high (0.28) must be equal when algorithm.policy_loss is `probability-shift`, whose range is symmetric",
        ),
        (
            &["algorithm.policy_loss=gspo", "algorithm.clip_dual=3"],
            "algorithm.clip_dual (3) must be \"off\" when algorithm.policy_loss is `gspo`, which has no dual clip",
        ),
        (
            &["algorithm.kl_weight=0.1", "algorithm.kl_estimator=k1"],
            "algorithm.kl_estimator `k1` must be applied in the reward (algorithm.kl_in = \"reward\"): in the loss its expected gradient is 0",
        ),
        (
            &["algorithm.kl_weight=0.1", "algorithm.kl_in=reward", "critic.bound=atan"],
            "critic.bound must be `none` when algorithm.kl_in is `reward`, found `atan`: the penalty can push returns outside the range of rewards",
        ),
        (
            &["algorithm.overlong_buffer=1.5"],
            "algorithm.overlong_buffer (1.5) must be greater than 0 and at most 1, because it is a share of rollout.max_new_tokens",
        ),
        (
            &["algorithm.critic_minibatches_per_epoch=300"],
            "algorithm.critic_minibatches_per_epoch (300) must not exceed rollout.prompts_per_step x rollout.group_size (16 x 16)\n\
             algorithm.critic_minibatches_per_epoch (300) must not exceed value_pretraining.prompts_per_step x value_pretraining.group_size (256 x 1)",
        ),
        (&["algorithm.clip_dual=1.1"], "algorithm.clip_dual (1.1) must be greater than 1 + algorithm.clip_high (0.28)"),
        (
            &["algorithm.minibatches_per_epoch=257"],
            "algorithm.minibatches_per_epoch (257) must not exceed rollout.prompts_per_step x rollout.group_size (16 x 16)\n\
             algorithm.minibatches_per_epoch (257) must not exceed value_pretraining.prompts_per_step x value_pretraining.group_size (256 x 1)",
        ),
        (
            &["data.train=a.jsonl"],
            "data.train and data.eval must be given together, because progress is measured on held-out problems",
        ),
        (
            &["data.train=a", "data.eval=b", "eval.split=validation"],
            "eval.split `validation` is for built-in tasks: name a file of validation problems in data.eval",
        ),
        (&["data.prompt_template=Q:"], "data.prompt_template (\"Q:\") must contain {problem}"),
        (&["critic_optimizer.beta1=1"], "critic_optimizer.beta1 (1) must be at least 0 and less than 1"),
        (&["policy_optimizer.learning_rate=nan"], "policy_optimizer.learning_rate (NaN) must not be negative"),
    ];
    for (overrides, message) in cases {
        assert_eq!(error("", overrides), *message);
    }
}

/// The terms of a reward as they are printed, or the message that refuses them.
fn verifier(text: &str, overrides: &[&str]) -> Result<String, String> {
    let config = parse(text, overrides)?;
    let printed = config.to_commented_toml();
    assert_eq!(parse(&printed, &[]).unwrap(), config);
    Ok(printed.lines().find_map(|line| line.strip_prefix("verifier = ")).unwrap().to_owned())
}

#[test]
fn a_verifier_is_a_name_a_table_or_a_list() {
    assert_eq!(verifier("", &[]).unwrap(), "\"numeric\"");
    assert_eq!(verifier("reward.verifier = \"exact\"", &[]).unwrap(), "\"exact\"");
    assert_eq!(verifier("", &["reward.verifier=exact"]).unwrap(), "\"exact\"");
    let table = "[reward.verifier]\nkind = \"numeric\"\ntolerance = 0.5\n";
    assert_eq!(verifier(table, &[]).unwrap(), "[{ kind = \"numeric\", tolerance = 0.5, weight = 1.0 }]");
    let list = "[[reward.verifier]]\nkind = \"exact\"\nsources = [\"a\"]\n[[reward.verifier]]\nkind = \"numeric\"\n\
                [[reward.verifier]]\nkind = \"format\"\nweight = -0.5\n";
    let config = parse(list, &[]).unwrap();
    let names: Vec<&str> = config.reward.verifier.iter().map(|term| term.name()).collect();
    assert_eq!(names, ["exact", "numeric", "format"]);
    assert_eq!(config.data.train, None);
    assert_eq!(config.reward_range(), [0.0, 1.0], "a built-in task grades its own");
    let own = parse(list, &["data.train=a.jsonl", "data.eval=b.jsonl"]).unwrap();
    assert_eq!(own.reward_range(), [-0.5, 2.0]);
    let one_line = ["reward.verifier=[\"exact\", { kind = \"numeric\", tolerance = 0.5 }]"];
    assert_eq!(
        verifier("", &one_line).unwrap(),
        "[{ kind = \"exact\", weight = 1.0 }, { kind = \"numeric\", tolerance = 0.5, weight = 1.0 }]"
    );
}

#[test]
fn a_wrong_verifier_is_refused_with_its_name() {
    let refused = |value: &str| error("", &[&format!("reward.verifier={value}")]);
    let kinds = vapo_tasks::Verifier::KINDS.join(", ");
    assert_eq!(
        refused("mathh"),
        format!("--set: reward.verifier: there is no verifier `mathh`, expected one of {kinds}")
    );
    assert_eq!(
        refused("{ tolerance = 1 }"),
        format!("--set: reward.verifier: expected a table with a `kind`, which is one of {kinds}")
    );
    assert_eq!(refused("7"), "--set: reward.verifier: expected a verifier's name or a table, found 7");
    assert_eq!(
        refused("{ kind = \"numeric\", tolerence = 1 }"),
        "--set: reward.verifier: verifier `numeric`: expected a key `marker` or `tolerance`, found `tolerence`"
    );
    assert_eq!(
        refused("[\"exact\", { kind = \"length\", buffer = 8, weight = 0.5 }]"),
        "--set: reward.verifier: verifier `length` was removed; instead, set algorithm.overlong_buffer to 8 / rollout.max_new_tokens \
         and algorithm.overlong_penalty to 0.5 / (algorithm.reward_right - algorithm.reward_wrong)"
    );
    assert_eq!(
        error("[data]\nverifier = \"exact\"", &[]),
        "my.toml:2: unknown key `data.verifier`, did you mean `reward.verifier`?"
    );
}

#[test]
fn every_shipped_config_is_valid() {
    Config::load(None, &[]).unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
        let resolved = Resolved::load(Some(&path), &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!([resolved.warnings, resolved.unused].concat(), [""; 0], "{}", path.display());
    }
}

#[test]
fn data_files_are_a_path_a_list_or_tables() {
    let files = |text: &str| parse(&format!("[data]\neval = 'e.jsonl'\ntrain = {text}"), &[]);
    let one = files("'a.parquet'").unwrap();
    assert_eq!(one.data.train.as_ref().unwrap().to_string(), "a.parquet");
    assert!(one.to_commented_toml().contains("\ntrain = \"a.parquet\"\n"));
    let mixed = files("['a.jsonl', { path = 'b.json', weight = 2, limit = 5 }]").unwrap();
    let second = &mixed.data.train.as_ref().unwrap().0[1];
    assert_eq!((second.weight, second.limit), (Some(2.0), Some(5)));
    assert_eq!(parse(&mixed.to_commented_toml(), &[]).unwrap(), mixed);
    let tables =
        parse("[data]\neval = 'e.jsonl'\n[[data.train]]\npath = 'a'\n[[data.train]]\npath = 'b'", &[]).unwrap();
    assert_eq!(tables.data.train.unwrap().to_string(), "a, b");
    let message = |text: &str| files(text).unwrap_err();
    assert_eq!(message("[7]"), "my.toml:3: data.train: expected a path or a table with `path` or \"off\", found 7");
    assert!(
        message("{ pth = 'a' }")
            .contains("data.train: expected one of the keys `path`, `weight`, `limit`, found `pth`"),
        "{}",
        message("{ pth = 'a' }")
    );
    assert_eq!(message("[]"), "data.train must name at least one file");
    assert_eq!(message("{ path = 'a', limit = 0 }"), "data.train.limit (0) must be at least 1");
    let weighted = error("", &["data.train=a", "data.eval={ path = 'b', weight = 1 }"]);
    assert_eq!(weighted, "data.eval must not have weights: they apply to training only");
}

#[test]
fn template_variables_are_a_table() {
    let config = parse("[data.chat_template_kwargs]\nenable_thinking = false\n", &[]).unwrap();
    assert_eq!(config.data.chat_template_kwargs["enable_thinking"], toml::Value::Boolean(false));
    assert_eq!(parse(&config.to_commented_toml(), &[]).unwrap(), config);
    let set = parse("", &["data.chat_template_kwargs={ enable_thinking = false }"]).unwrap();
    assert_eq!(set, config);
    let never = error("", &["data.chat=never", "data.system_prompt=hm"]);
    assert_eq!(never, "data.chat must not be `never` when data.system_prompt is set, which needs a chat");
}

#[test]
fn paths_become_absolute_and_nothing_else_changes() {
    let python = "reward.verifier={ kind = \"python\", file = \"r.py\", interpreter = \"env/bin/python\" }";
    let data = ["data.train=[\"a.jsonl\", \"/b.jsonl\"]", "data.eval=c.jsonl"];
    let settings = ["model.path=m", data[0], data[1], "critic.path=c", python];
    let config = parse("", &settings).unwrap();
    let absolute = config.clone().with_absolute_paths().unwrap();
    let here = std::env::current_dir().unwrap();
    let paths = |files: &Option<DataFiles>| -> Vec<PathBuf> {
        files.iter().flat_map(|files| &files.0).map(|file| file.path.clone()).collect()
    };
    assert_eq!(paths(&absolute.data.train), [here.join("a.jsonl"), "/b.jsonl".into()]);
    assert_eq!(paths(&absolute.data.eval), [here.join("c.jsonl")]);
    assert_eq!(
        (absolute.model.path.clone(), absolute.critic.path.clone()),
        (Some(here.join("m")), Some(here.join("c")))
    );
    let changed = config.entries().into_iter().zip(absolute.entries()).filter(|(old, new)| old != new);
    assert_eq!(changed.count(), 5);
    let expected = Verifier::Python(PythonFunction {
        interpreter: here.join("env/bin/python"),
        ..PythonFunction::new(&here.join("r.py"), "compute_score")
    });
    assert_eq!(absolute.reward.verifier[0].verifier, expected);
    let bare = parse("", &["reward.verifier={ kind = \"python\", file = \"r.py\" }"]).unwrap();
    assert!(
        bare.with_absolute_paths().unwrap().to_commented_toml().contains("interpreter = \"python3\""),
        "found in PATH"
    );
    assert_eq!(absolute.clone().with_absolute_paths().unwrap(), absolute);
}
