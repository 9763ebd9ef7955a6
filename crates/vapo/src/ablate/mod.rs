//! `vapo ablate`: runs every arm with every seed as child processes, then compares them.

mod board;
mod child;
mod pool;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use vapo_study::{ArmResult, JobState, Plan, Results, Study, write_report};
use vapo_train::{Config, Division, available_memory, launch, load_task, memory_plan, threads, write_atomically};

use crate::{
    args::AblateArgs,
    format::{count, percent},
    interrupt::{Ending, stop_flag},
    screen::Screen,
};
use board::Board;
use pool::Pool;

/// Runs the missing runs of a study and reports the results.
pub(crate) fn run(args: AblateArgs) -> Result<Ending> {
    let study = Study::load(&args.study)?;
    let directory = args.out.clone().unwrap_or_else(|| PathBuf::from("studies").join(&study.name));
    let plan = Plan::new(&study, &directory);
    plan.check_existing()?;
    let screen = Screen::for_words();
    let jobs = args.jobs.unwrap_or_else(|| jobs_for_this_machine(&study)).max(1);
    if args.report {
        report(&screen, &study, &plan)?;
        return Ok(Ending::Done);
    }
    let mut division = Division::for_whole_runs(launch(&Config::default())?, &study.text)?;
    check_arms(&study, jobs)?;
    let ended = work(&screen, (&study, &plan, jobs), args.retry_crashed, &mut division)?;
    let leads = division.leads();
    division.end(None)?;
    if leads {
        report(&screen, &study, &plan)?;
    }
    if ended {
        return Ok(Ending::Done);
    }
    let out = args.out.map_or(String::new(), |out| format!(" --out {}", out.display()));
    let again = format!("vapo ablate {}{out}", args.study.display());
    if leads {
        screen.line(&format!("  continue with {}", screen.bold(&again)));
    }
    Ok(Ending::Stopped)
}

/// Works on this rank's runs until all ranks have done theirs; false if one was stopped. Rank 0 writes what belongs to the study.
fn work(
    screen: &Screen,
    (study, plan, jobs): (&Study, &Plan, usize),
    retries_crashed: bool,
    division: &mut Division,
) -> Result<bool> {
    let directory = &plan.directory;
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let _lock = division.leads().then(|| lock(directory)).transpose()?;
    if division.leads() {
        write_atomically(&directory.join("study.toml"), study.text.as_bytes())?;
        if retries_crashed {
            plan.jobs.iter().try_for_each(vapo_study::Job::forget_crash)?;
        }
        header(screen, study, plan, (jobs, division.ranks().size()))?;
    }
    division.any("the start", false)?;
    let stop = stop_flag(screen, "stopping: every run writes a checkpoint", None)?;
    let board = Board::new(screen, study, plan);
    let rank = (division.ranks().rank(), division.ranks().size());
    let ended = Pool::new(study, plan, jobs, board, rank)?.work(&stop)?;
    Ok(!division.any("the end", !ended)?)
}

/// As many processes as the cores can hold, given the threads of each.
fn jobs_for_this_machine(study: &Study) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let most = study.arms.iter().map(|arm| threads(&arm.config)).max().unwrap_or(1);
    (cores / most).max(1)
}

/// Loads the models and data of every arm and counts the memory of this many concurrent runs, before anything runs.
fn check_arms(study: &Study, jobs: usize) -> Result<()> {
    for arm in &study.arms {
        let check = || -> vapo_train::Result<()> {
            let plan = memory_plan(&arm.config, load_task(&arm.config)?.as_ref())?;
            available_memory().map_or(Ok(()), |bytes| plan.within(bytes / jobs as u64).map(drop))
        };
        check().with_context(|| format!("arm `{}` ({jobs} concurrent runs)", arm.name))?;
    }
    Ok(())
}

/// Prevents two processes from working on the same study; released when this one exits, for any reason.
fn lock(directory: &Path) -> Result<File> {
    let path = directory.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    if file.try_lock().is_err() {
        bail!("another `vapo ablate` is running in {}", directory.display());
    }
    Ok(file)
}

