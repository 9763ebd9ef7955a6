//! Statistics over several samples per problem: pass@k, majority votes, bootstrap intervals.

use vapo_tasks::Random;

/// Number of subsets over which a majority vote of fewer than all samples is averaged.
const DRAWS: usize = 500;
/// Number of resamples for a bootstrap interval.
const RESAMPLES: usize = 2000;
/// Probability on each side of an interval.
const TAIL: f64 = 0.025;

/// Unbiased estimate of the probability that at least one of k samples is right, from n samples of which c are:
/// `1 - C(n - c, k) / C(n, k)` (Chen et al., arXiv 2107.03374, eq. 1); `None` for fewer than k samples.
pub(super) fn pass_at_k(samples: usize, correct: usize, k: usize) -> Option<f64> {
    if k == 0 || k > samples || correct > samples {
        return None;
    }
    // C(n - c, k) / C(n, k) as a product of c factors, none of them large.
    let all_wrong: f64 = (samples - correct + 1..=samples).map(|i| (1.0 - k as f64 / i as f64).max(0.0)).product();
    Some(1.0 - all_wrong)
}

/// One sample's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vote {
    /// Index of the answer; equal answers have equal indices.
    pub(super) answer: usize,
    /// Whether that answer is right.
    pub(super) correct: bool,
}

/// Whether the most frequent answer is right. A tie goes to the answer that was given first; samples without an answer
/// do not vote, and without votes the result is wrong.
pub(super) fn majority_is_right(ballots: &[Option<Vote>]) -> bool {
    let mut tally: Vec<(Vote, usize)> = Vec::new();
    for vote in ballots.iter().flatten() {
        match tally.iter_mut().find(|(first, _)| first.answer == vote.answer) {
            Some((_, votes)) => *votes += 1,
            None => tally.push((*vote, 1)),
        }
    }
    let winner = tally.iter().reduce(|best, other| if other.1 > best.1 { other } else { best });
    winner.is_some_and(|(vote, _)| vote.correct)
}

/// Probability that the majority of k samples is right: a single vote if k is the number of samples, otherwise the mean over
/// random subsets of k. `None` for fewer than k samples.
pub(super) fn majority_at_k(ballots: &[Option<Vote>], k: usize, mut random: Random) -> Option<f64> {
    if k == 0 || k > ballots.len() {
        return None;
    }
    if k == ballots.len() {
        return Some(f64::from(u8::from(majority_is_right(ballots))));
    }
    let mut drawn = ballots.to_vec();
    let right = (0..DRAWS).filter(|_| {
        for place in 0..k {
            let other = place + random.below((drawn.len() - place) as u64) as usize;
            drawn.swap(place, other);
        }
        majority_is_right(&drawn[..k])
    });
    Some(right.count() as f64 / DRAWS as f64)
}

/// The 95 % interval of a mean over problems by the percentile bootstrap: problems are resampled with replacement.
/// `None` for fewer than two problems.
pub(super) fn bootstrap_interval(values: &[f64], mut random: Random) -> Option<[f64; 2]> {
    if values.len() < 2 {
        return None;
    }
    let count = values.len();
    let mut resample = || (0..count).map(|_| values[random.below(count as u64) as usize]).sum::<f64>() / count as f64;
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resample()).collect();
    means.sort_by(f64::total_cmp);
    Some([quantile(&means, TAIL), quantile(&means, 1.0 - TAIL)])
}

/// The quantile of sorted numbers, with linear interpolation (definition 7 of Hyndman and Fan, numpy's default).
fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let place = probability * (sorted.len() - 1) as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let above = sorted.get(below + 1).unwrap_or(&sorted[below]);
    sorted[below] + part * (above - sorted[below])
}

/// 2, 4, 8, .. below n, and n.
pub(super) fn sample_counts(samples: usize) -> Vec<usize> {
    let mut counts: Vec<usize> =
        std::iter::successors(Some(2_usize), |k| k.checked_mul(2)).take_while(|k| *k < samples).collect();
    counts.push(samples);
    counts
}

#[cfg(test)]
mod tests {
    use vapo_tasks::Stream;

    use super::*;

