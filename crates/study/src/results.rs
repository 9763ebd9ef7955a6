//! The results of all arms of a study.

use crate::{
    arm::ArmResult,
    error::Result,
    file::{Budget, Study},
    interval::Interval,
    plan::{JobState, Plan},
    record::{Cost, Record},
};

/// Relative difference up to which measured budgets count as equal.
const EQUAL_WITHIN: f64 = 0.001;

/// The results of a study so far.
#[derive(Clone, Debug)]
pub struct Results {
    /// The arms in the study's order.
    pub arms: Vec<ArmResult>,
    /// Runs that have not ended.
    pub unfinished: usize,
    /// All runs.
    pub runs: usize,
    /// Processor seconds used by the study, including evaluations, and each shared value pretraining once.
    pub process_cpu_secs: f64,
}

impl Results {
    /// Reads the results of the runs.
    ///
    /// # Errors
    /// A file of a run cannot be read.
    pub fn read(study: &Study, plan: &Plan) -> Result<Self> {
        let states = plan.states()?;
        let mut records: Vec<Vec<Record>> = vec![Vec::new(); study.arms.len()];
        let (mut unfinished, mut runs, mut process_cpu_secs) = (0, 0, 0.0);
        for (job, state) in plan.jobs.iter().zip(&states) {
            let record = Record::read(job, state)?;
            let own_secs = record.as_ref().map_or(0.0, |record| record.process_cpu_secs);
            let inherited = match (own_secs > 0.0, job.starts_from) {
                (true, Some(index)) => pretraining_cpu_secs(plan, index, &states)?,
                _ => 0.0,
            };
            process_cpu_secs += own_secs - inherited;
            if !job.is_pretraining {
                runs += 1;
                match record {
                    Some(record) => records[job.arm].push(record),
                    None => unfinished += 1,
                }
            }
        }
        let arms = study.arms.iter().zip(records).map(|(arm, records)| ArmResult::new(arm, records)).collect();
        Ok(Self { arms, unfinished, runs, process_cpu_secs })
    }

    /// The arm with this name.
    pub fn arm(&self, name: &str) -> Option<&ArmResult> {
        self.arms.iter().find(|arm| arm.name == name)
    }

    /// Runs that crashed.
    pub fn crashes(&self) -> usize {
        self.arms.iter().map(ArmResult::crashes).sum()
    }

    /// Final accuracy of an arm minus that of another, seed by seed, so that effects shared by a seed cancel.
    pub fn difference(&self, arm: &ArmResult, other: &ArmResult) -> Option<Interval> {
        let pairs = arm.records.iter().filter_map(|record| {
            let partner = other.records.iter().find(|partner| partner.seed == record.seed)?;
            Some(record.final_accuracy()? - partner.final_accuracy()?)
        });
        Interval::of(&pairs.collect::<Vec<f64>>())
    }

    /// Arms whose budget in policy training differs from the first arm's: the name, the budget, both means.
    pub fn unequal_budgets(&self) -> Vec<(&str, Budget, f64, f64)> {
        let measured = |cost: Cost, budget: Budget| match budget {
            Budget::Prompts => cost.prompts,
            Budget::Samples => cost.samples,
            Budget::Updates => cost.updates,
        };
        let mut arms = self.arms.iter().filter(|arm| !arm.records.is_empty());
        let Some(first) = arms.next().map(ArmResult::policy) else { return Vec::new() };
        let unequal = arms.flat_map(|arm| {
            let used = arm.policy();
            Budget::ALL.map(|budget| (arm.name.as_str(), budget, measured(used, budget), measured(first, budget)))
        });
        unequal.filter(|(_, _, used, first)| (used - first).abs() > EQUAL_WITHIN * first).collect()
    }
}

fn pretraining_cpu_secs(plan: &Plan, index: usize, states: &[JobState]) -> Result<f64> {
    Ok(Record::read(&plan.jobs[index], &states[index])?.map_or(0.0, |record| record.process_cpu_secs))
}