fn header(screen: &Screen, study: &Study, plan: &Plan, (jobs, ranks): (usize, usize)) -> Result<()> {
    let states = plan.states()?;
    let runs = || plan.jobs.iter().zip(&states).filter(|(job, _)| !job.is_pretraining);
    let ended = runs().filter(|(_, state)| matches!(state, JobState::Finished | JobState::Crashed(_))).count();
    let shared = plan.jobs.len() - runs().count();
    screen.line(&screen.bold(&format!("vapo {}: study {}", env!("CARGO_PKG_VERSION"), study.name)));
    let number = |count_of: usize, one: &str, many: &str| count(count_of as u64, one, many);
    screen.line(&format!(
        "  {} x {} on `{}`, {} at a time, in {}",
        number(study.arms.len(), "arm", "arms"),
        number(study.seeds.len(), "seed", "seeds"),
        study.task(),
        number(jobs * ranks, "run", "runs"),
        plan.directory.display()
    ));
    if ranks > 1 {
        screen.line(&format!("  shared by {ranks} ranks, {} at a time on each", number(jobs, "run", "runs")));
    }
    if shared > 0 {
        let sharing = plan.jobs.iter().filter(|job| job.starts_from.is_some()).count();
        screen.line(&format!("  {sharing} of {} runs share {shared} value pretrainings", runs().count()));
    }
    if ended > 0 {
        screen.line(&format!("  {ended} of {} runs have already finished", runs().count()));
    }
    study.warnings().iter().for_each(|warning| screen.warn(warning));
    for path in plan.left_over() {
        screen.warn(&format!("{} is not in the study file and is left out of the report", path.display()));
    }
    Ok(())
}

/// Writes the report and prints its table.
fn report(screen: &Screen, study: &Study, plan: &Plan) -> Result<()> {
    let results = Results::read(study, plan)?;
    if results.unfinished == results.runs {
        screen.line("  no run has finished yet");
        return Ok(());
    }
    write_report(study, &results, &plan.directory)?;
    table(screen, study, &results);
    if results.unfinished > 0 {
        screen.warn(&format!("{} of {} runs have not finished", results.unfinished, results.runs));
    }
    for (name, budget, used, first) in results.unequal_budgets() {
        if study.equal.contains(&budget) {
            screen.warn(&format!(
                "arm `{name}` used {used:.0} {} in policy training, but `{}` used {first:.0}: they should be equal",
                budget.name(),
                results.arms[0].name
            ));
        }
    }
    let page = plan.directory.join("README.md");
    screen.line(&format!("\n  tables and curves: {}", screen.bold(&page.display().to_string())));
    Ok(())
}

fn table(screen: &Screen, study: &Study, results: &Results) {
    let width = results.arms.iter().map(|arm| arm.name.len()).max().unwrap_or(0).max(4);
    let reference = study.reference.as_ref().and_then(|name| results.arm(name));
    let to = reference.map_or(String::new(), |arm| format!("upd. to {}", arm.name));
    let head = format!(
        "  {:<width$}{:>8}{:>8}{:>16}{:>8}{:>16}{:>7}{:>9}{:>10}{:>8}",
        "arm", "before", "final", "95 % interval", "area", to, "seeds", "crashes", "tokens", "CPU s"
    );
    screen.line("");
    screen.line(&screen.dim(&head));
    for arm in &results.arms {
        screen.line(&row(arm, reference, width));
    }
}

fn row(arm: &ArmResult, reference: Option<&ArmResult>, width: usize) -> String {
    let mean = |interval: Option<vapo_study::Interval>| interval.map_or("-".into(), |interval| percent(interval.mean));
    let range = arm.last.and_then(|last| last.low.zip(last.high));
    let range = range.map_or("-".into(), |(low, high)| format!("{:.1} to {:.1}", 100.0 * low, 100.0 * high));
    let reached = reference.and_then(|reference| arm.reach(reference.last?.mean).cost);
    let reached = match (reference, reached) {
        (None, _) => String::new(),
        (Some(_), None) => "-".into(),
        (Some(_), Some(cost)) => format!("{:.0}", cost.updates),
    };
    let total = arm.total();
    format!(
        "  {:<width$}{:>8}{:>8}{:>16}{:>8}{:>16}{:>7}{:>9}{:>10}{:>8.0}",
        arm.name,
        mean(arm.before),
        mean(arm.last),
        range,
        mean(arm.area),
        reached,
        arm.records.len(),
        arm.crashes(),
        crate::format::short(total.tokens),
        total.cpu_secs
    )
}
