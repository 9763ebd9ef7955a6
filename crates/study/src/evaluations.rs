//! The curve of held-out accuracy over a run.

use vapo_train::Phase;

/// Evaluations in order, each with its place: a step, a cost. The end of value pretraining is a point too, with the accuracy
/// of the initial policy, which is still the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluations<P> {
    points: Vec<(P, f64)>,
    /// Whether the last point is that of value pretraining, which moves as long as it goes on.
    pretrains: bool,
}

impl<P> Evaluations<P> {
    /// Adds a row of a run: where it is, its phase (`None` before the first step), and its accuracy, if it has one.
    pub fn push(&mut self, place: P, phase: Option<Phase>, accuracy: Option<f64>) {
        let pretrains = phase == Some(Phase::ValuePretraining);
        let accuracy = match (pretrains, self.points.first()) {
            (true, Some((_, first))) => Some(*first),
            (true, None) => None,
            (false, _) => accuracy,
        };
        let Some(accuracy) = accuracy else { return };
        if pretrains && self.pretrains {
            self.points.pop();
        }
        self.points.push((place, accuracy));
        self.pretrains = pretrains;
    }

    /// Places and accuracies.
    pub fn points(&self) -> &[(P, f64)] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_flat_during_value_pretraining() {
        let pretraining = Some(Phase::ValuePretraining);
        let mut evaluations = Evaluations::default();
        evaluations.push(0, None, Some(0.2));
        evaluations.push(1, pretraining, None);
        assert_eq!(evaluations.points(), [(0, 0.2), (1, 0.2)]);
        evaluations.push(2, pretraining, None);
        evaluations.push(3, Some(Phase::Policy), None);
        evaluations.push(4, Some(Phase::Policy), Some(0.5));
        assert_eq!(evaluations.points(), [(0, 0.2), (2, 0.2), (4, 0.5)]);
    }

    #[test]
    fn without_a_first_evaluation_value_pretraining_has_no_point() {
        let mut evaluations = Evaluations::default();
        evaluations.push(1, Some(Phase::ValuePretraining), None);
        assert_eq!(evaluations.points(), []);
    }
}