    fn close(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    /// Hand-worked binomials: of 5 samples 2 are right, C(3, 2) / C(5, 2) = 3 / 10; and values of the published reference
    /// (`tools/eval_statistics.py`).
    #[test]
    fn pass_at_k_is_the_unbiased_estimator() {
        close(pass_at_k(5, 2, 1), 0.4);
        close(pass_at_k(5, 2, 2), 0.7);
        close(pass_at_k(5, 2, 3), 0.9);
        close(pass_at_k(5, 2, 4), 1.0);
        close(pass_at_k(32, 0, 32), 0.0);
        close(pass_at_k(32, 3, 8), 0.591_935_483_870_967_7);
        close(pass_at_k(200, 7, 100), 0.992_991_117_241_812_3);
        close(pass_at_k(4096, 1, 64), 0.015625);
        assert_eq!((pass_at_k(4, 1, 5), pass_at_k(4, 1, 0)), (None, None));
    }

    /// `a` and `b` wrong, `R` right, `-` no answer.
    fn ballots(answers: &str) -> Vec<Option<Vote>> {
        let vote = |c| (c != '-').then_some(Vote { answer: c as usize, correct: c == 'R' });
        answers.chars().map(vote).collect()
    }

    #[test]
    fn the_most_frequent_answer_wins_and_the_first_of_equals() {
        for (answers, right) in [
            ("RRa", true),
            ("aaR", false),
            ("Ra", true),
            ("aR", false),
            ("abRabR", false),
            ("abRRab-", false),
            ("Rab", true),
            ("---R", true),
            ("---", false),
            ("abcdRR", true),
        ] {
            assert_eq!(majority_is_right(&ballots(answers)), right, "{answers}");
        }
    }

    #[test]
    fn majority_of_fewer_samples_is_a_mean_over_subsets() {
        let random = || Random::keyed(1, Stream::TestCase, &[3]);
        close(majority_at_k(&ballots("RRRaa"), 5, random()), 1.0);
        // Three of RRRaa: right unless both a are drawn, 3 of C(5, 3) = 10 subsets.
        let found = majority_at_k(&ballots("RRRaa"), 3, random()).unwrap();
        assert!((found - 0.7).abs() < 0.07, "{found}");
        // Two of Raa: R wins if drawn (2 of 3 pairs) and drawn first (half of these).
        let found = majority_at_k(&ballots("Raa"), 2, random()).unwrap();
        assert!((found - 1.0 / 3.0).abs() < 0.07, "{found}");
        // With k = 1: the share of right samples.
        let found = majority_at_k(&ballots("RRRR-aaa"), 1, random()).unwrap();
        assert!((found - 0.5).abs() < 0.08, "{found}");
        assert_eq!(majority_at_k(&ballots("R"), 2, random()), None);
    }

    #[test]
    fn quantiles_are_interpolated_linearly() {
        // numpy.percentile([1, 2, 4, 8], [0, 2.5, 50, 97.5, 100])
        let quantiles = [0.0, 0.025, 0.5, 0.975, 1.0].map(|p| quantile(&[1.0, 2.0, 4.0, 8.0], p));
        for (found, expected) in quantiles.into_iter().zip([1.0, 1.075, 3.0, 7.7, 8.0]) {
            close(Some(found), expected);
        }
    }

    #[test]
    fn intervals_cover_the_spread_of_the_mean() {
        let random = || Random::keyed(4, Stream::TestCase, &[6]);
        // 30 problems, 12 right: the mean of 30 draws has the standard deviation sqrt(0.4 * 0.6 / 30) = 0.0894, so the binomial's
        // 2.5 % and 97.5 % points are 7 / 30 and 17 / 30 (`tools/eval_statistics.py`).
        let values: Vec<f64> = (0..30).map(|index| f64::from(u8::from(index < 12))).collect();
        let [low, high] = bootstrap_interval(&values, random()).unwrap();
        assert!((low - 7.0 / 30.0).abs() < 1.1 / 30.0 && (high - 17.0 / 30.0).abs() < 1.1 / 30.0, "{low} {high}");
        assert_eq!(bootstrap_interval(&values, random()), Some([low, high]), "the same seed, the same interval");
        assert_eq!(bootstrap_interval(&[0.5; 9], random()), Some([0.5, 0.5]));
        assert_eq!(bootstrap_interval(&[0.5], random()), None);
    }

    #[test]
    fn counts_are_powers_of_two_and_the_whole() {
        assert_eq!(sample_counts(32), [2, 4, 8, 16, 32]);
        assert_eq!(sample_counts(6), [2, 4, 6]);
        assert_eq!(sample_counts(1), [1]);
    }
}
